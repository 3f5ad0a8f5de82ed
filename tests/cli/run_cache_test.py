"""reprise run without its cache, with a damaged one, and as another user: each boots a guest."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from harness import TOOL, Directory, done, ok, reprise, require_kernel, same, unforced
from signals import listen


def test_user():
    """As somebody else than root, where the test runs as root; they need not be allowed to use KVM."""
    os.chmod(".", 0o755)
    Path("open").write_text("open\n")
    os.mkdir("theirs", 0o777)
    os.chmod("theirs", 0o777)
    environment = dict(unforced(), XDG_CACHE_HOME=os.getcwd() + "/none", HOME="/nonexistent")
    command = ["setarch", "-R", TOOL, "run", "--cold", "-o", "theirs/u.rpz", "--", "sh", "-c",
               "id -u; id -G; umask; cat /proc/self/personality; cat open; echo x > theirs/new && echo wrote; "
               "echo x > open || echo kept; hostname"]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid", "1234", "--regid", "1235", "--groups", "1235,77"] + command
    result = subprocess.run(command, capture_output=True, env=environment, umask=0o27,
                            stdin=subprocess.DEVNULL, check=False)
    lines = result.stdout.decode().split("\n")
    if os.geteuid() == 0:
        same(lines[:2], ["1234", "1235 77"], "user and groups")
        ok("kept" in lines, "what is not theirs cannot be written", result)
    same(lines[3], "00040000", "addresses without randomisation, as here")
    ok(lines[2] == "0027" and "open" in lines and "wrote" in lines and os.uname().nodename in lines,
       "umask, files, host name", result.stdout, result.stderr)


def test_warm():
    reprise("run", "-o", "true.rpz", "--", "true")
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "reprise"
    os.environ["XDG_CACHE_HOME"] = os.getcwd() + "/cache"
    os.makedirs("cache/reprise")
    states = sorted(cache.glob("warm-*.rpz"), key=lambda path: path.stat().st_mtime)
    for state in states:
        data = bytearray(state.read_bytes())
        data[len(data) // 2] ^= 1
        Path("cache/reprise", state.name).write_bytes(data)
        # 16 GiB, of which hardly any is used.
        subprocess.run(["cp", "--sparse=always", f"{state}.disk", "cache/reprise"], check=True)
    result = reprise("run", "-o", "first.rpz", "--", "echo", "first")
    ok(result.returncode == 125 and re.search(rb"saved state.*\n.*removed", result.stderr),
       "a damaged state is told", result)
    result = reprise("run", "-o", "second.rpz", "--", "echo", "second")
    same((result.returncode, result.stdout), (0, b"second\n"), "and made again")
    for disk in Path("cache/reprise").glob("*.disk"):
        disk.unlink()
    result = reprise("run", "-o", "third.rpz", "--", "sh", "-c", "echo third >/var/tmp/t; cat /var/tmp/t")
    same((result.returncode, result.stdout), (0, b"third\n"), "a state without its disk is made again")
    # Saved states are no recordings: nothing is there to be replayed.
    shutil.rmtree("cache")
    os.environ["XDG_CACHE_HOME"] = "/proc/nowhere"
    result = reprise("run", "-o", "fourth.rpz", "--", "echo", "fourth")
    same((result.returncode, result.stdout), (0, b"fourth\n"), "without a cache the guest boots")


def test_ended():
    """A run that ends while a guest is booted in advance leaves nothing unfinished in the cache, or the next does."""
    environment = os.environ | {"XDG_CACHE_HOME": os.getcwd() + "/ended"}

    def files():
        return sorted(path.name for path in Path("ended/reprise").glob("*"))

    def unfinished():
        return [name for name in files() if ".new" in name]

    def end(number):
        with subprocess.Popen([TOOL, "run", "-o", "ended.rpz", "--", "true"], stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, env=environment, preexec_fn=listen) as process:
            while process.poll() is None and not unfinished():
                pass
            process.send_signal(number)
            told = process.stderr.read().decode()
        return process.returncode, told

    for number in (signal.SIGINT, signal.SIGTERM):
        same((end(number), files()), ((128 + number, "reprise: interrupted while a guest was booted in advance\n"), ["lock"]),
             f"{number.name} while a guest is booted in advance")
    end(signal.SIGKILL)
    ok(unfinished(), "kill -9 leaves what was unfinished", files())
    result = reprise("run", "-o", "sixth.rpz", "--", "echo", "sixth", env=environment)
    same((result.returncode, result.stdout, unfinished()), (0, b"sixth\n", []), "which the next one removes")
    # As above: no recordings.
    shutil.rmtree("ended")


def test_full():
    """A disk on which a booted guest has no room: in a mount namespace, as nothing else fills one."""
    os.mkdir("full")
    user = [] if os.geteuid() == 0 else ["-r"]
    environment = os.environ | {"XDG_CACHE_HOME": os.getcwd() + "/full"}
    command = ["unshare", *user, "-m", "sh", "-c", 'mount -t tmpfs -o size=1m none full && "$@"; status=$?; '
               "ls full/reprise >left; exit $status", "sh", TOOL, "run", "--verbose",
               "-o", "fifth.rpz", "--"]
    result = subprocess.run([*command, "sh", "-c", "echo fifth >/var/tmp/t; cat /var/tmp/t; exit 5"],
                            capture_output=True, env=environment, stdin=subprocess.DEVNULL, check=False)
    same((result.returncode, result.stdout), (5, b"fifth\n"), "without room in the cache the guest boots")
    ok(f"no cache for booted guests: {os.getcwd()}/full/reprise: No space" in result.stderr.decode(),
       "which is told, and where", result.stderr)
    same(Path("left").read_text(), "lock\n", "nothing is left in the cache")


def main():
    require_kernel()
    with Directory() as directory:
        os.chdir(directory)
        test_user()
        test_ended()
        test_warm()
        test_full()
    done()


main()
