"""A real gdb on a recorded Debian boot. Usage: session_test.py REPRISE [RECORDING]"""

import subprocess
import sys
import tempfile

from boot import record_boot
from remote import Server, done, ok
from run_gdb import run_script, take_checks

SCRIPT = "echo hello; ls / >/dev/null; i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; echo bye\n"


def main():
    with tempfile.TemporaryDirectory() as folder:
        file = sys.argv[2] if len(sys.argv) > 2 else record_boot(sys.argv[1], folder, SCRIPT)
        with Server(sys.argv[1], file, "--at", "start") as server:
            take_checks(run_script(server.socket, "session.py"))
        # The same, started by reprise itself; a gdb that is killed does not take the server along.
        gdb = subprocess.run([sys.argv[1], "gdb", "--quiet", "--at", "1000", file, "--", "-nx", "-q",
                              "-batch", "-ex", "monitor when", "-ex", "kill"],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        ok(gdb.returncode == 0 and "icount 1000 of" in gdb.stdout + gdb.stderr, "reprise gdb --at 1000",
           gdb.stdout, gdb.stderr)
    done()


main()
