"""What the tests of the command line share: TAP output, running the tool, guest material."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests"))

# pylint: disable=wrong-import-position, unused-import
from guest_kernel import NO_SELF_TESTS, newest_kernel, require_kernel
from tap import done, note, ok, same

MAKE_INITRAMFS = SOURCE / "tools" / "make-initramfs.sh"

# The reprise command under test: the first argument, made absolute before a test changes directory.
TOOL = os.path.abspath(sys.argv[1])

# Booted guests are kept beside the tool, so that the tests share them.
os.environ["XDG_CACHE_HOME"] = str(Path(TOOL).parents[1] / "cache")

# A recording begins with it: docs/file-format.md.
SIGNATURE = b"\x89RPZ\r\n\x1a\n"

# Built beside the command: tests/roundtrip/twice.h.
REPLAY_TWICE = Path(TOOL).parents[1] / "tests" / "roundtrip" / "replay_twice"

# How often what takes long is done.
REPEAT = int(os.environ.get("REPRISE_TEST_REPEAT", "1"))


def reprise(*arguments, timeout=600, **options):
    """Runs the tool to its end with nothing on stdin unless input is given."""
    if "input" not in options and "stdin" not in options:
        options["stdin"] = subprocess.DEVNULL
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, timeout=timeout,
                          **options)


def unforced():
    """The environment without the engine that ./check --engine forces on auto: for tests of hosts without KVM."""
    return {name: value for name, value in os.environ.items() if name != "REPRISE_ENGINE"}


def make_initramfs(path, script, *options):
    """A busybox initial RAM file system that runs the shell script, then powers off."""
    script_path = Path(str(path) + ".sh")
    script_path.write_text(script)
    subprocess.run([MAKE_INITRAMFS, *options, "-o", path, script_path], check=True,
                   stdout=subprocess.DEVNULL)


def communicate(process, timeout):
    """Reads to the end; a process that does not end is killed, which its status then tells."""
    try:
        return process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()


def replay_twice(path, console="-", stops=12, saves=4, seed="1", timeout=3600):
    """Replays straight, then with the machine saved and restored on the way; digests at random counts
    must be equal. The completed process; stdout has a line for each comparison."""
    return subprocess.run([REPLAY_TWICE, path, console, str(stops), str(saves), str(seed)],
                          capture_output=True, text=True, timeout=timeout, check=False)


def check_twice(path, name):
    result = replay_twice(path)
    ok(result.returncode == 0 and "ok - with saves" in result.stdout,
       f"{name}: replayed twice, digests at random counts, the machine saved and restored",
       result.returncode, result.stdout, result.stderr)


def is_recording(path):
    """By its first bytes."""
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


class Directory:
    """A temporary directory; TMPDIR says where. Every recording that is left in it, whatever its name, is
    replayed twice."""

    def __enter__(self):
        self.path = Path(tempfile.mkdtemp(prefix="reprise-cli-"))
        return self.path

    def __exit__(self, failure, *_):
        if not failure:
            self._check_recordings()
        shutil.rmtree(self.path, ignore_errors=True)

    def _check_recordings(self):
        for path in sorted(filter(is_recording, self.path.rglob("*"))):
            name = path.relative_to(self.path)
            told = reprise("info", "--json", path)
            if not ok(told.returncode == 0, f"{name}: info reads it", told.stderr):
                continue
            # One that was cut off before the guest's first instruction holds nothing to replay.
            if json.loads(told.stdout)["end_icount"]:
                check_twice(path, name)


def dump_events(path):
    """All events of a recording, as dump --json tells them."""
    result = reprise("dump", "--json", path)
    if result.returncode:
        raise RuntimeError(result.stderr.decode(errors="replace"))
    return [json.loads(line) for line in result.stdout.splitlines()]
