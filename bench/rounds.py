"""The schedule: in each round every way runs each of its guests once; ways take turns."""
import os
import sys
import tempfile

import ways
from watch import RunFailed, watch


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def native_environment(inputs, directory):
    return dict(os.environ, BENCH_DIR=directory, LC_ALL="C",
                PATH=f"{os.path.dirname(inputs.work)}:/bin:/usr/bin")


def run_native(way, inputs, limit_s):
    """Pinned: unpinned, two processes that wake each other vary by a factor of ten."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="reprise-bench-") as directory:
        return watch(way.command(inputs, "work"), "work", limit_s,
                     cpu=max(os.sched_getaffinity(0)),
                     environment=native_environment(inputs, directory))


def run_once(way, inputs, guest, limit_s):
    if way.kind == "native":
        return run_native(way, inputs, limit_s)
    figures = watch(way.command(inputs, guest), guest, limit_s)
    figures.update(ways.log_figures(way, inputs, guest))
    return figures


def check_results(figures, expected):
    """Every way has to compute what the first one did."""
    different = sorted(name for name in expected.keys() | figures["results"].keys()
                       if expected.get(name) != figures["results"].get(name))
    if different:
        raise RunFailed("other results than the native run's: " + ", ".join(different))


def run_all(all_ways, inputs, rounds, limit_s):
    """Returns one entry a run: round, way, guest, and either its figures or an "error"."""
    runs, expected = [], None
    for number in range(1, rounds + 1):
        for way in all_ways:
            for guest in way.guests:
                entry = {"round": number, "way": way.name, "guest": guest}
                try:
                    figures = run_once(way, inputs, guest, limit_s)
                    if guest == "work":
                        expected = expected or figures["results"]
                        check_results(figures, expected)
                    entry.update(figures)
                    say(f"round {number} of {rounds}: {way.name}, {guest}: {figures['wall_s']:.1f} s")
                except RunFailed as failure:
                    entry["error"] = str(failure)
                    say(f"round {number} of {rounds}: {way.name}, {guest}: FAILED: {failure}")
                runs.append(entry)
    return runs
