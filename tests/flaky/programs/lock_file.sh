#!/bin/sh
# Two workers with a lock that is looked for and then made. Fails when both find none.
lock="/tmp/lock-$$" count="/tmp/count-$$"
echo 0 >"$count"

work()
{
	while [ -e "$lock" ]; do
		sleep 0.01
	done
	: >"$lock"
	read -r n <"$count"
	echo $((n + 1)) >"$count"
	rm -f "$lock"
}

work &
work &
wait
read -r n <"$count"
rm -f "$count"
echo "$n of 2"
[ "$n" -eq 2 ]
