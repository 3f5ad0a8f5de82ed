"""--at crash: where it leads for each way in which a guest can come to grief.
Usage: crash_test.py REPRISE OOPS-GUEST SEGFAULT-PROGRAM ROUNDTRIP-GUEST-FOLDER"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from boot import record_boot
from remote import Client, check_twice, done, ok, same

TOOL = sys.argv[1]
PANIC = "grep ' panic$' /proc/kallsyms; echo c >/proc/sysrq-trigger\n"


def symbol(file, name):
    for line in subprocess.check_output(["nm", file], text=True).splitlines():
        if line.endswith(f" {name}"):
            return int(line.split()[0], 16)
    raise KeyError(name)


def record(kernel, path, *options):
    result = subprocess.run([TOOL, "record", "--kernel", kernel, "--mem", "32M", "--clock", "virtual", "-o",
                             path, *options], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    same(result.returncode, 0, f"{Path(kernel).stem}: recorded")
    return result.stdout.decode(errors="replace")


class Crash:
    """A server begun at the crash: what it said, and where it is."""

    def __init__(self, file):
        self.folder = tempfile.TemporaryDirectory()
        path = self.folder.name + "/socket"
        self.server = subprocess.Popen([TOOL, "serve", file, "--listen", path, "--at", "crash", "--quiet",
                                        "--once"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
        self.server.stdout.readline()
        self.client = Client(path)

    def __enter__(self):
        return self

    def when(self):
        text, _ = self.client.monitor("when")
        found = re.match(r"icount (\d+) of (\d+),.* CPL (\d), rip 0x([0-9a-f]+)", text)
        return int(found[1]), int(found[2]), int(found[3]), int(found[4], 16)

    def __exit__(self, *exception):
        self.client.close()
        self.said = self.server.communicate(timeout=60)[1]
        self.folder.cleanup()


def test_oops(folder):
    record(sys.argv[2], folder / "oops.rpz")
    with Crash(folder / "oops.rpz") as crash:
        icount, _, cpl, rip = crash.when()
        same((cpl, rip), (0, symbol(sys.argv[2], "fatal")), "oops: at the instruction that faulted")
        crash.client.ask("s")
        same(crash.when()[::3], (icount + 1, symbol(sys.argv[2], "on_page_fault")),
             "whose next step is the exception")
    ok("kernel reports" in crash.said and "NULL pointer dereference" in crash.said, "and it says so", crash.said)


def test_panic(folder):
    file = record_boot(TOOL, folder, PANIC, until=b"end Kernel panic")
    text = subprocess.run([TOOL, "replay", file], stdin=subprocess.DEVNULL, capture_output=True,
                          check=False).stdout.decode(errors="replace")
    panic = int(re.search(r"^([0-9a-f]{16}) T panic\r?$", text, re.M)[1], 16)
    with Crash(file) as crash:
        same(crash.when()[2:], (0, panic), "panic: at the first instruction of panic()")
    ok("Kernel panic - not syncing: sysrq triggered crash" in crash.said, "and it says so", crash.said)


def test_signal(folder, command, status, name, function=None):
    file = folder / f"run{status}.rpz"
    result = subprocess.run([TOOL, "run", "-o", file, "--", *command], stdin=subprocess.DEVNULL,
                            capture_output=True, check=False)
    same(result.returncode, status, f"{name}: recorded")
    with Crash(file) as crash:
        icount, end, cpl, rip = crash.when()
        ok(cpl == 3 and icount < end, f"{name}: in user mode before the end", icount, end, cpl)
        if function:
            start = symbol(command[0], function)
            ok(start <= rip < start + 64, f"{name}: in the function that faulted", hex(rip), hex(start))
        crash.client.ask("s")
        same(crash.when()[2], 0, f"{name}: whose next step enters the kernel")
    ok(f"signal {status - 128} killed the command" in crash.said, f"{name}: and it says so", crash.said)


def test_triple(folder):
    guests = Path(sys.argv[4])
    record(guests / "triple.elf", folder / "triple.rpz")
    with Crash(folder / "triple.rpz") as crash:
        icount, end, _, _ = crash.when()
        same(icount, end - 1, "triple fault: before the last step")
    ok("triple fault" in crash.said, "and it says so", crash.said)


def test_none(folder):
    guests = Path(sys.argv[4])
    record(guests / "random.elf", folder / "none.rpz")
    with Crash(folder / "none.rpz") as crash:
        icount, end, _, _ = crash.when()
        same(icount, end, "no crash: at the end")
    ok("no crash" in crash.said, "and it says so", crash.said)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        test_oops(folder)
        test_triple(folder)
        test_none(folder)
        test_panic(folder)
        test_signal(folder, [sys.argv[3]], 128 + 11, "a wild write", "write_to")
        test_signal(folder, ["/bin/sh", "-c", "kill -ABRT $$"], 128 + 6, "a signal that was sent")
        check_twice(TOOL, folder)
    done()


main()
