"""Runs inside gdb, at the end of the program mappings in the process view."""

import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(__file__))
from checks import check, execute, icount, lines_of, place, seek

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


def by_others():
    seek("end")
    address = int(gdb.parse_and_eval("(long)shared"))
    execute(f"watch *(int *){address:#x}")
    text = execute("reverse-continue")
    check("written from outside: by process" in text, "a write by another process is told", text)
    check(int(gdb.parse_and_eval(f"*(int *){address:#x}")) == 1, "before the other process's write",
          text)
    check("process" in execute("monitor when"), "who it was", execute("monitor when"))
    execute("reverse-continue")
    check(named("the parent's write"), "and before that its own", list(frame_lines()))
    execute("delete")


def by_the_kernel():
    seek("end")
    execute("watch received")
    execute("reverse-continue")
    check(named("the kernel's write") and "syscall" in execute("x/i $pc"), "by a system call",
          list(frame_lines()), execute("x/i $pc"))
    execute("delete")


def by_copy():
    seek("end")
    execute("watch copied")
    execute("reverse-continue")
    check(place() == ("main", LINES("the copy on write")) and
          int(gdb.parse_and_eval("copied")) == 1, "the write that copied the page", place(),
          execute("p copied"))
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
    execute("delete")


def main():
    execute("set pagination off")
    execute("set confirm off")
    check("exit" in execute("bt"), "at the end it is in its exit", execute("bt"))
    end = icount()
    execute("continue")
    check(icount() == end, "beyond which nothing lies")
    by_others()
    by_the_kernel()
    by_copy()
    by_remapping()
    print("check done", flush=True)


main()
