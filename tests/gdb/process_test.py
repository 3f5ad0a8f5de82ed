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


def test_race(folder):
    """With the files that are in the recording: the host has the program no more."""
    program = build(folder, "race")
    race = record(folder, program, 139)
    program.unlink()
    with Server(sys.argv[1], race, "--process", "race", "--at", "crash") as server:
        gdb = run_session(server, HERE / "race_session.py")
    ok("received signal SIGSEGV" in gdb.stdout, "gdb says what the program received",
       gdb.stdout[-1000:])
    refused(race, ["--process", "no-such"], "no process no-such; the last ones were:")
    gdb = subprocess.run([sys.argv[1], "gdb", "-q", "--process", "race", race, "--", "-nx", "-q",
                          "-batch", "-ex", "bt", "-ex", "kill"], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, check=False)
    ok(gdb.returncode == 0 and "look ()" in gdb.stdout, "reprise gdb --process", gdb.stdout, gdb.stderr)


def test_mappings(folder):
    """With the host's files, as far as they are the same, and with those of another directory."""
    program = build(folder, "mappings")
    mappings = record(folder, program, 0, "--no-attachments")
    with Server(sys.argv[1], mappings, "--process", "mappings") as server:
        run_session(server, HERE / "mappings_session.py")
    refused(mappings, ["--process", "mappings", "--at", "crash"], "no signal ended the process")
    sysroot = Path(folder) / "sysroot"
    moved = sysroot / str(program)[1:]
    moved.parent.mkdir(parents=True)
    program.rename(moved)
    program.write_bytes(Path("/bin/true").read_bytes())
    for options, expected in (([], False), (["--sysroot", sysroot], True)):
        with Server(sys.argv[1], mappings, "--process", "mappings", *options) as server:
            gdb = subprocess.run(["gdb", "-nx", "-q", "-batch", "-iex", "set auto-load off", "-ex",
                                  f"target remote {server.socket}", "-ex", "info line main"],
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        same("mappings.c" in gdb.stdout, expected,
             "symbols with --sysroot" if options else "none of a host file that is another")


def main():
    with tempfile.TemporaryDirectory() as folder:
        test_race(folder)
        test_mappings(folder)
    done()


if __name__ == "__main__":
    main()
