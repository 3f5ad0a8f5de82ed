"""Runs one command with its console watched: times of markers, results of the work, memory, CPU time."""
import os
import re
import subprocess
import tempfile
import threading
import time

MARKER = re.compile(rb"BENCH (\S+) (begin|end)\s*$")
RESULT = re.compile(rb"RESULT (\S+) ([^\r\n]*)")
KEPT_LINES = 20
GUEST_RAM_KIB = 512 << 10


class RunFailed(Exception):
    """The command failed, took too long or did not reach its end; says which."""


def watch_at_once():
    """Makes this process run as soon as a line arrives, on a busy host too, so that the times are
    those of the lines. What it starts is not touched. Returns whether the host allows it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        return False
    return True


def guest_ram_kib(pid):
    """Resident part of the mapping whose size is nearest to the guest's RAM, in KiB; 0 when the
    process is gone. The largest would not do: QEMU's code cache is larger."""
    nearest, resident, size = None, 0, 0
    try:
        with open(f"/proc/{pid}/smaps") as smaps:
            for line in smaps:
                if line.startswith("Size:"):
                    size = int(line.split()[1])
                elif line.startswith("Rss:"):
                    distance = abs(size - GUEST_RAM_KIB)
                    if nearest is None or distance < nearest:
                        nearest, resident = distance, int(line.split()[1])
    except OSError:
        return 0
    return resident


def read_console(process, last_marker):
    """Reads to the end. Returns {(phase, edge): host time}, results, guest RAM and the last lines."""
    marks, results, tail, ram = {}, {}, [], 0
    for line in process.stdout:
        now = time.monotonic()
        tail = (tail + [line])[-KEPT_LINES:]
        found = MARKER.search(line)
        if found:
            mark = (found.group(1).decode(), found.group(2).decode())
            marks[mark] = now
            if mark == (last_marker, "end"):
                ram = guest_ram_kib(process.pid)
        found = RESULT.search(line)
        if found:
            results[found.group(1).decode()] = found.group(2).decode().strip(" -")
    return marks, results, ram, b"".join(tail).decode(errors="replace")


def phases_of(marks, begin):
    """Seconds of each phase; that of the boot is the time from the start of the command."""
    seconds = {phase: at - marks[phase, "begin"] for (phase, edge), at in marks.items()
               if edge == "end" and (phase, "begin") in marks}
    if ("boot", "end") in marks:
        seconds["boot"] = marks["boot", "end"] - begin
    return seconds


def watch(command, last_marker, limit_s, cpu=None, environment=None):
    """Runs the command, on one host CPU if cpu is given. Returns its figures or raises RunFailed."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment,
            preexec_fn=None if cpu is None else lambda: os.sched_setaffinity(0, {cpu}))
        timer = threading.Timer(limit_s, process.kill)
        timer.start()
        marks, results, ram, tail = read_console(process, last_marker)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        timer.cancel()
        errors.seek(0)
        message = errors.read().decode(errors="replace").strip() or tail
    if wall >= limit_s:
        raise RunFailed(f"stopped after {limit_s} s; last: {message[-300:]}")
    if process.returncode:
        raise RunFailed(f"exit status {process.returncode}: {message[-300:]}")
    if (last_marker, "end") not in marks:
        raise RunFailed(f"ended before its work was done: {message[-300:]}")
    return {
        "wall_s": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_kib": usage.ru_maxrss,
        "ram_kib": ram,
        "phase_s": phases_of(marks, begin),
        "results": results,
    }
