"""Small guests that check the machine against the manuals, on every engine, recorded and replayed.

Usage: fidelity_test.py REPRISE GUEST-DIRECTORY [--kvm REPRISE] [NAME…]

With --kvm only the kvm engine of that command records, which runs user code in the VM from its first
visit on.

A guest tells on the serial port how many results it plans, then each one (guests/start.S). A guest
that reports fewer, or does not end as it should, is a failure.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))
from harness import TOOL, check_twice, done, note, ok, reprise  # noqa: E402

ENGINES = ["interp", "jit", "kvm"]

# What the command is given, and how the recording ends, where that is not the plain case.
OPTIONS = {
    "cross_modify": ["--cpus", "2"],
}
ENDS = {
    "triple_fault": "shutdown",
}

# Guests without code that jit translates: none is 64-bit, or a breakpoint is set all the time.
NOT_IN_JIT = {"breakpoint", "cross_modify", "ioapic", "paging", "real", "real_events",
              "timer", "triple_fault"}

# Guests with 64-bit code at CPL 3.
USER = {"fault_priority", "privilege", "single_step", "transfer", "wild"}


def record(tool, engine, guest, path):
    return subprocess.run(
        [tool, "record", "--quiet", "--kernel", guest, "--clock", "virtual", "--engine", engine,
         "--mem", "64M", "-o", path, *OPTIONS.get(guest.stem, [])],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False)


def engine_is_there(tool, engine, guest, directory):
    """Whether this build has the engine and the host can run it; any other failure is for the tests."""
    result = record(tool, engine, guest, directory / "probe.rpz")
    return not re.search(rb"not in this build|/dev/kvm", result.stderr)


def take_lines(name, text):
    """Turns the guest's lines into results."""
    lines = text.splitlines()
    planned = None
    seen = 0
    for line in lines:
        if match := re.fullmatch(r"plan ([0-9a-f]{8})", line):
            planned = int(match[1], 16)
        elif match := re.fullmatch(r"(not )?ok (.*?)(: got .*|: not reached)?", line):
            seen += 1
            ok(not match[1], f"{name}: {match[2]}", match[3] or "")
        elif line.startswith("lost"):
            ok(False, f"{name}: no exception but those that were asked for", line)
    ok(planned is not None and seen == planned and seen > 0,
       f"{name}: reports what it planned", f"planned {planned}, reported {seen}")
    ok("done" in lines, f"{name}: says that it is done", text[-500:])


def check_use(name, engine, guest, path, in_vm):
    """The engine, and not only what it leaves the rest to, has run code of the guest."""
    info = json.loads(reprise("info", "--json", path).stdout)
    uses = {use["name"]: use for use in info["engines"]}
    ok(not any(use["unexpected"] for use in uses.values()), f"{name}: nothing unexpected", uses)
    if in_vm and guest.stem in USER:
        ok(uses["kvm"]["instructions"] >= 10, f"{name}: user code runs in the VM", uses)
    if not in_vm and engine != "interp" and guest.stem not in NOT_IN_JIT:
        ok(uses["jit"]["instructions"] >= 10, f"{name}: 64-bit code is translated", uses)


def run_guest(tool, engine, guest, directory):
    """Records, reads the results, replays."""
    name = f"{engine}: {guest.stem}"
    path = directory / "guest.rpz"
    recorded = record(tool, engine, guest, path)
    if not ok(recorded.returncode == 0, f"{name}: records", recorded.returncode, recorded.stderr):
        return
    console = recorded.stdout.decode(errors="replace").replace("\r", "")
    take_lines(name, console)
    info = reprise("info", path).stdout.decode(errors="replace")
    end = ENDS.get(guest.stem, "power-off")
    ok(re.search(rf"^end\s+{end}$", info, re.M), f"{name}: ends with {end}", info)
    check_use(name, engine, guest, path, tool != TOOL)
    replayed = reprise("replay", "--engine", engine, path)
    ok(replayed.returncode == 0, f"{name}: replays", replayed.returncode, replayed.stderr)
    ok(replayed.stdout == recorded.stdout, f"{name}: replay shows the same console")
    check_twice(path, name)


def main():
    arguments = sys.argv[3:]
    tool, wanted = TOOL, ENGINES
    if arguments[:1] == ["--kvm"]:
        tool, wanted = arguments[1], ["kvm"]
        arguments = arguments[2:]
    guests = sorted(Path(sys.argv[2]).glob("*.elf"))
    if arguments:
        guests = [guest for guest in guests if guest.stem in arguments]
    with tempfile.TemporaryDirectory(prefix="reprise-fidelity-") as name:
        directory = Path(name)
        engines = [engine for engine in wanted
                   if engine_is_there(tool, engine, guests[0], directory)]
        note(f"engines: {' '.join(engines)}")
        if wanted != ENGINES and not engines:
            print("1..0 # SKIP no KVM")
            return
        ok("interp" in engines or wanted != ENGINES, "the reference engine is there")
        for engine in engines:
            for guest in guests:
                run_guest(tool, engine, guest, directory)
    done()


if __name__ == "__main__":
    main()
