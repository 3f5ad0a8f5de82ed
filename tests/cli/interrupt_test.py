"""Recordings that end early: by signals, by Ctrl-A x, by kill -9, by a full disk."""

import json
import os
import pty
import resource
import select
import signal
import subprocess
import termios
import time

from harness import TOOL, Directory, communicate, done, ok, reprise, same
from signals import listen
from tiny_guest import tiny_guest

START = b"The guest runs.\r\n"
RECORD = ["record", "--kernel", "K", "--mem", "16M", "-o"]


def wait_for(fd, text, timeout=60):
    """Reads until the text has come; returns all that was read."""
    seen = b""
    end = time.monotonic() + timeout
    while text not in seen and time.monotonic() < end:
        if select.select([fd], [], [], 1)[0]:
            piece = os.read(fd, 65536)
            if not piece:
                break
            seen += piece
    return seen


def start(name, preexec_fn=listen, **options):
    return subprocess.Popen([TOOL, *RECORD, name], stdin=subprocess.DEVNULL, preexec_fn=preexec_fn,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def finish(process, seen, number):
    """Sends the signal once the guest has printed some dots; returns status, console, stderr."""
    seen += wait_for(process.stdout.fileno(), b".....")
    process.send_signal(number)
    out, err = communicate(process, 60)
    return process.returncode, seen + out, err


def test_signal(number):
    name = f"{signal.Signals(number).name}.rpz"
    process = start(name)
    status, console, err = finish(process, wait_for(process.stdout.fileno(), START), number)
    same(status, 0, f"{name}: ends in good order")
    ok(b"interrupted after" in err, f"{name}: says so", err)
    replay = reprise("replay", name)
    ok(replay.returncode == 0 and replay.stdout == console, f"{name}: replays whole",
       replay.returncode, replay.stderr, console[-100:], replay.stdout[-100:])
    info = json.loads(reprise("info", "--json", name).stdout)
    same((info["complete"], info["end_reason"]), (True, "interrupted"), f"{name}: info")


def test_kill():
    process = start("killed.rpz")
    seen = wait_for(process.stdout.fileno(), START)
    # Chunks are cut every second or so: live through a few.
    end = time.monotonic() + 4
    while time.monotonic() < end:
        seen += os.read(process.stdout.fileno(), 65536)
    status, console, _ = finish(process, seen, signal.SIGKILL)
    same(status, -9, "kill -9")
    replay = reprise("replay", "--json", "killed.rpz")
    outcome = json.loads(replay.stderr.splitlines()[-1])
    ok(replay.returncode in (0, 4), "kill -9: replays to where it ends", replay.stderr)
    ok(console.startswith(replay.stdout) and replay.stdout.startswith(START),
       "kill -9: the console as far as the file goes", console[-100:], replay.stdout[-100:])
    ok(not outcome["complete"] and outcome["icount"] > 0 and outcome["digests_checked"] > 0,
       "kill -9: told as cut off", outcome)
    plain = reprise("replay", "killed.rpz").stderr
    ok(b"cut off" in plain or b"byte" in plain, "kill -9: told in words", plain)
    ok(reprise("info", "killed.rpz").returncode == 0, "kill -9: info")


def test_full_disk():
    """A file size limit stands for the full disk: write() fails in the same way. It is one for the memory
    that jit shares with itself too, without which auto goes on. Its signal ends nothing."""
    limited = "files are limited to 8.19 kB by ulimit -f"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    process = start("full.rpz", preexec_fn=limit, env=os.environ | {"REPRISE_ENGINE": "auto"})
    out, err = communicate(process, 120)
    same((process.returncode, err.decode().splitlines()[-1:]),
         (125, [f"reprise: full.rpz: File too large ({limited}; what was written until then replays)"]),
         "full disk: exit status and message")
    replay = reprise("replay", "full.rpz")
    ok(replay.returncode in (0, 4) and out.startswith(replay.stdout),
       "full disk: what was written replays", replay)
    process = start("none.rpz", preexec_fn=limit, env=os.environ | {"REPRISE_ENGINE": "jit"})
    _, err = communicate(process, 120)
    same((process.returncode, err.decode()), (125, f"reprise: engine jit cannot start: File too large ({limited})\n"),
         "an engine that cannot start says why")
    replay = reprise("replay", "--engine", "jit", "SIGINT.rpz", preexec_fn=limit)
    same((replay.returncode, replay.stderr.decode()),
         (125, f"reprise: SIGINT.rpz: engine jit cannot start: File too large ({limited})\n"), "in a replay too")
    same([name for name in os.listdir() if name.startswith("none.rpz")], [], "and leaves no file")


def test_terminal(keys, name):
    """On a terminal: raw while it runs, as it was afterwards."""
    main, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    process = subprocess.Popen([TOOL, *RECORD, f"{name}.rpz"], stdin=terminal, stdout=terminal,
                               stderr=subprocess.PIPE, start_new_session=True,
                               preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)))
    wait_for(main, START.rstrip())
    raw = termios.tcgetattr(terminal)
    ok(not raw[3] & (termios.ICANON | termios.ECHO | termios.ISIG), f"{name}: raw mode")
    if keys:
        os.write(main, keys)
    else:
        process.terminate()
    # The terminal's output has to be read, or the guest stands still.
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        if select.select([main], [], [], 0.1)[0]:
            os.read(main, 65536)
    same(process.poll(), 0, f"{name}: ends in good order")
    same(termios.tcgetattr(terminal), before, f"{name}: the terminal is as before")
    process.kill()
    process.wait()
    process.stderr.close()
    os.close(main)
    os.close(terminal)


def test_reader_gone():
    """`reprise record | head`: the guest would go on for nobody."""
    process = start("pipe.rpz")
    wait_for(process.stdout.fileno(), START)
    process.stdout.close()
    _, err = communicate(process, 60)
    ok(process.returncode == 0 and b"interrupted after" in err, "the console's reader has gone",
       process.returncode, err)


def test_replay_interrupted():
    process = start("long.rpz")
    seen = wait_for(process.stdout.fileno(), START)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        seen += os.read(process.stdout.fileno(), 65536)
    finish(process, seen, signal.SIGINT)
    replay = subprocess.Popen([TOOL, "replay", "long.rpz"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    wait_for(replay.stdout.fileno(), START)
    replay.send_signal(signal.SIGINT)
    _, err = communicate(replay, 60)
    ok(replay.returncode == 130 and b"interrupted after" in err, "SIGINT during replay",
       replay.returncode, err)


def main():
    with Directory() as directory:
        os.chdir(directory)
        open("K", "wb").write(tiny_guest(START, endless=True))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            test_signal(number)
        test_kill()
        test_full_disk()
        test_reader_gone()
        test_terminal(b"\x01x", "Ctrl-A x")
        test_terminal(b"\x03\x01a\x01x", "Ctrl-C goes to the guest")
        test_terminal(None, "SIGTERM on a terminal")
        test_replay_interrupted()
    done()


main()
