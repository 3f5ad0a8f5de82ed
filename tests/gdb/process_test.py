"""A real gdb in the process view of recorded programs. Usage: process_test.py REPRISE [RECORDING…]"""

import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from remote import Client, Server, check_twice, done, ok, same
from run_gdb import gdb_command, kill_gdb_in, run, run_session

HERE = Path(__file__).resolve().parent
FAR = "p (char *)&far[6 << 20]"
PROGRAMS = HERE / "programs"


def build(folder, name):
    program = Path(folder) / name
    subprocess.run(["cc", "-g", "-O0", "-pthread", "-o", program, PROGRAMS / f"{name}.c"], check=True)
    return program


def record(folder, program, status, *options):
    file = Path(folder) / f"{program.name}{len(options)}.rpz"
    result = subprocess.run([sys.argv[1], "run", "-q", "-o", file, *options, "--", program],
                            input=b"hello there\n", capture_output=True, check=False)
    same(result.returncode, status, f"{program.name} is recorded")
    return file


def refused(file, options, expected):
    result = subprocess.run([sys.argv[1], "serve", "--listen", "/nowhere/socket", "-q", *options, file],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    ok(result.returncode and expected in result.stderr, f"{' '.join(options)}: refused",
       result.returncode, result.stderr)


def test_race(folder):
    """With the files that are in the recording: the host has the program no more."""
    program = build(folder, "race")
    race = record(folder, program, 139)
    program.unlink()
    with Server(sys.argv[1], race, "--process", "race", "--at", "crash") as server:
        gdb = run_session(server, "race_session.py")
    ok("received signal SIGSEGV" in gdb.stdout, "gdb says what the program received",
       gdb.stdout[-1000:])
    refused(race, ["--process", "no-such"], "no process no-such; the last ones were:")
    gdb = run([sys.argv[1], "gdb", "-q", "--process", "race", race, "--", "-nx", "-q", "-batch", "-ex", "bt",
               "-ex", "kill"])
    ok(gdb.returncode == 0 and "look ()" in gdb.stdout, "reprise gdb --process", gdb.stdout, gdb.stderr)


def test_tally(folder):
    """A failed assertion; ^C; how sessions end."""
    tally = record(folder, build(folder, "tally"), 128 + 6)
    with Server(sys.argv[1], tally, "--process", "tally", "--at", "crash") as server:
        gdb = run_session(server, "tally_session.py")
        ok("received signal SIGABRT" in gdb.stdout, "gdb says what the program received", gdb.stdout[-1000:])
        test_interrupts(server)
        gdb = run_gdb(server, "-ex", "monitor seek start", "-ex", "stepi", "-ex", "detach")
        same(gdb.returncode, 0, "detach")
        gdb = run_gdb(server, "-ex", "reverse-stepi", "-ex", "reverse-stepi")
        ok("No more reverse-execution history" in gdb.stdout, "the next gdb goes on from there", gdb.stdout,
           gdb.stderr)
        test_killed_gdb(server)
    gdb = run([sys.argv[1], "gdb", "-q", "--process", "tally", tally, "--", "-nx", "-q", "-batch",
               "-ex", "call count()", "-ex", "set var till = 1", "-ex", "set var $rax = 1", "-ex", "kill"])
    for text in ("Cannot call functions in the program", "Writing to memory is not allowed", "recording"):
        ok(text in gdb.stderr, f"reprise gdb refuses: {text}", gdb.stderr)


def run_gdb(server, *commands):
    return run([*gdb_command(server.socket), *commands])


def position(client):
    return int(re.match(r"icount (\d+)", client.monitor("when")[0])[1])


def test_interrupts(server):
    """^C that comes with the packet is there when the server looks for the first time."""
    client = Client(server.socket)
    client.monitor("seek start")
    start = position(client)
    client.monitor("seek end")
    end = position(client)
    client.send_raw(b"$bc#c5\x03")
    reply = client.receive()
    ok(reply.startswith("T02thread:p") and start < position(client) <= end, "^C stops a reverse-continue", reply,
       start, position(client), end)
    client.monitor("seek start")
    client.send_raw(b"$c#63\x03")
    reply = client.receive()
    ok(reply.startswith("T02thread:p") and start < position(client) < end, "^C stops a continue", reply, start,
       position(client), end)
    same(client.ask("s")[:3], "T05", "and it goes on from there")
    client.close()


def test_killed_gdb(server):
    gdb = run_gdb(server, "-ex", "monitor seek start", "-ex", "tbreak main", "-ex", "continue", "-ex", "monitor when")
    begin = int(re.findall(r"icount (\d+) of", gdb.stdout + gdb.stderr)[-1])
    kill_gdb_in(server, "reverse-continue", f"monitor seek {begin + 5000000}", "maintenance flush register-cache",
                "break *$pc if $rsp == 1", "monitor seek end", "maintenance flush register-cache")
    client = Client(server.socket)
    ok(client.ask("qC").startswith("QCp"), "a gdb that is killed leaves a server that serves on")
    here = position(client)
    ok(here > begin, "from where it was on its way", here, begin)
    client.close()


def test_child(file, number, parent):
    """By its number: another process of the same name, in which the breakpoint is met that the parent runs past."""
    with Server(sys.argv[1], file, "--process", number) as server:
        gdb = run_gdb(server, "-ex", "p child", "-ex", "break child", "-ex", "reverse-continue", "-ex", "monitor when",
                      "-ex", "reverse-continue")
    same(re.search(r"\} (0x\w+) <child>", gdb.stdout)[1], re.search(r"\} (0x\w+) <child>", parent)[1],
         "--process PID: at the same address in the child")
    ok("Breakpoint 1, child ()" in gdb.stdout and f"process {number}, thread {number}" in gdb.stdout + gdb.stderr,
       "its breakpoint is met there", gdb.stdout, gdb.stderr)
    ok("No more reverse-execution history" in gdb.stdout, "once", gdb.stdout)


def test_machine(file, last):
    """The machine view at the process's end, with next to no memory for checkpoints."""
    end, address = re.search(r"icount (\d+) of", last)[1], re.search(r"(0x\w+) <copied>", last)[1]
    with Server(sys.argv[1], file, "--at", end, "--checkpoint-memory", "1M") as server:
        same(stat.S_IMODE(os.stat(server.socket).st_mode) & 0o077, 0, "the socket is only its owner's")
        client = Client(server.socket, timeout=1200)
        text = client.monitor(f"last-write {address} 4")[0]
        ok(re.search(r"\bin mappings, process \d+", text), "last-write in the machine view: the process", text)
        same(position(client), int(end), "it goes where it is told without checkpoints")
        text = client.monitor("checkpoint")[0]
        size = re.search(r" (\d+) MiB", text)
        ok(size and int(size[1]) <= 1, "--checkpoint-memory: no more than that", text)
        client.close()


def test_mappings(folder):
    """With the host's files, as far as they are the same, and with those of another directory."""
    program = build(folder, "mappings")
    mappings = record(folder, program, 0, "--no-attachments")
    with Server(sys.argv[1], mappings, "--process", "mappings") as server:
        session = run_session(server, "mappings_session.py").stdout
        last = run_gdb(server, "-ex", "monitor seek end", "-ex", "monitor when", "-ex", "p &copied", "-ex", "p child")
        far = re.search(r"0x[0-9a-f]+", run_gdb(server, "-ex", FAR).stdout.split("$1 = ")[-1])[0]
        gdb = run_gdb(server, "-ex", f"x/s {far}")
        ok('"far"' in gdb.stdout, "a page that nothing has read, from the host by build-id", gdb.stdout, gdb.stderr)
    test_child(mappings, re.search(r"its child is process (\d+)", session)[1], last.stdout)
    test_machine(mappings, last.stdout + last.stderr)
    refused(mappings, ["--process", "mappings", "--at", "crash"], "no signal ended the process")
    sysroot = Path(folder) / "sysroot"
    moved = sysroot / str(program)[1:]
    moved.parent.mkdir(parents=True)
    program.rename(moved)
    program.write_bytes(Path("/bin/true").read_bytes())
    for options, expected in (([], False), (["--sysroot", sysroot], True)):
        with Server(sys.argv[1], mappings, "--process", "mappings", *options) as server:
            gdb = run_gdb(server, "-ex", "info line main", "-ex", f"x/s {far}")
        same("mappings.c" in gdb.stdout, expected,
             "symbols with --sysroot" if options else "none of a host file that is another")
        if expected:
            ok('"far"' in gdb.stdout, "a page that nothing has read, from --sysroot", gdb.stdout, gdb.stderr)
        else:
            ok("Cannot access memory at address" in gdb.stdout + gdb.stderr, "without a file gdb says that it is not there",
               gdb.stdout, gdb.stderr)


def main():
    with tempfile.TemporaryDirectory() as folder:
        test_race(folder)
        test_tally(folder)
        test_mappings(folder)
        check_twice(sys.argv[1], folder)
    done()


if __name__ == "__main__":
    main()
