"""From runs to figures: medians over the rounds, ratios, speeds. Holds nothing that was not measured."""
import math
import os
import platform
import statistics
import subprocess
import time

import works

FORMAT_VERSION = 1
FIGURES = ("wall_s", "cpu_s", "peak_kib", "ram_kib", "log_bytes", "file_bytes", "events", "instructions")


def first_line(*command):
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return text.splitlines()[0] if text else None


def host_cpu():
    with open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def host_facts(inputs, directory):
    """What the figures depend on beside the code: the machine, how busy it is, and the versions."""
    return {
        "cpu": host_cpu(),
        "cpus": os.cpu_count(),
        "host_kernel": platform.release(),
        "load_at_start": os.getloadavg()[0],
        "reprise": first_line(inputs.reprise, "--version"),
        "commit": first_line("git", "-C", directory, "describe", "--always", "--dirty"),
        "qemu": first_line("qemu-system-x86_64", "--version"),
        "guest_kernel": os.path.basename(inputs.kernel),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def median_of(runs, key):
    values = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(values) if values else None


def summary(runs):
    """Medians of the good runs of one way with one guest."""
    phases = sorted({phase for run in runs for phase in run["phase_s"]})
    figures = {key: median_of(runs, key) for key in FIGURES}
    figures["rounds"] = len(runs)
    figures["phase_s"] = {phase: statistics.median(run["phase_s"][phase] for run in runs
                                                   if phase in run["phase_s"])
                          for phase in phases}
    return {key: value for key, value in figures.items() if value is not None}


def summaries(runs):
    """{way: {guest: figures}} for what ran to its end at least once."""
    result = {}
    good = [run for run in runs if "error" not in run]
    for way, guest in dict.fromkeys((run["way"], run["guest"]) for run in good):
        chosen = [run for run in good if run["way"] == way and run["guest"] == guest]
        result.setdefault(way, {})[guest] = summary(chosen)
    return result


def times(medians):
    """{row: {way: seconds}}: the boot twice, then each work."""
    rows = {"boot": {}, "boot to power-off": {}}
    rows.update({work.name: {} for work in works.WORKS})
    for way, guests in medians.items():
        for guest in ("boot", "work"):  # of either, by the marker
            if "boot" in guests.get(guest, {"phase_s": {}})["phase_s"]:
                rows["boot"].setdefault(way, guests[guest]["phase_s"]["boot"])
        if "boot" in guests:
            rows["boot to power-off"][way] = guests["boot"]["wall_s"]
        for phase, seconds in guests.get("work", {"phase_s": {}})["phase_s"].items():
            if phase in rows and phase != "boot":
                rows[phase][way] = seconds
    return rows


def ratios(rows, pairs):
    """{row: {way: seconds / seconds of the way it is set against}}; pairs names those, by way."""
    return {name: {way: seconds[way] / seconds[base] for way, base in pairs.items()
                   if way in seconds and seconds.get(base)}
            for name, seconds in rows.items()}


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def native_pairs(ways):
    return {way.name: "native" for way in ways if way.kind != "native"}


def qemu_pairs(ways):
    """Recording against QEMU's recording, replay against its replay."""
    return {way.name: f"qemu-{way.mode}" for way in ways
            if way.kind == "reprise" and way.mode in ("record", "replay")}


def speeds(medians, rows, amounts):
    """Millions of instructions a second: over the boot, over the whole work run, over the loop."""
    loop = amounts["integer-registers"] * works.INSTRUCTIONS_A_TURN
    result = {"loop": {way: loop / seconds / 1e6 for way, seconds in rows["integer-registers"].items()},
              "boot": {}, "work": {}}
    for way, guests in medians.items():
        # A replay executes what its recording counted.
        counted = medians.get(way.replace("-replay", "-record"), {})
        for guest, figures in guests.items():
            instructions = counted.get(guest, {}).get("instructions")
            if instructions:
                result[guest][way] = instructions / figures["wall_s"] / 1e6
    return result


def make(all_ways, runs, facts, settings, reverse=None):
    """The whole report, as it is written to JSON. reverse: by engine, of reverse.py."""
    medians = summaries(runs)
    rows = times(medians)
    return {
        "format_version": FORMAT_VERSION,
        "host": facts,
        "settings": settings,
        "ways": [{"name": way.name, "title": way.title, "kind": way.kind, "mode": way.mode}
                 for way in all_ways],
        "seconds": rows,
        "ratio_to_native": ratios(rows, native_pairs(all_ways)),
        "ratio_to_qemu": ratios(rows, qemu_pairs(all_ways)),
        "million_instructions_per_second": speeds(medians, rows, settings["sizes"]),
        "medians": medians,
        "reverse": reverse or {},
        "failures": [run for run in runs if "error" in run],
        "runs": runs,
    }
