#!/bin/sh
# Names a report by the date, twice. Fails when the day ends in between.
report="/tmp/report-$$-$(date +%F)"
echo "all is well" >"$report"
i=0
while [ $i -lt 200 ]; do
	i=$((i + 1))
done
cat "/tmp/report-$$-$(date +%F)" || exit 1
rm -f "$report"
