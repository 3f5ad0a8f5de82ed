"""Runs inside gdb, at the start of the program twins in the process view."""

import os
import re
import sys

import gdb

sys.path.insert(0, os.path.dirname(__file__))

# pylint: disable=wrong-import-position
from checks import begin, check, end, execute, icount, register, same, seek, value


def libraries():
    """The dynamic linker is known before it has run, and gdb follows what it loads."""
    check("_start" in execute("info symbol $pc"), "the first instruction", execute("info symbol $pc"))
    text = execute("info sharedlibrary")
    check(re.search(r"Yes .*ld-linux", text), "the dynamic linker, with symbols", text)
    execute("tbreak main")
    execute("continue")
    text = execute("info sharedlibrary")
    check(re.search(r"Yes .*libc\.so\.6", text), "the C library once it is loaded, with symbols", text)
    check(re.search(r"\$\d+ = 0", execute("p errno")), "p errno", execute("p errno"))


def choose(number, at):
    seek(at)
    execute(f"thread {number}")
    return register("rip")


def steps_of(number, at):
    """Whatever other threads gdb has looked at in between."""
    pc = choose(number, at)
    execute("reverse-stepi")
    before = register("rip"), icount()
    choose(number, at)
    for look in ("thread apply all -q p $pc", "thread apply all -q bt", "thread apply 2 1 -q p $pc", "info threads"):
        choose(number, at)
        execute(look)
        execute("reverse-stepi")
        same((gdb.selected_thread().num, register("rip"), icount()), (number, *before),
             f"thread {number}: reverse-stepi after {look}")
        execute(look)
        execute("stepi")
        same((gdb.selected_thread().num, register("rip")), (number, pc), f"thread {number}: stepi after {look}")
        execute("set exec-direction reverse")
        execute(look)
        execute("stepi")
        same((gdb.selected_thread().num, register("rip"), icount()), (number, *before),
             f"thread {number}: stepi in reverse after {look}")
        execute("set exec-direction forward")


def threads():
    execute("break meet if number == 121")
    execute("continue")
    same(value("number"), 121, "a condition")
    at = icount()
    execute("delete")
    same(len(gdb.selected_inferior().threads()), 2, "two threads")
    for number in (1, 2):
        steps_of(number, at)


def records():
    """gdb's own recording is refused before it is in the way."""
    for command in ("record", "record full", "target record-full"):
        check("needs no record" in execute(command), f"{command}: refused")
        check("No recording is currently active" in execute("info record"), f"{command}: none is begun")


def main():
    begin()
    libraries()
    if gdb.convenience_variable("by_reprise"):
        records()
    threads()
    end()


main()
