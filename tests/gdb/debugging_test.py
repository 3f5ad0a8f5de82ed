"""The transcript in docs/debugging.md is what happens. Usage: debugging_test.py REPRISE"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from remote import check_twice, done, ok, same

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "debugging.md"
PROGRAM = HERE / "programs" / "stock.c"
COMMAND = re.compile(r"(\$|\(gdb\)) (.*)")

# A place in the C library: its function and file are compared, not arguments, address and line, which
# depend on the version.
PLACE = re.compile(r"(#\d+ +)?(?:0x[0-9a-f]+ in )?(\w+) \(.*\) at (\S+):\d+")
OURS = "stock.c"
NO_SOURCE = re.compile(r"\d+\s+(in )?\.{1,2}/.*")  # that the host has no source of it


def read_page():
    """The page's commands, each with the prompt before it and the lines that follow."""
    steps = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.splitlines():
            if match := COMMAND.fullmatch(line):
                steps.append((match[1], match[2], []))
            else:
                steps[-1][2].append(line)
    return steps


def normal(lines):
    """Without what differs from run to run."""
    kept = []
    for line in lines:
        if line.startswith(("Reading ", "warning: ", "[Inferior ")) or NO_SOURCE.fullmatch(line):
            continue
        match = PLACE.fullmatch(line)
        if match and match[3] != OURS:
            line = f"{match[1] or ''}{match[2]} at {match[3]}"
        kept.append(re.sub(r"0x[0-9a-f]{5,}", "0x…", line).rstrip())
    while kept and not kept[-1]:
        kept.pop()
    return kept


def run_shell(folder, command):
    words = command.split()
    if words[0] == "reprise":
        words[0] = Path(sys.argv[1]).resolve()
    result = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False)
    return result.stdout.splitlines()


def run_gdb(folder, command, steps):
    """The lines before the first command, and those behind each."""
    script = Path(folder) / "script"
    script.write_text("set pagination off\nset confirm off\nset width 0\n" + "".join(
        f"echo @@@\\n\n{line}\n" for _, line, _ in steps))
    output = run_shell(folder, f"{command} -- -nx -q -batch -x {script}")
    parts = [[]]
    for line in output:
        if line == "@@@":
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def main():
    steps = read_page()
    gdb = next((i for i, step in enumerate(steps) if step[1].startswith("reprise gdb")), None)
    ok(gdb and len(steps) > gdb + 8 and all(step[0] == "(gdb)" for step in steps[gdb + 1:]),
       "the page has a transcript", steps)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "stock.c").write_bytes(PROGRAM.read_bytes())
        for _, command, lines in steps[:gdb]:
            same(normal(run_shell(folder, command)), normal(lines), f"$ {command}")
        parts = run_gdb(folder, steps[gdb][1], steps[gdb + 1:])
        same(len(parts), len(steps) - gdb, "gdb takes every command")
        for (prompt, command, lines), part in zip(steps[gdb:], parts):
            same(normal(part), normal(lines), f"{prompt} {command}")
        check_twice(sys.argv[1], folder)
    done()


main()
