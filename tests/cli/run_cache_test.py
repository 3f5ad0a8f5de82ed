"""reprise run without its cache, with a damaged one, and as another user: each boots a guest."""

import fcntl
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
    """A run that is ended while a guest is booted in advance, which takes the interpreter long enough. Nothing is
    left in the cache; what kill -9 leaves, the next one removes."""
    environment = os.environ | {"XDG_CACHE_HOME": os.getcwd() + "/ended"}
    cache = Path("ended/reprise")
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen([TOOL, "run", "--engine", "interp", "-o", "ended.rpz", "--", "true"],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment,
                              preexec_fn=listen) as process:
            while process.poll() is None and not (cache / "lock").exists():
                pass
            process.send_signal(number)
            told = process.stderr.read()
        same((process.returncode, told), (128 + number, b"reprise: interrupted while a guest was booted in advance\n"),
             f"{number.name} while a guest is booted in advance")
        same((os.listdir(cache), os.path.exists("ended.rpz")), (["lock"], False), "nothing is left")
        (cache / "lock").unlink()
    unfinished = ["warm-0123.rpz.7.new", "warm-0123.rpz.7.new.7.part", "warm-0123.rpz.disk.new"]
    for name in unfinished + ["warm-of.new-guests", "kernel.new"]:
        (cache / name).write_text("")
    result = reprise("run", "-o", "sixth.rpz", "--", "echo", "sixth", env=environment)
    same((result.returncode, result.stdout), (0, b"sixth\n"), "beside what others left unfinished a guest boots")
    left = [name for name in os.listdir(cache) if "new" in name]
    same(sorted(left), ["kernel.new", "warm-of.new-guests"], "and that is removed, and nothing else")
    # As above: no recordings.
    shutil.rmtree("ended")


def test_waiting():
    """While another process boots a guest in advance, one waits, leaves its files alone, and can be ended."""
    environment = os.environ | {"XDG_CACHE_HOME": os.getcwd() + "/waiting"}
    cache = Path("waiting/reprise")
    cache.mkdir(parents=True)
    (cache / "warm-0123.rpz.7.new").write_text("")
    with open(cache / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen([TOOL, "run", "-o", "waiting.rpz", "--", "true"], stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, env=environment, preexec_fn=listen) as process:
            # proc_locks(5): who waits stands behind an arrow.
            while process.poll() is None and not re.search(rf"-> FLOCK .* {process.pid} ", Path("/proc/locks").read_text()):
                pass
            process.send_signal(signal.SIGINT)
            told = process.stderr.read()
    same((process.returncode, told), (130, b"reprise: interrupted while a guest was booted in advance\n"),
         "SIGINT while another process boots one")
    same(sorted(os.listdir(cache)), ["lock", "warm-0123.rpz.7.new"], "whose files are left alone")
    shutil.rmtree("waiting")


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
        test_waiting()
        test_warm()
        test_full()
    done()


main()
