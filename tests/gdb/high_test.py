"""RAM above 4 GiB: seeks, the machine view and the process view. Usage: high_test.py REPRISE TIMELINE-TEST"""

import subprocess
import sys
import tempfile
from pathlib import Path

from boot import record_boot
from remote import Client, Server, check_twice, done, ok, same
from run_gdb import gdb_command, run, run_session, take_lines

HERE = Path(__file__).resolve().parent
SCRIPT = "chmod +x /bin/high; high; dd if=/dev/zero of=/dev/null bs=1M count=8 2>/dev/null\n"


def test_machine(server):
    """Physical addresses above 4 GiB are read like others."""
    client = Client(server.socket)
    client.monitor("physical on")
    low, high = (client.ask(f"m{address:x},40") for address in (0x1000000, 0x13ff00000))
    ok(len(low) == len(high) == 128, "physical memory on both sides", low, high)
    same(client.ask("m180000000,40"), "E0e", "and none behind it")
    client.close()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "bin" / "high"
        program.parent.mkdir()
        subprocess.run(["cc", "-g", "-O0", "-static", "-o", program, HERE / "programs/high.c"], check=True)
        file = record_boot(sys.argv[1], folder, SCRIPT, "--mem", "5G", files=[f"{program}:/bin/high"])
        with Server(sys.argv[1], file, "--process", "high", "--sysroot", folder) as server:
            run_session(server, "high_session.py")
        with Server(sys.argv[1], file, "--at", "end") as server:
            test_machine(server)
            gdb = run([*gdb_command(server.socket), "-ex", "set $here = $rip", "-ex", "reverse-stepi", "-ex", "stepi",
                       "-ex", "p $here == $rip"])
            ok("$1 = 1" in gdb.stdout, "a step back and forth", gdb.stdout, gdb.stderr)
        take_lines(run([sys.argv[2], "--file", "12", file]))
        check_twice(sys.argv[1], folder)
    done()


main()
