"""A real gdb on a recorded Debian boot with two vCPUs.
Usage: vcpus_test.py REPRISE"""

import sys
import tempfile
from pathlib import Path

import run_gdb
from boot import record_boot
from remote import check_twice, done

COUNT = "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done"
SCRIPT = f"({COUNT}) & {COUNT}; wait\n"


def main():
    with tempfile.TemporaryDirectory() as folder:
        file = record_boot(sys.argv[1], folder, SCRIPT, "--cpus", "2")
        gdb = run_gdb.run([sys.argv[1], "gdb", "--quiet", file, "--", "-nx", "-q", "-batch", "-x",
                           Path(__file__).with_name("vcpus.py")])
        run_gdb.take_checks(gdb)
        run_gdb.says_begin(gdb)
        check_twice(sys.argv[1], folder)
    done()


main()
