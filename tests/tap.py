"""TAP output of the tests that are written in Python, as tests/tap.h of those in C."""

import sys

count = 0
failed = 0


def ok(good, name, *details):
    """One TAP line. Details are shown when it fails."""
    global count, failed
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if not good:
        failed += 1
        for detail in details:
            for line in str(detail).splitlines()[-40:]:
                print(f"#   {line}", flush=True)
    return good


def same(got, expected, name):
    return ok(got == expected, name, f"expected {expected!r}", f"got      {got!r}")


def note(text):
    print(f"# {text}", flush=True)


def done():
    """Ends the program: fails when a check failed or none ran."""
    print(f"1..{count}", flush=True)
    sys.exit(1 if failed or not count else 0)
