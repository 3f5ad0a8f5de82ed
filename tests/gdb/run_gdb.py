"""Runs a real gdb on a server, or a script inside one, and takes over the script's checks."""

import os
import select
import signal
import subprocess
from pathlib import Path

from remote import ok, same

HERE = Path(__file__).resolve().parent


def gdb_command(socket, program=None):
    """gdb on the server at the socket, with a program's symbols or none."""
    return ["gdb", "-nx", "-q", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off",
            "-iex", f"python import sys; sys.dont_write_bytecode = True; sys.path.insert(0, '{HERE}')",
            *([program] if program else []), "-ex", f"target remote {socket}"]


def run(command, timeout=1200):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                          check=False)


def run_script(socket, script, program=None):
    return run([*gdb_command(socket, program), "-x", HERE / script])


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])  # user and system: proc(5)


def is_at_work(server, ticks, gdb):
    """Waits until the server has used that much of a processor from now on, or gdb says something or ends."""
    start = cpu_ticks(server.process.pid)
    while cpu_ticks(server.process.pid) < start + ticks:
        if select.select([gdb.stdout], [], [], 0.01)[0]:
            return False
    return True


def kill_gdb_in(server, command, *commands):
    """Kills gdb when the server is in the midst of the command, which has to last."""
    given = [word for line in (*commands, "echo running\\n", command) for word in ("-ex", line)]
    with subprocess.Popen([*gdb_command(server.socket), *given], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as gdb:
        while (line := gdb.stdout.readline()) and "running" not in line:
            pass
        # What gdb asks before it lets the target run costs next to nothing beside this.
        ok(is_at_work(server, os.sysconf("SC_CLK_TCK") // 5, gdb), f"the server is in the {command}")
        gdb.kill()
        same(gdb.stdout.read(), "", "nothing has stopped it before gdb is killed")
    same(gdb.wait(), -signal.SIGKILL, f"gdb is killed in a {command}")


def take_checks(gdb, name=None):
    """The lines with "check" that a script in gdb has printed become this program's."""
    prefix = f"{name}: " if name else ""
    for line in gdb.stdout.splitlines():
        if line.startswith("check ok - "):
            ok(True, prefix + line.removeprefix("check ok - "))
        elif line.startswith("check not ok - "):
            ok(False, prefix + line.removeprefix("check not ok - "))
        elif line.startswith("# "):
            print(line)
    ok("check done" in gdb.stdout and gdb.returncode == 0, f"{prefix}gdb came to the script's end",
       gdb.returncode, gdb.stdout[-2000:], gdb.stderr[-2000:])


def run_session(server, script):
    """Runs a script in a gdb that is connected to the server, and takes over its checks."""
    gdb = run_script(server.socket, script)
    take_checks(gdb)
    return gdb


def says_begin(gdb):
    ok("No more reverse-execution history" in gdb.stdout, "gdb says where history begins")


def take_lines(result):
    """Of a test program with TAP of its own."""
    for line in result.stdout.splitlines():
        if line.startswith(("ok ", "not ok ")):
            ok(line.startswith("ok "), line.split(" - ", 1)[-1])
        elif line.startswith("#"):
            print(line)
    ok(result.returncode == 0, "the test program ends well", result.returncode, result.stderr)
