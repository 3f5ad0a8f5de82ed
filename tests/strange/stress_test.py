"""stress-ng from its Debian package, which checks its own results, in a guest."""

import os
import re
import subprocess

from strange import MATERIAL, record_linux, require_material, verify
from harness import Directory, done, make_initramfs, ok, require_kernel

# Bounded by operations, so that the work does not depend on the host's speed.
STRESSORS = {
    "cpu": "--cpu 1 --cpu-ops 180 --cpu-method all",
    "vm": "--vm 1 --vm-bytes 4m --vm-ops 40 --vm-method all",
    "fork": "--fork 1 --fork-ops 200",
    "signal": "--signal 1 --signal-ops 10000",
    "sigfpe": "--sigfpe 1 --sigfpe-ops 2000",
    "sigsegv": "--sigsegv 1 --sigsegv-ops 2000",
    "pipe": "--pipe 1 --pipe-ops 4000",
    "timer": "--timer 1 --timer-ops 1000",
    "icache": "--icache 1 --icache-ops 100",
    "opcode": "--opcode 1 --opcode-ops 100",
}


def files_of_program():
    """Program and libraries: those of the unpacked packages, the C library of the host."""
    root = MATERIAL / "root"
    program = root / "usr/bin/stress-ng"
    libraries = f"{root}/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu"
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True,
                             env={**os.environ, "LD_LIBRARY_PATH": libraries}).stdout
    options = ["-f", f"{program}:/bin/stress-ng", "-f",
               "/lib64/ld-linux-x86-64.so.2:/lib64/ld-linux-x86-64.so.2"]
    for name, path in re.findall(r"(\S+) => (/\S+)", listing):
        options += ["-f", f"{os.path.realpath(path)}:/lib/{name}"]
    return options


def guest_script():
    lines = ["chmod +x /bin/* /lib/* /lib64/*", "export LD_LIBRARY_PATH=/lib",
             "mount -t tmpfs none /tmp", "mkdir -p /dev/shm", "mount -t tmpfs none /dev/shm",
             "cd /tmp"]
    for name, options in STRESSORS.items():
        lines.append("stress-ng --verify --oomable --metrics-brief --temp-path /tmp -t 600 "
                     f"{options} >log 2>&1")
        lines.append(f'echo "{name}: status $?"; grep -E "fail|error|metrc:" log')
    return "\n".join(lines)


def check_stressor(name, options, text):
    """It ended well, and neither was it skipped nor did its time run out."""
    ok(f"\n{name}: status 0\n" in text, f"stress: {name}", text[-3000:])
    wanted = int(re.search(r"-ops (\d+)", options)[1])
    done_ops = re.search(rf"metrc:.*\] {name} +(\d+)", text)
    ok(done_ops and int(done_ops[1]) >= wanted, f"stress: {name} did all it was told to", wanted, text[-3000:])


def main():
    if not require_material():
        done()
    kernel = require_kernel()
    with Directory() as directory:
        os.chdir(directory)
        make_initramfs("stress.cpio", guest_script(), "-k", kernel, *files_of_program())
        recorded = record_linux("stress", kernel, "stress.cpio")
        text = recorded.stdout.decode(errors="replace").replace("\r", "")
        for name, options in STRESSORS.items():
            check_stressor(name, options, text)
        ok(not re.search(r"(?i)stress-ng: (fail|error)", text), "stress: no complaint", text[-3000:])
        verify("stress", recorded, stops=8, saves=2)
    done()


main()
