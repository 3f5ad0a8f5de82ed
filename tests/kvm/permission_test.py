"""/dev/kvm that may not be used, is not there, or is something else: --engine kvm says why not and fails, auto says
so in one line and goes on. Who may use it needs nothing more. Needs root, to take the device away.

Usage: permission_test.py REPRISE GUEST
"""
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))

# pylint: disable=wrong-import-position
from harness import TOOL, Directory, done, ok, reprise, unforced

GUEST = os.path.abspath(sys.argv[2])

# Name, what the command runs under, what is said.
CASES = [
    ("no permission", ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"], b"usermod -aG kvm"),
    ("no device", ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh"], b"no KVM"),
    ("another file", ["unshare", "-m", "sh", "-c", 'mount --bind other /dev/kvm && exec "$@"', "sh"], b"/dev/kvm: "),
]


def record(under, engine, name="refused"):
    return subprocess.run([*under, "./reprise", "record", "--engine", engine, "--kernel", "./guest", "--clock",
                           "virtual", "-o", f"{name}.rpz"], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          timeout=300, env=unforced())


def test_case(name, under, said):
    result = record(under, "kvm")
    lines = result.stderr.splitlines()
    ok(result.returncode == 2 and len(lines) == 1 and said in lines[0], f"{name}: --engine kvm fails and says why",
       result.returncode, result.stderr.decode(errors="replace"))
    result = record(under, "auto", name)
    lines = [line for line in result.stderr.splitlines() if b"/dev/kvm" in line]
    ok(result.returncode == 0 and len(lines) == 1 and said in lines[0], f"{name}: auto says so and goes on",
       result.returncode, result.stderr.decode(errors="replace"))


def test_permitted():
    """Another user, of the device's group; the device's own, where its group may do nothing."""
    device = os.stat("/dev/kvm")
    by_group = device.st_mode & stat.S_IRGRP and device.st_mode & stat.S_IWGRP
    user = 65534 if by_group else device.st_uid
    result = record(["setpriv", "--reuid", str(user), "--regid", "65534", "--groups", str(device.st_gid),
                     "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"], "kvm", "permitted")
    if not ok(result.returncode == 0 and b"/dev/kvm" not in result.stderr,
              "another user, who may open the device: --engine kvm", result.returncode,
              result.stderr.decode(errors="replace")):
        return
    engines = {use["name"]: use for use in json.loads(reprise("info", "--json", "permitted.rpz").stdout)["engines"]}
    ok(engines.get("kvm", {}).get("instructions"), "another user: the guest ran in KVM", engines)


def main():
    if os.geteuid() or b"/dev/kvm" in reprise("record", "--engine", "kvm", "--kernel", "/nonexistent").stderr:
        print("1..0 # SKIP not root, or no KVM")
        sys.exit(0)
    with Directory() as directory:
        os.chdir(directory)
        os.chmod(".", 0o777)
        shutil.copy(TOOL, "reprise")
        shutil.copy(GUEST, "guest")
        os.chmod("reprise", 0o755)
        os.chmod("guest", 0o644)
        Path("other").touch()
        for case in CASES:
            test_case(*case)
        test_permitted()
    done()


main()
