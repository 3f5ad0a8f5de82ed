"""How long each program of the corpus takes to fail: repeated on the host, hunted, hunted with chaos.

Usage: measure.py [-n REPETITIONS] [-t HOST,HUNT,CHAOS] [-o JSON] [--only NAME,…] [--ways host,hunt,chaos] REPRISE

Prints the rows of the table in docs/hunt.md. -t: seconds, each way's; a repetition that finds nothing within
them counts as that long; the medians are over all repetitions. It takes hours and wants the whole machine: what
the JSON file has already, with as many repetitions of as many seconds, is taken from there, so that it may be
ended and run again.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from corpus import CASES, GUEST_TIMEOUT, HOST_TIMEOUT

WAYS = ("host", "hunt", "chaos")


def on_host(case, command, folder, limit):
    """Plain repetition, one run after the other."""
    begin = time.monotonic()
    runs = 0
    while time.monotonic() - begin < limit:
        runs += 1
        with open(case.input_path(folder), "rb") as stdin:
            try:
                result = subprocess.run(command, stdin=stdin, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, cwd=folder, timeout=HOST_TIMEOUT,
                                        check=False)
                failed = result.returncode != 0
            except subprocess.TimeoutExpired:
                failed = True
        if failed:
            return True, runs, time.monotonic() - begin
    return False, runs, time.monotonic() - begin


def hunted(tool, case, command, folder, limit, options):
    summary = Path(folder) / "summary.json"
    recording = Path(folder) / "found.rpz"
    with open(case.input_path(folder), "rb") as stdin:
        result = subprocess.run([tool, "hunt", "-q", "--time", str(limit), "--timeout",
                                 str(GUEST_TIMEOUT), "--json", summary, "-o", recording, *options, "--",
                                 *command], stdin=stdin, capture_output=True, cwd=folder, check=False)
    if result.returncode not in (0, 1):
        raise RuntimeError(f"{case.name}: {result.returncode}: {result.stderr.decode()}")
    told = json.loads(summary.read_text())
    recording.unlink(missing_ok=True)
    for failure in told["failures"]:
        if failure["kind"] not in case.ends:
            raise RuntimeError(f"{case.name}: failed in another way: {failure}")
    return result.returncode == 1, told["runs"], told["ms"] / 1000


def boot_guests(tool):
    """All that hunts start from is in the cache before anything is measured."""
    for seed in range(0, 64, 16):
        subprocess.run([tool, "hunt", "-q", "--seed", str(seed), "--runs", "1", "--", "true"],
                       stdin=subprocess.DEVNULL, check=True)


def measure(tool, case, folder, way, repetitions, limit):
    command = case.build(folder)
    found, runs, seconds = [], [], []
    for _ in range(repetitions):
        if way == "host":
            result = on_host(case, command, folder, limit)
        else:
            result = hunted(tool, case, command, folder, limit,
                            ["--chaos"] if way == "chaos" else [])
        found.append(result[0])
        runs.append(result[1])
        seconds.append(result[2])
    return {"found": sum(found), "repetitions": repetitions, "limit": limit, "runs": statistics.median(runs),
            "seconds": statistics.median(seconds)}


def is_measured(result, repetitions, limit):
    return result and (result["repetitions"], result.get("limit")) == (repetitions, limit)


def cell(result):
    if not result:
        return "–"
    if not result["found"]:
        return f"never (0 of {result['repetitions']}; {result['runs']:.0f} runs each)"
    share = "" if result["found"] == result["repetitions"] else \
        f" ({result['found']} of {result['repetitions']})"
    return f"{result['runs']:.0f} runs, {result['seconds']:.1f} s{share}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("-n", type=int, default=20)
    parser.add_argument("-t", default="3,12,60")
    parser.add_argument("-o", default="flaky.json")
    parser.add_argument("--only", default="")
    parser.add_argument("--ways", default=",".join(WAYS))
    options = parser.parse_args()
    limits = dict(zip(WAYS, map(int, options.t.split(",")), strict=True))
    tool = os.path.abspath(options.tool)
    os.environ.setdefault("XDG_CACHE_HOME", str(Path(tool).parents[1] / "cache"))
    boot_guests(tool)
    output = Path(options.o)
    results = json.loads(output.read_text()) if output.exists() else {}
    for case in CASES:
        if options.only and case.name not in options.only.split(","):
            continue
        ways = results.setdefault(case.name, {})
        for way in options.ways.split(","):
            if is_measured(ways.get(way), options.n, limits[way]):
                continue
            with tempfile.TemporaryDirectory(prefix="reprise-flaky-") as folder:
                ways[way] = measure(tool, case, folder, way, options.n, limits[way])
            output.write_text(json.dumps(results, indent=1))
        row = [case.kind, f"`{case.source.name}`"]
        row += [cell(ways.get(way)) for way in WAYS]
        print("| " + " | ".join(row) + " |", flush=True)


main()
