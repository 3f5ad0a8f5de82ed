"""Guests of a few instructions that do what guests rarely do."""

import os
import subprocess
import time

from strange import GUESTS, ROUNDTRIP_GUESTS, chosen, record, verify
from harness import TOOL, Directory, done, ok

SMALL = ["--mem", "16M"]


def flood_text():
    lines = []
    for line in range(15625):
        text = "".join(chr(ord("!") + (line + i) % 94) for i in range(55))
        lines.append(f"{line:08x}{text}\n")
    return ("".join(lines) + "." * 100000 + "\nflood done\n").encode()


def test_modify(clock):
    """Code that writes code."""
    name = f"modify-{clock}"
    recorded = record(name, GUESTS / "modify.elf", *SMALL, "--clock", clock)
    lines = recorded.stdout.decode().splitlines()
    ok(lines[-1:] == ["modify done"] and len(lines) == 9, f"{name}: comes to its end", lines)
    for line in lines[:-1]:
        ok(line.endswith(" 0000000000000000"), f"{name}: {line}")
    verify(name, recorded, stops=60, saves=20)


def test_flood(clock):
    name = f"flood-{clock}"
    recorded = record(name, GUESTS / "flood.elf", *SMALL, "--clock", clock)
    ok(recorded.stdout == flood_text(), f"{name}: every character in its place",
       recorded.stdout[-200:])
    verify(name, recorded)


def test_slow_reader():
    """Nobody reads the console for a while: nothing is lost."""
    with subprocess.Popen([TOOL, "record", "--kernel", GUESTS / "flood.elf", *SMALL, "-o",
                           "slow.rpz"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        time.sleep(2)
        pieces = []
        while piece := os.read(process.stdout.fileno(), 50000):
            pieces.append(piece)
            time.sleep(0.02)
        process.stderr.read()
    process.stdout, process.seconds = b"".join(pieces), 2
    ok(process.returncode == 0 and process.stdout == flood_text(),
       "slow reader: every character in its place")
    verify("slow", process, stops=4, saves=1)


def test_triple():
    recorded = record("triple", ROUNDTRIP_GUESTS / "triple.elf", *SMALL)
    ok(recorded.stdout == b"triple\n", "triple: says so", recorded.stdout)
    verify("triple", recorded, end_reason="shutdown")


def test_reset():
    recorded = record("reset", ROUNDTRIP_GUESTS / "reset.elf", *SMALL)
    ok(recorded.stdout.count(b"fresh") >= 2 and b"stale" not in recorded.stdout
       and recorded.stdout.endswith(b"reset done\n"), "reset: memory is new each time",
       recorded.stdout)
    verify("reset", recorded, stops=100, saves=50)


def test_halted():
    """HLT without interrupts: nothing can ever happen again, and the recording ends."""
    recorded = record("halted", ROUNDTRIP_GUESTS / "halted.elf", *SMALL)
    ok(recorded.stdout == b"halted\n", "halted: says so", recorded.stdout)
    verify("halted", recorded, end_reason="deadlock")


def main():
    with Directory() as directory:
        os.chdir(directory)
        for clock in ("host", "virtual"):
            if chosen("modify"):
                test_modify(clock)
            if chosen("flood"):
                test_flood(clock)
        for test in (test_slow_reader, test_triple, test_reset, test_halted):
            if chosen(test.__name__.removeprefix("test_")):
                test()
    done()


main()
