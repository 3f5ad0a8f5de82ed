"""Programs that are hard on translated code, run in a guest: signals, a compiler that writes its own
code, thousands of processes, much memory. What they print is what they print on the host, and each recording
replays with every engine.

Usage: programs_test.py REPRISE SIGNALS TOUCH
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))

# pylint: disable=wrong-import-position
from harness import Directory, check_twice, done, note, ok, reprise, require_kernel, same

SIGNALS, TOUCH = map(os.path.abspath, sys.argv[2:4])
PROGRAMS = Path(__file__).resolve().parent / "programs"
LOOP = "i=0; while [ $i -lt {} ]; do /bin/true; i=$((i+1)); done; echo {} processes"

# Name, command, options; engines that record; engines that replay.
CASES = [
    ("signals", [SIGNALS], [], ["interp", "kvm", "auto"], ["interp", "kvm", "auto"]),
    ("luajit", ["luajit", PROGRAMS / "jit.lua"], [], ["interp", "kvm", "auto"], ["interp", "kvm", "auto"]),
    ("thousands of processes", ["sh", "-c", LOOP.format(3000, 3000)], [], ["kvm"], ["interp", "kvm"]),
    ("thousands of processes", ["sh", "-c", LOOP.format(3000, 3000)], [], ["auto"], ["auto"]),
    ("4 GiB touched", [TOUCH, "4096"], ["--mem", "5G"], ["kvm"], ["interp", "kvm"]),
]


def test_case(name, command, options, recorders, replayers):
    native = subprocess.run(command, capture_output=True, check=False)
    ok(native.returncode == 0 and native.stdout, f"{name}: on the host", native.stderr)
    for engine in recorders:
        label = f"{name}, recorded by {engine}"
        result = reprise("run", "--verbose", "--engine", engine, *options, "-o", "p.rpz", "--", *command,
                         timeout=3000)
        same((result.returncode, result.stdout), (native.returncode, native.stdout), label)
        uses = [line for line in result.stderr.decode(errors="replace").splitlines()
                if line.startswith("reprise: engine ")]
        for line in uses:
            note(line)
        ok(not any("unexpected" in line for line in uses), f"{label}: nothing unexpected")
        for other in replayers:
            replay = reprise("replay", "--engine", other, "p.rpz", timeout=3000)
            same((replay.returncode, replay.stdout), (native.returncode, native.stdout),
                 f"{label}, replayed by {other}")
        check_twice("p.rpz", label)
        os.unlink("p.rpz")


def main():
    require_kernel()
    if b"/dev/kvm" in reprise("record", "--engine", "kvm", "--kernel", "/nonexistent").stderr:
        print("1..0 # SKIP no KVM for this user")
        sys.exit(0)
    ok(shutil.which("luajit"), "luajit is installed")
    with Directory() as directory:
        os.chdir(directory)
        for case in CASES:
            test_case(*case)
    done()


main()
