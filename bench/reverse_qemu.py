"""Going backwards with QEMU's reverse debugging on the same boot: recorded with a snapshot at its
start, replayed under its gdb server. It hangs now and then; what gives no answer in time is counted.
"""
import os
import subprocess
import time

import ways
from reverse import summary
from rsp import Client, NoAnswer

STEP_LIMIT_S = 60
SEARCH_LIMIT_S = 300
# Instruction counts at which steps back are made: it has to run there from its snapshot each time.
PLACES = (10_000_000, 100_000_000, 500_000_000, 1_000_000_000)
STEPS_AT_A_PLACE = 5
QEMU_X86_RIP = 16


def base_command(inputs, mode):
    """The rounds' command with a disk for the snapshot, and a recording of its own."""
    log = os.path.join(inputs.directory, "qemu-reverse.recording")
    disk = os.path.join(inputs.directory, "qemu-reverse.qcow2")
    return [ways.QEMU, "-machine", ways.QEMU_MACHINES[inputs.qemu_machine], *ways.QEMU_OPTIONS,
            "-drive", f"file={disk},if=none,id=snapshots,format=qcow2",
            "-icount", f"shift=auto,rr={mode},rrfile={log},rrsnapshot=begin",
            "-kernel", inputs.kernel, "-initrd", inputs.images["boot"],
            "-append", "console=ttyS0 " + ways.COMMAND_LINE[inputs.quick]]


def record(inputs, limit_s):
    disk = os.path.join(inputs.directory, "qemu-reverse.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "2G"], check=True)
    subprocess.run(base_command(inputs, "record"), check=True, timeout=limit_s,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Replay:
    """QEMU stopped at the start of its recording, with a client of its gdb server."""

    def __init__(self, inputs, limit_s):
        path = os.path.join(inputs.directory, "qemu-reverse.socket")
        if os.path.exists(path):
            os.unlink(path)
        self.process = subprocess.Popen(
            base_command(inputs, "replay") + ["-S", "-gdb", f"unix:{path},server=on,wait=off"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.client = Client(path, limit_s)
            self.client.ask("qSupported:swbreak+;hwbreak+")
            self.client.ask("?")
        except NoAnswer:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.process.kill()
        self.process.wait()

    def run_to(self, place):
        self.client.monitor(f"replay_break {place}")
        return self.client.timed("c", 300)[0]


def measure_steps(inputs):
    """Times of steps back by place, and how many hung; each hang needs a new process."""
    by_place, hangs, tries = {}, 0, 0
    for place in PLACES:
        times = []
        try:
            with Replay(inputs, 60) as replay:
                replay.run_to(place)
                for _ in range(STEPS_AT_A_PLACE):
                    tries += 1
                    times.append(replay.client.timed("bs", STEP_LIMIT_S)[0])
        except NoAnswer:
            hangs += 1
        by_place[place] = times
    return by_place, hangs, tries


def measure_search_back(inputs):
    """Seconds of a reverse-continue to a breakpoint on the first instruction, or None: no answer."""
    place = PLACES[-1]
    try:
        with Replay(inputs, 60) as replay:
            entry = int.from_bytes(bytes.fromhex(replay.client.ask(f"p{QEMU_X86_RIP:x}")), "little")
            replay.run_to(place)
            replay.client.ask(f"Z1,{entry:x},1")
            return replay.client.timed("bc", SEARCH_LIMIT_S)[0]
    except NoAnswer:
        return None


def measure(inputs):
    begin = time.monotonic()
    record(inputs, 600)
    result = {"record_s": time.monotonic() - begin}
    by_place, hangs, tries = measure_steps(inputs)
    result["steps_by_place"] = {str(place): summary(times) for place, times in by_place.items() if times}
    result["step_hangs"], result["step_tries"] = hangs, tries
    result["search_from"] = PLACES[-1]
    result["search_back_s"] = measure_search_back(inputs)
    result["search_limit_s"] = SEARCH_LIMIT_S
    return result
