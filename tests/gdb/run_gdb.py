"""Runs a script inside a real gdb and takes over its checks."""

import subprocess
from pathlib import Path

from remote import ok

HERE = Path(__file__).resolve().parent


def gdb_command(socket, program=None):
    """gdb on the server at the socket, with a program's symbols or none."""
    return ["gdb", "-nx", "-q", "-batch", "-iex", "set auto-load off", "-iex",
            f"python import sys; sys.dont_write_bytecode = True; sys.path.insert(0, '{HERE}')",
            *([program] if program else []), "-ex", f"target remote {socket}"]


def run_script(socket, script, program=None):
    return subprocess.run([*gdb_command(socket, program), "-x", HERE / script],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200,
                          check=False)


def take_checks(gdb):
    for line in gdb.stdout.splitlines():
        if line.startswith("check ok - "):
            ok(True, line.removeprefix("check ok - "))
        elif line.startswith("check not ok - "):
            ok(False, line.removeprefix("check not ok - "))
        elif line.startswith("# "):
            print(line)
    ok("No more reverse-execution history" in gdb.stdout, "gdb says where history begins")
    ok("check done" in gdb.stdout and gdb.returncode == 0, "gdb came to the script's end",
       gdb.returncode, gdb.stdout[-2000:], gdb.stderr[-2000:])
