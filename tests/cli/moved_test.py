"""A recording that was moved to where there is no kernel, no /dev/kvm, no program of its guest and nothing
but the tool: it replays there and can be debugged."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import TOOL, Directory, done, ok, reprise, require_kernel, same, unforced

PROGRAM = """#include <stdio.h>
#include <stdlib.h>

static int *cell;

static void spoil(int **where)
{
	*where = (int *)8; /* the cause */
}

static int use(void)
{
	return *cell; /* the crash */
}

int main(void)
{
	cell = malloc(sizeof(*cell));
	*cell = 1;
	puts("before");
	fflush(stdout);
	spoil(&cell);
	return use();
}
"""

CAUSE = PROGRAM.splitlines().index("\t*where = (int *)8; /* the cause */") + 1
CRASH = PROGRAM.splitlines().index("\treturn *cell; /* the crash */") + 1


def make_jail():
    """A directory with the tool and the libraries that it is linked to, and nothing else."""
    os.makedirs("jail/tmp")
    shutil.copy(TOOL, "jail/reprise")
    linked = subprocess.run(["ldd", TOOL], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+)", linked):
        target = Path("jail" + library)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def jailed(*arguments):
    """The command line that runs the tool there; as a user of its own where we are not root."""
    user = [] if os.geteuid() == 0 else ["-r"]
    return ["unshare", *user, "-m", "-n", "chroot", "jail", "/reprise", *arguments]


def in_jail(*arguments):
    return subprocess.run(jailed(*arguments), capture_output=True, stdin=subprocess.DEVNULL, check=False,
                          timeout=600, env=unforced())


def debug():
    """gdb on a server in the jail; it gets the program from there."""
    server = subprocess.Popen(jailed("serve", "/m.rpz", "--process", "moved", "--listen", "/tmp/socket",
                                     "--once", "-q"),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=unforced())
    line = server.stdout.readline()
    ok("/tmp/socket" in line, "the server is there", line)
    commands = ["set pagination off", "set sysroot target:", "target remote jail/tmp/socket", "bt 2",
                "watch -l cell", "reverse-continue", "reverse-continue", "info line", "bt 2"]
    gdb = subprocess.run(["gdb", "-nx", "-q", "-batch", "-iex", "set auto-load off",
                          "-iex", "set debuginfod enabled off",
                          *[part for command in commands for part in ("-ex", command)]],
                         capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=600)
    try:
        server.wait(timeout=60)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGTERM)
        server.wait()
    return gdb


def main():
    require_kernel()
    with Directory() as directory:
        os.chdir(directory)
        Path("moved.c").write_text(PROGRAM)
        subprocess.run(["gcc", "-g", "-O0", "-o", "moved", "moved.c"], check=True)
        recorded = reprise("run", "-o", "jail.rpz", "--", "./moved")
        same((recorded.returncode, recorded.stdout), (139, b"before\n"), "recorded here")
        os.remove("moved")
        os.remove("moved.c")
        make_jail()
        os.rename("jail.rpz", "jail/m.rpz")
        ok(not any(Path("jail", name).exists() for name in ("boot", "dev", "proc", "usr/bin", "bin")),
           "no kernel, no device, no program where it was moved")
        replayed = in_jail("replay", "/m.rpz")
        same((replayed.returncode, replayed.stdout), (139, b"before\n"),
             "it replays there")
        told = in_jail("info", "/m.rpz").stdout.decode()
        ok(f"SIGSEGV in use at {os.getcwd()}/moved.c:{CRASH}" in told, "it tells of its crash there", told)
        gdb = debug()
        ok(f"moved.c:{CRASH}" in gdb.stdout and "main ()" in gdb.stdout, "a backtrace in gdb", gdb.stdout,
           gdb.stderr)
        ok(f"spoil (where=" in gdb.stdout and f"moved.c:{CAUSE}" in gdb.stdout,
           "backwards from the crash to its cause", gdb.stdout, gdb.stderr)
        os.rename("jail/m.rpz", "m.rpz")
    done()


main()
