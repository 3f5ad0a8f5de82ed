#!/bin/sh
# Lets this user use /dev/kvm where that takes no more than a udev rule or a mode: on hosted runners it is
# there, and its group is not the user's. Never fails: reprise works without KVM, only slower.
#
# REPRISE_KVM and REPRISE_UDEV_RULES are the device and the directory of udev's rules, for tests.
set -u

device=${REPRISE_KVM:-/dev/kvm}
rules=${REPRISE_UDEV_RULES:-/etc/udev/rules.d}

usable()
{
	[ -r "$device" ] && [ -w "$device" ]
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo -n "$@"
	fi
}

# A rule outlasts the node, which udev may make again.
add_rule()
{
	echo 'SUBSYSTEM=="misc", KERNEL=="kvm", MODE="0666"' |
		as_root tee "$rules/99-reprise-kvm.rules" >/dev/null &&
		as_root udevadm control --reload-rules &&
		as_root udevadm trigger --settle --name-match=kvm
}

if [ ! -e "$device" ]; then
	echo "no $device here: guests run without it, which may be slower" >&2
	exit 0
fi
usable && exit 0
if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
	echo "$device is not for user $(id -un), and sudo asks for a password: add the user to group" \
		"$(stat -c %G "$device")" >&2
	exit 0
fi
command -v udevadm >/dev/null && [ -d "$rules" ] && add_rule 2>/dev/null
usable || as_root chmod a+rw "$device"
usable || echo "$device cannot be made usable: guests run without it, which may be slower" >&2
exit 0
