"""Damaged and dishonest recordings: chunks cut, missing, doubled; flipped bits; forged content.

Whatever the file: the commands end in time, with exit status 0, 3 or 4 and one line that names the
place; what they put out is the beginning of what the whole file gives.
"""

import os
import subprocess
from pathlib import Path

from damage import (BUILT, Verdict, amount, bound_memory, chosen, chunks, dice, is_text, names_offset,
                    run)
from harness import Directory, check_twice, done, note, ok
from tiny_guest import tiny_guest

TEXT = b"Hello from a tiny guest.\r\n"
# Far beyond what the guests execute, and soon reached: forged counts can be anything.
UNTIL = "300000"


class Recording:
    """A whole recording and what the commands say to it."""

    def __init__(self, name, kernel):
        outcome = run("record", "--quiet", "--kernel", str(kernel), "-o", name, "--mem", "16M")
        self.data = Path(name).read_bytes()
        self.console = run("replay", name).stdout
        self.dump = run("dump", name).stdout
        checked = run("check", name)
        ok(outcome.status == 0 and outcome.stdout == self.console and checked.status == 0
           and len(self.dump) > 0, f"{name}: records, replays, checks", outcome, checked)
        check_twice(name, name)
        self.chunks = chunks(self.data)
        note(f"{name}: {len(self.data)} bytes, {len(self.chunks)} chunks")


def try_file(verdict, whole, what, data, damaged=True):
    """All commands on a file. damaged: check has to find it."""
    Path("D").write_bytes(data)
    check = run("check", "D")
    verdict.add(what, check,
                check.status not in (0, 4) and "status",
                damaged != (check.status == 4) and "check finds what is there",
                check.status == 4 and not names_offset(check) and "no offset")
    replay = run("replay", "D")
    verdict.add(what, replay,
                replay.status not in (0, 4) and "status",
                replay.status == 4 and not names_offset(replay) and "no offset",
                not whole.console.startswith(replay.stdout) and "output that was not recorded")
    dump = run("dump", "D")
    verdict.add(what, dump,
                dump.status not in (0, 4) and "status",
                dump.status == 4 and not names_offset(dump) and "no offset",
                not whole.dump.startswith(dump.stdout) and "events that were not recorded",
                dump.status > replay.status and "damage that replay does not see")
    info = run("info", "D")
    verdict.add(what, info, info.status not in (0, 4) and "status",
                info.status == 4 and not names_offset(info) and "no offset",
                not is_text(info.stdout) and "control characters")


def test_cut(whole):
    """The file ends at and inside each chunk."""
    verdict = Verdict("file cut at and in each chunk")
    for at, end, kind in whole.chunks:
        places = {at: "before", at + 1: "in the frame of", at + 20: "in the header of",
                  (at + end) // 2: "in", end - 1: "just before the end of"}
        for place, where in places.items():
            # Behind a complete chunk a file may end; without a header it is none.
            # Behind the trailer there is an index.
            damaged = place != at or kind in ("header", "index")
            try_file(verdict, whole, f"cut {where} {kind} at {at}", whole.data[:place], damaged)
    verdict.tell()


def test_chunks(whole):
    """Whole chunks missing, doubled, swapped, zeroed, with what follows in its place or moved."""
    verdict = Verdict("chunks missing, doubled, swapped and zeroed")
    data, table = whole.data, whole.chunks
    for n, (at, end, kind) in enumerate(table):
        last = kind == "index"
        name = f"{kind} at {at}"
        try_file(verdict, whole, f"without {name}", data[:at] + data[end:])
        try_file(verdict, whole, f"doubled {name}", data[:end] + data[at:])
        try_file(verdict, whole, f"zeroed {name}", data[:at] + bytes(end - at) + data[end:])
        if not last:
            _, after, _ = table[n + 1]
            try_file(verdict, whole, f"{name} and the next swapped",
                     data[:at] + data[end:after] + data[at:end] + data[after:])
    try_file(verdict, whole, "something behind the file", data + b"x")
    verdict.tell()


def test_flips(whole):
    count = amount(300, 10000)
    verdict = Verdict(f"{count} flipped bits")
    random = dice("flips")
    for _ in range(count):
        bit = random.randrange(len(whole.data) * 8)
        data = bytearray(whole.data)
        data[bit // 8] ^= 1 << bit % 8
        try_file(verdict, whole, f"bit {bit % 8} of byte {bit // 8}", data)
    verdict.tell()


def try_forged(verdict, what, name):
    """Nothing tells a forged file from an honest one but what is in it."""
    for command in (["check"], ["replay", "--until", UNTIL], ["dump"], ["info"]):
        outcome = run(*command, name)
        # 125: the file asks for more than this host or this tool has, and says so; or what is replayed calls itself
        # a command's, and has no status of one.
        texts = [b"no memory", b"does not have"] + [b"ended before the command did"] * (command[0] == "replay")
        unable = outcome.status == 125 and any(text in outcome.stderr for text in texts)
        statuses = (0, 3, 4) if command[0] == "replay" else (0, 4)
        verdict.add(what, outcome,
                    outcome.status not in statuses and not unable and "status",
                    outcome.status != 0 and not outcome.stderr and "no word about it",
                    command[0] != "replay" and not is_text(outcome.stdout) and "control characters")


def test_forged(name, quick, full):
    count = amount(quick, full)
    verdict = Verdict(f"{count} forgeries of {name}")
    first = dice("forged").randrange(1 << 40)
    for at in range(0, count, 500):
        part = min(500, count - at)
        subprocess.run([BUILT / "reforge", name, "F", str(first + at), str(part)], check=True)
        for seed in range(first + at, first + at + part):
            try_forged(verdict, f"seed {seed}", f"F{seed}")
            os.unlink(f"F{seed}")
    verdict.tell()


def main():
    bound_memory()
    with Directory() as directory:
        os.chdir(directory)
        Path("K").write_bytes(tiny_guest(TEXT))
        tiny = Recording("tiny", "K")
        beat = Recording("beat", BUILT / "beat.elf")
        ok(sum(kind == "events" for _, _, kind in beat.chunks) >= 3, "beat: several chunks of events",
           beat.chunks)
        if chosen("cut"):
            test_cut(beat)
        if chosen("chunks"):
            test_chunks(beat)
        if chosen("flips"):
            test_flips(tiny)
        if chosen("forged"):
            test_forged("tiny", 100, 10000)
            test_forged("beat", 50, 3000)
        Path("D").unlink(missing_ok=True)  # damaged as it is, it is none that replays
    done()


main()
