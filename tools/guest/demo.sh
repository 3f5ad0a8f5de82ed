# What the guest of ./demo runs: it asks the outside world for everything that differs from run to run.
echo "--- the guest is up: $(uname -sr)"
for tries in 1 2 3 4 5 6 7 8 9 10; do
	[ -b /dev/vda ] && break
	sleep 0.1
done
echo "time    $(date -u '+%Y-%m-%d %H:%M:%S'), up $(cut -d ' ' -f 1 /proc/uptime) s"
echo "random  $(head -c 16 /dev/urandom | hexdump -ve '1/1 "%02x"') from the kernel"
echo "random  $(head -c 16 /dev/hwrng | hexdump -ve '1/1 "%02x"') from the virtio device"
echo "disk    $(head -n 1 /dev/vda)"
echo "written by the guest" | dd of=/dev/vda bs=512 seek=1 conv=sync,notrunc 2>/dev/null
sync
echo 3 >/proc/sys/vm/drop_caches
echo "disk    $(dd if=/dev/vda bs=512 skip=1 count=1 2>/dev/null | tr -d '\0')"
echo "What is your name?"
read -r name
echo "typed   Hello, $name."
i=0
while [ $i -lt 1000 ]; do
	i=$((i + 1))
done
echo "worked  counted to $i, sha256 $(seq 1000 | sha256sum | cut -c 1-16)"
echo "--- the guest powers off"
