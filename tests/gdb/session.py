"""Runs inside gdb, connected to a recorded Debian boot: every line it prints with "check" is a check."""

import os
import re
import signal
import threading

import gdb

from checks import begin, check, end, execute, has_registers, icount, refused, register, seek

STEPS = 100


def steps(command):
    found = []
    for _ in range(STEPS):
        execute(command)
        found.append(register("rip"))
    return found


def breakpoints(location):
    """Hits in both directions, steps in both directions, both ends."""
    seek("start")
    point = gdb.Breakpoint(location)
    hits = []
    for _ in range(3):
        execute("continue")
        address = register("rip") if not hits else address
        check(register("rip") == address, "continue stops at the breakpoint")
        hits.append(icount())
    check(hits == sorted(set(hits)), "each later than the one before", hits)
    here = register("rip")
    forward = steps("stepi")
    check(icount() == hits[-1] + STEPS, f"{STEPS} stepi are {STEPS} steps")
    backward = steps("reverse-stepi")
    check(backward == forward[-2::-1] + [here], f"{STEPS} reverse-stepi give the same PCs back",
          forward, backward)
    for hit in hits[1::-1]:
        execute("reverse-continue")
        check((icount(), register("rip")) == (hit, address), "reverse-continue to the hit before",
              icount(), hit)
    execute("reverse-continue") # the message is on gdb's stdout
    check(icount() == 0, "and to the start")
    execute("continue")
    check(icount() == hits[0], "and again forward")
    point.delete()
    text = execute("monitor when")
    check(re.search(r"in the kernel for [^,]+, process \d+, thread \d+", text), "monitor when: the process", text)
    return hits


def conditions(address, hits):
    seek(hits[2])
    wanted = register("rax")
    seek("start")
    point = gdb.Breakpoint(f"*{address:#x}")
    point.condition = f"$rax == {wanted} && *(unsigned long *)$rsp != 1"
    execute("continue")
    first = icount()
    check(register("rax") == wanted and first <= hits[2], "a condition, forward", first, hits)
    execute("continue")
    second = icount()
    check(register("rax") == wanted and second > first, "its next hit")
    execute("reverse-continue")
    check(icount() == first, "backwards to the one before", icount(), first)
    point.delete()


def watchpoints(hits):
    """What wrote the top of the kernel's stack, some steps into a system call?"""
    here = hits[2] + STEPS
    seek(here)
    address = register("rsp")
    value = int(gdb.parse_and_eval(f"*(unsigned long *){address:#x}"))
    point = gdb.Breakpoint(f"*(unsigned long *){address:#x}", gdb.BP_WATCHPOINT,
                           gdb.WP_WRITE)
    execute("reverse-continue")
    before = icount()
    check(before < here, "a watchpoint stops on the way back", before)
    point.delete()
    execute("stepi")
    check(int(gdb.parse_and_eval(f"*(unsigned long *){address:#x}")) == value,
          "before the step that wrote the value")
    seek(here)
    text = execute(f"monitor last-write {address:#x} 8")
    last = int(re.search(r"icount (\d+)", text)[1])
    check(before <= last < here, "last-write finds that step or a later one of the same value",
          text)
    check(icount() == here, "and moves nothing")


def interrupt(command):
    """^C, once the command runs."""
    stops = []
    gdb.events.stop.connect(stops.append)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        execute(command)
    except KeyboardInterrupt:
        pass
    gdb.events.stop.disconnect(stops.append)
    names = [getattr(event, "stop_signal", None) for event in stops]
    check(names == ["SIGINT"], f"^C stops {command}", names)


def interrupts():
    seek("start")
    interrupt("continue")
    middle = icount()
    check(0 < middle, "somewhere on the way", middle)
    seek("end")
    last = icount()
    interrupt("reverse-continue")
    check(0 < icount() <= last, "somewhere on the way back", icount())


def views():
    check("vCPU 0" in execute("info threads"), "vCPUs are threads")
    has_registers("st0", "mxcsr", "fs_base", "gs_base", "cr0", "cr2", "cr3", "cr4", "efer", "eflags", "xmm0")
    check(register("cr0") >> 31 & 1 and register("cr4") >> 5 & 1, "paging, with PAE", execute("info registers cr0 cr4"))
    check("=>" in execute("x/20i $rip"), "x/20i $rip")
    refused("set var $rax = 1", "recording")
    refused("set var *(char *)$rsp = 1", "Cannot access memory")
    text = execute("monitor console")
    check("Linux version" in text, "monitor console", text[:200])
    check("is here" in execute("monitor events"), "monitor events")


def main():
    begin()
    seek("end")
    address = register("lstar")
    check(address >> 63, "the kernel's system call entry", hex(address))
    hits = breakpoints(f"*{address:#x}")
    seek(hits[0])
    check(register("rip") == address, "breakpoints are met where they are")
    conditions(address, hits)
    watchpoints(hits)
    views()
    interrupts()
    end()


if __name__ == "__main__":
    main()
