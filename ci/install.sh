#!/bin/sh
# Puts the command reprise of this source tree into DIRECTORY/bin, unless it is there already, and
# prints its path. Build packages are installed first as far as they are missing.
#
#   install.sh DIRECTORY
set -eu

[ $# = 1 ] || {
	echo "usage: install.sh DIRECTORY" >&2
	exit 2
}
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
source=$(cd "$(dirname "$0")/.." && pwd)

if [ ! -x "$prefix/bin/reprise" ]; then
	"$source/tools/packages.sh" build
	build=$(mktemp -d)
	trap 'rm -rf "$build"' EXIT
	meson setup --prefix "$prefix" "$build" "$source" >&2
	meson compile -C "$build" reprise >&2
	mkdir -p "$prefix/bin"
	cp "$build/tools/reprise" "$prefix/bin/reprise.new"
	mv "$prefix/bin/reprise.new" "$prefix/bin/reprise"
fi
echo "$prefix/bin/reprise"
