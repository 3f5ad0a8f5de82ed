"""What the damage suites share: running the tool within bounds, judging it, taking a file apart.

Arguments: the reprise command, the folder with beat.elf, reforge and fork_server, whether the build
has sanitizers (yes or no), quick or full, and names of tests when not all are wanted.
REPRISE_TEST_REPEAT multiplies the quick counts, up to the full ones; REPRISE_TEST_SEED makes other
random choices.
"""

import os
import random
import re
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))

# pylint: disable=wrong-import-position
from harness import TOOL, ok

BUILT = Path(sys.argv[2]).resolve()
SANITIZED = sys.argv[3] == "yes"
FULL = sys.argv[4] == "full"
SEED = os.environ.get("REPRISE_TEST_SEED", "1")

# The guest has 16 MiB, of which it touches little; a reader holds some tens of MiB at most.
MEMORY_BYTES = (600 if SANITIZED else 150) << 20
TIMEOUT_S = 120
SANITIZER = re.compile(rb"Sanitizer|runtime error")
LINES = re.compile(rb"(reprise: [\x20-\x7e\xe2\x80\xa6]+\n)*")

os.environ.setdefault("ASAN_OPTIONS", "exitcode=99")
os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")


def chosen(name):
    return len(sys.argv) <= 5 or name in sys.argv[5:]


def amount(quick, full):
    """How often to try."""
    if FULL:
        return full
    return min(full, quick * int(os.environ.get("REPRISE_TEST_REPEAT", "1")))


def dice(name):
    """Random choices of its own for each test."""
    return random.Random(f"{name} {SEED}")


def bound_memory():
    """A last resort for the machine's sake; sanitizers need the address space for themselves."""
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))


class Outcome:
    """What a command did. problem: what it must never do, or None."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.status = self.stdout = self.stderr = None
        self.memory = 0
        self.hung = False
        # replay tells how far it came, too.
        self.lines = 2 if arguments[0] == "replay" else 1

    def problem(self):
        if self.hung:
            return f"no end within {TIMEOUT_S} s"
        if self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        if SANITIZER.search(self.stderr):
            return "sanitizer report"
        if self.memory > MEMORY_BYTES:
            return f"used {self.memory >> 20} MiB"
        if not LINES.fullmatch(self.stderr) or self.stderr.count(b"\n") > self.lines:
            return "not a line of printable text on stderr"
        return None

    def __str__(self):
        return (f"{' '.join(self.arguments)}: status {self.status}, {self.memory >> 20} MiB, "
                f"stdout {self.stdout[:200]!r}, stderr {self.stderr[-3000:]!r}")


def run(*arguments):
    """Runs the tool to its end, in the current directory."""
    outcome = Outcome(arguments)
    (Forked if FULL else Spawned)(outcome)
    return outcome


class Spawned:
    """A process of the command itself."""

    def __init__(self, outcome):
        stdout, stderr = os.memfd_create("stdout"), os.memfd_create("stderr")
        process = os.posix_spawn(TOOL, [TOOL, *outcome.arguments], os.environ, file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)])
        handle = os.pidfd_open(process)
        outcome.hung = not readable(handle)
        if outcome.hung:
            os.kill(process, signal.SIGKILL)
        os.close(handle)
        _, status, usage = os.wait4(process, 0)
        outcome.status = os.waitstatus_to_exitcode(status)
        outcome.memory = usage.ru_maxrss << 10
        outcome.stdout, outcome.stderr = self._output(stdout), self._output(stderr)

    @staticmethod
    def _output(descriptor):
        data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        os.close(descriptor)
        return data


class Forked:
    """The same in a child of fork_server, which spares its start."""

    server = None

    def __init__(self, outcome):
        if not Forked.server:
            Forked.server = subprocess.Popen(
                [BUILT / "fork_server"], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        server = Forked.server
        command = ["stdout", "stderr", *outcome.arguments]
        server.stdin.write("\t".join(command).encode() + b"\n")
        process = int(server.stdout.readline())
        outcome.hung = not readable(server.stdout)
        if outcome.hung:
            os.kill(process, signal.SIGKILL)
        status, memory = map(int, server.stdout.readline().split())
        outcome.status = os.waitstatus_to_exitcode(status)
        outcome.memory = memory << 10
        outcome.stdout, outcome.stderr = Path("stdout").read_bytes(), Path("stderr").read_bytes()


def readable(file):
    """Waits until there is something to read, or that the file's process should have ended."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(TIMEOUT_S * 1000))


class Verdict:
    """Collects what went wrong over many files; tells it as one check."""

    def __init__(self, name):
        self.name, self.wrong, self.tried = name, [], 0
        self.statuses = {}

    def add(self, what, outcome, *complaints):
        """complaints: texts where something is wrong, false values where not."""
        self.tried += 1
        key = (outcome.arguments[0], outcome.status)
        self.statuses[key] = self.statuses.get(key, 0) + 1
        found = [complaint for complaint in (outcome.problem(), *complaints) if complaint]
        if found:
            self.wrong.append(f"{what}: {'; '.join(found)}: {outcome}")
        return not found

    def tell(self):
        counts = ", ".join(f"{command} {status}: {n}"
                           for (command, status), n in sorted(self.statuses.items()))
        ok(not self.wrong and self.tried, f"{self.name} ({counts})", f"{len(self.wrong)} wrong",
           *self.wrong[:5])


def names_offset(outcome):
    return re.search(rb": byte \d+: ", outcome.stderr) is not None


# UTF-8 beyond ASCII is for the tool's own signs.
TEXT = bytes(byte for byte in range(256) if (byte >= 0x20 and byte != 0x7F) or byte == 0x0A)


def is_text(data):
    """Printable, lines apart."""
    return not data.translate(None, delete=TEXT)


# ---- the file's framing: docs/file-format.md ----

PREAMBLE = 16
KINDS = {1: "header", 2: "pages", 3: "ram", 4: "events", 5: "attachment", 6: "trailer", 7: "index"}


def _varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def _fields(data):
    """Numbers of a protobuf message of varints and 64-bit fields."""
    at, fields = 0, {}
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 1:
            fields[tag >> 3], at = int.from_bytes(data[at:at + 8], "little"), at + 8
        else:
            fields[tag >> 3], at = _varint(data, at)
    return fields


def chunks(data):
    """(offset, end, kind) of each chunk of a whole file."""
    found, at = [], PREAMBLE
    while data[at:at + 4] == b"RPZc":
        length = int.from_bytes(data[at + 4:at + 8], "little")
        fields = _fields(data[at + 16:at + 16 + length])
        end = at + 16 + length + fields[2]
        found.append((at, end, KINDS[fields[1]]))
        at = end
    return found
