"""What VS Code's C/C++ extension sends to gdb, with the configurations of docs/gdb.md, in both views. The
extension itself is not run.
Usage: ide_test.py REPRISE PROGRAM"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from remote import check_twice, done, ok, same

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/gdb.md"
PROGRAM = Path(__file__).resolve().parent / "programs" / "stock.c"


class MachineInterface:
    """gdb with its machine interface. Answers are lines; the prompt ends a command's."""

    def __init__(self, program):
        self.process = subprocess.Popen([program, "-nx", "--interpreter=mi"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.until(r"\(gdb\)")

    def until(self, pattern):
        """Reads up to a line that matches; returns all."""
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if re.match(pattern, line):
                break
        return "".join(lines)

    def send(self, command, until=r"\^(done|running|connected|error)"):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.until(until)

    def run(self, command):
        """Until the program has stopped."""
        return self.send(command, r"\*stopped|\^error")

    def console(self, command, running=False):
        quoted = json.dumps(command)
        text = f"-interpreter-exec console {quoted}"
        return self.run(text) if running else self.send(text)

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


def configurations():
    block = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(), re.S)[1]
    return json.loads(block)["configurations"]


def line_of(stop):
    """Function and line where it stopped."""
    found = re.search(r'func="(\w+)".*?line="(\d+)"', stop)
    return (found[1], int(found[2])) if found else stop


def begin(config, address, program):
    """gdb, set up and connected."""
    gdb = MachineInterface(config["miDebuggerPath"])
    for command in config["setupCommands"]:
        answer = gdb.console(command["text"])
        ok("^done" in answer or command.get("ignoreFailures"), command["text"], answer)
    ok("^done" in gdb.send(f"-file-exec-and-symbols {program}"), "the program's symbols")
    ok("^connected" in gdb.send(f"-target-select remote {address}"), "connects")
    ok('"reverse"' in gdb.send("-list-target-features"), "going back is among the target's features")
    return gdb


def look_around(gdb, function, callers, variable):
    """From the start to a function, a line on and back, and back to the start."""
    ok("^done,bkpt" in gdb.send(f"-break-insert -f {function}"), "a breakpoint")
    first = line_of(gdb.run("-exec-continue"))
    same(first[0], function, "continue")
    frames = gdb.send("-stack-list-frames")
    ok(all(f'func="{name}"' in frames for name in (function, *callers)), "frames", frames)
    variables = gdb.send("-stack-list-variables --simple-values")
    ok(variable in variables, "variables", variables)
    second = line_of(gdb.run("-exec-next"))
    ok(second[0] == function and second[1] > first[1], "the button Step Over", first, second)
    same(line_of(gdb.console("reverse-next", running=True)), first, "reverse-next in the debug console")
    gdb.console("set exec-direction reverse")
    gdb.send("-break-delete 1")
    stop = gdb.run("-exec-continue")
    ok("No more reverse-execution history" in stop, "the button Continue, backwards to the start", stop)
    gdb.console("set exec-direction forward")
    ok("not allowed" in gdb.console("set var *(char *)$sp = 1"), "memory cannot be written")


def value_of(answer):
    return re.search(r'value="((?:[^"\\\\]|\\\\.)*)"', answer)[1]


def variables(gdb):
    """What the windows for variables, watched expressions, registers and memory ask for (MIEngine)."""
    ok("^done" in gdb.send("-thread-select 1") and "^done" in gdb.send("-stack-select-frame 0"), "a thread and a frame")
    ok('depth="2"' in gdb.send("-stack-info-depth 1000"), "the stack's depth")
    ok('func="main"' in gdb.send("-stack-list-frames 0 1000"), "its frames")
    ok('name="count",type="int",value="100"' in gdb.send("-stack-list-arguments 2 0 0"), "a frame's arguments")
    ok('name="number"' in gdb.send("-stack-list-variables 2"), "a frame's variables")
    answer = gdb.send('-var-create - * "*stock"')
    name = re.search(r'\^done,name="(\w+)",numchild="[1-9]', answer)
    ok(name, "a variable with parts", answer)
    children = gdb.send(f'-var-list-children --simple-values "{name[1]}" 0 1000')
    ok('exp="count"' in children and 'exp="label"' in children, "its parts", children)
    ok("attr=" in gdb.send(f"-var-show-attributes {name[1]}.count"), "whether it can be edited")
    before = value_of(gdb.send(f"-var-evaluate-expression {name[1]}.count"))
    ok("^error" in gdb.send(f'-var-assign {name[1]}.count "77"'), "editing it is refused")
    same(value_of(gdb.send(f"-var-evaluate-expression {name[1]}.count")), before, "and changes nothing")
    ok("^done" in gdb.send(f"-var-delete {name[1]}"), "and away")
    same(value_of(gdb.send('-data-evaluate-expression "number + 5"')), "6", "a watched expression")
    ok('"rip"' in gdb.send("-data-list-register-names"), "the registers' names")
    ok('value="0x' in gdb.send("-data-list-register-values x"), "the registers")
    ok(re.search(r'contents="[0-9a-f]{32}"', gdb.send("-data-read-memory-bytes $sp 16")), "memory")


def buttons(gdb):
    """Step Into, Step Out, a step by one instruction, a breakpoint with a condition."""
    same(line_of(gdb.run("-exec-step"))[0], "make_label", "the button Step Into")
    same(line_of(gdb.run("-exec-finish"))[0], "add", "the button Step Out")
    ok("end-stepping-range" in gdb.run("-exec-step-instruction"), "a step by one instruction")
    answer = gdb.send('-break-insert -f -c "number == 3" add')
    ok("^done,bkpt" in answer, "a breakpoint with a condition", answer)
    ok('name="number",value="3"' in gdb.run("-exec-continue"), "is met when that holds")
    gdb.send("-break-delete " + re.search(r'number="(\d+)"', answer)[1])


def machine_session(config, address):
    gdb = begin(config, address, sys.argv[2])
    ok('name="vCPU 0"' in gdb.send("-thread-info"), "threads")
    look_around(gdb, "deposit", ("deposit_all", "measure"), 'name="amount",arg="1",type="long",value="10"')
    ok("icount 0 of" in gdb.console("monitor when"), "monitor when")
    gdb.send("-target-disconnect")
    gdb.close()


def process_session(config, address, program):
    gdb = begin(config, address, program)
    threads = gdb.send("-thread-info")
    ok(re.search(r'target-id="Thread (\d+)\.\1".*,name="stock"', threads), "threads", threads)
    look_around(gdb, "add", ("main",), 'name="number",arg="1",type="int",value="0"')
    ok("in stock, process " in gdb.console("monitor when"), "monitor when")
    gdb.send("-break-insert -t main")
    same(line_of(gdb.run("-exec-continue"))[0], "main", "and forward again")
    libraries = gdb.console("info sharedlibrary")
    ok(re.search(r"Yes .*libc\.so\.6", libraries), "libraries, with symbols", libraries)
    gdb.send('-break-insert -t -f -c "number == 1" add')
    gdb.run("-exec-continue")
    variables(gdb)
    buttons(gdb)
    ok("^exit" in gdb.send("-gdb-exit", r"\^exit"), "the end of the session")
    gdb.close()


def with_server(file, config, options, session, *arguments):
    """A session with a server at the configuration's host."""
    same((config["type"], config["stopAtConnect"]), ("cppdbg", True), "the configuration stops at first")
    host = config["miDebuggerServerAddress"].split(":", 1)[0]
    server = subprocess.Popen([sys.argv[1], "serve", file, "--listen", f"{host}:0", "--at", "start",
                               "--once", "--quiet", *options], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True)
    address = re.match(r"listening at (\S+)", server.stdout.readline())[1]
    ok(re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", address), "any free port, which is told", address)
    session(config, address, *arguments)
    same(server.wait(timeout=60), 0, "--once: the server ends with the connection")
    server.stdout.close()


def record_process(folder):
    program, file = f"{folder}/stock", f"{folder}/stock.rpz"
    subprocess.run(["cc", "-g", "-O0", "-o", program, PROGRAM], check=True)
    result = subprocess.run([sys.argv[1], "run", "-q", "-o", file, "--", program], stdin=subprocess.DEVNULL,
                            capture_output=True, check=False)
    same(result.returncode, 128 + 6, "a program is recorded")
    return program, file


def main():
    machine, process = configurations()
    with tempfile.TemporaryDirectory() as folder:
        file = folder + "/source.rpz"
        subprocess.run([sys.argv[1], "record", "--kernel", sys.argv[2], "--mem", "16M", "--clock", "virtual",
                        "-o", file], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)
        with_server(file, machine, [], machine_session)
        program, file = record_process(folder)
        with_server(file, process, ["--process", "stock"], process_session, program)
        check_twice(sys.argv[1], folder)
    done()


main()
