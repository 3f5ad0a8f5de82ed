"""reprise run where something goes wrong at its end: output that nobody takes, results that have no
place. What can be saved is, and the status tells."""

import os
import signal
import subprocess
from pathlib import Path

from harness import TOOL, Directory, communicate, done, ok, reprise, require_kernel, same


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
    _, err = communicate(process, 120)
    same((first, process.returncode), (b"y\n", 128 + signal.SIGPIPE),
         "a reader that goes ends the run, also where SIGPIPE is ignored")
    ok(b"interrupted" in err and b"standard output" not in err, "and it is told", err)


def test_command_status():
    result = run("--result", "absent", "--", "sh", "-c", "exit 3")
    ok(result.returncode == 3 and b"absent: cannot be copied back" in result.stderr,
       "a result is missing: the command's own status is told", result)


def test_results_go_on():
    """A directory of the host's where the guest has a file; then one, and one twice, that can be unpacked."""
    os.makedirs("taken/inside")
    script = "rm -r taken; seq 100000 > taken; echo kept > kept; mkdir -p tree/sub; echo deep > tree/sub/f"
    result = run("--result", "taken", "--result", "kept", "--result", "tree", "--result", "tree/sub",
                 "--result", "kept", "--", "sh", "-c", script)
    ok(result.returncode == 125 and result.stderr.count(b"\n") == 1
       and b"taken: cannot be copied back: Is a directory" in result.stderr,
       "a result that has no place is told", result)
    ok(Path("kept").exists() and Path("kept").read_text() == "kept\n"
       and Path("tree/sub/f").read_text() == "deep\n" and os.path.isdir("taken/inside"),
       "and the others are there", os.listdir())
    same([name for name in os.listdir() if name.startswith(".reprise")], [], "and nothing else")
    result = run("--result", "none1", "--result", "kept", "--result", "none2", "--", "true")
    ok(result.returncode == 125 and b"none1: " in result.stderr and b"none2: " in result.stderr,
       "each that is missing is told", result)


def test_directory_removed():
    Path("gone").mkdir()
    target = os.path.abspath("absolute")
    result = reprise("run", "-q", "-o", os.path.abspath("a.rpz"), "--result", target, "--result", "relative",
                     "--", "sh", "-c", f"echo x > {target}; rmdir $PWD", cwd="gone")
    ok(Path("absolute").exists() and Path("absolute").read_text() == "x\n",
       "an absolute result of a command that removes its directory", result)
    ok(result.returncode == 125 and b"relative: cannot be copied back: No such" in result.stderr,
       "a relative one is missing", result)


def test_old_times():
    times = ["1960-05-05 00:00:00.25", "1969-12-31 23:59:59.5", "2001-02-03 04:05:06.75"]
    script = "".join(f"touch -d '{time} UTC' t{i}; " for i, time in enumerate(times))
    named = [word for i in range(len(times)) for word in ("--result", f"t{i}")]
    result = run(*named, "--", "sh", "-c", script)
    found = [os.stat(f"t{i}").st_mtime_ns for i in range(len(times))]
    same((result.returncode, found), (0, [-304819199750000000, -500000000, 981173106750000000]),
         "times before 1970 come back")


def test_no_name():
    for path in (".", "..", "/", "sub/..", "./"):
        result = run("--result", path, "--", "true")
        ok(result.returncode == 2 and f"--result {path}: ".encode() in result.stderr,
           f"--result {path} is refused before the run", result)


def test_result_holds_recording():
    """A directory that comes back, and has the recording in it: the guest does not see that, and has a file of
    its name of its own."""
    os.mkdir("out")
    Path("out/k.rpz").write_text("an older one")
    result = reprise("run", "-q", "-o", "out/k.rpz", "--result", "out", "--", "sh", "-c",
                     "ls out; echo more > out/more; echo other > out/k.rpz")
    same((result.returncode, result.stdout, Path("out/more").read_text()), (0, b"", "more\n"),
         "results around a recording")
    same(reprise("replay", "out/k.rpz").returncode, 0, "leave it whole")


def main():
    require_kernel()
    with Directory() as directory:
        os.chdir(directory)
        test_output_lost()
        test_reader_gone()
        test_command_status()
        test_results_go_on()
        test_directory_removed()
        test_old_times()
        test_no_name()
        test_result_holds_recording()
    done()


main()
