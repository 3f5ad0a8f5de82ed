"""What the command says and returns when KVM fails: before the first instruction, and in the middle of a recording.

Usage: failing_test.py REPRISE FAILING-REPRISE GUEST ENDLESS-GUEST
"""
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))

# pylint: disable=wrong-import-position
from harness import Directory, done, ok, reprise, same, unforced

FAILING, GUEST, ENDLESS = map(os.path.abspath, sys.argv[2:5])


def record(how, engine, guest, path):
    return subprocess.run([FAILING, "record", "--quiet", "--engine", engine, "--kernel", guest, "--clock", "virtual",
                           "-o", path], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=300,
                          env={**unforced(), "KVM_FAILS": how})


def lines(result):
    return result.stderr.decode(errors="replace").splitlines()


def test_busy():
    result = record("busy", "kvm", GUEST, "busy.rpz")
    ok(result.returncode == 2 and len(lines(result)) == 1 and "/dev/kvm: busy" in lines(result)[0],
       "busy: --engine kvm fails and says why", result.returncode, lines(result))
    result = record("busy", "auto", GUEST, "busy.rpz")
    same(result.returncode, 0, "busy: auto goes on")
    engines = json.loads(reprise("info", "--json", "busy.rpz").stdout)["engines"]
    same([use["name"] for use in engines], ["jit", "interp"], "busy: with jit")


def test_lost():
    result = record("lost", "kvm", ENDLESS, "lost.rpz")
    ok(result.returncode == 125 and len(lines(result)) == 1 and "KVM" in lines(result)[0],
       "lost: exit status 125, and a line that says so", result.returncode, lines(result))
    info = json.loads(reprise("info", "--json", "lost.rpz").stdout)
    same((info["end_reason"], info["engines"][0]["unexpected"]), ("engine failure", 1), "lost: info tells")
    for engine in ("interp", "jit", "kvm"):
        replay = reprise("replay", "--engine", engine, "lost.rpz")
        ok(replay.returncode == 0, f"lost: {engine} replays to the last count that is proven", replay.returncode,
           replay.stderr.decode(errors="replace"))


def main():
    if b"/dev/kvm" in reprise("record", "--engine", "kvm", "--kernel", "/nonexistent").stderr:
        print("1..0 # SKIP no KVM for this user")
        sys.exit(0)
    with Directory() as directory:
        os.chdir(directory)
        test_busy()
        test_lost()
    done()


main()
