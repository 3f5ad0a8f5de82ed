#!/bin/sh
# Dependencies point one way, and what replays has no way to a clock, to chance, to the network or to
# a device. Usage: layering.sh SOURCE-ROOT LIBRARY... (libraries of the replay path: replayer, vmm, log)
set -u
source_root=$1
shift
count=0
failed=0

ok() { # ok CONDITION-STATUS TEXT
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		failed=1
	fi
}

# No file of the folder includes a header that matches.
must_not_include() { # must_not_include FOLDER... -- PATTERN
	folders=
	while [ "$1" != -- ]; do
		folders="$folders $source_root/$1"
		shift
	done
	found=$(grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]+\"($2)" $folders \
		--include='*.c' --include='*.h' --include='*.S')
	[ -n "$found" ] && echo "$found" | sed 's/^/# /'
	[ -z "$found" ]
	ok $? "$(echo $folders | sed "s,$source_root/,,g") does not include $2"
}

must_not_include vmm -- 'recorder/|replayer/|gdbstub/|tools/|log-format/'
must_not_include vmm/cpu vmm/mmu vmm/memory vmm/machine.c vmm/machine.h vmm/run.c vmm/engine.h \
	vmm/clock.c vmm/boundary.h -- 'vmm/devices/|vmm/boot/'
must_not_include replayer -- 'vmm/devices/|vmm/boot/|recorder/|gdbstub/|tools/'
must_not_include recorder -- 'replayer/|gdbstub/|tools/'
must_not_include log-format -- 'recorder/|replayer/|tools/|vmm/[^b]|vmm/boot'

# What the machine and the replayer may never call. The writer's thread and its fdatasync are the log's.
forbidden='(__)?(clock_gettime|clock_getres|gettimeofday|time|ftime|times|nanosleep|usleep|sleep'
forbidden="$forbidden|getrandom|getentropy|random|srandom|rand|rand_r|srand|drand48|arc4random"
forbidden="$forbidden|socket|connect|bind|listen|accept|recv|recvfrom|send|sendto|select|poll|ppoll"
forbidden="$forbidden|timer_create|setitimer|alarm|gettid|getauxval|getenv)(@.*)?"
devices='(platform|virtio|uart|pic|pit|lapic|ioapic|rtc|boot|block_file|channel|recorder|acpi)_.*'

for library in "$@"; do
	name=$(basename "$library")
	undefined=$(nm -u "$library" 2>/dev/null | awk '$1 == "U" {print $2}' | sort -u)
	[ -n "$undefined" ]
	ok $? "$name can be read by nm"
	found=$(echo "$undefined" | grep -xE "$forbidden")
	[ -n "$found" ] && echo "$found" | sed 's/^/# /'
	[ -z "$found" ]
	ok $? "$name calls no clock, no random source, no socket"
	found=$(echo "$undefined" | grep -xE "$devices")
	[ -n "$found" ] && echo "$found" | sed 's/^/# /'
	[ -z "$found" ]
	ok $? "$name refers to no device and no loader"
done

echo "1..$count"
exit $failed
