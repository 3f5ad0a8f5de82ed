"""The timeline's test on a recorded Debian boot, and on one with three vCPUs.
Usage: timeline_test.py REPRISE TIMELINE-TEST"""

import sys
import tempfile

from boot import record_boot
from remote import check_twice, done
from run_gdb import run, take_lines

SCRIPT = "echo hello; ls / >/dev/null; (sleep 0.01; echo child) & wait; echo bye\n"


def test_recording(moves, *options):
    with tempfile.TemporaryDirectory() as folder:
        file = record_boot(sys.argv[1], folder, SCRIPT, *options)
        take_lines(run([sys.argv[2], "--file", str(moves), file], timeout=7200))
        check_twice(sys.argv[1], folder)


def main():
    test_recording(200)
    test_recording(100, "--cpus", "3")
    done()


main()
