"""Recordings whose recorder is killed with -9 at random moments: what is complete replays.

Two guests: one that sleeps and speaks and one that works for ever; the latter also while it is just
starting, when there may be no file yet.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

from damage import BUILT, Verdict, amount, bound_memory, chosen, dice, names_offset, run
from harness import TOOL, Directory, done, note, ok, replay_twice
from tiny_guest import tiny_guest

AT_ONCE = 8
# A chunk is cut about every second, and the machine may be busy: 20 lines are a second of the guest.
LINES_LOST = 45


class Killed:
    """A recorder that will be killed after some seconds."""

    def __init__(self, name, kernel, after):
        self.name, self.after = name, after
        self.console = open(f"{name}.console", "w+b")
        self.start = time.monotonic()
        self.process = subprocess.Popen(
            [TOOL, "record", "--quiet", "--kernel", kernel, "-o", name, "--mem", "16M"],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.DEVNULL)

    def kill(self):
        time.sleep(max(0, self.start + self.after - time.monotonic()))
        self.process.kill()
        self.process.wait()
        self.console.seek(0)
        text = self.console.read()
        self.console.close()
        return text

    def clean_up(self):
        for path in Path(".").glob(f"{self.name}*"):
            path.unlink()


def differs_twice(name):
    """What differs between a straight replay and one with the machine saved and restored, if anything."""
    result = replay_twice(name)
    return result.returncode and f"replayed twice: {result.stdout}{result.stderr}"


def judge(verdict, killed, console):
    """Returns whether there was a file."""
    what = f"killed after {killed.after:.3f} s"
    if not os.path.exists(killed.name):
        return False
    check = run("check", killed.name)
    replay = run("replay", killed.name)
    for outcome in (check, replay, run("dump", killed.name), run("info", killed.name)):
        cut = b"the file ends inside a chunk" in outcome.stderr and names_offset(outcome)
        verdict.add(what, outcome,
                    outcome.status not in (0, 4) and "status",
                    outcome.status == 4 and not cut and "damage other than a chunk cut off",
                    outcome.arguments[0] != "info" and outcome.status != check.status
                    and "the commands disagree")
    # The console's bytes may still have been on their way when the chunk was written.
    same = console.startswith(replay.stdout) or replay.stdout.startswith(console)
    lost = console.count(b"\n") - replay.stdout.count(b"\n")
    verdict.add(what, replay, not same and f"not the recorder's console: {console[:200]!r}",
                lost > LINES_LOST and f"{lost} lines of the console are lost",
                replay.stdout and differs_twice(killed.name))
    return True


def test_killed(name, kernel, count, longest):
    verdict = Verdict(f"{count} recordings of {name} killed within {longest} s")
    random = dice(name)
    files = died = 0
    for at in range(0, count, AT_ONCE):
        group = [Killed(f"{name}-{at + n}", kernel, random.uniform(0, longest))
                 for n in range(min(AT_ONCE, count - at))]
        # All are killed before the first is judged, which may take longer than they are to live.
        ordered = sorted(group, key=lambda one: one.start + one.after)
        for killed, console in [(killed, killed.kill()) for killed in ordered]:
            died += killed.process.returncode == -signal.SIGKILL
            files += judge(verdict, killed, console)
            killed.clean_up()
    note(f"{name}: {died} were killed, {files} left a file")
    if files:
        verdict.tell()
    ok(files or longest < 1, f"{name}: files were left")


def main():
    bound_memory()
    with Directory() as directory:
        os.chdir(directory)
        Path("endless").write_bytes(tiny_guest(b"Hello\r\n", endless=True))
        if chosen("sleeping"):
            test_killed("sleeping", BUILT / "beat.elf", amount(5, 100), 4)
        if chosen("working"):
            test_killed("working", "endless", amount(2, 50), 2)
        if chosen("starting"):
            test_killed("starting", "endless", amount(3, 50), 0.05)
    done()


main()
