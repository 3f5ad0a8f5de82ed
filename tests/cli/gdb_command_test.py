"""reprise gdb around its gdb: what it starts, removes and leaves behind."""

import os
import re
import signal
import subprocess
from pathlib import Path

from harness import TOOL, Directory, done, ok, reprise, same
from signals import listen
from tiny_guest import tiny_guest


def test_no_folder():
    """Nothing was made, so nothing is to be removed."""
    # Leaks cannot be looked for in a process that is traced.
    environment = os.environ | {"TMPDIR": "/nonexistent", "ASAN_OPTIONS": "detect_leaks=0"}
    result = subprocess.run(["strace", "-f", "-o", "trace", "-e", "trace=unlink,unlinkat,rmdir", TOOL, "gdb",
                             "-q", "R"], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                            check=False)
    ok(result.returncode == 125 and b"/nonexistent/reprise-gdb-" in result.stderr,
       "where no folder can be made, that is told", result)
    same(re.findall(r"(?:unlink|unlinkat|rmdir)\(.*", Path("trace").read_text()), [], "and nothing is removed")


def stand_in(script):
    """A program in the place of gdb."""
    path = Path("gdb").absolute()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_children_ignored():
    """Some parents ignore SIGCHLD, and a program that is started inherits that."""
    try:
        result = reprise("gdb", "-q", "--no-kernel-symbols", "--gdb", stand_in("exit 3"), "R", timeout=60,
                         preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        same((result.returncode, result.stderr), (3, b""), "where SIGCHLD is ignored, it ends with its gdb")
    except subprocess.TimeoutExpired as error:
        ok(False, "where SIGCHLD is ignored, it ends with its gdb", error)


def test_file_limit():
    """Reprise outlives the signal of a file that grows past a limit; what it starts has it as it was."""
    result = reprise("gdb", "-q", "--no-kernel-symbols", "--gdb", stand_in("kill -s XFSZ $$"), "R", timeout=60)
    same((result.returncode, result.stderr), (128 + signal.SIGXFSZ, b""), "SIGXFSZ ends a gdb")


def shown_confirm():
    result = reprise("gdb", "-q", "--no-kernel-symbols", "R", "--", "-ex", "show confirm", "-ex", "kill",
                     timeout=60, env=os.environ | {"HOME": os.getcwd()})
    return re.findall(rb"Whether to confirm potentially dangerous operations is (on|off)", result.stdout)


def test_confirm():
    """What gdb is told at its start leaves its settings as the user has them, and asks nothing."""
    Path(".gdbinit").write_text("define hook-step\nend\n")
    same(shown_confirm(), [b"on"], "gdb asks as it does by itself")
    Path(".gdbinit").write_text("set confirm off\n")
    same(shown_confirm(), [b"off"], "… and does not where the user's .gdbinit says so")


def test_ended(number, script, name):
    """A signal ends gdb too, and nothing is left of both."""
    os.makedirs("temporary", exist_ok=True)
    with subprocess.Popen([TOOL, "gdb", "-q", "--no-kernel-symbols", "--gdb", stand_in(script), "R"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=listen,
                          env=os.environ | {"TMPDIR": "temporary"}) as process:
        gdb = int(process.stdout.readline())
        process.send_signal(number)
        status = process.wait(timeout=60)
        left = Path(f"/proc/{gdb}").exists()
        if left:
            os.kill(gdb, signal.SIGKILL)
    same((status, left), (128 + number, False), f"{name}: both end")
    same(os.listdir("temporary"), [], f"{name}: no folder is left")


def main():
    with Directory() as directory:
        os.chdir(directory)
        Path("K").write_bytes(tiny_guest(b"The guest runs.\r\n"))
        reprise("record", "--kernel", "K", "--mem", "16M", "-o", "R")
        test_no_folder()
        test_children_ignored()
        test_file_limit()
        test_confirm()
        # What nobody writes to: who reads it waits until a signal comes.
        os.mkfifo("never")
        test_ended(signal.SIGTERM, "echo $$; exec cat never", "SIGTERM")
        test_ended(signal.SIGHUP, "trap '' TERM; echo $$; exec cat never", "SIGHUP, and a gdb that hangs")
    done()


main()
