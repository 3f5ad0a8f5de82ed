"""What the command says and returns when KVM fails: before the first instruction, and in the middle of a recording.

Usage: failing_test.py REPRISE FAILING-REPRISE GUEST ENDLESS-GUEST [hunt]

hunt: only what needs a Linux guest.
"""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))

# pylint: disable=wrong-import-position
from harness import Directory, done, ok, reprise, require_kernel, same, unforced

FAILING, GUEST, ENDLESS = map(os.path.abspath, sys.argv[2:5])


def failing(how, *arguments):
    return subprocess.run([FAILING, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          timeout=300, env={**unforced(), "KVM_FAILS": how})


def record(how, engine, guest, path, *options):
    return failing(how, "record", *options, "--engine", engine, "--kernel", guest, "--clock", "virtual", "-o", path)


def lines(result):
    return result.stderr.decode(errors="replace").splitlines()


def engines(path):
    return [use["name"] for use in json.loads(reprise("info", "--json", path).stdout)["engines"]]


def ok_without(result, said, name):
    """It went on, with one line about KVM."""
    told = [line for line in lines(result) if "kvm" in line.lower()]
    ok(result.returncode == 0 and len(told) == 1 and said in told[0] and told[0].endswith("; running without KVM"),
       name, result.returncode, lines(result))


def test_busy():
    result = record("busy", "kvm", GUEST, "busy.rpz", "--quiet")
    ok(result.returncode == 2 and len(lines(result)) == 1 and "/dev/kvm: busy" in lines(result)[0],
       "busy: --engine kvm fails and says why", result.returncode, lines(result))
    result = record("busy", "auto", GUEST, "busy.rpz")
    ok_without(result, "/dev/kvm: busy", "busy: auto goes on, and says so in a line")
    same(engines("busy.rpz"), ["jit", "interp"], "busy: with jit")
    result = record("busy", "auto", GUEST, "busy.rpz", "--quiet")
    same((result.returncode, lines(result)), (0, []), "busy: nothing is said if nothing is to be")


def test_start():
    """A VM can be made, but not what the engine needs of it."""
    result = record("start", "kvm", GUEST, "start.rpz", "--quiet")
    ok(result.returncode == 125 and len(lines(result)) == 1 and
       "engine kvm cannot start: Cannot allocate memory" in lines(result)[0], "start: --engine kvm fails and says why",
       result.returncode, lines(result))
    result = record("start", "auto", GUEST, "start.rpz")
    ok_without(result, "engine kvm cannot start: Cannot allocate memory", "start: auto goes on, and says so in a line")
    same(engines("start.rpz"), ["jit", "interp"], "start: with jit")
    ok_without(failing("start", "replay", "start.rpz"), "engine kvm cannot start: Cannot allocate memory",
               "start: a replay likewise")
    for command in (["replay", "--quiet"], ["gdb", "--gdb", "true", "--no-kernel-symbols", "--quiet"]):
        result = failing("start", *command, "start.rpz")
        same((result.returncode, lines(result)), (0, []), f"start: {command[0]} says nothing if nothing is to be said")


def test_debuggers():
    """Whatever replays says the same line, in the same words as what records."""
    said = "reprise: engine kvm cannot start: Cannot allocate memory; running without KVM"
    debuggers = {"gdb": ["gdb", "--gdb", "true", "--no-kernel-symbols", "start.rpz"],
                 "serve": ["serve", "--listen", "absent/socket", "start.rpz"],
                 "symbols": ["symbols", "start.rpz"]}
    for name, arguments in debuggers.items():
        same([line for line in lines(failing("start", *arguments)) if "KVM" in line], [said], f"start: {name} says so in a line")
    for name, arguments in debuggers.items():
        told = [line for line in lines(failing("busy", *arguments)) if "KVM" in line]
        ok(len(told) == 1 and told[0].startswith("reprise: engine kvm cannot start: /dev/kvm: busy") and
           told[0].endswith("; running without KVM"), f"busy: {name} says so in a line", told)


def test_hunt():
    """Of many runs one tells it."""
    result = failing("start", "hunt", "--states", "1", "--runs", "2", "--", "true")
    ok_without(result, "engine kvm cannot start: Cannot allocate memory", "start: a hunt says so once")
    ok(re.fullmatch(r"reprise: 2 runs in .* 0 failed", lines(result)[-1]), "and goes on", lines(result))


def test_lost():
    result = record("lost", "kvm", ENDLESS, "lost.rpz", "--quiet")
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
        if sys.argv[5:] == ["hunt"]:
            require_kernel()
            test_hunt()
        else:
            test_busy()
            test_start()
            test_debuggers()
            test_lost()
    done()


main()
