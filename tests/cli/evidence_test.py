"""What a run's file says of how its command ended: environment, last output, and of a crash the process,
the signal and backtraces; as text, as JSON and as a bug report."""

import json
import os
import subprocess
import sys
from pathlib import Path

from harness import Directory, done, ok, reprise, require_kernel, same

CRASH = """#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_barrier_t barrier;

static void *wait_long(void *argument)
{
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
	return argument;
}

__attribute__((noinline)) static void inner(volatile int *where)
{
	*where = 1; /* the crash */
}

__attribute__((noinline)) static void outer(int depth)
{
	if (depth)
		outer(depth - 1);
	else
		inner((volatile int *)16);
	puts("not reached");
}

int main(int argc, char **argv)
{
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, wait_long, NULL);
	pthread_barrier_wait(&barrier);
	puts("about to crash");
	fflush(stdout);
	if (argc > 1)
		abort();
	outer(2);
	return 0;
}
"""

LINE = CRASH.splitlines().index("\t*where = 1; /* the crash */") + 1

# VADDPS of 256 bits: AVX, which the guest's processor has not.
ILLEGAL = """int main(void) { __asm__ volatile("vaddps %ymm0, %ymm1, %ymm2"); return 0; }
"""


def compile_program(name, source, *options):
    Path(f"{name}.c").write_text(source)
    subprocess.run(["gcc", "-g", "-O1", "-fno-optimize-sibling-calls", *options, "-o", name, f"{name}.c",
                    "-pthread"], check=True)


def info(path):
    return json.loads(reprise("info", "--json", path).stdout)


def functions(frames):
    return [frame.get("function", "?") for frame in frames]


def test_crash():
    compile_program("crash", CRASH)
    result = reprise("run", "-o", "c.rpz", "--", "./crash")
    same((result.returncode, result.stdout), (139, b"about to crash\n"), "a crash")
    told = info("c.rpz")
    crash = told.get("crash", {})
    same((crash.get("name"), crash.get("signal"), crash.get("executable")),
         ("crash", "SIGSEGV", f"{os.getcwd()}/crash"), "process, signal, executable")
    threads = crash.get("threads", [{}])
    frames = threads[0].get("frames", [])
    same(functions(frames)[:5], ["inner", "outer", "outer", "outer", "main"], "its backtrace")
    ok(frames and frames[0].get("source_line") == LINE
       and frames[0].get("source_file", "").endswith("/crash.c"), "source file and line", frames[:1])
    ok(len(threads) == 2 and "wait_long" in functions(threads[1]["frames"]), "the other thread",
       threads)
    same(told["output_tail"], "about to crash\n", "the last output")
    text = reprise("info", "c.rpz").stdout.decode()
    ok(f"was ended by SIGSEGV in inner at {os.getcwd()}/crash.c:{LINE}" in text, "info as text", text)
    # The programs are in the file: it tells the same where they are not.
    names = {attachment["name"] for attachment in told["attachments"]}
    ok(f"{os.getcwd()}/crash" in names, "the crashed program is attached", names)


def test_abort_below_a_shell():
    result = reprise("run", "-o", "a.rpz", "--", "sh", "-c", "./crash x; echo after; exit 3")
    ok(result.returncode == 3 and b"after" in result.stdout, "a crash below a shell", result)
    crash = info("a.rpz").get("crash", {})
    names = functions(crash.get("threads", [{}])[0].get("frames", []))
    ok(crash.get("signal") == "SIGABRT" and "abort" in names and names[-1] in ("_start", "main", "?")
       and "main" in names, "abort()'s backtrace", crash)


def test_built_in_guest():
    """The program is only in the guest: neither on the host nor attached."""
    script = "gcc -g -O1 -fno-optimize-sibling-calls -o inside crash.c -pthread && ./inside"
    reprise("run", "-o", "b.rpz", "--", "sh", "-c", script)
    crash = info("b.rpz").get("crash", {})
    frames = crash.get("threads", [{}])[0].get("frames", [{}])
    ok(not Path("inside").exists() and functions(frames)[:2] == ["inner", "outer"]
       and frames[0].get("source_line") == LINE, "a program that was built in the guest", crash)


def test_illegal_instruction():
    compile_program("illegal", ILLEGAL)
    result = reprise("run", "-o", "i.rpz", "--", "./illegal")
    ok(result.returncode == 132 and b"SIGILL at vaddps ymm2, ymm1, ymm0 (AVX)" in result.stderr
       and b"x86-64-v2" in result.stderr, "an instruction that the guest's processor lacks", result)


def test_network():
    program = "import socket; s = socket.socket(); s.settimeout(2); s.connect(('192.0.2.1', 9))"
    result = reprise("run", "-o", "n.rpz", "--", "python3", "-c", program)
    ok(result.returncode == 1 and b"no network but loopback\n" in result.stderr,
       "a connection to elsewhere is told", result)
    ok(info("n.rpz")["other_network"], "in the file too")
    program = ("import socket; l = socket.create_server(('127.0.0.1', 0)); "
               "socket.create_connection(l.getsockname()); exit(1)")
    result = reprise("run", "-o", "l.rpz", "--", "python3", "-c", program)
    ok(result.returncode == 1 and b"loopback" not in result.stderr, "loopback is not", result)


def test_no_crash():
    result = reprise("run", "-o", "k.rpz", "--", "sh", "-c", "sh -c 'kill -SEGV $$'; exit 0")
    ok(result.returncode == 0 and "crash" not in info("k.rpz"), "a command that succeeds crashed on purpose")
    reprise("run", "-o", "f.rpz", "--", "sh", "-c", "seq 3000; echo err >&2; exit 5")
    told = info("f.rpz")
    ok(told["output_tail"].endswith("2999\n3000\nerr\n") and len(told["output_tail"]) <= 4096
       and "crash" not in told, "the last output, both streams", told["output_tail"][-40:])


def test_markdown():
    os.environ["GIVEN_TOKEN"] = os.environ["OTHER_PASSWORD"] = "sesame"
    os.environ["TICKS"] = "a ``` b"
    reprise("run", "-o", "m.rpz", "--env", "GIVEN_TOKEN", "--", "sh", "-c",
            "printf '```\\nit`s\\033[31m red\\n'; exit 9", "two words")
    told = reprise("info", "--markdown", "m.rpz").stdout.decode()
    first = told.splitlines()[0]
    ok(first.startswith("# ```` sh -c ") and first.endswith("'two words' ````: exit status 9"),
       "the title", first)
    ok("````\n```\nit`s\\x1b[31m red\n````\n" in told, "output is fenced and escaped", told)
    ok("sesame" not in told and "\nGIVEN_TOKEN=***\n" in told and "Withheld: `OTHER_PASSWORD" in told
       and "\nTICKS=a ``` b\n" in told, "variables, and those that are withheld", told)
    ok(f"- directory: `{os.getcwd()}`" in told and "- host: `" in told and "reprise gdb m.rpz" in told,
       "directory, host and what to do next", told)


def main():
    require_kernel()
    with Directory() as directory:
        os.chdir(directory)
        test_crash()
        test_markdown()
        if "all" in sys.argv[2:]:
            test_abort_below_a_shell()
            test_built_in_guest()
            test_illegal_instruction()
            test_network()
            test_no_crash()
    done()


main()
