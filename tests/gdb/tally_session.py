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
    return after


def preemption(first, last):
    """The first instruction of the main thread before which the other thread has run for a while: its place before
    the interrupt and behind the step."""
    places = []
    for at in interrupts(first, last):
        seek(at)
        who = re.search(r"^in tally, process (\d+), thread (\d+)", execute("monitor when"), re.M)
        places.append((at, who and who[1] == who[2], who and who[1] != who[2]))
    for (at, main_runs, _), (later, _, other_runs) in zip(places, places[1:]):
        if main_runs and other_runs:
            seek(at)
            execute("stepi")
            if icount() > later:
                return at, icount()
    return None


def over_preemption(at, behind):
    """Lines and instructions of the thread that was preempted, forwards and backwards."""
    seek(at)
    execute("tbreak tally.c:%d" % LINES("count();"))
    execute("reverse-continue")
    same(place(), ("main", LINES("count();")), "before the preemption")
    lines = [place()]
    while icount() < behind:
        execute("next")
        lines.append(place())
    rounds = [LINES("count();"), LINES("rounds++")] * 2
    same([line for _, line in lines], rounds[:len(lines)], "next over a preemption")
    back = []
    for _ in lines[1:]:
        execute("reverse-next")
        back.append(place())
    check(icount() < at, "back before it", icount(), at)
    same(back, lines[-2::-1], "reverse-next over it")
    seek(at)
    execute("stepi")
    steps("reverse-stepi", 6)
    here, first = register("rip"), icount()
    forward = steps("stepi", 12)
    check(first + 5 <= at and icount() > behind, "stepi over a preemption", first, at, behind, icount())
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
    found = preemption(over_interrupts(), last)
    if check(found, "the other thread has run where this one was interrupted"):
        over_preemption(*found)
    end()


main()
