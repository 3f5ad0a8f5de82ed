"""reprise run where something goes wrong at its end: output that nobody takes, results that have no
place. What can be saved is, and the status tells."""

import os
import signal
import subprocess
from pathlib import Path

from harness import TOOL, Directory, done, ok, reprise, require_kernel, same


def run(*arguments):
    return reprise("run", "-q", "-o", "a.rpz", *arguments)


def test_output_lost():
    full = "No space left on device; the recording has it all: reprise replay a.rpz\n"
    for script, stream, status in (("echo hi", "output", 125), ("echo hi; exit 3", "output", 3),
                                   ("echo hi >&2", "error", 125)):
        with open("/dev/full", "wb") as sink, open("told", "wb") as told:
            streams = {"stdout": sink, "stderr": told} if stream == "output" else {"stderr": sink}
            result = subprocess.run([TOOL, "run", "-q", "-o", "a.rpz", "--", "sh", "-c", script],
                                    stdin=subprocess.DEVNULL, check=False, **streams)
        same(result.returncode, status, f"standard {stream} is full, {script}: exit status")
        if stream == "output":
            same(Path("told").read_text(), f"reprise: run: standard output: {full}", "it is told")
    replay = reprise("replay", "a.rpz")
    same((replay.returncode, replay.stderr), (0, b"hi\n"), "the recording has it all")


def test_reader_gone():
    """As under a parent that ignores SIGPIPE, which Python's own restore_signals undoes."""
    process = subprocess.Popen([TOOL, "run", "-q", "-o", "p.rpz", "--", "yes"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, restore_signals=False,
                               preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN))
    first = process.stdout.readline()
    process.stdout.close()
    try:
        process.wait(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    err = process.stderr.read()
    process.stderr.close()
    same((first, process.returncode), (b"y\n", 128 + signal.SIGPIPE),
         "a reader that goes ends the run, also where SIGPIPE is ignored")
    ok(b"interrupted" in err and b"standard output" not in err, "and it is told", err)


def test_command_status():
    result = run("--result", "absent", "--", "sh", "-c", "exit 3")
    ok(result.returncode == 3 and b"absent: cannot be copied back" in result.stderr,
       "a result is missing: the command's own status is told", result)


def main():
    require_kernel()
    with Directory() as directory:
        os.chdir(directory)
        test_output_lost()
        test_reader_gone()
        test_command_status()
    done()


main()
