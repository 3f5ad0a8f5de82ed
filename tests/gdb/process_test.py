"""A real gdb in the process view of recorded programs. Usage: process_test.py REPRISE [RECORDING…]"""

import subprocess
import sys
import tempfile
from pathlib import Path

from remote import Server, done, ok, run_session, same

HERE = Path(__file__).resolve().parent
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


def main():
    with tempfile.TemporaryDirectory() as folder:
        race = record(folder, build(folder, "race"), 139)
        with Server(sys.argv[1], race, "--process", "race", "--at", "crash") as server:
            gdb = run_session(server, HERE / "race_session.py")
        ok("received signal SIGSEGV" in gdb.stdout, "gdb says what the program received",
           gdb.stdout[-1000:])
        refused(race, ["--process", "no-such"], "no process no-such; the last ones were:")
        mappings = record(folder, build(folder, "mappings"), 0)
        with Server(sys.argv[1], mappings, "--process", "mappings") as server:
            run_session(server, HERE / "mappings_session.py")
        refused(mappings, ["--process", "mappings", "--at", "crash"], "no signal ended the process")
        gdb = subprocess.run([sys.argv[1], "gdb", "-q", "--process", "race", race, "--", "-nx", "-q",
                              "-batch", "-ex", "bt", "-ex", "kill"], stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, check=False)
        ok(gdb.returncode == 0 and "look ()" in gdb.stdout, "reprise gdb --process", gdb.stdout,
           gdb.stderr)
    done()


if __name__ == "__main__":
    main()
