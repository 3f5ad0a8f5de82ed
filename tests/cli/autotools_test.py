"""make check of an autotools project, Debian's source package hello: in a guest it gives the host's
results, and its recording replays."""

import os
import shutil
import subprocess
from pathlib import Path

from harness import SOURCE, TOOL, Directory, done, note, ok, reprise, require_kernel, same

NAME = "hello"


def shell(command, cwd):
    return subprocess.run(["sh", "-c", command], cwd=cwd, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)


def results(text):
    """The lines that automake's tests end in: each test, and the summary."""
    return sorted(line for line in text.splitlines()
                  if line.startswith(("PASS:", "FAIL:", "SKIP:", "XFAIL:", "XPASS:", "ERROR:", "# ")))


def test_check(upstream):
    """Built on the host; the tests run on the host, and in the guest."""
    for where in ("native", "guest"):
        shutil.copytree(upstream, where, symlinks=True)
        built = shell("./configure --disable-nls && make", where)
        ok(built.returncode == 0, f"{where}: configured and built", built.stdout, built.stderr)
    native = shell("make check", "native")
    guest = reprise("run", "-o", "../check.rpz", "--", "make", "check", cwd="guest", timeout=1800)
    ok(results(native.stdout) and native.returncode == 0, "the host's results", native.stdout)
    same((guest.returncode, results(guest.stdout.decode())), (native.returncode, results(native.stdout)),
         "the guest's are the same")
    replay = reprise("replay", "check.rpz", timeout=1800)
    same((replay.returncode, replay.stdout), (guest.returncode, guest.stdout), "its replay")
    return results(native.stdout)


def test_whole_build(native_results):
    """Made anew inside the guest."""
    shutil.copytree("native", "whole", symlinks=True)
    before = sorted(os.listdir("whole"))
    script = "make clean >/dev/null && make >/dev/null && make check"
    guest = reprise("run", "-o", "../whole.rpz", "--", "sh", "-c", script, cwd="whole", timeout=3600)
    same((guest.returncode, results(guest.stdout.decode())), (0, native_results), "built and tested in the guest")
    same(sorted(os.listdir("whole")), before, "the host's directory is as before")


def main():
    require_kernel()
    upstream = Path(TOOL).parents[1] / "upstream" / NAME
    fetched = subprocess.run([SOURCE / "tools" / "packages.sh", "source", NAME, upstream], check=False,
                             capture_output=True, text=True)
    if not ok(fetched.returncode == 0, f"the source package {NAME}", fetched.stderr):
        done()
    note(f"{NAME}: {', '.join(sorted(path.name for path in upstream.iterdir())[:8])} …")
    with Directory() as directory:
        os.chdir(directory)
        test_whole_build(test_check(upstream))
    done()


main()
