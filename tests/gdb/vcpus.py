"""Runs inside gdb on a recorded boot with two vCPUs, both of which are at work: each is a thread."""

import os
import re
import sys

import gdb

sys.path.insert(0, os.path.dirname(__file__))

# pylint: disable=wrong-import-position
from checks import begin, check, end, execute, icount, register, same, seek, value

STEPS = 8


def choose(vcpu):
    execute(f"thread {vcpu + 1}")


def here():
    return gdb.selected_thread().num - 1, register("rip"), icount()


def steps(command):
    """Which thread gdb is in, its program counter and the position, after each of some steps."""
    found = []
    for _ in range(STEPS):
        execute(command)
        found.append(here())
    return found


def there_and_back(vcpu, at):
    seek(at)
    choose(vcpu)
    pc = register("rip")
    there = steps("stepi")
    counts = [count for _, _, count in there]
    check(all(number == vcpu for number, _, _ in there) and at < counts[0] and counts == sorted(set(counts)),
          f"vCPU {vcpu} from {at}: stepi takes it along", there)
    back = steps("reverse-stepi")
    same([place[:2] for place in back], [place[:2] for place in [*reversed(there[:-1]), (vcpu, pc)]],
         f"vCPU {vcpu} from {at}: reverse-stepi takes it back")
    same([count for _, _, count in back], [count - 1 for count in reversed(counts)],
         f"vCPU {vcpu} from {at}: in front of each of its steps")
    same(steps("stepi"), there, f"vCPU {vcpu} from {at}: and there again")


def past_the_other(vcpu, at):
    """The other one has made steps since. Returns how many."""
    seek(at)
    choose(1 - vcpu)
    execute("stepi")
    behind = icount()
    choose(vcpu)
    registers = execute("info registers")
    execute("reverse-stepi")
    before = icount()
    same(gdb.selected_thread().num - 1, vcpu, f"vCPU {vcpu} from {at}: back past the other")
    execute("stepi")
    same(execute("info registers"), registers, f"vCPU {vcpu} from {at}: that step was its last")
    same(icount(), before + 1, f"vCPU {vcpu} from {at}: it was there already")
    return behind - icount()


def threads():
    text = execute("info threads")
    check(re.search(r"vCPU 0.*CPL \d", text) and re.search(r"vCPU 1.*CPL \d", text), "info threads", text)
    for vcpu in range(2):
        choose(vcpu)
        same(value("cpu_number"), vcpu, f"p cpu_number: vCPU {vcpu}'s own")


def at_the_beginning():
    """A vCPU that has made no step yet has none to undo."""
    seek(1000)
    choose(1)
    execute("reverse-stepi")  # says why on the other stream
    same(icount(), 0, "the beginning of the recording")


def main():
    begin()
    last = icount()
    threads()
    between = 0
    for part in (0.80, 0.88):
        for vcpu in range(2):
            there_and_back(vcpu, int(last * part))
            between = max(between, past_the_other(vcpu, int(last * part)))
    check(between > 1, "turns of the other lie between", between)
    at_the_beginning()
    end()


main()
