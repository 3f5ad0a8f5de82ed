#!/usr/bin/env python3
"""Prints "PASSED FAILED": the checks in a meson testlog.json, one JSON object a line.

A TAP program counts its lines; one that failed without a line that says so (a crash, a timeout, a
plan that does not fit) counts as one failure more. Skipped checks count as neither.
"""

import json
import re
import sys

GOOD = {"OK", "EXPECTEDFAIL"}


def count(test):
    lines = (test.get("stdout") or "").splitlines()
    checks = [line for line in lines if re.match(r"(not )?ok\b", line) and "# SKIP" not in line]
    failed = sum(line.startswith("not ") for line in checks)
    passed = len(checks) - failed
    if test["result"] == "SKIP":
        return passed, failed
    if test["result"] not in GOOD:
        return passed, max(failed, 1)
    return passed or 1, failed


def main():
    passed = failed = 0
    with open(sys.argv[1], encoding="utf-8") as log:
        for line in log:
            good, bad = count(json.loads(line))
            passed += good
            failed += bad
    print(passed, failed)


main()
