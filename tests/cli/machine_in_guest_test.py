"""What a booted Linux makes of the machine: mitigations, calibration, warnings, MSRs."""

import re

from harness import Directory, done, make_initramfs, note, ok, reprise, require_kernel, same

SCRIPT = """
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for f in /sys/devices/system/cpu/vulnerabilities/*; do
	echo "VULNERABILITY ${f##*/}: $(cat "$f")"
done
dmesg -r | sed 's/^/DMESG /'
grep -m1 ^flags /proc/cpuinfo
grep -m1 ^bogomips /proc/cpuinfo
echo "CLOCKSOURCE $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
echo "GUEST DONE"
poweroff -f
"""

# Feature words that Linux shows for instructions the machine does not have.
ABSENT = {"avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "adx", "aes", "pclmulqdq", "movbe", "rdpid",
          "sha_ni", "xsaveopt", "xsavec", "xsaves", "clflushopt", "clwb", "invpcid", "monitor", "rtm",
          "hle", "sse4a", "3dnow", "xop", "fma4", "tbm", "vmx", "svm", "mpx", "pku", "waitpkg",
          "gfni", "vaes", "abm", "hypervisor", "avx512f", "pti", "ibrs", "ibpb", "stibp"}
PRESENT = {"sse4_1", "sse4_2", "ssse3", "popcnt", "cx16", "lahf_lm", "rdrand", "rdseed", "smep", "smap",
           "fsgsbase", "umip", "xsave", "x2apic", "constant_tsc", "nonstop_tsc", "tsc_known_freq",
           "rdtscp", "nx", "syscall", "tsc_deadline_timer", "erms"}

# What must not be in the kernel's log.
UNWANTED = [
    r"[Cc]alibrating delay loop\.\.\.(?! \(skipped\))",
    r"[Ff]ast TSC calibration",
    r"TSC calibration",
    r"PIT calibration",
    r"APIC timer calibration|calibrating APIC timer",
    r"\bWARNING\b",
    r"\bBUG\b",
    r"\bOops\b",
    r"Call Trace",
    r"unchecked MSR",
    r"[Uu]nstable",
    r"soft lockup|rcu.*stall",
    r"Kernel/User page tables isolation: enabled",
    r"Mitigation: .*[Rr]etpoline",
    r"VERW|Clear CPU buffers",
    r"firmware bug|Firmware Bug",
    r"ACPI (?:Error|Exception|Warning)",
]


# Messages of level warning or worse that are expected.
EXPECTED = [
    r"PCI: Fatal: No config space access function found",  # there is no PCI
    r"PCI: System does not support PCI",
]


def record(directory, kernel):
    make_initramfs(directory / "initramfs", SCRIPT)
    return reprise("record", "--verbose", "--kernel", kernel, "--initrd", directory / "initramfs",
                   "--append", "quiet", "-o", directory / "guest.rpz")


def vulnerabilities(console):
    return dict(re.findall(r"^VULNERABILITY (\w+): (.*?)\r?$", console, re.MULTILINE))


def test_mitigations(console):
    states = vulnerabilities(console)
    ok(len(states) >= 8, "the guest lists its vulnerabilities", console)
    note("; ".join(f"{name}: {state}" for name, state in states.items()))
    for name, state in states.items():
        costly = re.search(r"PTI|[Rr]etpoline|Clear CPU buffers|VERW|IBRS|IBPB", state)
        ok(not costly, f"vulnerabilities/{name} costs nothing: {state}")
    for name in ("meltdown", "spectre_v2", "mds", "l1tf"):
        same(states.get(name), "Not affected", f"vulnerabilities/{name}")


def test_log(console):
    lines = re.findall(r"^DMESG (.*?)\r?$", console, re.MULTILINE)
    ok(len(lines) > 50, "dmesg came", console)
    loud = [line for line in lines if re.match(r"<[0-4]>", line)
            and not any(re.search(pattern, line) for pattern in EXPECTED)]
    ok(not loud, "dmesg has nothing of level warning or worse but what is expected", *loud)
    for pattern in UNWANTED:
        found = [line for line in lines if re.search(pattern, line)]
        ok(not found, f"dmesg has no {pattern}", *found)
    ok(any("Calibrating delay loop (skipped)" in line for line in lines),
       "the delay loop is not calibrated: its value is known")
    ok(any(re.search(r"tsc: Detected 1000\.000 MHz", line) for line in lines),
       "the TSC's frequency is told", *[line for line in lines if "tsc" in line])


def test_features(console):
    flags = set(re.search(r"^flags\s*:(.*)$", console, re.MULTILINE).group(1).split())
    same(flags & ABSENT, set(), "Linux sees no feature that the machine lacks")
    same(PRESENT - flags, set(), "Linux sees the features that the machine has")
    ok(re.search(r"^CLOCKSOURCE tsc", console, re.MULTILINE), "the clock source is the TSC")


def test_unknown_msrs(stderr):
    """The kernel meets no MSR that the machine's table does not list."""
    ok(re.search(r"instructions, .* of guest time", stderr), "the recorder tells about the guest", stderr)
    ok("MSRs that the machine does not have" not in stderr, "no access to an unlisted MSR", stderr)


def main():
    kernel = require_kernel()
    with Directory() as directory:
        result = record(directory, kernel)
        console = result.stdout.decode(errors="replace")
        stderr = result.stderr.decode(errors="replace")
        same(result.returncode, 0, "record")
        ok("GUEST DONE" in console, "the guest came to its end", console)
        test_mitigations(console)
        test_log(console)
        test_features(console)
        test_unknown_msrs(stderr)
    done()


main()
