#!/bin/sh
# Downloads a kernel with the distribution's own client and unpacks it, without root, for a host where
# none can be read: Ubuntu keeps its kernels from users, and containers have none. `reprise run` holds
# this script and runs it.
#
#   fetch-kernel.sh DIRECTORY   gives DIRECTORY/boot/vmlinuz-* and DIRECTORY/lib/modules/*
#
# What goes wrong is one line on standard error.
set -eu

into=$1

# A signal may come where standard error leads to the log.
exec 3>&2
fail()
{
	echo "$*" >&3
	exit 1
}

for program in apt-get apt-cache dpkg-deb tar; do
	command -v "$program" >/dev/null || fail "there is no $program here"
done

work=$(mktemp -d "$into.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Not every shell runs that one when a signal ends it.
trap 'fail interrupted' HUP INT TERM
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/deb" "$work/all" \
	"$work/root/boot" "$work/root/lib"

# The system's package lists; or, where they are missing or out of date, lists of our own.
own=
apt()
{
	client=$1
	shift
	if [ "$own" ]; then
		"$client" -q -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" \
			-o APT::Sandbox::User=root "$@"
	else
		"$client" -q "$@"
	fi
}

# The first package of such a name that $1 depends on.
dependency()
{
	apt apt-cache depends "$1" 2>/dev/null | sed -n "s/^ *Depends: \($2-[0-9][^ <]*\).*/\1/p" |
		head -n 1
}

# The smallest kernel for virtual machines comes first: Debian's, then Ubuntu's.
find_kernel()
{
	for name in linux-image-cloud-amd64 linux-image-amd64 linux-image-kvm linux-image-virtual \
		linux-image-generic; do
		image=$(dependency "$name" 'linux-image\(-unsigned\)\{0,1\}')
		[ -z "$image" ] || return 0
	done
	return 1
}

# Ubuntu's modules are packages of their own.
download()
{
	find_kernel || return 1
	modules=$(dependency "$image" linux-modules)
	# shellcheck disable=SC2086
	(cd "$work/deb" && apt apt-get download "$image" $modules) >"$work/log" 2>&1
}

if ! download; then
	own=yes
	apt apt-get update >"$work/log" 2>&1 || fail "apt-get update: $(tail -n 1 "$work/log")"
	download || fail "no kernel package can be downloaded: $(tail -n 1 "$work/log")"
fi
for package in "$work"/deb/*.deb; do
	dpkg-deb -x "$package" "$work/all" 2>"$work/log" ||
		fail "${package##*/} cannot be unpacked: $(tail -n 1 "$work/log")"
done
mv "$work"/all/boot/vmlinuz-* "$work/root/boot" 2>/dev/null || fail "$image holds no kernel"
# With /lib in /usr, packages of newer distributions have the modules there.
for modules in "$work/all/lib/modules" "$work/all/usr/lib/modules"; do
	[ ! -d "$modules" ] || [ -d "$work/root/lib/modules" ] || mv "$modules" "$work/root/lib"
done
rm -rf "$into"
mv "$work/root" "$into"
