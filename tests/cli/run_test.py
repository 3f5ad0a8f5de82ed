"""reprise run: a host command in a guest behaves like the command, and replays so."""

import json
import os
import resource
import subprocess
from pathlib import Path

from harness import TOOL, Directory, done, ok, reprise, require_kernel, same

# Name, command, stdin, exit status, stdout, stderr.
CASES = [
    ("output, errors and status", ["sh", "-c", "echo out; echo err >&2; exit 7"], b"", 7, b"out\n",
     b"err\n"),
    ("success", ["true"], b"", 0, b"", b""),
    ("a signal", ["sh", "-c", "kill -9 $$"], b"", 137, b"", b""),
    ("an executable of its own", ["/bin/echo", "a  b", "", "*"], b"", 0, b"a  b  *\n", b""),
    ("stdin to its end", ["cat"], b"one\ntwo\n", 0, b"one\ntwo\n", b""),
    ("much input", ["wc", "-c"], b"x" * 100000, 0, b"100000\n", b""),
    ("much output", ["head", "-c", "300000", "/dev/zero"], b"", 0, bytes(300000), b""),
    ("all byte values", ["cat"], bytes(range(256)), 0, bytes(range(256)), b""),
    ("a script", ["./script", "x"], b"", 3, b"script x\n", b""),
    ("a script that names no interpreter", ["./nameless", "z"], b"", 4, b"nameless z\n", b""),
    ("a script as an argument", ["sh", "script", "y"], b"", 3, b"script y\n", b""),
    ("an interpreter that is missing in the guest", ["sh", "-c", "exec ./absent"], b"", 127, b"",
     None),
    ("the working directory", ["pwd"], b"", 0, None, b""),
    ("a variable", ["sh", "-c", "echo $REPRISE_TEST_VARIABLE"], b"", 0, b"value\n", b""),
    ("a pipe that the reader leaves", ["sh", "-c", "yes | head -n 1"], b"", 0, b"y\n", None),
    ("a process left behind", ["sh", "-c", "sleep 1000 & echo done"], b"", 0, b"done\n", b""),
]


def test_case(number, case):
    name, command, data, status, out, err = case
    file = f"{number}.rpz"
    result = reprise("run", "-o", file, "--", *command, input=data)
    if command == ["pwd"]:
        out = os.getcwd().encode() + b"\n"
    ok(result.returncode == status, f"{name}: exit status",
       f"expected {status}, got {result.returncode}", result.stderr.decode(errors="replace"))
    if out is not None:
        ok(result.stdout == out, f"{name}: stdout", result.stdout[:500])
    if err is not None:
        ok(result.stderr == err, f"{name}: stderr", result.stderr[:500])
    replay = reprise("replay", file)
    same((replay.returncode, replay.stdout, replay.stderr),
         (result.returncode, result.stdout, result.stderr), f"{name}: the replay is the same")


def test_like_native():
    """The same command with and without a guest."""
    command = ["sh", "-c", "echo out; echo err >&2; exit 7"]
    native = subprocess.run(command, capture_output=True, check=False)
    guest = reprise("run", "-o", "native.rpz", "--", *command)
    same((guest.returncode, guest.stdout, guest.stderr),
         (native.returncode, native.stdout, native.stderr), "run behaves like the command")


def test_files_and_environment():
    Path("data/sub").mkdir(parents=True)
    Path("data/sub/file").write_text("content\n")
    result = reprise("run", "-o", "f.rpz", "--", "cat", "data/sub/file")
    same((result.returncode, result.stdout), (0, b"content\n"), "a file of the host's")
    result = reprise("run", "-o", "e.rpz", "--clean-env", "--env", "A=b", "--", "env")
    names = {line.split(b"=")[0] for line in result.stdout.splitlines()}
    ok(b"A" in names and b"REPRISE_TEST_VARIABLE" not in names, "--clean-env and --env", names)
    result = reprise("run", "-o", "e.rpz", "--env", "A=1", "--env", "B=2", "--env", "A=3", "--", "env")
    variables = [line for line in result.stdout.splitlines() if line[:2] in (b"A=", b"B=")]
    same(sorted(variables), [b"A=3", b"B=2"], "--env: the last value of a variable is the one")


def test_memory():
    """With more RAM the kernel keeps more of it to itself, which the agent must not ask for."""
    result = reprise("run", "--mem", "1G", "-o", "m.rpz", "--", "grep", "MemTotal", "/proc/meminfo")
    total = int((result.stdout.split() or [0, 0])[1])
    ok(900_000 < total < 1_048_576, "--mem", total, result.stderr)


def test_at_once():
    """Two that begin in the same second take two names."""
    os.mkdir("both")
    with subprocess.Popen([TOOL, "run", "--", "true"], cwd="both", stderr=subprocess.PIPE) as first:
        second = reprise("run", "--", "true", cwd="both")
        told = first.stderr.read() + second.stderr
    files = sorted(os.listdir("both"))
    same(sorted(told.decode().splitlines()), [f"reprise: recorded in {file}" for file in files],
         "each has a recording of its own")
    same(len(files), 2, "and keeps it")


def test_open_files():
    """The host's limits, not those that reprise gives itself."""
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 4000))

    result = reprise("run", "-o", "l.rpz", "--", "sh", "-c", "ulimit -Sn; ulimit -Hn", preexec_fn=limit)
    same(result.stdout, b"200\n4000\n", "limits of open files")


def test_missing_files():
    for option in ("--deny", "--attach"):
        result = reprise("run", option, "none", "--", "true")
        same((result.returncode, result.stderr), (2, f"reprise: {option} none: No such file or directory\n".encode()),
             f"{option}: a file that is not there")


def test_never_ready():
    """A guest that waits for a disk for ever is given up, and nothing of it is kept."""
    result = reprise("run", "--append", "rdinit=/none root=/dev/none rootwait", "-o", "r.rpz", "--", "true")
    same((result.returncode, result.stderr.splitlines()[-1]),
         (125, b"reprise: a guest cannot be booted in advance: it was not ready after 60 s of its time; "
               b"see reprise run --cold --verbose"), "a guest that does not get ready")
    ok(not os.path.exists("r.rpz"), "leaves no recording", os.listdir())


def test_name_and_options():
    os.mkdir("empty")
    result = reprise("run", "--", "true", cwd="empty")
    files = os.listdir("empty")
    ok(len(files) == 1 and result.stderr == f"reprise: recorded in {files[0]}\n".encode(),
       "without -o the name is told", files, result.stderr)
    result = reprise("run", "--cold", "--verbose", "-o", "v.rpz", "--", "true")
    ok(b"Linux version" in result.stderr and not result.stdout,
       "--cold --verbose shows the kernel's console on stderr", result.stderr[-500:])
    info = json.loads(reprise("info", "--json", "v.rpz").stdout)
    same((info["is_run"], info["command"], info["exit_status"]), (True, ["true"], 0), "info of a run")
    result = reprise("run", "-o", "s.rpz", "--clock", "virtual", "--seed", "3", "--", "true")
    same(result.returncode, 0, "virtual clock and seed")


def main():
    require_kernel()
    os.environ["REPRISE_TEST_VARIABLE"] = "value"
    with Directory() as directory:
        os.chdir(directory)
        Path("script").write_text('#!/bin/sh\necho "script $1"\nexit 3\n')
        os.chmod("script", 0o755)
        Path("nameless").write_text('echo "nameless $1"\nexit 4\n')
        os.chmod("nameless", 0o755)
        test_like_native()
        for number, case in enumerate(CASES):
            test_case(number, case)
        test_files_and_environment()
        test_memory()
        test_at_once()
        test_open_files()
        test_missing_files()
        test_never_ready()
        test_name_and_options()
    done()


main()
