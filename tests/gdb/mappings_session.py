"""Runs inside gdb, at the end of the program mappings in the process view."""

import os
import re
import sys

import gdb

sys.path.insert(0, os.path.dirname(__file__))
from checks import check, execute, icount, lines_of, place, seek, value

LINES = lines_of("mappings.c")


def named(text):
    """In main() or below, at the line with this text."""
    return any(frame_line == LINES(text) for frame_line in frame_lines())


def frame_lines():
    frame = gdb.newest_frame()
    while frame:
        if frame.find_sal().symtab:
            yield frame.find_sal().line
        frame = frame.older()


def last_write(address, n, said, name):
    """monitor last-write tells the place where a watchpoint has stopped, at an instruction of a program."""
    here = icount()
    seek("end")
    text = execute(f"monitor last-write {address:#x} {n}")
    check(f"icount {here} of" in text and "CPL 3" in text and said in text, f"last-write: {name}", here, text)
    seek(here)


def by_others():
    seek("end")
    address = int(gdb.parse_and_eval("(long)shared"))
    execute(f"watch *(int *){address:#x}")
    text = execute("reverse-continue")
    check("written from outside: by process" in text, "a write by another process is told", text)
    check(int(gdb.parse_and_eval(f"*(int *){address:#x}")) == 1, "before the other process's write",
          text)
    check("process" in execute("monitor when"), "who it was", execute("monitor when"))
    print(f"# its child is process {re.search('by process ([0-9]+)', text)[1]}", flush=True)
    last_write(address, 4, "written from outside: by process", "by another process")
    execute("reverse-continue")
    check(named("the parent's write"), "and before that its own", list(frame_lines()))
    execute("delete")


def by_the_kernel():
    seek("end")
    execute("watch received")
    execute("reverse-continue")
    check(named("the kernel's write") and "syscall" in execute("x/i $pc"), "by a system call",
          list(frame_lines()), execute("x/i $pc"))
    last_write(value("(long)received"), 7, "in mappings", "by a system call")
    execute("delete")


def by_the_disk():
    """The device writes while the process waits, and the vCPU is at something else."""
    seek("end")
    execute("watch *(int *)(sector + 1000)")
    text = execute("reverse-continue")
    check(named("the disk's write") and "syscall" in execute("x/i $pc") and "outside" not in text,
          "by a device, at the system call", list(frame_lines()), execute("x/i $pc"), text)
    check("'m'" in execute("x/s sector + 1000"), "before it", execute("x/s sector + 1000"))
    last_write(value("(long)sector") + 1000, 4, "in mappings", "by a device")
    call = icount()
    execute("continue")
    check("pread" in place()[0] and icount() > call and "'d'" in execute("x/s sector + 1000"),
          "forward it stops behind the system call", place(), execute("x/s sector + 1000"))
    execute("reverse-continue")
    check(icount() == call, "and back at it", icount(), call)
    execute("delete")


def through_another_mapping():
    seek("end")
    address = value("(long)file")
    execute(f"watch *(int *){address:#x}")
    text = execute("reverse-continue")
    check("written from outside: by process" in text and value(f"*(int *){address:#x}") == 11,
          "through another process's mapping at another address", text)
    execute("reverse-continue")
    check(place() == ("main", LINES("the write through the other mapping")) and
          value(f"*(int *){address:#x}") == 10, "through another mapping of its own", place())
    here = icount()
    execute("reverse-continue")
    check(place() == ("main", LINES("the write *")), "and the write before that", place())
    seek(here)
    text = execute(f"monitor last-write {address:#x} 4")
    check(f"icount {icount()} of" not in text and "in mappings" in text, "last-write there", text)
    execute("delete")


def by_copy():
    seek("end")
    execute("watch copied")
    execute("reverse-continue")
    check(place() == ("main", LINES("the copy on write")) and
          int(gdb.parse_and_eval("copied")) == 1, "the write that copied the page", place(),
          execute("p copied"))
    last_write(value("(long)&copied"), 4, "in mappings", "by a copy on write")
    execute("reverse-continue")
    check(int(gdb.parse_and_eval("copied")) == 1 and named_start(), "what another process writes to "
          "its copy does not count", place())
    execute("delete")


def named_start():
    return "in mappings" in execute("monitor when")


def by_remapping():
    seek("end")
    address = int(gdb.parse_and_eval("(long)page"))
    execute(f"watch *(char (*)[4]){address:#x}")
    execute("reverse-continue")
    check(named("something else there") and "syscall" in execute("x/i $pc") and "old" in execute(f"x/s {address:#x}"),
          "another page in its place", list(frame_lines()), execute(f"x/s {address:#x}"))
    last_write(address, 4, "in mappings", "by another mapping in its place")
    execute("delete")


def breakpoints_of_others():
    """What a child of it executes at the same addresses is nothing to this process."""
    execute("break child")
    execute("break map_file")
    callers = [LINES("file = map_file()"), LINES("alias = map_file()")]
    seek("start")
    hits = []
    for line in callers:
        execute("continue")
        check((gdb.selected_frame().name(), gdb.selected_frame().older().find_sal().line) == ("map_file", line) and
              f"process {gdb.selected_inferior().pid}," in execute("monitor when"),
              "a function that both run stops in this process", list(frame_lines()), execute("monitor when"))
        hits.append(icount())
    execute("continue")
    check("_exit" in execute("bt 1"), "and where the child alone runs on, nothing stops to the end", execute("bt"))
    end = icount()
    for hit in hits[::-1]:
        execute("reverse-continue")
        check(icount() == hit, "nor on the way back", icount(), hit, end)
    execute("delete")


def main():
    execute("set pagination off")
    execute("set confirm off")
    check("exit" in execute("bt"), "at the end it is in its exit", execute("bt"))
    end = icount()
    execute("continue")
    check(icount() == end, "beyond which nothing lies")
    breakpoints_of_others()
    by_others()
    by_the_kernel()
    by_the_disk()
    through_another_mapping()
    by_copy()
    by_remapping()
    print("check done", flush=True)


main()
