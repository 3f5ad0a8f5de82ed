"""Runs inside gdb, at the crash of the program race in the process view."""

import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(__file__))
from checks import check, execute, has_registers, icount, lines_of, place, refused, register, seek, steps

LINES = lines_of("race.c")
STEPS = 40
PAUSE = 34


def crash():
    check(place() == ("look", LINES("the crash")), "the crash is at the right line", place())
    check("SIGSEGV" in execute("info program"), "and it is a SIGSEGV", execute("info program")[-200:])
    backtrace = execute("bt")
    check("look ()" in backtrace and "main ()" in backtrace, "bt", backtrace)
    check(execute("p shared").strip().endswith("0x0"), "the pointer is NULL", execute("p shared"))
    check("sum += shared->value" in execute("list"), "list", execute("list"))


def output():
    check("12 bytes: hello there" in execute("monitor console"), "monitor console: what the program has written",
          execute("monitor console"))
    check("12 bytes" not in execute("monitor console serial"), "monitor console serial: not that",
          execute("monitor console serial"))


def threads():
    text = execute("info threads")
    check(text.count('"race"') == 3, "three threads", text)
    text = execute("thread apply all bt")
    check("replace (" in text and "look ()" in text, "thread apply all bt", text)
    execute("thread 3")
    text = execute("bt")
    check("replace" in text and "clone" in text, "a thread that waits has its registers", text)
    check(int(gdb.parse_and_eval("mine")) == 42, "its thread-local variable", execute("p mine"))
    execute("thread 2")
    check("hold (" in execute("bt") and register("orig_rax") == PAUSE, "a thread that is in pause()", execute("bt"))
    held_registers("of a thread that waits")
    execute("thread 1")
    check(int(gdb.parse_and_eval("mine")) == 1, "and that of the other", execute("p mine"))
    check(execute("p errno").startswith("$"), "errno", execute("p errno"))


def held_registers(whose):
    """What the program's hold() has loaded."""
    for name, expected in (("xmm0.v2_double", "{1.5, -2.25}"),
                           ("xmm8.v2_int64", "{81985529216486895, 1234605616436508552}"),
                           ("st0", "3.14159265358979323851")):
        text = execute(f"p ${name}")
        check(text.split(" = ")[-1].strip() == expected, f"p ${name} {whose}", text)


def libraries():
    text = execute("info sharedlibrary")
    check("libc.so.6" in text and "ld-linux" in text, "info sharedlibrary", text)
    check("No" not in text, "with their symbols", text)
    text = execute("info proc mappings")
    check("r-xp" in text and text.count("libc.so.6") > 2 and "[stack]" in text, "info proc mappings",
          text)


def absent():
    """The host has the program no more, and the guest has never read so far into it."""
    text = execute("x/s &far[6 << 20]")
    check('"far"' in text, "a page that nothing has read, from the attachments", text)


def back_to_the_write():
    """The criterion: from the crash by watch -l and reverse-continue to the racing write."""
    end = icount()
    execute("watch -l shared")
    execute("reverse-continue")
    check(place() == ("replace", LINES("the racing write")), "watch -l and reverse-continue", place())
    check("replace (" in execute("bt"), "bt there", execute("bt"))
    wrote = icount()
    execute("reverse-continue")
    check(place() == ("replace", LINES("and back")), "and to the write before that", place())
    execute("continue")
    check(place()[0] == "replace" and icount() < wrote, "and forward to its other side", place())
    execute("continue")
    check(place()[0] == "replace" and wrote < icount() < end, "and over the racing write", icount())
    execute("delete")
    execute("continue") # gdb prints the signal on its own stdout
    check(place() == ("look", LINES("the crash")) and icount() == end, "and to the crash", place())
    text = execute(f"monitor last-write {int(gdb.parse_and_eval('(long)&shared')):#x} 8")
    check(f"icount {wrote} " in text and "in race, process" in text and icount() == end,
          "last-write finds the same and moves nothing", text)


def reads():
    """rwatch and awatch around the race, back and forward."""
    end = icount()
    read, write = ("look", LINES("if (shared)")), ("replace", LINES("the racing write"))
    last = ("look", LINES("the crash"))
    for command, before in (("rwatch", read), ("awatch", write)):
        execute(f"{command} shared")
        execute("reverse-continue")
        check(place() == last and icount() < end, f"{command}: the last read", place())
        execute("reverse-continue")
        check(place() == before, f"{command}: the access before", place(), before)
        here = icount()
        execute("continue")
        check(place()[0] == before[0] and icount() == here + 1, f"{command}: forward over it", place(), icount(), here)
        execute("continue")
        check(place() == last and here + 1 < icount() <= end, f"{command}: and over the last", place(), icount())
        execute("delete")
        execute("continue")
        check(icount() == end, "to the crash", place())


def beginning():
    """The first instructions, before anything of the process has been touched."""
    seek("start")
    check("_start" in execute("x/3i $pc"), "code that is not yet in its page tables",
          execute("info symbol $pc"))
    check(execute("info threads").count('"race"') == 1, "one thread")
    execute("reverse-stepi") # says that history ends
    here = register("rip")
    forward = steps("stepi", STEPS)
    backward = steps("reverse-stepi", STEPS)
    check(backward == forward[-2::-1] + [here], "stepi over page faults, and the same way back",
          forward, backward)


def breakpoints():
    execute("break main")
    execute("continue")
    check(place()[0] == "main", "break main", place())
    first = icount()
    execute("tbreak look")
    execute("continue")
    check(place()[0] == "look", "tbreak", place())
    execute("up")
    check(place()[0] == "main", "up", place())
    execute("down")
    execute("finish")
    check(place()[0] == "main" and first < icount(), "finish", place())
    execute("reverse-continue")
    check((place()[0], icount()) == ("main", first), "reverse-continue to a breakpoint", icount())
    execute("delete")
    execute("break look if rounds == 5")
    execute("continue")
    check(int(gdb.parse_and_eval("rounds")) == 5, "a condition", execute("p rounds"))
    execute("condition $bpnum rounds == 3")
    execute("reverse-continue")
    check(int(gdb.parse_and_eval("rounds")) == 3, "condition, backwards", execute("p rounds"))
    execute("delete")
    execute("break look")
    execute("ignore $bpnum 10")
    execute("continue")
    check(int(gdb.parse_and_eval("rounds")) == 14, "ignore", execute("p rounds"))
    execute("reverse-finish")
    check(place()[0] == "main", "reverse-finish", place())
    execute("delete")


def lines():
    """Over a system call line by line, there and back."""
    execute("tbreak main")
    seek("start")
    execute("continue")
    found = []
    for _ in range(6):
        execute("next")
        found.append(place())
    check([line for _, line in found] == sorted(line for _, line in found) and
          all(name == "main" for name, _ in found), "next", found)
    for expected in found[-2::-1]:
        execute("reverse-next")
        check(place() == expected, "reverse-next", place(), expected)
    execute("until " + str(LINES("printf")))
    check(place() == ("main", LINES("printf")), "until", place())
    execute("display n")
    text = execute("next")
    check("n = 12" in text, "display", text)
    text = execute("reverse-next")
    check("n = 12" in text, "display, backwards", text)
    execute("undisplay 1")


def system_call():
    """A buffer that read() fills changes at the system call's instruction, in both directions."""
    execute("tbreak main")
    seek("start")
    execute("continue")
    execute("next 2")
    address = int(gdb.parse_and_eval("(long)text"))
    text = f"*(char (*)[12]){address:#x}"
    execute(f"watch {text}")
    execute("continue")
    check("read" in place()[0] and "hello there" in execute(f"p {text}"), "the kernel's write is caught",
          place(), execute(f"p {text}"))
    check(register("rax") == 12, "the system call is over", register("rax"))
    after = register("rip")
    execute("reverse-continue")
    check("syscall" in execute("x/i $pc") and "hello" not in execute(f"p {text}"),
          "back at its instruction", execute("x/i $pc"))
    execute("delete")
    execute("stepi")
    check(register("rip") == after and "hello there" in execute(f"p {text}"), "stepi goes over it")
    execute("reverse-stepi")
    check("syscall" in execute("x/i $pc"), "reverse-stepi goes back over it", execute("x/i $pc"))


def refusals():
    refused("set var $rax = 1", "recording")
    refused("set var rounds = 1", "Cannot access memory")
    refused("call look()", "Cannot access memory")
    refused("x/x 0", "Cannot access memory")


def values():
    has_registers("st0", "mxcsr", "fs_base", "eflags", "orig_rax", "xmm0")
    check("look" in execute("p $rip"), "p $rip", execute("p $rip"))
    check(execute("x/20i $rip").count("\n") == 20, "x/20i", execute("x/20i $rip"))
    text = execute("info registers")
    check(all(f"\n{name} " in "\n" + text for name in ("rax", "rsp", "rip", "eflags", "cs")),
          "info registers", text)


def live_values():
    """The registers of the thread that runs, at the place where it has just loaded them."""
    seek("start")
    execute("watch held")
    execute("continue")
    check(place()[0] == "hold" and "syscall" in execute("x/i $pc"), "in front of the system call", place())
    held_registers("of the thread that runs")
    execute("delete")


def main():
    execute("set pagination off")
    execute("set confirm off")
    crash()
    output()
    threads()
    libraries()
    values()
    absent()
    back_to_the_write()
    reads()
    beginning()
    breakpoints()
    lines()
    system_call()
    live_values()
    refusals()
    print("check done", flush=True)


main()
