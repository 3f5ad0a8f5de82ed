"""Every program of the corpus is found by hunt --chaos, and its recording replays ten times of ten."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))

from corpus import CASES, GUEST_TIMEOUT  # pylint: disable=wrong-import-position
from harness import TOOL, done, ok, require_kernel  # pylint: disable=wrong-import-position

# A failure that takes longer to find, on average, is none that hunt --chaos finds.
SECONDS = 600
REPLAYS = 10


def test(case, folder):
    command = case.build(folder)
    with open(case.input_path(folder), "rb") as stdin:
        hunt = subprocess.run([TOOL, "hunt", "-q", "--seed", "1", "--chaos", "--time", str(SECONDS),
                               "--timeout", str(GUEST_TIMEOUT), "--json", "found.json", "-o", "found.rpz",
                               "--", *command], stdin=stdin, capture_output=True, check=False)
    if not ok(hunt.returncode == 1, f"{case.name}: found", hunt.returncode, hunt.stderr.decode()):
        return
    failure = json.loads(Path("found.json").read_text())["failures"][0]
    ok(failure["kind"] in case.ends, f"{case.name}: in its own way", failure)
    os.unlink(command[0])
    same = 0
    for _ in range(REPLAYS):
        replay = subprocess.run([TOOL, "replay", "found.rpz"], stdin=subprocess.DEVNULL,
                                capture_output=True, check=False)
        status = failure.get("exit_status", 0)
        same += replay.returncode == status and \
            (replay.stdout + replay.stderr).decode(errors="replace").strip().endswith(
                failure["output"].strip()[-40:])
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
