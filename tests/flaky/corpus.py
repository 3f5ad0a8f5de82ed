"""The corpus of unreliable programs: what each is, how it is built and run."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Seconds after which a run has failed, for what hangs: of the host's time; of guest time, of which chaos
# takes up to 16, and slow disks some more.
HOST_TIMEOUT = 5
GUEST_TIMEOUT = 60

# Programs are the system's, with nothing in front of them that chooses versions.
os.environ["PATH"] = "/usr/bin:/bin"

PROGRAMS = Path(__file__).resolve().parent / "programs"

REQUEST = b"line of a request\n" * 20 + b"end\n"


@dataclass
class Case:
    name: str  # of the file
    kind: str
    ends: tuple = ("exit",)  # how it fails, as hunt --json has it
    stdin: bytes = b""

    @property
    def source(self):
        return next(PROGRAMS.glob(self.name + ".*"))

    def build(self, folder):
        """Puts the program into the folder. The command that runs it."""
        folder = Path(folder).resolve()
        if self.source.suffix == ".c":
            target = folder / self.name
            subprocess.run(["cc", "-g", "-O0", "-pthread", "-w", "-o", target, self.source], check=True)
        else:
            target = folder / self.source.name
            shutil.copy(self.source, target)
        self.input_path(folder).write_bytes(self.stdin)
        return [str(target)]

    def input_path(self, folder):
        return Path(folder) / (self.name + ".in")


CASES = [
    Case("counter", "data race on a counter"),
    Case("lost_wakeup", "lost wake-up", ("timeout",)),
    Case("aba", "ABA in a lock-free stack", ("exit", "signal")),
    Case("publish", "a pointer that is NULL for a moment", ("signal",)),
    Case("use_after_free", "use after free across threads", ("signal",)),
    Case("unjoined", "unjoined thread at exit", ("signal",)),
    Case("signal_malloc", "signal handler against malloc", ("timeout", "signal")),
    Case("fork_lock", "fork while a lock is held", ("timeout",)),
    Case("tight_timeout", "timeout too tight"),
    Case("slow_start", "timeout too tight for a cold start"),
    Case("interrupted_read", "read interrupted by a signal"),
    Case("tcp_message", "half a message over TCP"),
    Case("short_input", "half a request from standard input", stdin=REQUEST),
    Case("read_order", "order in which files are read"),
    Case("lock_file", "lock file looked for, then made"),
    Case("directory_order", "order of a directory"),
    Case("hash_order", "Python's hash seed"),
    Case("address", "addresses that collide"),
    Case("uninitialised", "uninitialised memory"),
    Case("midnight", "midnight in between"),
    Case("leap_day", "29th of February"),
]


def find(name):
    return next(case for case in CASES if case.name == name)
