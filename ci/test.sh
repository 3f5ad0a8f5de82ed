#!/bin/sh
# Runs a test command of a CI job under reprise. When it fails, its recording is kept, described, handed to
# an upload command, and how to debug it is printed. Exit status: the command's; of a hunt that found a
# failure 1; 125 when reprise itself could not work.
#
#   test.sh [-d DIRECTORY] [-n NAME] [-H HUNT-OPTIONS] [-o OPTIONS] [-u UPLOAD] -- COMMAND...
#
#   -d DIRECTORY     where recordings go (default: reprise)
#   -n NAME          the recording's name without .rpz (default: test)
#   -H HUNT-OPTIONS  hunt: repeat the command until it fails, "--runs 200 --time 10m --chaos"
#   -o OPTIONS       options for reprise run or hunt, "--mem 2G"
#   -u UPLOAD        a shell command for a failure; $RECORDING and $REPORT name the two files
#
# REPRISE names the command (default: reprise). In GitHub's actions the report goes to the job's summary too.
set -u

directory=reprise
name=test
hunt=
options=
upload=
usage()
{
	sed -n 's/^# \{0,1\}//; 6,6p' "$0" >&2
	exit 2
}
while getopts d:n:H:o:u: option; do
	case $option in
	d) directory=$OPTARG ;;
	n) name=$OPTARG ;;
	H) hunt=$OPTARG ;;
	o) options=$OPTARG ;;
	u) upload=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage

reprise=${REPRISE:-reprise}
"$(dirname "$0")/kvm-access.sh"
mkdir -p "$directory" || exit 125
recording=$directory/$name.rpz
report=$directory/$name.md
rm -f "$recording" "$report"

# shellcheck disable=SC2086
if [ "$hunt" ]; then
	"$reprise" hunt $hunt $options -o "$recording" -- "$@"
else
	"$reprise" run $options -o "$recording" -- "$@"
fi
status=$?

if [ $status = 0 ]; then
	rm -f "$recording"
	exit 0
fi
if [ ! -f "$recording" ]; then
	echo "reprise: there is no recording" >&2
	exit $status
fi

"$reprise" info --markdown "$recording" >"$report" || exit $status
cat "$report" >&2
[ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat "$report" >>"$GITHUB_STEP_SUMMARY"
if [ "$upload" ] && ! RECORDING=$recording REPORT=$report sh -c "$upload" >&2; then
	echo "reprise: the recording could not be uploaded: $upload" >&2
fi
cat >&2 <<END

The failure is in $recording ($(wc -c <"$recording") bytes). With that file alone, on any x86-64 Linux:
  reprise replay $name.rpz    the same output and exit status
  reprise gdb $name.rpz       backwards from the failure
END
exit $status
