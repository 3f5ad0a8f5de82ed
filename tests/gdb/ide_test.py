"""What VS Code's C/C++ extension sends to gdb, with the configuration of docs/gdb.md.
Usage: ide_test.py REPRISE PROGRAM"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from remote import check_twice, done, ok, same

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/gdb.md"


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


def configuration():
    block = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(), re.S)[1]
    return json.loads(block)["configurations"][0]


def line_of(stop):
    """Function and line where it stopped."""
    found = re.search(r'func="(\w+)".*?line="(\d+)"', stop)
    return (found[1], int(found[2])) if found else stop


def session(config, address):
    gdb = MachineInterface(config["miDebuggerPath"])
    for command in config["setupCommands"]:
        answer = gdb.console(command["text"])
        ok("^done" in answer or command.get("ignoreFailures"), command["text"], answer)
    ok("^done" in gdb.send(f"-file-exec-and-symbols {sys.argv[2]}"), "the program's symbols")
    ok("^connected" in gdb.send(f"-target-select remote {address}"), "connects")
    ok('"reverse"' in gdb.send("-list-target-features"), "going back is among the target's features")
    ok('name="vCPU 0"' in gdb.send("-thread-info"), "threads")
    ok("^done,bkpt" in gdb.send("-break-insert -f deposit"), "a breakpoint")
    first = line_of(gdb.run("-exec-continue"))
    same(first[0], "deposit", "continue")
    frames = gdb.send("-stack-list-frames")
    ok(all(f'func="{name}"' in frames for name in ("deposit", "deposit_all", "measure")), "frames", frames)
    variables = gdb.send("-stack-list-variables --simple-values")
    ok(re.search(r'name="amount",arg="1",type="long",value="10"', variables), "variables", variables)
    second = line_of(gdb.run("-exec-next"))
    same(second, ("deposit", first[1] + 1), "the button Step Over")
    same(line_of(gdb.console("reverse-next", running=True)), first, "reverse-next in the debug console")
    gdb.console("set exec-direction reverse")
    gdb.send("-break-delete 1")
    stop = gdb.run("-exec-continue")
    ok("No more reverse-execution history" in stop, "the button Continue, backwards to the start", stop)
    gdb.console("set exec-direction forward")
    ok("icount 0 of" in gdb.console("monitor when"), "monitor when")
    ok("not allowed" in gdb.console("set var *(char *)$sp = 1"), "memory cannot be written")
    gdb.send("-target-disconnect")
    gdb.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        file = folder + "/source.rpz"
        subprocess.run([sys.argv[1], "record", "--kernel", sys.argv[2], "--mem", "16M", "--clock", "virtual",
                        "-o", file], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)
        config = configuration()
        same((config["type"], config["stopAtConnect"]), ("cppdbg", True), "the configuration stops at first")
        host = config["miDebuggerServerAddress"].split(":", 1)[0]
        server = subprocess.Popen([sys.argv[1], "serve", file, "--listen", f"{host}:0", "--at", "start",
                                   "--once", "--quiet"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  text=True)
        address = re.match(r"listening at (\S+)", server.stdout.readline())[1]
        ok(re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", address), "any free port, which is told", address)
        session(config, address)
        same(server.wait(timeout=60), 0, "--once: the server ends with the connection")
        server.stdout.close()
        check_twice(sys.argv[1], folder)
    done()


main()
