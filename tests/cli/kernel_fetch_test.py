"""A host on which no kernel can be read: one is downloaded by the distribution's client, unpacked in the
cache and used. The client is a stand-in with a package made from this host's kernel."""

import os
import shutil
import subprocess
from pathlib import Path

from harness import Directory, done, ok, reprise, require_kernel, same

APT_CACHE = """#!/bin/sh
for last; do :; done
[ -e updated ] || [ -e "$STAND_IN/updated" ] || exit 100
case $last in
linux-image-cloud-amd64) echo "$last"; echo "  Depends: $KERNEL_PACKAGE" ;;
*) echo "$last" ;;
esac
"""

APT_GET = """#!/bin/sh
echo "apt-get $*" >> "$STAND_IN/log"
for last; do :; done
case $last in
update)
	: > "$STAND_IN/updated"
	[ ! -e "$STAND_IN/end" ] || kill -TERM $PPID
	;;
"$KERNEL_PACKAGE") cp "$STAND_IN"/kernel.deb . ;;
*) echo "E: Unable to locate package $last" >&2; exit 100 ;;
esac
"""


def make_package(kernel):
    """As distributions ship it: modules.dep is made by its installation."""
    release = kernel.name.removeprefix("vmlinuz-")
    root = Path("package")
    (root / "DEBIAN").mkdir(parents=True)
    (root / "boot").mkdir()
    shutil.copy(kernel, root / "boot")
    modules = root / "lib/modules" / release
    for part in ("drivers/virtio", "drivers/block", "fs", "lib", "crypto", "arch"):
        if Path("/lib/modules", release, "kernel", part).exists():
            shutil.copytree(Path("/lib/modules", release, "kernel", part), modules / "kernel" / part)
    shutil.copy(Path("/lib/modules", release, "modules.builtin"), modules)
    (root / "DEBIAN/control").write_text(
        f"Package: linux-image-{release}\nVersion: 1\nArchitecture: amd64\nMaintainer: n <n@n>\n"
        "Description: a kernel\n")
    subprocess.run(["dpkg-deb", "-Znone", "-b", "package", "stand-in/kernel.deb"], check=True,
                   stdout=subprocess.DEVNULL)
    return f"linux-image-{release}"


def test_interrupted():
    os.remove("stand-in/updated")
    Path("stand-in/end").touch()
    result = reprise("run", "--boot", "empty", "-o", "e.rpz", "--", "true")
    ok(result.returncode == 125 and b"no kernel could be downloaded: interrupted" in result.stderr,
       "a signal ends it, and that is told", result)
    same(os.listdir("cache/reprise"), ["kernel.lock"], "what was begun is removed")
    os.remove("stand-in/end")


def test_cut_package():
    """As on a full disk: the kernel is whole, the modules behind it are not."""
    whole = Path("stand-in/kernel.deb").read_bytes()
    Path("stand-in/kernel.deb").write_bytes(whole[:-len(whole) // 3])
    result = reprise("run", "--boot", "empty", "-o", "h.rpz", "--", "true")
    ok(result.returncode == 125 and b"kernel.deb cannot be unpacked: " in result.stderr
       and result.stderr.count(b"\n") == 2, "a package that cannot be unpacked is told", result)
    same(os.listdir("cache/reprise"), ["kernel.lock"], "what was unpacked of it is removed")
    Path("stand-in/kernel.deb").write_bytes(whole)


def main():
    kernel = require_kernel()
    with Directory() as directory:
        os.chdir(directory)
        os.makedirs("stand-in/bin")
        for name, text in (("apt-cache", APT_CACHE), ("apt-get", APT_GET)):
            Path("stand-in/bin", name).write_text(text)
            os.chmod(Path("stand-in/bin", name), 0o755)
        os.mkdir("empty")
        os.environ["XDG_CACHE_HOME"] = os.getcwd() + "/cache"
        os.environ["STAND_IN"] = os.getcwd() + "/stand-in"
        os.environ["PATH"] = f"{os.getcwd()}/stand-in/bin:{os.environ['PATH']}"
        os.environ["KERNEL_PACKAGE"] = "linux-image-none"
        result = reprise("run", "--boot", "empty", "-o", "n.rpz", "--", "true")
        ok(result.returncode == 125 and b"no kernel could be downloaded: " in result.stderr
           and b"--kernel" in result.stderr, "where none can be downloaded, that is told", result)
        test_interrupted()
        os.environ["KERNEL_PACKAGE"] = make_package(kernel)
        test_cut_package()
        os.remove("stand-in/updated")
        result = reprise("run", "--boot", "empty", "-o", "f.rpz", "--", "echo", "fetched")
        ok((result.returncode, result.stdout) == (0, b"fetched\n")
           and b"downloading a package to" in result.stderr, "one is downloaded, and that is told", result)
        os.remove("stand-in/log")
        result = reprise("run", "--boot", "empty", "-o", "c.rpz", "--", "echo", "kept")
        same((result.returncode, result.stdout, result.stderr, os.path.exists("stand-in/log")),
             (0, b"kept\n", b"", False), "it is kept in the cache")
        same(sorted(os.listdir("cache/reprise/kernel")), ["boot", "lib"], "nothing else is left there")
        Path("unreadable").mkdir()
        result = reprise("run", "-q", "--boot", "/nonexistent", "-o", "q.rpz", "--", "echo", "quiet")
        same((result.returncode, result.stdout, result.stderr), (0, b"quiet\n", b""),
             "a directory that is missing is like an empty one")
    done()


main()
