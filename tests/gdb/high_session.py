"""Runs inside gdb, at the end of the program high in the process view: its memory lies above 4 GiB."""

import os
import re
import sys

import gdb

sys.path.insert(0, os.path.dirname(__file__))
from checks import begin, check, end, execute, icount, lines_of, place, register, same, seek, steps, value

LINES = lines_of("high.c")


def main():
    begin()
    last = icount()
    text = execute(f"monitor translate {value('(long)&table[777]'):#x}")
    check(int(re.search(r"physical (0x\w+)", text)[1], 16) >= 1 << 32, "its memory lies above 4 GiB", text)
    same(value("table[777]"), -1, "p")
    execute("watch -l table[777]")
    execute("reverse-continue")
    same((place(), value("table[777]")), (("spoil", LINES("the wrong write")), 777), "watch and reverse-continue")
    wrong = icount()
    text = execute("bt")
    check("spoil ()" in text and "main ()" in text, "bt", text)
    execute("reverse-continue")
    same(place()[0], "fill", "and to the write before that")
    execute("delete")
    here = register("rip")
    forward = steps("stepi", 40)
    same(steps("reverse-stepi", 40), forward[-2::-1] + [here], "steps, and the same way back")
    seek(last)
    text = execute(f"monitor last-write {value('(long)&table[777]'):#x} 8")
    check(f"icount {wrong} of" in text, "last-write", text)
    end()


main()
