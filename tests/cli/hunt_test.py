"""reprise hunt: what it finds, keeps, tells and leaves alone."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree
from pathlib import Path

from harness import TOOL, Directory, done, dump_events, note, ok, reprise, require_kernel, same

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "flaky"))

# pylint: disable=wrong-import-position
from corpus import find
from signals import listen


def hunt(*arguments, **options):
    """From one booted guest, the one that the tests of run have."""
    return reprise("hunt", "--states", 1, *arguments, **options)


def test_race():
    """A data race: found, kept, replayed, made again from its seed."""
    command = find("counter").build(".")
    result = hunt("--chaos=preempt", "--seed", 1, "--runs", 500, "--json", "race.json", "--junit",
                  "race.xml", "-o", "race.rpz", "--", *command)
    if not ok(result.returncode == 1, "a data race is found", result.returncode, result.stderr.decode()):
        return
    told = json.loads(Path("race.json").read_text())
    failure = told["failures"][0]
    same((told["failed"] >= 1, told["seed"], told["chaos"], failure["kind"], failure["exit_status"]),
         (True, 1, "preempt", "exit", 1), "--json")
    same(failure["recording"], "race.rpz", "names the recording")
    ok(re.search(r"counted \d+ of 800", failure["output"]), "and has the output", failure)
    suite = xml.etree.ElementTree.parse("race.xml").getroot().find("testsuite")
    same((suite.get("tests"), suite.get("failures")), ("1", "1"), "--junit")
    ok("counted" in suite.find("testcase/failure").text, "with the output",
       Path("race.xml").read_text())
    for part in (b"reprise gdb", b"run it again: reprise hunt --seed"):
        ok(part in result.stderr, f"what to do next: {part.decode()}", result.stderr.decode())
    again = shlex.split(failure["again"])
    again[2:2] = ["-o", "again.rpz"]
    result = reprise(*again[1:])
    same(result.returncode, 1, "the command that it names fails too")
    ok(dump_events("race.rpz") == dump_events("again.rpz"), "event for event in the same way")
    os.unlink("again.rpz")
    os.unlink(command[0])
    replay = reprise("replay", "race.rpz")
    same((replay.returncode, replay.stdout.decode()), (1, failure["output"]), "it replays")


def test_nothing():
    result = hunt("--runs", 3, "--json", "none.json", "--junit", "none.xml", "--", "true")
    same(result.returncode, 0, "a command that never fails")
    ok(re.search(rb"^reprise: 3 runs in ", result.stderr, re.MULTILINE), "the summary", result.stderr)
    result = hunt("--runs", 1, "--", "true")
    ok(re.search(rb"^reprise: 1 run in ", result.stderr, re.MULTILINE), "the summary of a single run", result.stderr)
    told = json.loads(Path("none.json").read_text())
    same((told["runs"], told["failed"], told["failures"]), (3, 0, []), "was run as often as asked for")
    suite = xml.etree.ElementTree.parse("none.xml").getroot().find("testsuite")
    same((suite.get("tests"), suite.get("failures")), ("1", "0"), "passes as JUnit")
    same([name for name in os.listdir() if "rpz" in name or "part" in name], ["race.rpz"],
         "leaves no recording")


def put_away(recording):
    """Where its name is in nobody's way, to be replayed at the end."""
    os.makedirs("kept", exist_ok=True)
    os.rename(recording, f"kept/{len(os.listdir('kept'))}")


def kinds(*arguments):
    result = hunt("-q", "--keep-going", "--json", "kinds.json", "-o", "kind.rpz", *arguments)
    told = json.loads(Path("kinds.json").read_text())
    for failure in told["failures"]:
        ok(os.path.exists(failure["recording"]), f"{failure['what']}: recorded", failure)
        put_away(failure["recording"])
    ok(result.returncode == 1, "exit status", result)
    return sorted((failure["kind"], failure["what"]) for failure in told["failures"])


def test_kinds():
    script = 'set -- $(od -An -N1 -tu1 /dev/urandom); exit $(($1 % 2 + 3))'
    same(kinds("--seed", 1, "--runs", 10, "--", "sh", "-c", script),
         [("exit", "exit status 3"), ("exit", "exit status 4")], "--keep-going collects by status")
    same(kinds("--runs", 1, "--timeout", "3s", "--", "sleep", "1000"),
         [("timeout", "timeout: it did not end within 3 s of its time")], "--timeout")
    same(kinds("--runs", 1, "--fail-if", "^wr[o]ng", "--", "echo", "so\nwrong here"),
         [("output", "output: wrong here")], "--fail-if")
    same(kinds("--runs", 1, "--", "sh", "-c", "kill -SEGV $$"),
         [("signal", "signal 11 (SIGSEGV)")], "a signal")


def test_full():
    """A summary that cannot be written keeps no other from being written."""
    result = hunt("-q", "--runs", 1, "--json", "/dev/full", "--junit", "full.xml", "--", "true")
    same((result.returncode, result.stderr), (125, b"reprise: /dev/full: cannot be written: No space left on device\n"),
         "no room for --json")
    ok(b"</testsuites>" in Path("full.xml").read_bytes(), "--junit is written all the same")


def test_broken():
    """Of runs whose recordings cannot be written nobody knows whether they pass. In /proc no file can be made."""
    result = hunt("-q", "--jobs", 1, "--runs", 1, "--json", "broken.json", "--junit", "broken.xml", "-o", "/proc/b.rpz",
                  "--", "true")
    ok(result.returncode == 125 and result.stderr.startswith(b"reprise: hunt: 1 run came to nothing, the last one: ") and
       result.stderr.endswith(b"; recordings go to /proc\n"), "a run that came to nothing", result)
    told = json.loads(Path("broken.json").read_text())
    same((told["runs"], told["failed"], told["broken"]), (1, 0, 1), "--json counts it")
    suite = xml.etree.ElementTree.parse("broken.xml").getroot().find("testsuite")
    error = suite.find("testcase/error")
    ok((suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "1") and error is not None and
       error.get("type") == "broken" and error.get("message").endswith("; recordings go to /proc"),
       "has not passed as JUnit", Path("broken.xml").read_text())


def test_pasted():
    """What it says is to be run next is what a shell makes of it, whatever the command's words are."""
    words = ["sh", "-c", "exit 3", "back\\slash", "two\nlines", "it's", "\x1b[1m\\'", "\udcff", "\u202e", "\u00e4 $HOME", ""]
    result = hunt("-q", "--seed", 1, "--runs", 1, "--fail-if", "a\\.b", "-o", "a\\ b\t.rpz", "--", *words)
    told = dict(re.findall(rb"^reprise:   (debug it|run it again): (.*)$", result.stderr, re.MULTILINE))
    ok(all(part.isprintable() for part in result.stderr.decode().split("\n")), "nothing that acts on a terminal", result)
    split = {name: subprocess.run(["bash", "-c", b"printf '%s\\0' " + line], capture_output=True,
                                  check=True).stdout.split(b"\0")[:-1] for name, line in told.items()}
    same(split[b"debug it"], [b"reprise", b"gdb", b"a\\ b\t.rpz"], "debug it")
    same(split[b"run it again"],
         [b"reprise", b"hunt", b"--seed", b"1", b"--runs", b"1", b"--states", b"1", b"-q", b"--fail-if", b"a\\.b", b"--"] +
         [os.fsencode(word) for word in words], "run it again")


def test_names():
    """No recording takes the place of another, and none is lost for want of a name."""
    for _ in range(3):
        hunt("-q", "--seed", 1, "--runs", 1, "--json", "names.json", "--", "false")
    same(sorted(path.name for path in Path(".").glob("hunt-1*")), ["hunt-1-2.rpz", "hunt-1-3.rpz", "hunt-1.rpz"],
         "hunts of one seed keep each its recording")
    same(json.loads(Path("names.json").read_text())["failures"][0]["recording"], "hunt-1-3.rpz", "and name it")
    for path in Path(".").glob("hunt-1*"):
        put_away(path)
    name = "n" * 300
    result = hunt("-q", "--seed", 1, "--runs", 1, "--json", "names.json", "-o", name, "--", "false")
    kept = json.loads(Path("names.json").read_text())["failures"][0]["recording"]
    same(kept, "hunt-1.rpz", "a recording whose name cannot be given gets one that can")
    ok(result.stderr.startswith(f"reprise: hunt: the recording cannot be named {name}: File name too long; "
                                f"it is kept as {kept}\n".encode()), "which is told", result)
    same(reprise("replay", kept).returncode, 1, "and the recording is kept")
    put_away(kept)


def test_same_directory():
    """A command that lists the directory in which recordings come and go is the same each time."""
    os.mkdir("listed")
    for name in ("one.rpz", "two.rpz"):
        hunt("-q", "--jobs", 1, "--seed", 1, "--runs", 1, "--json", "listed/told.json", "-o", "listed/" + name,
             "--", "sh", "-c", "ls -a listed; exit 1")
    ok(dump_events("listed/one.rpz") == dump_events("listed/two.rpz"), "recordings beside it make no other run")
    failure = json.loads(Path("listed/told.json").read_text())["failures"][0]
    same(failure["output"].split(), [".", "..", "told.json"], "since they are not seen; the summary is, from the first run on")


def test_kernel_error():
    """A kernel that gives up ends its run at once: nobody waits for the timeout."""
    if os.geteuid():
        note("only root's commands make a kernel panic")
        return
    result = hunt("--runs", 1, "--json", "panic.json", "-o", "panic.rpz", "--", "sh", "-c",
                  "echo before; echo c > /proc/sysrq-trigger; echo after")
    failure = json.loads(Path("panic.json").read_text())["failures"][0]
    same((failure["kind"], failure["output"]), ("kernel", "before\n"), "the kernel's own error is a failure")
    ok("Kernel panic - not syncing: sysrq triggered crash" in failure["what"], "and named", failure)
    ok(b"reprise gdb --at crash panic.rpz" in result.stderr, "and so is the way there", result.stderr.decode())
    replay = reprise("replay", "panic.rpz")
    same((replay.returncode, replay.stdout, replay.stderr),
         (125, b"before\n", b"reprise: the guest ended before the command did: reset\n"), "it replays")


def test_states():
    """Seed 16 is the first that starts from the second guest, whose directories have an order of their own."""
    orders = []
    for seed in (1, 15, 16):
        hunt("--states", 2, "--seed", seed, "--runs", 1, "--fail-if", "beta", "--json", "order.json", "-o",
             "order.rpz", "--", "sh", "-c", "mkdir d; cd d; touch alpha beta gamma delta epsilon zeta eta theta; ls -U")
        orders.append(json.loads(Path("order.json").read_text())["failures"][0]["output"].split())
    same(orders[0], orders[1], "guests of one state list a directory in one order")
    ok(orders[0] != orders[2] and sorted(orders[0]) == sorted(orders[2]), "of another state in another", orders)


def test_host_clock():
    result = hunt("--clock", "host", "--runs", 2, "-k", "--json", "host.json", "-o", "host.rpz", "--", "sh", "-c",
                  "date +%s; exit 4")
    told = json.loads(Path("host.json").read_text())
    same([(failure["what"], failure["times"]) for failure in told["failures"]], [("exit status 4", 2)],
         "--clock host")
    ok(b"the host's clock" in result.stderr and b"run it again" not in result.stderr,
       "promises no run that is the same again", result.stderr.decode())
    ok(abs(int(told["failures"][0]["output"]) - time.time()) < 86400, "and has the host's date", told)
    replay = reprise("replay", "host.rpz")
    same((replay.returncode, replay.stdout.decode()), (4, told["failures"][0]["output"]), "it replays")


def test_seeds():
    hunt("-q", "--jobs", 1, "--seed", 10, "--shard", "2/3", "--runs", 2, "-k", "--json", "s.json", "-o", "s.rpz",
         "--", "cat", "/proc/sys/kernel/random/uuid", "/none")
    told = json.loads(Path("s.json").read_text())
    same((told["seed"], told["seed_step"], told["failures"][0]["seed"]), (11, 3, 11), "--shard")


def addresses(seed):
    """Where the stack and the heap of a shell begin (proc(5), stat)."""
    hunt("-q", "--chaos=memory", "--seed", seed, "--runs", 1, "--json", "where.json", "-o", "where.rpz", "--",
         "sh", "-c", "read line < /proc/self/stat; set -- $line; echo ${28} ${47}; exit 1")
    output = json.loads(Path("where.json").read_text())["failures"][0]["output"]
    return [int(word) for word in output.split()]


def test_addresses():
    """Runs of even numbers come across distances of stack and heap page by page, others by chance."""
    (stack2, heap2), (stack4, heap4), (stack3, heap3) = map(addresses, (2, 4, 3))
    ok(abs(stack2 - stack4 - 4096) < 64 and heap2 == heap4, "--chaos=memory: one page after the other",
       stack2, stack4, heap2, heap4)
    ok(heap3 != heap2 and abs(stack3 - stack2) > 1 << 20, "and by chance", stack3, heap3)


def test_perturb():
    """What the user says of a variable prevails, also that it is not to be there."""
    def given(*options):
        hunt("-q", "--chaos=memory", "--seed", 1, "--runs", 1, "--json", "perturb.json", "-o", "perturb.rpz", *options, "--",
             "sh", "-c", "echo ${MALLOC_PERTURB_-none} ${MALLOC_PERTURB_X-none}; exit 1", env=environment)
        return json.loads(Path("perturb.json").read_text())["failures"][0]["output"].split()

    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_PERTURB_")}
    drawn, other = given("--env", "MALLOC_PERTURB_X=8")
    ok(drawn.isdigit() and 1 <= int(drawn) <= 255 and other == "8", "--chaos=memory: MALLOC_PERTURB_ is drawn", drawn, other)
    same(given("--env", "MALLOC_PERTURB_=0"), ["0", "none"], "unless --env gives it a value")
    same(given("--env", "MALLOC_PERTURB_"), ["none", "none"], "or asks for the host's, which has none")


def test_input():
    Path("in").write_bytes(b"from a file\n")
    with open("in", "rb") as stdin:
        result = hunt("--runs", 2, "-k", "--json", "-", "-o", "in.rpz", "--", "sh", "-c", "cat; exit 9",
                      stdin=stdin)
    told = json.loads(result.stdout)
    same([(failure["times"], failure["output"]) for failure in told["failures"]],
         [(2, "from a file\n")], "each run reads standard input anew")


def test_interrupt():
    with subprocess.Popen([TOOL, "hunt", "--states", "1", "--", "true"], stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, preexec_fn=listen) as process:
        line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    ok(b"hunting with seed" in line and b"0 failed" in rest, "^C: the summary", line, rest)
    same(process.returncode, 130, "and the status says so")
    ok(not list(Path(".").glob(".reprise*")), "and nothing stays behind", os.listdir())


def test_leftovers():
    """What a hunt that was killed left is removed, and nothing else. No process has the number 4194305 (proc(5), pid_max)."""
    gone, here, hour_ago = 4194305, os.getpid(), time.time() - 3700
    names = {"of a hunt that is gone": (f".reprise-hunt-{gone}-18446744073709551615.part", hour_ago),
             "of its run": (f".reprise-hunt-{gone}-1.part.{here}.part", hour_ago),
             "of one that was here a moment ago": (f".reprise-hunt-{gone}-2.part", None),
             "of one that is here": (f".reprise-hunt-{here}-3.part", hour_ago),
             "of another name": (f".reprise-hunt-{gone}-4.part.{gone}.parts", hour_ago),
             "of no number": (f".reprise-hunt-{gone}-x.part", hour_ago)}
    os.mkdir("left")
    for name, changed in names.values():
        Path("left", name).write_text("")
        if changed:
            os.utime(f"left/{name}", (changed, changed))
    hunt("-q", "--runs", 1, "-o", "left/l.rpz", "--", "true")
    same([what for what, (name, _) in names.items() if not os.path.exists(f"left/{name}")], ["of a hunt that is gone", "of its run"],
         "leftovers of killed hunts")


def test_refusals():
    shards = ("3/2", "0/2", "1/-1", " 1/2", "1/ 2", "1/2 ", "1/18446744073709551616", "1", "/2", "1/")
    for arguments, text in (*((["--shard", shard], f"--shard: '{shard}' is not I/N") for shard in shards),
                            (["--time", "18446744074s"], "--time: 18446744074s is out of range"),
                            (["--chaos=luck"], "'luck' is not one of preempt,atomics"),
                            (["--fail-if", "("], "--fail-if: "),
                            (["--time", "soon"], "'soon' is not a time"),
                            (["--jobs", "0"], "--jobs: 0 is out of range")):
        result = hunt("--runs", 1, *arguments, "--", "true")
        ok(result.returncode == 2 and text in result.stderr.decode() and
           result.stderr.count(b"\n") == 1, f"refused: {' '.join(arguments)}", result)
    result = hunt("--", "./no-such-command")
    same((result.returncode, result.stdout, result.stderr),
         (127, b"", b"reprise: hunt: ./no-such-command: command not found\n"), "no such command")
    Path("data").write_text("no program")
    result = hunt("--json", "no/where.json", "--", "true")
    ok(result.returncode == 125 and result.stderr.startswith(b"reprise: no/where.json: cannot be written: "),
       "a summary that cannot be written is told before the first run", result)
    result = hunt("--runs", 1, "--junit", ".", "--", "true")
    same((result.returncode, result.stderr), (125, b"reprise: .: cannot be written: Is a directory\n"),
         "and so is one that is a directory")
    os.mkfifo("fifo")
    for path, kind in ((".", "a directory"), ("fifo", "no regular file")):
        result = hunt("-o", path, "--", "false")
        same((result.returncode, result.stderr.decode()),
             (125, f"reprise: hunt: --output: {path} is {kind}; name a file\n"), f"-o {path}")
    result = hunt("--json", "none.json", "--", "./data")
    same((result.returncode, result.stderr), (126, b"reprise: hunt: ./data: cannot be executed\n"),
         "a file that is no program")


def main():
    require_kernel()
    with Directory() as directory:
        os.chdir(directory)
        test_race()
        test_nothing()
        test_kinds()
        test_full()
        test_broken()
        test_pasted()
        test_names()
        test_same_directory()
        test_kernel_error()
        test_states()
        test_host_clock()
        test_seeds()
        test_addresses()
        test_perturb()
        test_input()
        test_interrupt()
        test_leftovers()
        test_refusals()
    done()


main()
