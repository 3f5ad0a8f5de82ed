"""The timeline's test on a recorded Debian boot, and with --slow on one with three vCPUs too.
Usage: timeline_test.py REPRISE TIMELINE-TEST [--slow]"""

import subprocess
import sys
import tempfile

from boot import record_boot
from remote import done, ok

SCRIPT = "echo hello; ls / >/dev/null; (sleep 0.01; echo child) & wait; echo bye\n"


def test_recording(moves, *options):
    with tempfile.TemporaryDirectory() as folder:
        file = record_boot(sys.argv[1], folder, SCRIPT, *options)
        result = subprocess.run([sys.argv[2], "--file", str(moves), file], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, check=False)
    for line in result.stdout.splitlines():
        if line.startswith(("ok ", "not ok ")):
            ok(line.startswith("ok "), line.split(" - ", 1)[-1])
        elif line.startswith("#"):
            print(line)
    ok(result.returncode == 0, "the test program ends well", result.returncode, result.stderr)


def main():
    slow = "--slow" in sys.argv
    test_recording(200 if slow else 16)
    if slow:
        test_recording(100, "--cpus", "3")
    done()


main()
