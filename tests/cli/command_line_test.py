"""The command line: options, messages, exit statuses, JSON, and files that are no good."""

import json
import os
import pty
import re
import subprocess

from harness import TOOL, Directory, done, dump_events, ok, reprise, same
from tiny_guest import tiny_guest

COMMANDS = ["run", "hunt", "record", "replay", "gdb", "serve", "symbols", "info", "dump",
            "check"]
TEXT = b"Hello from a tiny guest.\r\n"

# Arguments, exit status, what stderr says. K stands for a kernel, R for a recording.
MISTAKES = [
    ([], 2, "a command is missing"),
    (["frobnicate"], 2, "'frobnicate' is not a command"),
    (["--frobnicate"], 2, "unknown option --frobnicate"),
    (["hunt"], 2, "COMMAND… is missing"),
    (["record", "--frobnicate"], 2, "unknown option --frobnicate"),
    (["record", "operand"], 2, "unexpected argument 'operand'"),
    (["record", "--mem", "lots"], 2, "--mem: 'lots' is not a size"),
    (["record", "--mem", "1"], 2, "--mem: 1 is out of range"),
    (["record", "--mem"], 2, "--mem needs a value"),
    (["record", "--cpus", "0"], 2, "--cpus: 0 is out of range"),
    (["record", "--clock", "sundial"], 2, "'sundial' is not one of host, virtual"),
    (["record", "--seed", "x"], 2, "'x' is not a whole number"),
    (["record", "--epoch", "-1"], 2, "--epoch: '-1' is not a whole number"),
    (["record", "--kernel", "K", "--epoch", "253402300800"], 2, "253402300800 is out of range, 0 to 253402300799"),
    (["record", "--engine", "tcg", "--kernel", "K"], 2,
     "'tcg' is not one of auto, interp, kvm, jit"),
    (["record", "--kernel", "absent"], 125, "kernel absent: No such file"),
    (["record", "--kernel", "."], 125, r"kernel \.: Is a directory"),
    (["record", "--kernel", "text", "-o", "x.rpz"], 125, "text"),
    (["record", "--kernel", "K", "--initrd", "absent"], 125, "initrd absent: No such file"),
    (["record", "--kernel", "K", "--disk", "absent"], 125, "disk absent: No such file"),
    (["record", "--kernel", "K", "-o", "absent/x.rpz"], 125, "absent/x.rpz"),
    (["record", "--kernel", "K", "-o", "."], 125, r"\."),
    (["replay"], 2, "FILE is missing"),
    (["replay", "R", "R"], 2, "unexpected argument"),
    (["replay", "--until", "soon", "R"], 2, "'soon' is not a whole number"),
    (["replay", "absent"], 125, "absent: .*No such file"),
    (["replay", "text"], 4, "text: "),
    (["replay", "empty"], 4, "empty: "),
    (["info", "text"], 4, "text: byte [0-9]+: "),
    (["dump", "text"], 4, "text: byte [0-9]+: "),
    (["check", "text"], 4, "text: byte [0-9]+: "),
    (["check", "absent"], 125, "absent: "),
    (["info", "."], 125, r"\.: "),
    (["run"], 2, "COMMAND… is missing"),
    (["run", "--result"], 2, "--result needs a value"),
    (["run", "--epoch", "60", "--", "true"], 2, "--epoch: 60 is out of range, 61 to 8277292035 in a guest that has booted"),
    (["run", "--epoch", "62", "--mem", "2G", "--", "true"], 2, "--epoch: 62 is out of range, 63 to 8277292035 in"),
    (["run", "--epoch", "8277292036", "--", "true"], 2, "--epoch: 8277292036 is out of range, 61 to 8277292035 in"),
    (["run", "--cold", "--epoch", "8277292036", "--", "true"], 2, "8277292036 is out of range, 0 to 8277292035\n"),
    (["hunt", "--runs", "1", "--epoch", "0", "--", "true"], 2, "hunt: --epoch: 0 is out of range, 61 to 8277292035 in"),
    (["run", "--", "no-such-command-here"], 127, "no-such-command-here: command not found"),
    (["run", "--", "./text"], 126, "text: cannot be executed"),
    (["run", "--", "./absent"], 127, "absent: command not found"),
    (["run", "--kernel", "absent", "--", "true"], 125, "kernel absent: No such file"),
    (["run", "--modules", "absent", "--kernel", "K", "--", "true"], 125,
     "absent/modules.dep: No such file"),
    (["info", "bad\033[31mname\n"], 125, r"bad\\x1b\[31mname\\n"),
]


def test_mistakes(names):
    for arguments, status, pattern in MISTAKES:
        result = reprise(*[names.get(argument, argument) for argument in arguments])
        error = result.stderr.decode()
        good = (result.returncode == status and re.search(pattern, error)
                and error.startswith("reprise: ") and error.count("\n") == 1
                and not result.stdout)
        ok(good, f"mistake: {' '.join(arguments)!r}",
           f"status {result.returncode}, expected {status}", error, result.stdout)


def test_help():
    for arguments in (["--help"], ["-h"], *([command, "--help"] for command in COMMANDS)):
        result = reprise(*arguments)
        text = result.stdout.decode()
        good = (result.returncode == 0 and text.startswith("Usage: reprise")
                and not result.stderr and max(map(len, text.splitlines())) <= 100)
        ok(good, f"help: {' '.join(arguments)}", text)
    overview = reprise("--help").stdout.decode()
    listed = re.findall(r"^  (\w+)  ", overview, re.M)
    same(sorted(listed), sorted(COMMANDS), "help lists the commands that there are")
    for arguments in (["--version"], *([command, "--version"] for command in COMMANDS)):
        result = reprise(*arguments)
        good = result.returncode == 0 and re.fullmatch(rb"reprise \d+\.\d+\.\d+\n", result.stdout)
        ok(good, f"version: {' '.join(arguments)}", result.stdout, result.stderr)


def test_recording():
    result = reprise("record", "--kernel", "K", "-o", "R", "--mem", "16M")
    ok(result.returncode == 0, "record: exit status", result.stderr)
    same(result.stdout, TEXT, "record: the console is on stdout")
    ok(re.fullmatch(rb"reprise: \S+ after [\d,]+ instructions, .* reprise replay R\n",
                    result.stderr), "record: one line of summary", result.stderr)
    result = reprise("replay", "R")
    ok(result.returncode == 0 and result.stdout == TEXT, "replay: the same console", result)
    ok(result.stderr.count(b"\n") == 1, "replay: one line of summary", result.stderr)
    result = reprise("replay", "--quiet", "R")
    ok(result.returncode == 0 and not result.stdout and not result.stderr, "replay --quiet", result)
    result = reprise("check", "R")
    ok(result.returncode == 0 and b"whole" in result.stdout, "check", result)


def test_default_name():
    os.mkdir("names")
    result = reprise("record", "--kernel", "../K", "--mem", "16M", cwd="names")
    files = os.listdir("names")
    ok(result.returncode == 0 and len(files) == 1
       and re.fullmatch(r"reprise-\d{8}-\d{6}\.rpz", files[0])
       and files[0].encode() in result.stderr, "record without -o says the name", files, result)
    result = reprise("record", "--kernel", "K", "--quiet", "-o", "quiet.rpz", "--mem", "16M")
    ok(result.returncode == 0 and not result.stderr, "record --quiet", result.stderr)


def test_json():
    info = json.loads(reprise("info", "--json", "R").stdout)
    same((info["vcpus"], info["clock"], info["seeded"], info["is_run"], info["complete"]),
         (1, "host", False, False, True), "info --json")
    ok(15 << 20 <= info["ram_bytes"] <= 17 << 20, "info --json: RAM", info)
    outcome = json.loads(reprise("replay", "--json", "R").stderr)
    same((outcome["status"], outcome["icount"], outcome["exit_status"]),
         ("end", info["end_icount"], 0), "replay --json")
    ok(outcome["digests_checked"] > 0, "replay --json: digests were checked", outcome)
    events = dump_events("R")
    same(len(events), info["events"], "dump --json: as many lines as events")
    kinds = {event["kind"] for event in events}
    ok({"input", "clock", "digest"} <= kinds, "dump --json: kinds of events", kinds)
    counts = [event["icount"] for event in events]
    ok(counts == sorted(counts), "dump --json: counts never decrease")
    lines = reprise("dump", "R").stdout.splitlines()
    same(len(lines), len(events), "dump: one line an event")
    middle = counts[len(counts) // 2]
    part = reprise("dump", "--json", "--from", middle, "--until", middle, "R").stdout.splitlines()
    same([json.loads(line) for line in part], [e for e in events if e["icount"] == middle],
         "dump --from --until")


def test_until():
    end = json.loads(reprise("info", "--json", "R").stdout)["end_icount"]
    for until in (0, 1, end // 2, end):
        outcome = json.loads(reprise("replay", "--json", "--until", until, "R").stderr)
        same(outcome["icount"], until, f"replay --until {until}")
    result = reprise("record", "--kernel", "K", "--until", 20, "-o", "limit.rpz", "--mem", "16M")
    info = json.loads(reprise("info", "--json", "limit.rpz").stdout)
    same((result.returncode, info["end_icount"], info["end_reason"]), (0, 20, "limit"),
         "record --until")


def test_repeatable():
    for name in ("v1", "v2"):
        reprise("record", "--kernel", "K", "--clock", "virtual", "--seed", 7, "-o", name, "--mem",
                "16M")
    same(dump_events("v1"), dump_events("v2"), "virtual clock and seed: the same events")
    reprise("record", "--kernel", "K", "--clock", "virtual", "--seed", 8, "-o", "v3", "--mem", "16M")
    ok(dump_events("v1") != dump_events("v3"), "another seed: other events")


def test_full_output():
    """Output that cannot be written must not be taken for success, and loses no recording."""
    def full(*arguments):
        with open("/dev/full", "wb") as sink:
            result = subprocess.run([TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.PIPE,
                                    check=False)
        return result.returncode, result.stderr.decode()

    lost = "standard output: No space left on device; the recording has it all: reprise replay full.rpz\n"
    same(full("record", "--quiet", "--kernel", "K", "--mem", "16M", "-o", "full.rpz"), (125, f"reprise: record: {lost}"),
         "record to a full device")
    result = reprise("replay", "full.rpz")
    same((result.returncode, result.stdout), (0, TEXT), "leaves a recording that has it all")
    same(full("replay", "--json", "R")[0], 125, "replay to a full device")
    for command in ("info", "dump", "check"):
        same(full(command, "R"), (125, "reprise: standard output: cannot be written\n"), f"{command} to a full device")


def test_reader_gone():
    """Who reads no further, as `head`, has what they wanted. Here they are gone before the first byte."""
    def unread(*arguments):
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run([TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE,
                                check=False)
        os.close(writer)
        return result.returncode, result.stderr.count(b"\n"), b"written" in result.stderr or b"pipe" in result.stderr

    same(unread("record", "--kernel", "K", "--mem", "16M", "-o", "unread.rpz"), (0, 1, False),
         "record that nobody reads: its summary alone")
    same(unread("replay", "R"), (141, 1, False), "replay that nobody reads")


def test_closed_output():
    """No output at all must not crash anything."""
    result = subprocess.run(["sh", "-c", f"exec '{TOOL}' replay R >&-"], capture_output=True,
                            check=False)
    ok(result.returncode in (0, 125), "replay with stdout closed", result)


def on_terminal(*arguments):
    """What the tool prints when stdout is a terminal."""
    main, terminal = pty.openpty()
    process = subprocess.Popen([TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=terminal,
                               stderr=subprocess.DEVNULL)
    process.wait(timeout=60)
    os.write(terminal, b"<end>")
    text = b""
    while not text.endswith(b"<end>"):
        text += os.read(main, 65536)
    os.close(main)
    os.close(terminal)
    return text.removesuffix(b"<end>").replace(b"\r\n", b"\n")


def test_control_sequences():
    """A recording's console acts on a terminal only with --raw; a file gets every byte."""
    text = b"\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m\n"
    open("K2", "wb").write(tiny_guest(text))
    reprise("record", "--kernel", "K2", "-o", "escapes.rpz", "--mem", "16M")
    same(reprise("replay", "escapes.rpz").stdout, text, "control sequences in a file")
    same(on_terminal("replay", "escapes.rpz"), b"\x1b[31mred\x1b[0m\n",
         "control sequences on a terminal")
    same(on_terminal("replay", "--raw", "escapes.rpz"), text, "control sequences with --raw")


def test_damage():
    """Every damaged file: told with its offset, or the same replay; never anything else."""
    whole = open("R", "rb").read()
    wrong = []
    for cut in {1, 7, 8, 40, *range(100, len(whole), max(1, len(whole) // 60)), len(whole) - 1}:
        open("D", "wb").write(whole[:cut])
        result = reprise("replay", "D")
        good = result.returncode in (0, 4) and TEXT.startswith(result.stdout)
        good &= result.returncode == 0 or re.search(rb"D: byte \d+: ", result.stderr) is not None
        if not good:
            wrong.append((cut, result))
    ok(not wrong, "replay of cut files", *wrong[:3])
    wrong = []
    for at in range(0, len(whole), max(1, len(whole) // 150)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        open("D", "wb").write(flipped)
        check, replay = reprise("check", "D"), reprise("replay", "D")
        good = check.returncode in (0, 4) and replay.returncode in (0, 4)
        good &= TEXT.startswith(replay.stdout)
        good &= replay.returncode == 4 or replay.stdout == TEXT
        good &= check.returncode == 0 or re.search(rb"D: byte \d+: ", check.stderr) is not None
        if not good:
            wrong.append((at, check, replay))
    ok(not wrong, "check and replay of files with a flipped bit", *wrong[:3])
    ok(whole == open("R", "rb").read(), "reading changes nothing")


def serve(address, *options):
    """Starts a server; returns the line that it says when it listens, or how it ended and its complaint."""
    with subprocess.Popen([TOOL, "serve", "R", "--listen", address, "--quiet", *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        if not line:
            return server.wait(timeout=60), server.stderr.read()
        server.terminate()
        return line


def test_serve_addresses():
    """Other machines can connect only where an option allows it."""
    for address in ("0.0.0.0:0", "192.0.2.1:0", "[::]:0", "[2001:db8::1]:0"):
        told = serve(address)
        ok(told[0] == 125 and told[1].startswith(f"reprise: {address}: ") and "--anywhere" in told[1],
           f"serve: {address} is refused", told)
    for address, *options in (("127.0.0.1:0",), ("127.1.2.3:0",), (":0",), ("localhost:0",),
                              ("0.0.0.0:0", "--anywhere")):
        told = serve(address, *options)
        ok(isinstance(told, str) and re.fullmatch(r"listening at .*:[1-9]\d*\n", told),
           f"serve: {' '.join((address, *options))} is not", told)


def main():
    with Directory() as directory:
        os.chdir(directory)
        open("K", "wb").write(tiny_guest(TEXT))
        open("text", "w").write("This is no recording, and no kernel. " * 100)
        open("empty", "w").close()
        test_recording()
        test_mistakes({})
        test_help()
        test_default_name()
        test_json()
        test_until()
        test_repeatable()
        test_full_output()
        test_reader_gone()
        test_closed_output()
        test_control_sequences()
        test_damage()
        test_serve_addresses()
    done()


main()
