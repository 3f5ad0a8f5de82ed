"""What scripts that run inside gdb share: every line that begins with "check" is a check."""

import re

import gdb


def execute(command):
    return gdb.execute(command, to_string=True)


def check(good, name, *details):
    print(f"check {'ok' if good else 'not ok'} - {name}", flush=True)
    if not good:
        for detail in details:
            print(f"# {detail!r}", flush=True)


def register(name):
    return int(gdb.parse_and_eval("$" + name)) & (1 << 64) - 1


def icount():
    return int(re.match(r"icount (\d+)", execute("monitor when"))[1])


def seek(place):
    execute(f"monitor seek {place}")
    execute("maintenance flush register-cache")
    execute("maintenance flush dcache") # the stack
