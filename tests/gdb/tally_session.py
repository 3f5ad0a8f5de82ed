"""Runs inside gdb, where the failed assertion of the program tally ended it, in the process view."""

import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(__file__))
from checks import begin, check, end, execute, icount, lines_of, place, same, value

LINES = lines_of("tally.c")


def main():
    begin()
    check("SIGABRT" in execute("info program"), "it ends in SIGABRT", execute("info program")[-200:])
    check("syscall" in execute("x/i $pc - 2"), "behind the system call that raised it", execute("x/2i $pc - 2"))
    check(execute("info threads").count('"tally"') == 2, "two threads", execute("info threads"))
    execute("frame function count")
    same(place(), ("count", LINES("the assertion")), "the assertion that failed")
    same(value("counted"), 90, "what it saw")
    last = icount()
    execute(f"tbreak tally.c:{LINES('the assertion')}")
    execute("reverse-continue")
    same((place(), value("counted")), (("count", LINES("the assertion")), 90), "back to where it has just counted")
    execute("watch -l till")
    execute("reverse-continue")
    while value("till") == 90:  # the thread has put it back since it was counted
        execute("reverse-continue")
    check(icount() < last, "watch -l and reverse-continue")
    same(place(), ("borrow", LINES("the racing write")), "from the failed assert to the racing write")
    same(value("till"), 100, "which has not been made yet")
    execute("stepi")
    same(value("till"), 90, "and then has")
    execute("delete")
    execute("continue")  # gdb prints the signal on its own stdout
    same(icount(), last, "and forward to the signal")
    end()


main()
