"""reprise run sees the host as the command would: its files, user, terminal and time. What ordinary
programs give in a guest is what they give on the host, and replays so."""

import fcntl
import json
import os
import pty
import resource
import struct
import subprocess
import termios
import time
from pathlib import Path

from harness import TOOL, Directory, done, ok, reprise, require_kernel, same

JOB_CONTROL = """set -m
sleep 0.05 & first=$!
(exit 4) & second=$!
jobs | wc -l
wait $first; echo first $?
wait $second; echo second $?
sleep 30 &
kill %+ 2>/dev/null; wait %+ 2>/dev/null; echo killed $?
seq 1 500 | sort -r | sed -n '1,3p' | tr '\\n' ' '
cat < <(echo substituted) | tee copy | wc -c
trap 'echo bye' EXIT
"""

# Name, what prepares the directory on the host, command.
PROGRAMS = [
    ("python", "", ["python3", "-c", "import json, math; print(json.dumps([math.pi, sum(range(99))]))"]),
    ("bash with pipes and job control", "", ["bash", "script"]),
    ("sqlite3", "", ["sqlite3", "new.db",
                     "create table t(a); insert into t values (1), (2); select sum(a) from t;"]),
    ("git clone", "git init -q r; cd r; seq 100 > f; git add f; "
     "git -c user.name=n -c user.email=e commit -qm one",
     ["sh", "-c", "git clone -q r c && git -C c status --short && git -C r status --short && "
      "git -C c log --format=%s && wc -l c/f && git -C c fsck 2>/dev/null"]),
    ("gcc", "printf '#include <stdio.h>\\nint main(void) { puts(\"hello\"); return 6; }\\n' > h.c",
     ["sh", "-c", "gcc -O1 -o h h.c && ./h"]),
]


def outcome(result):
    return result.returncode, result.stdout, result.stderr


def test_programs():
    for number, (name, preparation, command) in enumerate(PROGRAMS):
        results = []
        for where in ("guest", "native"):
            directory = Path(f"{number}-{where}")
            directory.mkdir()
            (directory / "script").write_text(JOB_CONTROL)
            subprocess.run(["sh", "-ec", preparation or ":"], cwd=directory, check=True)
            if where == "guest":
                before = sorted(os.listdir(directory))
                results.append(reprise("run", "-o", f"../{number}.rpz", "--", *command,
                                       cwd=directory))
                same(sorted(os.listdir(directory)), before, f"{name}: the host's files are as before")
            else:
                results.append(subprocess.run(command, cwd=directory, capture_output=True,
                                              stdin=subprocess.DEVNULL, check=False))
        same(outcome(results[0]), outcome(results[1]), f"{name}: as on the host")
        same(outcome(reprise("replay", f"{number}.rpz")), outcome(results[0]),
             f"{name}: the replay is the same")


def test_files():
    Path("secret").mkdir()
    Path("secret/key").write_text("key\n")
    Path("plain").write_text("plain\n")
    script = "cat plain; cat secret/key; ls secret; echo more >> plain; cat plain; ls -d /proc/1"
    result = reprise("run", "-o", "d.rpz", "--deny", "secret", "--", "sh", "-c", script)
    ok(result.stdout == b"plain\nplain\nmore\n/proc/1\n"
       and result.stderr.count(b"Permission denied") == 2, "--deny: seen, but not read",
       result.stdout, result.stderr)
    same(Path("plain").read_text(), "plain\n", "what the guest writes stays in the guest")
    read = reprise("info", "--files", "d.rpz").stdout.decode().splitlines()
    here = os.getcwd()
    ok(f"{here}/plain" in read and f"{here}/secret/key" not in read
       and any(path.endswith("/libc.so.6") for path in read), "info --files lists what was read",
       *read)
    os.environ["HOME"] = here
    Path(".ssh").mkdir()
    Path(".ssh/id").write_text("id\n")
    result = reprise("run", "-o", "denied.rpz", "--", "cat", ".ssh/id")
    ok(result.returncode == 1 and not result.stdout, "~/.ssh is denied", result)
    result = reprise("run", "-o", "s.rpz", "--allow", ".ssh", "--", "cat", ".ssh/id")
    same((result.returncode, result.stdout), (0, b"id\n"), "--allow")


def test_results():
    script = "mkdir -p out/sub; echo one > out/sub/a; ln -s sub/a out/l; chmod 700 out/sub/a; echo f > file"
    result = reprise("run", "-o", "r.rpz", "--result", "out", "--result", "file", "--", "sh", "-c",
                     script)
    ok(result.returncode == 0 and Path("out/l").read_text() == "one\n"
       and os.stat("out/sub/a").st_mode & 0o777 == 0o700 and Path("file").read_text() == "f\n",
       "--result copies files back", result)
    result = reprise("run", "-o", "r.rpz", "--result", "absent", "--", "true")
    ok(result.returncode == 125 and b"absent: cannot be copied back" in result.stderr,
       "--result: what is not there is told", result)


def test_environment():
    os.environ["MY_API_TOKEN"] = "sesame"
    result = reprise("run", "-o", "e.rpz", "--", "env")
    ok(b"sesame" not in result.stdout and b"XDG_CACHE_HOME" in result.stdout,
       "variables like secrets are left out", result.stdout)
    result = reprise("run", "-o", "e.rpz", "--env", "MY_API_TOKEN", "--", "env")
    ok(b"MY_API_TOKEN=sesame\n" in result.stdout, "--env passes one", result.stdout)


def in_terminal(arguments, typed):
    """Runs reprise on a terminal of 40 rows and 111 columns. Returns status and what it showed."""
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 111, 0, 0))
        os.execv(TOOL, [TOOL, *arguments])
    shown = b""
    while True:
        try:
            piece = os.read(fd, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if typed and typed[0][0] in shown:
            os.write(fd, typed.pop(0)[1])
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


def test_terminal():
    script = "tty; stty size; echo ready; read line; echo got $line; sleep 100; echo not reached"
    status, shown = in_terminal(["run", "-o", "t.rpz", "--", "sh", "-c", script],
                                [(b"ready", b"some words\r"), (b"got some words", b"\x03")])
    ok(b"/dev/pts/0" in shown and b"40 111" in shown, "a terminal of its size", shown)
    ok(b"got some words" in shown and b"not reached" not in shown and status == 130,
       "input, and a key that interrupts", status, shown)
    result = reprise("replay", "t.rpz")
    ok(result.returncode == 130 and b"got some words" in result.stdout, "its replay", result)


def test_window_size():
    # wait ends when a signal comes that has a trap.
    script = "trap 'stty size' WINCH; sleep 1000 & echo ready; wait; wait"
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 111, 0, 0))
        os.execv(TOOL, [TOOL, "run", "-o", "w.rpz", "--", "sh", "-c", script])
    shown, resized, ended = b"", False, False
    while True:
        try:
            piece = os.read(fd, 4096)
        except OSError:
            break
        shown += piece
        if b"ready" in shown and not resized:
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 300, 0, 0))
            resized = True
        if b"50 300" in shown and not ended:
            os.write(fd, b"\x03")
            ended = True
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ok(b"50 300" in shown and status == 130, "a terminal whose size changes", status, shown)


def test_half_removed():
    """Newer archives push the oldest out of the cache, and that is broken off: a stand-in for rm stops early."""
    os.mkdir("half")
    Path("half/rm").write_text('#!/bin/sh\nfor last; do :; done\n/bin/rm -r "$last/note"\nexit 1\n')
    os.chmod("half/rm", 0o755)
    environment = os.environ | {"PATH": f"{os.getcwd()}/half:{os.environ['PATH']}"}
    for number in range(4):
        subprocess.run(["cp", "root.tar.gz", f"root{number}.tar.gz"], check=True)
        result = reprise("run", "-o", f"root{number}.rpz", "--rootfs", f"root{number}.tar.gz", "--", "sh", "-c", ":",
                         env=environment)
        same(result.returncode, 0, f"another archive: {number}")
    result = reprise("run", "-o", "root.rpz", "--rootfs", "root.tar.gz", "--", "sh", "-c", "cat /note")
    same((result.returncode, result.stdout), (0, b"note\n"), "what was removed in part is unpacked again")


def test_rootfs():
    os.makedirs("root/bin")
    subprocess.run(["cp", "/bin/busybox", "root/bin/busybox"], check=True)
    os.symlink("busybox", "root/bin/sh")
    Path("root/note").write_text("note\n")
    result = reprise("run", "-o", "b.rpz", "--rootfs", "root", "--", "sh", "-c",
                     "pwd; cat /note; echo /*; exit 3")
    ok(result.returncode == 3 and result.stdout.startswith(b"/\nnote\n/bin /dev /note /proc"),
       "--rootfs", result)
    subprocess.run(["tar", "-C", "root", "-czf", "root.tar.gz", "."], check=True)
    for name, how in (("t1.rpz", b"unpacking"), ("t2.rpz", b"")):
        result = reprise("run", "-o", name, "--rootfs", "root.tar.gz", "--", "sh", "-c",
                         "cat /note; echo x > /note; cat /note; exit 3")
        ok((result.returncode, result.stdout) == (3, b"note\nx\n") and how in result.stderr
           and bool(how) == bool(result.stderr), "--rootfs of an archive, unpacked once", result)
    test_half_removed()
    Path("saved").mkdir()
    Path("saved/manifest.json").write_text("[]")
    subprocess.run(["tar", "-C", "saved", "-cf", "saved.tar", "."], check=True)
    result = reprise("run", "-o", "t3.rpz", "--rootfs", "saved.tar", "--", "true")
    ok(result.returncode == 125 and b"layers" in result.stderr, "an image of layers is none", result)


def test_randomness():
    """Runs from one booted guest differ, unless they are to be the same."""
    show = ["--", "sh", "-c", "od -An -tx8 -N8 /dev/urandom; cat /proc/self/maps | tail -n 2; date +%s"]
    first, second = (reprise("run", "-o", "x.rpz", *show).stdout for _ in range(2))
    ok(first.split()[0] != second.split()[0] and first.split()[1] != second.split()[1],
       "random numbers and addresses are new", first, second)
    ok(abs(int(first.split()[-1]) - time.time()) < 600, "the time is the host's", first)
    options = ["--clock", "virtual", "--seed", "9", "--clean-env"]
    events = []
    for name in ("v1.rpz", "v2.rpz"):
        # A directory that nothing changes: its times are the guest's input too.
        reprise("run", "-o", os.path.abspath(name), *options, *show, cwd="/usr")
        events.append(reprise("dump", name).stdout)
    ok(events[0] == events[1] and len(events[0]) > 1000,
       "the same events with the virtual clock and a seed")
    info = json.loads(reprise("info", "--json", "v1.rpz").stdout)
    ok(info["saved_guest_ns"] > 0 and info["is_run"], "a run starts from a saved state", info)


def test_epoch():
    """The first and the last date that there can be; of a guest that boots, its clock chip has the century."""
    for epoch, options in (("61", []), ("8277292035", []), ("8277292035", ["--cold"])):
        result = reprise("run", "-o", "epoch.rpz", "--clock", "virtual", "--epoch", epoch, *options, "--",
                         "date", "-u", "+%s")
        told = result.stdout.decode().strip()
        ok(result.returncode == 0 and told.isdigit() and 0 <= int(told) - int(epoch) < 60,
           f"--epoch {' '.join([epoch, *options])}: the guest's date", result)


def test_file_limit():
    """Where files are limited (ulimit -f), the sparse one of what the command writes may be too large."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))

    result = reprise("run", "-o", "limit.rpz", "--", "true", preexec_fn=limit)
    same((result.returncode, result.stderr.decode()),
         (125, "reprise: run: a scratch disk of 16384 MiB: files are limited to 1.07 GB by ulimit -f; raise that, or try "
          "--scratch 1024M\n"), "a scratch disk beyond the limit of files' sizes is told in a line")
    result = reprise("run", "-o", "limit.rpz", "--scratch", "1024M", "--", "sh", "-c", "echo x > /var/tmp/x; cat /var/tmp/x",
                     preexec_fn=limit)
    same((result.returncode, result.stdout, result.stderr), (0, b"x\n", b""), "and what it says is to be tried works")


def main():
    require_kernel()
    with Directory() as directory:
        os.chdir(directory)
        test_programs()
        test_files()
        test_results()
        test_environment()
        test_terminal()
        test_window_size()
        test_rootfs()
        test_randomness()
        test_epoch()
        test_file_limit()
    done()


main()
