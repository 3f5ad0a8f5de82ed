"""A Linux guest with the bench's work at its small size, recorded with every engine under the virtual clock:
the same events and digests, and each recording replays with every other engine. Then interp and kvm are stopped
at random counts of it and must be in the same state.

Usage: linux_test.py REPRISE BENCH-WORK SOURCE-ROOT REPLAY-TWICE
"""
import json
import os
import subprocess
import sys
import tempfile

REPRISE, WORK, ROOT, REPLAY_TWICE = sys.argv[1:5]
STOPS = 100
sys.path[:0] = [os.path.join(ROOT, "bench"), os.path.join(ROOT, "tests")]
import inputs  # pylint: disable=wrong-import-position
import works  # pylint: disable=wrong-import-position
from tap import done, ok  # pylint: disable=wrong-import-position

ENGINES = ["interp", "kvm", "auto", "jit"]


def reprise(*arguments):
    return subprocess.run([REPRISE, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          check=False, timeout=3000)


def record(engine, kernel, image, path):
    return reprise("record", "--quiet", "--engine", engine, "--clock", "virtual", "--seed", "1", "--mem",
                   "512M", "--kernel", kernel, "--initrd", image, "--append", "mitigations=off", "-o", path)


def test(directory):
    kernel = inputs.newest_kernel()
    image = inputs.make_image(directory, "work", kernel, works.guest_script(True), WORK)
    dumps = {}
    path = ""
    for engine in ENGINES:
        path = os.path.join(directory, engine + ".rpz")
        result = record(engine, kernel, image, path)
        ok(result.returncode == 0 and b"BENCH work end" in result.stdout, f"{engine} records the work")
        dumps[engine] = reprise("dump", "--json", path).stdout
        info = json.loads(reprise("info", "--json", path).stdout)
        for use in info["engines"]:
            print(f"# {engine}: {use}")
        ok(not any(use["unexpected"] for use in info["engines"]), f"{engine}: nothing unexpected")
        if engine == "kvm":
            ok(info["engines"][0]["instructions"] > info["end_icount"] // 20, "kvm ran its part")
        ok(dumps[engine] == dumps["interp"], f"{engine}: the events and digests of interp")
        for other in ENGINES:
            if other != engine:
                result = reprise("replay", "--quiet", "--engine", other, path)
                ok(result.returncode == 0, f"recorded by {engine}, replayed by {other}")
    twice = subprocess.run([REPLAY_TWICE, path, "-", str(STOPS), "10", "1"], capture_output=True, text=True,
                           check=False, timeout=3000)
    for line in twice.stdout.splitlines():
        ok(line.startswith("ok - "), f"interp, then kvm: {line}")
    ok(twice.returncode == 0 and twice.stdout, "interp and kvm agree at every stop")


if reprise("record", "--engine", "kvm", "--kernel", "/nonexistent").stderr.find(b"/dev/kvm") >= 0:
    print("1..0 # SKIP no KVM for this user")
    sys.exit(0)
with tempfile.TemporaryDirectory(prefix="reprise-kvm-") as temporary:
    test(temporary)
done()
