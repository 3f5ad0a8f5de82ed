"""What the suites of strange guests share: recording, replaying twice, guest material.

Arguments of each suite: the reprise command, the folder of the test guests, names of tests. The files of
Debian packages lie in build/strange or where REPRISE_STRANGE_MATERIAL says; packages.sh fetches them.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))

# pylint: disable=wrong-import-position
from harness import NO_SELF_TESTS, SOURCE, note, ok, replay_twice, reprise

GUESTS = Path(sys.argv[2]).resolve()
ROUNDTRIP_GUESTS = GUESTS.parents[1] / "roundtrip" / "guests"
MATERIAL = Path(os.environ.get("REPRISE_STRANGE_MATERIAL", SOURCE / "build" / "strange"))
SEED = os.environ.get("REPRISE_STRANGE_SEED", "1")


def chosen(name):
    """False when arguments name other tests than this one."""
    return len(sys.argv) <= 3 or name in sys.argv[3:]


def require_material():
    """Fetches what is missing; False, with a failed check, when that does not work."""
    script = SOURCE / "tools" / "packages.sh"
    result = subprocess.run([script, "strange", MATERIAL], capture_output=True, text=True,
                            check=False)
    return result.returncode == 0 or ok(False, f"packages unpacked in {MATERIAL}", result.stderr)


def record(name, kernel, *options, timeout=1800, **others):
    """Records NAME.rpz; the result of the command, with the time it took as seconds."""
    start = time.monotonic()
    before = os.times()
    result = reprise("record", "--kernel", kernel, "-o", f"{name}.rpz", *options, timeout=timeout,
                     **others)
    after = os.times()
    result.seconds = time.monotonic() - start
    result.cpu_seconds = (after.children_user + after.children_system
                          - before.children_user - before.children_system)
    ok(result.returncode == 0, f"{name}: records", result.stdout[-2000:].decode(errors="replace"),
       result.stderr.decode(errors="replace"))
    return result


def record_linux(name, kernel, initramfs, *options, append="", **others):
    return record(name, kernel, "--initrd", initramfs, "--append", f"quiet {NO_SELF_TESTS} {append}", *options,
                  **others)


def info(name):
    return json.loads(reprise("info", "--json", f"{name}.rpz").stdout)


def verify(name, recorded, end_reason="power-off", stops=12, saves=3, timeout=3600):
    """Replays NAME.rpz twice; the digests must agree and the console must be the recorded one."""
    start = time.monotonic()
    about = info(name)
    ok(about["complete"] and about["end_reason"] == end_reason, f"{name}: ends with {end_reason}",
       about)
    result = replay_twice(f"{name}.rpz", f"{name}.console", stops, saves, SEED, timeout)
    for line in result.stdout.splitlines():
        good, _, what = line.partition(" - ")
        ok(good == "ok", f"{name}: {what or line}")
    ok(result.returncode == 0, f"{name}: replay_twice's exit status", result.returncode,
       result.stderr[-2000:])
    ok(Path(f"{name}.console").read_bytes() == recorded.stdout,
       f"{name}: the replay's console is the recording's")
    note(f"{name}: {about['end_icount']} instructions, {about['event_bytes']} bytes of events, "
         f"recorded in {recorded.seconds:.1f} s, replayed twice in {time.monotonic() - start:.1f} s")
    for suffix in ("rpz", "console"):
        Path(f"{name}.{suffix}").unlink()
