#!/bin/sh
# Makes an initial RAM file system from Debian's static busybox that loads the virtio drivers, runs a
# shell script on the console and powers off. The same input gives the same bytes.
#
#   make-initramfs.sh [-k KERNEL] [-m MODULE]... [-f FILE:PATH]... -o FILE SCRIPT
#
#   -k KERNEL   a /boot/vmlinuz-VERSION; its modules are taken from /lib/modules/VERSION; for a
#               ROOT/boot/vmlinuz-VERSION from ROOT/lib/modules/VERSION
#               (default: the newest cloud kernel, or else the newest kernel)
#   -m MODULE   another module to load, after virtio_mmio, virtio_blk and virtio-rng
#   -f FILE:PATH  a file of the host, and where it lies in the guest
set -eu

fail()
{
	echo "make-initramfs.sh: $*" >&2
	exit 1
}

kernel=
output=
modules='virtio_mmio virtio_blk virtio-rng'
files=
while getopts k:m:f:o: option; do
	case $option in
	k) kernel=$OPTARG ;;
	m) modules="$modules $OPTARG" ;;
	f) files="$files $OPTARG" ;;
	o) output=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# = 1 ] && [ -n "$output" ] || fail "usage: make-initramfs.sh [-k KERNEL] [-m MODULE]... [-f FILE:PATH]... -o FILE SCRIPT"
script=$1

newest()
{
	# shellcheck disable=SC2012,SC2086
	ls /boot/vmlinuz-$1 2>/dev/null | sort -V | tail -n 1
}

[ -n "$kernel" ] || kernel=$(newest '*cloud*')
[ -n "$kernel" ] || kernel=$(newest '*')
[ -n "$kernel" ] || fail "no kernel in /boot; install linux-image-cloud-amd64"
case $kernel in
*/boot/vmlinuz-*) directory=${kernel%/boot/vmlinuz-*}/lib/modules/${kernel##*/vmlinuz-} ;;
*) directory=/lib/modules/${kernel##*/vmlinuz-} ;;
esac
[ -r "$directory/modules.dep" ] || fail "no modules of $kernel in $directory"
busybox=$(command -v busybox) || fail "no busybox; install busybox-static"
[ -r "$script" ] || fail "$script cannot be read"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/bin" "$root/modules" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/etc"
cp "$busybox" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
cp "$script" "$root/script"
for file in $files; do
	mkdir -p "$root/$(dirname "${file#*:}")"
	cp "${file%%:*}" "$root/${file#*:}"
done

# The lines of modules.dep are "FILE: DEPENDENCY...", the one to be loaded first at the right. In names
# of modules - and _ are the same.
files_of()
{
	awk -v name="$1" '
		function plain(path) {
			sub(/.*\//, "", path)
			sub(/\.ko.*/, "", path)
			gsub(/-/, "_", path)
			return path
		}
		BEGIN { FS = ": *"; name = plain(name) }
		plain($1) == name {
			n = split($2, before, " ")
			for (i = n; i > 0; i--)
				print before[i]
			print $1
			found = 1
		}
		END { exit !found }' "$directory/modules.dep"
}

# Files whose packing the kernel may not know are unpacked here.
copy_module()
{
	to=$root/modules/$(basename "$1" | sed 's/\.ko.*/.ko/')
	case $1 in
	*.xz) xz -dc "$directory/$1" >"$to" ;;
	*.zst) zstd -dcq "$directory/$1" >"$to" ;;
	*.gz) gzip -dc "$directory/$1" >"$to" ;;
	*) cp "$directory/$1" "$to" ;;
	esac
	basename "$to" >>"$root/modules/list"
}

: >"$root/modules/list"
for module in $modules; do
	if files=$(files_of "$module"); then
		for file in $files; do
			name=$(basename "$file" | sed 's/\.ko.*/.ko/')
			grep -qx "$name" "$root/modules/list" || copy_module "$file"
		done
	else
		grep -q "/$(echo "$module" | sed 's/[-_]/[-_]/g')\.ko" "$directory/modules.builtin" ||
			fail "$directory has no module $module"
	fi
done

cat >"$root/init" <<'INIT'
#!/bin/sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
	insmod "/modules/$module" || echo "init: $module cannot be loaded"
done </modules/list
sh /script
sync
poweroff -f
INIT
chmod 755 "$root/init" "$root/bin/busybox"

find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet --reproducible -R 0:0 -o -H newc) >"$work/image"
mv "$work/image" "$output"
