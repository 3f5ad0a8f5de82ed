#!/bin/sh
# Installs the Debian packages that Reprise is built, tested and shown with, as far as they are
# missing. The one place where they are listed. Does nothing, and needs no network, when all are there.
#
#   packages.sh [build|demo|all]    default: all; each holds the one before
set -eu

build='meson ninja-build pkg-config gcc libc6-dev libzydis-dev liblz4-dev libxxhash-dev
libprotobuf-c-dev protobuf-c-compiler acpica-tools zlib1g-dev liblzma-dev libzstd-dev'
demo='linux-image-cloud-amd64 busybox-static cpio e2fsprogs xz-utils zstd kmod'
test='python3 clang-format clang-tidy cppcheck gdb'

case ${1:-all} in
build) wanted=$build ;;
demo) wanted="$build $demo" ;;
all) wanted="$build $demo $test" ;;
*)
	echo "usage: packages.sh [build|demo|all]" >&2
	exit 2
	;;
esac

missing=
for package in $wanted; do
	case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true) in
	ii*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || {
		echo "packages.sh: missing:$missing; install them as root" >&2
		exit 1
	}
	sudo=sudo
fi
echo "Installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q >&2 || echo "packages.sh: no new package lists; trying the old ones" >&2
# shellcheck disable=SC2086
$sudo apt-get install -y -q --no-install-recommends $missing >&2
