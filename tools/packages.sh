#!/bin/sh
# Installs the Debian packages that Reprise is built, tested and shown with, as far as they are
# missing. The one place where they are listed. Does nothing, and needs no network, when all are there.
#
#   packages.sh [build|demo|all]    default: all; each holds the one before
#   packages.sh bench               demo, and QEMU, which only bench/run sets reprise against
#   packages.sh strange DIRECTORY   downloads what the guests of tests/strange are made from and unpacks
#                                   it in DIRECTORY: kernels/, root/, source/; installs nothing of it
#   packages.sh source NAME DIRECTORY
#                                   downloads a source package and unpacks its upstream part, as its authors
#                                   released it, in DIRECTORY
set -eu

build='meson ninja-build pkg-config gcc libc6-dev libzydis-dev liblz4-dev libxxhash-dev
libprotobuf-c-dev protobuf-c-compiler libelf-dev libdw-dev acpica-tools zlib1g-dev liblzma-dev libzstd-dev'
demo='linux-image-cloud-amd64 busybox-static cpio e2fsprogs xz-utils zstd kmod gdb'
test='python3 clang clang-format clang-tidy cppcheck git sqlite3 luajit strace libc6-dbg'
bench='python3 qemu-system-x86 qemu-utils'

strange_kernels='linux-image-amd64 linux-image-rt-amd64'
strange_root='memtest86+ stress-ng libapparmor1 libbsd0 libcrypt1 libdrm2 libegl1 libexpat1 libffi8 libgbm1
libgles2 libglvnd0 libipsec-mb1 libjpeg62-turbo libjudydebian1 libkmod2 liblzma5 libmd0 libsctp1 libssl3
libwayland-server0 libxxhash0 libzstd1 zlib1g libc6-i386 libc6-dev-i386 lib32gcc-12-dev'
strange_source='linux-source-6.1'

# Downloads packages into the folder $1. The package lists are renewed when they are out of date.
fetch()
{
	into=$1
	shift
	mkdir -p "$into"
	(cd "$into" && apt-get download -q "$@" >&2) && return
	apt-get update -q >&2 || true
	(cd "$into" && apt-get download -q "$@" >&2)
}

# The package that a kernel's meta-package stands for.
kernel_package()
{
	apt-cache depends "$1" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

# Kernels with their virtio drivers; depmod makes the list that make-initramfs.sh reads.
unpack_kernels()
{
	for name in $strange_kernels; do
		fetch "$1/deb" "$(kernel_package "$name")"
	done
	for package in "$1"/deb/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar -x -C "$1" --wildcards './boot/*' \
			'./lib/modules/*/modules.*' './lib/modules/*/kernel/drivers/virtio/*' \
			'./lib/modules/*/kernel/drivers/block/virtio_blk*' \
			'./lib/modules/*/kernel/drivers/char/hw_random/*'
	done
	for modules in "$1"/lib/modules/*; do
		depmod -b "$1" "${modules##*/}"
	done
}

unpack_root()
{
	# shellcheck disable=SC2086
	fetch "$1/deb" $strange_root
	for package in "$1"/deb/*.deb; do
		dpkg-deb -x "$package" "$1"
	done
}

# Of Linux's source only the tests of x86.
unpack_source()
{
	fetch "$1/deb" "$strange_source"
	dpkg-deb --fsys-tarfile "$1"/deb/*.deb | tar -x -O --wildcards '*/linux-source-*.tar.xz' |
		tar -x -J -C "$1" --strip-components=1 --wildcards '*/tools/testing/selftests/x86/*' \
			'*/tools/testing/selftests/*.h' '*/arch/x86/include/asm/desc_defs.h'
}

# Each part is made aside and renamed when it is whole, so that a part that is there is good.
unpack_strange()
{
	mkdir -p "$1"
	exec 9>"$1/lock"
	flock 9 # suites that run side by side ask for the same
	for part in kernels root source; do
		[ -d "$1/$part" ] && continue
		echo "Unpacking $part for the strange guests in $1" >&2
		rm -rf "$1/$part.new"
		mkdir "$1/$part.new"
		"unpack_$part" "$1/$part.new"
		rm -r "$1/$part.new/deb"
		mv "$1/$part.new" "$1/$part"
	done
}

# The system's sources with their source packages, which systems that only install do not list.
list_sources()
{
	sed -n 's/^deb\(-src\)\{0,1\} /deb-src /p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
		2>/dev/null | sort -u >"$1/etc/sources.list"
	for file in /etc/apt/sources.list.d/*.sources; do
		[ ! -f "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" >"$1/etc/sources.list.d/${file##*/}"
	done
}

# With lists of its own, so that neither root nor a change to the system is needed.
unpack_upstream()
{
	[ ! -d "$2" ] || return 0
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mkdir -p "$work/etc/sources.list.d" "$work/lists/partial" "$work/cache/archives/partial" "$work/new"
	list_sources "$work"
	set -- "$1" "$2" -q -o "Dir::Etc::SourceList=$work/etc/sources.list" \
		-o "Dir::Etc::SourceParts=$work/etc/sources.list.d" -o "Dir::State::Lists=$work/lists" \
		-o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root
	name=$1
	into=$2
	shift 2
	(cd "$work" && { apt-get "$@" update || true; } && apt-get "$@" source --download-only "$name") >&2
	for tarball in "$work/${name}"_*.orig.tar.*; do
		case $tarball in
		*.asc) ;;
		*) tar -x -f "$tarball" -C "$work/new" --strip-components=1 ;;
		esac
	done
	mkdir -p "$(dirname "$into")"
	mv "$work/new" "$into"
}

case ${1:-all} in
source)
	unpack_upstream "${2:?packages.sh: source needs a name}" "${3:?packages.sh: source needs a directory}"
	exit 0
	;;
strange)
	unpack_strange "${2:?packages.sh: strange needs a directory}"
	exit 0
	;;
build) wanted=$build ;;
demo) wanted="$build $demo" ;;
bench) wanted="$build $demo $bench" ;;
all) wanted="$build $demo $test" ;;
*)
	echo "usage: packages.sh [build|demo|bench|all] | strange DIRECTORY | source NAME DIRECTORY" >&2
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
