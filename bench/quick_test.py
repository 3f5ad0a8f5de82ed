#!/usr/bin/env python3
"""The bench's quick mode, whole: every way runs every work, and the page shows it. Asserts nothing about how long
things take. Usage: quick_test.py BUILD"""
import json
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "tests"))

from tap import done, note, ok  # pylint: disable=wrong-import-position

WAYS = {"native", "qemu", "qemu-record", "qemu-replay", "reprise-auto-record", "reprise-auto-replay",
        "reprise-jit-record", "reprise-jit-replay"}


def check_figures(result, status):
    """QEMU's record and replay stand still at times: the bench then has to say so, and goes on."""
    broken = {failure["way"] for failure in result["failures"]}
    ok(all(way.startswith("qemu-re") for way in broken), "no run failed", result["failures"])
    ok(status == (1 if broken else 0), "exit status", status, broken)
    names = {way["name"] for way in result["ways"]}
    ok(WAYS <= names, "every way is there", WAYS - names)
    works = list(result["settings"]["sizes"])
    for work in ("boot", *works):
        wanted = WAYS - broken - ({"native"} if work == "boot" else set())
        missing = wanted - {way for way, seconds in result["seconds"].get(work, {}).items() if seconds > 0}
        ok(not missing, f"{work}: measured every way", missing)
    backwards = result["reverse"].get("auto", {"error": "nothing about auto"})
    ok("error" not in backwards, "going backwards", backwards)
    note(f"took {result['settings']['took_s']:.0f} s")
    return len(works)


def main():
    with tempfile.TemporaryDirectory() as folder:
        page, figures = os.path.join(folder, "page.md"), os.path.join(folder, "figures.json")
        run = subprocess.run([os.path.join(TOP, "bench/run"), "--quick", "--build", sys.argv[1], "--table", page,
                              "--json", figures], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             check=False)
        made = os.path.exists(figures)
        ok(made, "bench/run --quick", run.returncode, run.stdout[-2000:], run.stderr[-2000:])
        if made:
            with open(figures, encoding="utf-8") as file:
                works = check_figures(json.load(file), run.returncode)
            with open(page, encoding="utf-8") as file:
                rows = file.read().split("## Seconds", 1)[-1].split("##", 1)[0].count("\n| ") - 1
            ok(rows == works + 2, "the page has a row for each, and two for the boot", rows, works)
    done()


if __name__ == "__main__":
    main()
