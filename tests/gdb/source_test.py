"""A real gdb at the level of source lines, and how sessions end.
Usage: source_test.py REPRISE PROGRAM WORK-GUEST"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from remote import Client, Server, check_twice, done, ok, same
from run_gdb import gdb_command, kill_gdb_in, run, run_script, says_begin, take_checks


def record(kernel, path, *options):
    result = subprocess.run([sys.argv[1], "record", "--kernel", kernel, "--mem", "32M", "--clock", "virtual",
                             "-o", path, *options], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    same(result.returncode, 0, f"{Path(kernel).stem} is recorded")


def position(server):
    client = Client(server.socket)
    text, _ = client.monitor("when")
    client.close()
    return int(re.match(r"icount (\d+)", text)[1])


def test_detach(server):
    gdb = run([*gdb_command(server.socket), "-ex", "stepi", "-ex", "stepi", "-ex", "detach"])
    same(gdb.returncode, 0, "detach")
    same(position(server), 2, "the server goes on where gdb left it")
    gdb = run([*gdb_command(server.socket), "-ex", "reverse-stepi", "-ex", "monitor when"])
    ok("icount 1 of" in gdb.stdout + gdb.stderr, "the next gdb goes on from there", gdb.stdout, gdb.stderr)


def test_killed_gdb(server):
    """Killed in the middle of a continue, gdb leaves a server that serves the next one, where it then was."""
    middle, last = 15000000, 30000000
    for command in ("continue", "reverse-continue"):
        kill_gdb_in(server, command, f"monitor seek {middle}", "maintenance flush register-cache",
                    "break *$pc if $rsp == 1")  # in a loop: the condition is looked at again and again
        here = position(server)
        ok(middle < here < last if command == "continue" else 0 < here <= middle,
           "the server serves on, from there", here)


def test_kill(server):
    gdb = run([*gdb_command(server.socket), "-ex", "kill"])
    same(gdb.returncode, 0, "kill")
    same(server.process.wait(timeout=60), 0, "ends the server")


def test_reprise_gdb(file, folder):
    """The server that reprise gdb started ends with its gdb."""
    killer = folder / "killed-gdb"
    killer.write_text("#!/bin/sh\nkill -9 $$\n")
    killer.chmod(0o755)
    tool = sys.argv[1]
    result = run([tool, "gdb", "--quiet", "--gdb", killer, file])
    same(result.returncode, 128 + signal.SIGKILL, "reprise gdb ends with a gdb that is killed")
    result = run([tool, "gdb", "--quiet", "--gdb", "/nonexistent/gdb", file])
    ok(result.returncode == 125 and "cannot be started" in result.stderr, "and says when there is none",
       result.stderr)
    result = run([tool, "gdb", "--quiet", "--at", "start", file, "--", "-nx", "-q", "-batch", sys.argv[2],
                  "-ex", "set var *(char *)$sp = 1", "-ex", "set var $rax = 1", "-ex", "call deposit(0, 1)",
                  "-ex", "seek 5", "-ex", "monitor when"])
    ok("icount 5 of" in result.stdout + result.stderr, "its command seek", result.stdout, result.stderr)
    ok(re.search(r"memory is not allowed", result.stderr), "memory cannot be written", result.stderr)
    ok("recording" in result.stderr, "nor registers", result.stderr)
    ok("Cannot call functions" in result.stderr, "nor functions called", result.stderr)
    left = [name for name in os.listdir(folder) if name.startswith("reprise-gdb-")]
    same(left, [], "no socket is left behind")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["TMPDIR"] = name if len(name) < 32 else "/tmp"
        record(sys.argv[2], folder / "source.rpz")
        with Server(sys.argv[1], folder / "source.rpz", "--at", "start") as server:
            gdb = run_script(server.socket, "source.py", sys.argv[2])
            take_checks(gdb)
            says_begin(gdb)
        record(sys.argv[3], folder / "work.rpz", "--until", "30000000")
        with Server(sys.argv[1], folder / "work.rpz", "--at", "start") as server:
            test_detach(server)
            test_killed_gdb(server)
            test_kill(server)
        test_reprise_gdb(folder / "source.rpz", folder)
        check_twice(sys.argv[1], folder)
    done()


main()
