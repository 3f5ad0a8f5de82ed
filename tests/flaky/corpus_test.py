"""Every program of the corpus is found by hunt --chaos, its recording replays ten times of ten, and its
seed makes the same run again. Each strategy alone finds a program.

Usage: corpus_test.py REPRISE [NAME…]"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))

from corpus import CASES, GUEST_TIMEOUT, find  # pylint: disable=wrong-import-position
from harness import TOOL, check_twice, done, note, ok, require_kernel, same  # pylint: disable=wrong-import-position

# A failure that takes more runs to find is none that hunt --chaos finds. Runs, not seconds: they are the same
# ones on a busy machine.
RUNS = 200
REPLAYS = 10

# Of a replay where the command never ended.
NO_STATUS = 125

ALONE = {
    "preempt": "counter",
    "atomics": "fork_lock",
    "starve": "unjoined",
    "clock": "tight_timeout",
    "disk": "read_order",
    "io": "short_input",
    "memory": "uninitialised",
}


def hunt(case, command, folder, *options):
    """What --json tells; None when nothing was found."""
    with open(case.input_path(folder), "rb") as stdin:
        result = subprocess.run([TOOL, "hunt", "-q", "--timeout", str(GUEST_TIMEOUT), "--json",
                                 "found.json", "-o", "found.rpz", *options, "--", *command], stdin=stdin,
                                capture_output=True, check=False)
    told = json.loads(Path("found.json").read_text()) if result.returncode in (0, 1) else result.stderr
    return told["failures"][0] if result.returncode == 1 else None, told


def replays(failure):
    """How many of the replays end in the same way and say the same."""
    count = 0
    for _ in range(REPLAYS):
        replay = subprocess.run([TOOL, "replay", "found.rpz"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        count += replay.returncode == failure.get("exit_status", NO_STATUS) and \
            failure["output"] in replay.stdout.decode(errors="replace")
    return count


def run_again(case, folder, failure):
    """By the command line that the hunt names, which reads the same input."""
    again = shlex.split(failure["again"])
    again[2:2] = ["-o", "again.rpz", "--json", "found.json"]
    with open(case.input_path(folder), "rb") as stdin:
        subprocess.run([TOOL, *again[1:]], stdin=stdin, capture_output=True, check=False)
    told = json.loads(Path("found.json").read_text())["failures"]
    return [(one["seed"], one["what"], one["instructions"], one["output"]) for one in told]


def test(case, folder):
    command = case.build(folder)
    failure, told = hunt(case, command, folder, "--seed", "1", "--runs", str(RUNS), "--chaos")
    if not ok(failure, f"{case.name}: found", told):
        return
    note(f"{case.name}: {told['runs']} runs, {told['ms']} ms, seed {failure['seed']}: {failure['what']}")
    ok(failure["kind"] in case.ends, f"{case.name}: in its own way", failure)
    same(run_again(case, folder, failure),
         [(failure["seed"], failure["what"], failure["instructions"], failure["output"])],
         f"{case.name}: its seed makes the same run again")
    os.unlink(command[0])
    same(replays(failure), REPLAYS, f"{case.name}: replays {REPLAYS} of {REPLAYS}")


def test_alone(strategy, case, folder):
    failure, told = hunt(case, case.build(folder), folder, "--seed", "1", "--runs", str(RUNS),
                         f"--chaos={strategy}")
    if ok(failure, f"{strategy} alone: finds {case.name}", told):
        ok(failure["kind"] in case.ends, f"{strategy} alone: in its own way", failure)
        note(f"{strategy}, {case.name}: {told['runs']} runs, {told['ms']} ms")


def in_folder(function, *arguments):
    with tempfile.TemporaryDirectory(prefix="reprise-corpus-") as folder:
        os.chdir(folder)
        function(*arguments, folder)
        for path in sorted(Path(folder).glob("*.rpz")):
            check_twice(path, f"{arguments[-1].name}, {path.name}")
        os.chdir("/")


def main():
    require_kernel()
    names = sys.argv[2:]
    for case in CASES:
        if not names or case.name in names:
            in_folder(test, case)
    for strategy, name in ALONE.items():
        if not names or strategy in names:
            in_folder(test_alone, strategy, find(name))
    done()


main()
