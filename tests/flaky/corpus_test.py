"""Every program of the corpus is found by hunt --chaos, and its recording replays ten times of ten."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))

from corpus import CASES, GUEST_TIMEOUT  # pylint: disable=wrong-import-position
from harness import TOOL, done, note, ok, require_kernel  # pylint: disable=wrong-import-position

# A failure that takes more runs to find is none that hunt --chaos finds. Runs, not seconds: they are the same
# ones on a busy machine.
RUNS = 200
REPLAYS = 10

# How replay ends where the command never did; nothing is said then.
STATUS_NO_END = 125


def is_same(replay, failure):
    text = (replay.stdout + replay.stderr).decode(errors="replace").strip()
    output = failure["output"].strip()
    status = failure.get("exit_status")
    if status is None:
        return (replay.returncode, text) == (STATUS_NO_END, output)
    return replay.returncode == status and text.endswith(output[-40:])


def test(case, folder):
    command = case.build(folder)
    with open(case.input_path(folder), "rb") as stdin:
        hunt = subprocess.run([TOOL, "hunt", "-q", "--states", "1", "--seed", "1", "--chaos", "--runs", str(RUNS),
                               "--timeout", str(GUEST_TIMEOUT), "--json", "found.json", "-o", "found.rpz",
                               "--", *command], stdin=stdin, capture_output=True, check=False)
    if not ok(hunt.returncode == 1, f"{case.name}: found", hunt.returncode, hunt.stderr.decode()):
        return
    told = json.loads(Path("found.json").read_text())
    failure = told["failures"][0]
    note(f"{case.name}: {told['runs']} runs, {told['ms'] / 1000:.1f} s")
    ok(failure["kind"] in case.ends, f"{case.name}: in its own way", failure)
    os.unlink(command[0])
    same = 0
    for _ in range(REPLAYS):
        replay = subprocess.run([TOOL, "replay", "found.rpz"], stdin=subprocess.DEVNULL,
                                capture_output=True, check=False)
        same += is_same(replay, failure)
    ok(same == REPLAYS, f"{case.name}: replays {REPLAYS} of {REPLAYS}", same, replay.returncode,
       replay.stderr.decode(), failure)


def main():
    require_kernel()
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="reprise-corpus-") as folder:
            os.chdir(folder)
            test(case, folder)
            os.chdir("/")
    done()


main()
