"""What the scripts that run inside gdb share. Every line they print with "check" is a check."""

import re
from pathlib import Path

import gdb


def execute(command):
    return gdb.execute(command, to_string=True)


def check(good, name, *details):
    print(f"check {'ok' if good else 'not ok'} - {name}", flush=True)
    if not good:
        for detail in details:
            print(f"# {detail!r}", flush=True)
    return good


def same(got, expected, name):
    return check(got == expected, name, f"expected {expected!r}", f"got {got!r}")


def refused(command, text):
    try:
        output = execute(command)
    except gdb.error as error:
        check(text in str(error), f"{command}: refused", error)
    else:
        check(False, f"{command}: refused", output)


def value(expression):
    return int(gdb.parse_and_eval(expression))


def register(name):
    return value("$" + name) & (1 << 64) - 1


def has_registers(*names):
    """gdb itself takes a name that no register has for a variable without a value."""
    for name in names:
        text = execute(f"p ${name}")
        check(re.match(r"\$\d+ = ", text) and not re.search("void|<invalid|<unavailable|<error", text),
              f"p ${name}", text)


def icount():
    return int(re.match(r"icount (\d+)", execute("monitor when"))[1])


def seek(place):
    execute(f"monitor seek {place}")
    execute("maintenance flush register-cache")
    execute("maintenance flush dcache")  # the stack


def steps(command, n):
    """The program counter after each of n steps."""
    found = []
    for _ in range(n):
        execute(command)
        found.append(register("rip"))
    return found


def place():
    """Function and line of the selected frame."""
    frame = gdb.selected_frame()
    return frame.name(), frame.find_sal().line


def lines_of(program):
    """A function that gives the number of the program's source line that holds a text."""
    source = Path(__file__).with_name("programs") / program
    text = source.read_text(encoding="ascii").splitlines()

    def find(wanted):
        return next(number for number, line in enumerate(text, 1) if wanted in line)

    return find


def begin():
    execute("set pagination off")
    execute("set confirm off")


def end():
    print("check done", flush=True)
