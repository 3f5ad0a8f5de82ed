"""Runs inside gdb, at the recording of the program of guests/source.c, with its symbols."""

import re
from pathlib import Path

import gdb

from checks import begin, check, end, execute, icount, refused, register, same, seek, value

SOURCE = Path(__file__).with_name("guests") / "source.c"
LINES = {match[1]: number for number, line in enumerate(SOURCE.read_text().splitlines(), 1)
         if (match := re.search(r"/\* (\w+: \w+) \*/$", line))}


def here():
    frame = gdb.selected_frame()
    names = [name for name, line in LINES.items() if line == frame.find_sal().line]
    return names[0] if names else f"{frame.name()}:{frame.find_sal().line}"


def go_to(function, condition=None):
    point = gdb.Breakpoint(function, temporary=True)
    if condition:
        point.condition = condition
    execute("continue")


def breakpoints():
    """ignore, condition, tbreak."""
    seek("start")
    point = gdb.Breakpoint("deposit")
    execute(f"ignore {point.number} 5")
    execute("continue")
    same(value("amount"), 21, "ignore: the sixth call is the first that stops")
    execute("up")
    same((here(), value("round"), value("i")), ("all: call", 2, 1), "up: the caller with its variables")
    text = execute("bt")
    check(re.search(r"#0 .*deposit \(.*#1 .*deposit_all.*#2 .*measure.*#3 .*guest_main.*#4 .*start64", text,
                    re.S), "bt", text)
    execute(f"condition {point.number} amount == 30")
    execute("continue")
    same((here(), value("amount")), ("deposit: balance", 30), "condition, forwards")
    met = icount()
    execute("continue")
    check(icount() > met and register("rip") != value("&deposit"), "it holds once only", icount())
    execute("reverse-continue")
    same((icount(), value("amount")), (met, 30), "backwards to it")
    execute("reverse-continue")  # says on gdb's stdout that there is no more history
    same(icount(), 0, "and to the start")
    point.delete()
    execute("tbreak measure if round == 4")
    execute("continue")
    same(value("round"), 4, "tbreak with a condition")
    same(len(gdb.breakpoints()), 0, "it is gone when it was met")


def stepping():
    """next, step, finish, until, and the same backwards."""
    seek("start")
    go_to("deposit", "amount == 30")
    forward = [here()]
    for _ in range(2):
        execute("next")
        forward.append(here())
    same(forward, ["deposit: balance", "deposit: changes", "deposit: return"], "next, line by line")
    back = []
    for _ in range(2):
        execute("reverse-next")
        back.append(here())
    same(back, forward[1::-1], "reverse-next, the same lines back")
    execute("next")
    execute("finish")
    same(here(), "all: call", "finish: in the caller")
    same(value("$"), value("accounts[0].balance"), "finish: the value that was returned")
    for _ in range(3):
        execute("step")
    same(here(), "deposit: balance", "step: into the next call")
    execute("reverse-finish")
    same(here(), "all: call", "reverse-finish: at the call")
    execute("stepi")
    same(register("rip"), value("&deposit") & (1 << 64) - 1, "which is the next instruction")
    execute("up")
    execute("finish")
    same(here(), "measure: all", "finish of an outer frame")
    execute("next")
    same(here(), "measure: average", "next")
    execute("reverse-next")
    same(here(), "measure: all", "reverse-next over a call with a loop")
    execute("step")
    same(here(), "all: total", "step: into the function")
    execute("reverse-step")
    check(here() == "measure: all", "reverse-step: out of it again", here())
    execute("step")
    execute("next")
    execute("next")
    same(here(), "all: call", "inside the loop")
    execute("until")
    execute("until")
    same(here(), "all: return", "until: the loop is over")
    execute(f"until {LINES['measure: average']}")
    same(here(), "measure: all", "until LINE: no further than the caller")
    execute("advance write_across")
    same(here(), "across: write", "advance")


def display():
    seek("start")
    go_to("measure", "round == 2")
    execute("display round")
    text = execute("next")
    check("round = 2" in text, "display: shown at each stop", text)
    text = execute("reverse-next")
    check("round = 2" in text, "backwards too", text)
    execute("undisplay 1")


def watch(expression):
    return gdb.Breakpoint(expression, gdb.BP_WATCHPOINT, gdb.WP_WRITE)


def watchpoints():
    seek("start")
    go_to("guest_main")
    point = watch("accounts[2].balance")
    values = []
    for _ in range(3):
        execute("continue")
        values.append(value("accounts[2].balance"))
        same((here(), value("account - accounts")), ("deposit: changes", 2), "watch: the instruction behind")
    same(values, [12, 34, 66], "watch: each change")
    execute("reverse-continue")
    same((here(), value("accounts[2].balance")), ("deposit: balance", 34), "backwards: before the last")
    execute("reverse-continue")
    same(value("accounts[2].balance"), 12, "before the one before")
    point.delete()
    seek("start")
    go_to("guest_main")
    point = watch("accounts")
    found = []
    for _ in range(8):
        execute("continue")
        found.append(here())
    same(found, ["deposit: changes", "deposit: return"] * 4, "64 bytes: every field")
    point.delete()


def two_watchpoints():
    seek("start")
    go_to("guest_main")
    points = [watch("accounts[1].balance"), watch("accounts[3].changes")]
    forward = [(1, 0, 11), (1, 1, 11), (2, 1, 32), (2, 2, 32)]
    met = []
    for _ in forward:
        execute("continue")
        met.append((*(point.hit_count for point in points), value("accounts[1].balance")))
    same(met, forward, "two watchpoints: each in its turn")
    same((here(), value("account - accounts")), ("deposit: return", 3), "where the second is written")
    back = []
    for _ in range(3):
        execute("reverse-continue")
        back.append((here(), value("account - accounts")))
    same(back, [("deposit: changes", 3), ("deposit: balance", 1), ("deposit: changes", 3)],
         "two watchpoints: backwards in turn")
    same([point.hit_count for point in points], [3, 4], "each counted for itself")
    for point in points:
        point.delete()


def watch_conditions():
    seek("start")
    go_to("guest_main")
    point = watch("accounts[2].balance")
    point.condition = "accounts[2].balance > 40 && accounts[2].balance < 200"
    values = []
    for _ in range(3):
        execute("continue")
        values.append((here(), value("accounts[2].balance")))
    same(values, [("deposit: changes", n) for n in (66, 108, 160)], "watch VAR if …: forwards")
    back = []
    for _ in range(2):
        execute("reverse-continue")
        back.append((here(), value("accounts[2].balance")))
    same(back, [("deposit: balance", n) for n in (108, 66)], "watch VAR if …: backwards")
    execute("reverse-continue")
    same(icount(), 0, "none before that")
    point.delete()


def unaligned():
    seek("start")
    go_to("guest_main")
    point = watch("*(unsigned long *)(unaligned + 4093)")
    execute("continue")
    same((gdb.selected_frame().name(), value("*(unsigned long *)(unaligned + 4093)")), ("write_across", 1),
         "a watchpoint over the end of a page")
    execute("continue")
    same(value("*(unsigned long *)(unaligned + 4093)"), 2, "its next change")
    execute("reverse-continue")
    same((here(), value("*(unsigned long *)(unaligned + 4093)")), ("across: write", 1), "backwards")
    point.delete()
    point = watch("*(char *)(unaligned + 4093)")
    execute("continue")
    same(value("unaligned[4093]"), 2, "one byte of a wider write")
    point.delete()
    point = watch("*(unsigned short *)(unaligned + 4096)")
    execute("continue")
    check("source done" in execute("monitor console"), "bytes that are written without a change")
    point.delete()


def reads():
    seek("start")
    go_to("measure", "round == 2")
    point = gdb.Breakpoint("accounts[1].balance", gdb.BP_WATCHPOINT, gdb.WP_READ)
    execute("continue")
    same((gdb.selected_frame().name(), value("account - accounts")), ("deposit", 1), "rwatch: a read")
    first = icount()
    execute("continue")
    check(icount() > first, "the next read")
    execute("reverse-continue")
    execute("reverse-continue")
    check(icount() <= first, "and back", icount(), first)
    point.delete()
    point = gdb.Breakpoint("average", gdb.BP_WATCHPOINT, gdb.WP_ACCESS)
    execute("continue")
    same(gdb.selected_frame().name(), "measure", "awatch: a write counts")
    point.delete()


def registers():
    seek("start")
    go_to("write_across", "round == 3")
    text = execute("info registers")
    check(all(re.search(rf"^{name} ", text, re.M) for name in
              ("rax", "rsp", "rip", "eflags", "cs", "ss", "ds", "cr0", "cr3", "efer")), "info registers", text)
    text = execute("info registers fs_base gs_base mxcsr fctrl")
    check(all(name in text for name in ("fs_base", "gs_base", "IM", "fctrl")), "those of other groups", text)
    check("write_across" in execute("p $rip"), "p $rip")
    text = execute("p $xmm0")
    check("v2_double" in text and "v4_float" in text and "uint128" in text, "p $xmm0", text)
    same(value("(long)(average * 4)"), sum(10 * r + i for r in (1, 2, 3) for i in range(4)),
         "a double in memory")
    same(float(gdb.parse_and_eval("$xmm0.v2_double[0]")), float(gdb.parse_and_eval("average")),
         "the same in $xmm0")
    same(execute("x/20i $rip").count("\n"), 20, "x/20i")
    check("round" in execute("info locals") + execute("info args"), "info args")


def held_registers():
    """By value, of a function that loads them."""
    seek("start")
    go_to("hold_registers")
    execute("next")
    execute("next")
    same(here(), "hold: drop", "the registers are loaded")
    text = execute("info registers st0 st1 fstat ftag")
    for name, raw in (("st0", "4000c90fdaa22168c235"), ("st1", "3fff8000000000000000")):
        check(re.search(rf"^{name} .*raw 0x{raw}\)", text, re.M), f"info registers {name}", text)
    check(re.fullmatch(r"\$\d+ = 3\.14159265358979323\d*\n", execute("p $st0")), "p $st0", execute("p $st0"))
    same((value("$fstat"), value("$ftag")), (6 << 11, 0x0fff), "the stack holds two values")
    text = execute("info registers cr2 cr4")
    check(re.search(r"^cr2 +0x123456789a ", text, re.M) and re.search(r"^cr4 +0x620 ", text, re.M),
          "info registers cr2 cr4", text)
    same((value("$cr2"), value("$cr4")), (0x123456789a, 0x620), "p $cr2, p $cr4")
    execute("reverse-next")
    same((value("$fstat"), value("$ftag")), (0, 0xffff), "and before they are loaded none")


def refusals():
    seek("start")
    go_to("deposit", "amount == 22")
    before = icount()
    refused("call deposit(&accounts[0], 1)", "annot access memory")
    refused("set var $rax = 1", "recording")
    refused("set var account->balance = 1", "annot access memory")
    text = execute("stepi")
    check("memory of a recording cannot be changed, nor functions be called" in text,
          "the server's reason follows with the next stop", text)
    execute("reverse-stepi")
    # As reprise gdb has it:
    execute("set may-call-functions off")
    execute("set may-write-memory off")
    refused("call deposit(&accounts[0], 1)", "Cannot call functions in the program")
    refused("set var account->balance = 1", "Writing to memory is not allowed")
    refused("jump guest_main", "recording")
    same((icount(), value("amount"), here()), (before, 22, "deposit: balance"), "and nothing has moved")


def ends():
    seek("start")
    execute("continue")
    check("source done" in execute("monitor console"), "to the end")
    execute("reverse-continue")
    same(icount(), 0, "back to the start")


def main():
    begin()
    for part in (breakpoints, stepping, display, watchpoints, two_watchpoints, watch_conditions,
                 unaligned, reads, registers, held_registers, refusals, ends):
        try:
            part()
        except (gdb.error, RuntimeError) as error:
            check(False, f"{part.__name__}: {error}", here())
        execute("delete")
    end()


main()
