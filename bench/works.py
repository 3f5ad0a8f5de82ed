"""The guest work: what is done, how much of it, and the shell script that does it between markers.

The same script and the same programs run natively and in every guest. A marker is a line
"BENCH phase begin" or "BENCH phase end" on the console; whoever watches it notes the host's time.
"""
import dataclasses

INSTRUCTIONS_A_TURN = 8  # of integer-registers; see work/registers.S


@dataclasses.dataclass(frozen=True)
class Work:
    name: str
    title: str
    full: int
    quick: int
    unit: str
    command: str = "bench-work {name} {size}"

    def size(self, quick):
        return self.quick if quick else self.full


TEXT_MIB = {False: 8, True: 2}
LONG_TIMES = {False: 8, True: 1}  # the long text holds the text

WORKS = (
    Work("integer-memory", "integer, at random over 64 MiB", 20_000_000, 500_000, "words"),
    Work("integer-order", "integer, in order over 64 MiB", 200_000_000, 10_000_000, "words"),
    Work("integer-vector", "integer, in order, four words at a time (SSE2)", 80_000_000, 4_000_000,
         "times four words"),
    Work("integer-registers", "integer, in registers", 200_000_000, 20_000_000,
         f"turns of {INSTRUCTIONS_A_TURN} instructions"),
    Work("matrix", "product of matrices of doubles", 500, 100, "rows and columns"),
    Work("bodies", "n-body, 5 bodies", 2_000_000, 10_000, "steps"),
    Work("sha256sum", "sha256sum of a file in tmpfs", 0, 0, "MiB",
         'busybox sha256sum <"$BENCH_DIR/long" | sed "s/^/RESULT sha256sum /"'),
    Work("gzip", "gzip of a file in tmpfs", 0, 0, "MiB",
         'busybox gzip -c <"$BENCH_DIR/text" | wc -c | sed "s/^/RESULT gzip /"'),
    Work("shell", "shell loop", 50_000, 10_000, "turns",
         "i=0; while [ $i -lt {size} ]; do i=$((i + 1)); done; echo RESULT shell $i"),
    Work("exec", "fork and exec", 1_000, 50, "processes"),
    Work("commands", "commands of a shell script, dynamically linked", 500, 20, "processes",
         "i=0; while [ $i -lt {size} ]; do i=$((i + 1)); bench-command $i; done | sort | uniq -c | wc -l | "
         "sed 's/^/RESULT commands /'"),
    Work("getppid", "getppid", 1_000_000, 50_000, "calls"),
    Work("clock", "clock_gettime", 1_000_000, 50_000, "calls"),
    Work("pipe", "pipe ping-pong of two processes", 20_000, 1_000, "round trips"),
    Work("faults", "page faults, 32 MiB at a time", 10, 1, "times"),
    Work("mutex", "4 threads on a mutex", 500_000, 20_000, "turns each"),
)

# Without kernel messages nothing comes between the markers on a guest's console.
GUEST_BEGIN = """dmesg -n 1
mount -t tmpfs tmpfs /tmp
export BENCH_DIR=/tmp
"""
BOOT_MARKER = "echo BENCH boot end\n"


def sizes(quick):
    """How much of each work is done, by name."""
    of_text = {"sha256sum": TEXT_MIB[quick] * LONG_TIMES[quick], "gzip": TEXT_MIB[quick]}
    return {work.name: of_text.get(work.name, work.size(quick)) for work in WORKS}


def script(quick):
    """The whole work as a shell script; needs BENCH_DIR, a directory in memory."""
    amounts = sizes(quick)
    lines = [f'bench-work text {TEXT_MIB[quick]} >"$BENCH_DIR/text" 2>/dev/null',
             f'n=0; while [ $n -lt {LONG_TIMES[quick]} ]; do cat "$BENCH_DIR/text"; n=$((n + 1)); '
             'done >"$BENCH_DIR/long"']
    for work in WORKS:
        lines += [f"echo BENCH {work.name} begin",
                  work.command.format(name=work.name, size=amounts[work.name]),
                  f"echo BENCH {work.name} end"]
    lines += ['rm "$BENCH_DIR/text" "$BENCH_DIR/long"', "echo BENCH work end"]
    return "\n".join(lines) + "\n"


def guest_script(quick):
    return GUEST_BEGIN + BOOT_MARKER + script(quick)


def boot_script():
    return GUEST_BEGIN + BOOT_MARKER
