"""Going backwards on a recorded boot, through the servers' remote protocol as gdb would use it.

Of reprise: seeking, single steps back, a search back over the whole boot, a watchpoint that is never
hit, the memory that checkpoints take. Times are those of packets, until the answer is there.
"""
import os
import random
import re
import statistics
import subprocess
import time

from rsp import Client, NoAnswer

SEED = 20_26
LIMIT_S = 600
STEPS_AT_A_PLACE = 5
WATCH_FROM = 0.1   # of the recording: before, the kernel unpacks itself over everything
WATCH_BYTES = 8
MIB = 1 << 20


def samples(quick):
    return 30 if quick else 300


def quantile(values, part):
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def summary(values):
    return {"n": len(values), "median_s": statistics.median(values), "p99_s": quantile(values, 0.99),
            "max_s": max(values)}


class Server:
    """reprise serve over a recording, at its start."""

    def __init__(self, inputs, recording, engine, *options):
        self.path = os.path.join(inputs.directory, "reverse.socket")
        self.process = subprocess.Popen(
            [inputs.reprise, "serve", recording, "--listen", self.path, "--at", "start", "--quiet",
             "--engine", engine, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.names = []

    def __enter__(self):
        self.client = Client(self.path, LIMIT_S)
        self.client.ask("qSupported:swbreak+;hwbreak+")
        return self

    def __exit__(self, *exception):
        self.client.close()
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def peak_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmHWM:\s*(\d+)", status.read())[1])

    def seek(self, place):
        begin = time.monotonic()
        text = self.client.monitor(f"seek {place}")
        seconds = time.monotonic() - begin
        found = re.match(r"icount (\d+) of (\d+)", text)
        if not found:
            raise NoAnswer(f"seek {place}: {text}")
        return seconds, int(found[1]), int(found[2])

    def register(self, name):
        number = self.register_names().index(name)
        return int.from_bytes(bytes.fromhex(self.client.ask(f"p{number:x}")), "little")

    def register_names(self):
        if not self.names:
            text, more = "", "m"
            while more == "m":
                answer = self.client.ask(f"qXfer:features:read:target.xml:{len(text):x},1000")
                more, text = answer[0], text + answer[1:]
            self.names = re.findall(r'<reg name="([^"]*)"', text)
        return self.names

    def checkpoints(self):
        """Makes one more; returns how many there are, and their MiB."""
        found = re.search(r"; (\d+) in all, (\d+) MiB", self.client.monitor("checkpoint"))
        return int(found[1]), int(found[2])


def to_end(server):
    seconds, answer = server.client.timed("c")
    if "replaylog:end" not in answer:
        raise NoAnswer(f"continue ended at {answer}")
    return seconds


def measure_seeks(server, end, count):
    """Seeks to random places; at each some steps back. Returns the times of both."""
    seeks, steps, first_steps = [], [], []
    for _ in range(count):
        place = random.randrange(1, end)
        seeks.append(server.seek(place)[0])
        for number in range(STEPS_AT_A_PLACE):
            seconds, answer = server.client.timed("bs")
            if not answer.startswith("T05"):
                raise NoAnswer(f"bs at {place}: {answer}")
            (steps if number else first_steps).append(seconds)
    return seeks, first_steps, steps


def measure_steps_after_running(server, end, count):
    """The first step back where a breakpoint was met on the way forward: at the kernel's entry for
    system calls, at the first call after a random place."""
    steps = []
    server.seek("end")
    entry = server.register("lstar")
    for _ in range(count):
        server.seek(random.randrange(end // 2, end))
        server.client.ask(f"Z1,{entry:x},1")
        answer = server.client.ask("c")
        server.client.ask(f"z1,{entry:x},1")
        if "break" in answer:
            steps.append(server.client.timed("bs")[0])
    if not steps:
        raise NoAnswer("the boot makes no system calls")
    return steps


def measure_search_back(server):
    """The recording's very first instruction has a breakpoint, found from the end."""
    server.seek("start")
    entry = server.register("rip")
    server.seek("end")
    server.client.ask(f"Z1,{entry:x},1")
    seconds, answer = server.client.timed("bc")
    server.client.ask(f"z1,{entry:x},1")
    if "break" not in answer:
        raise NoAnswer(f"bc ended at {answer}")
    return seconds


def measure_watches(server, end, plain, kind, count):
    """Runs on from early in the boot with a watchpoint (its packet's digit: 2 of writes, 4 of every access)
    in the kernel's per-CPU data each time. Returns how many times the seconds without one those runs took in
    which it was not hit."""
    begin = int(end * WATCH_FROM)
    server.seek("end")
    area = max(server.register("gs_base"), server.register("k_gs_base"))
    ratios = []
    for _ in range(count * 4):
        address = area + random.randrange(0, 0x20000, WATCH_BYTES)
        if len(ratios) == count:
            break
        server.seek("end")
        if server.client.ask(f"Z{kind},{address:x},{WATCH_BYTES:x}") != "OK":
            continue
        server.seek(begin)
        seconds, answer = server.client.timed("c")
        server.client.ask(f"z{kind},{address:x},{WATCH_BYTES:x}")
        if "replaylog:end" in answer:
            ratios.append(seconds / plain)
    return ratios


def measure(inputs, recording, engine, quick):
    """All figures of one engine. The recording is a boot's."""
    random.seed(SEED)
    begin = time.monotonic()
    subprocess.run([inputs.reprise, "replay", "--quiet", "--engine", engine, recording], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    result = {"seed": SEED, "replay_s": time.monotonic() - begin}
    with Server(inputs, recording, engine) as server:
        result["first_forward_s"] = to_end(server)
        _, _, end = server.seek("start")
        result["instructions"] = end
        result["forward_s"] = to_end(server)
        result["search_back_s"] = measure_search_back(server)
        seeks, first_steps, steps = measure_seeks(server, end, samples(quick))
        result["seek"] = summary(seeks)
        result["first_step_back"] = summary(first_steps)
        result["step_back"] = summary(first_steps + steps)
        result["step_back_after_running"] = summary(
            measure_steps_after_running(server, end, samples(quick) // 3))
        server.seek(int(end * WATCH_FROM))
        plain = result["watch_plain_s"] = to_end(server)
        for name, kind in (("watch_ratios", 2), ("access_watch_ratios", 4)):
            result[name] = measure_watches(server, end, plain, kind, 2 if quick else 8)
        result["checkpoints"], result["checkpoint_mib"] = server.checkpoints()
        result["peak_kib"] = server.peak_kib()
    result["search_back_ratio"] = result["search_back_s"] / result["replay_s"]
    return result
