"""Runs inside gdb, where the failed assertion of the program tally ended it, in the process view."""

import os
import re
import sys

import gdb

sys.path.insert(0, os.path.dirname(__file__))
from checks import begin, check, end, execute, icount, lines_of, place, register, same, seek, steps, value

LINES = lines_of("tally.c")


def interrupts(first, last):
    """The places in between at which the log has an interrupt."""
    here, found = first, []
    while here < last:
        seek(here)
        events = re.findall(r"^(\d+)  (interrupt)?", execute("monitor events"), re.M)
        found += [int(at) for at, kind in events if kind and here < int(at) < last]
        here = max([int(at) for at, _ in events if int(at) > here], default=last)
    return sorted(set(found))


def over_interrupts():
    """A call that is long enough for timer interrupts is one line all the same."""
    seek("start")
    execute("tbreak main")
    execute("continue")
    before = icount()
    execute("next")
    same(place(), ("main", LINES("pthread_create(")), "next over a long call")
    after = icount()
    execute("reverse-next")
    same((place(), icount()), (("main", LINES("wait_a_little(4000000)")), before), "reverse-next over it")
    check(interrupts(before, after), "interrupts lie in between", before, after)


def over_preemption():
    """A thread that waits in user mode for the other one: lines and instructions, forwards and backwards."""
    lines = [("main", LINES(text)) for text in ("be_preempted();", "both have run")]
    execute(f"tbreak tally.c:{lines[0][1]}")
    execute("continue")
    same(place(), lines[0], "before a call in which a preemption is sure")
    before, main_thread = icount(), gdb.selected_thread().ptid
    execute("next")
    same((place(), gdb.selected_thread().ptid), (lines[1], main_thread), "next over it")
    behind = icount()
    execute("reverse-next")
    same((place(), icount()), (lines[0], before), "reverse-next over it")
    execute("next")
    same(icount(), behind, "and next again")
    execute("watch turns")
    execute("reverse-continue")
    check(gdb.selected_thread().ptid != main_thread and before < icount() < behind, "meanwhile the other has run",
          before, icount(), behind)
    turn = icount()
    execute("delete")
    execute(f"tbreak tally.c:{lines[1][1]}")
    execute("continue")
    same((icount(), gdb.selected_thread().ptid), (behind, main_thread), "back in the thread")
    across(turn)


def across(turn):
    """Not far back, at one step, the count goes over the other thread's turn."""
    for _ in range(20):
        execute("reverse-stepi")
        if icount() < turn:
            break
    at = icount()
    steps("reverse-stepi", 6)
    here, first = register("rip"), icount()
    check(first < at < turn, "reverse-stepi to before the other's turn", first, at, turn)
    forward = steps("stepi", 12)
    check(icount() > turn, "stepi over it", icount(), turn)
    same(steps("reverse-stepi", 12), forward[-2::-1] + [here], "reverse-stepi, the same way back")
    same(icount(), first, "to where it began")


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
    over_interrupts()
    over_preemption()
    end()


main()
