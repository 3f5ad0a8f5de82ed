"""Linux's own tests of x86 (tools/testing/selftests/x86), built static: the guest's results are the host's.

The guest runs Debian's non-cloud kernel, which has 16-bit segments. What is printed is compared line by line
with numbers (addresses, pids, times) taken out.
"""

import os
import re
import subprocess
from pathlib import Path

from strange import MATERIAL, record_linux, require_material, verify
from harness import Directory, done, make_initramfs, note, ok

SOURCE = MATERIAL / "source/tools/testing/selftests/x86"
ROOT = MATERIAL / "root"
LIB32 = ["usr/lib/gcc/x86_64-linux-gnu/12/32", "usr/lib32"]
FLAGS = ["-O2", "-std=gnu99", "-pthread", "-w", "-no-pie", "-static", "-DCAN_BUILD_32",
         "-DCAN_BUILD_64", f"-I{SOURCE}"]
FLAGS32 = ["-m32", *(f"-B{ROOT / path}/" for path in LIB32), *(f"-L{ROOT / path}" for path in LIB32),
           f"-I{ROOT}/usr/include/x86_64-linux-gnu", "-I/usr/include/x86_64-linux-gnu"]

# As in the Makefile beside them.
BOTH = """single_step_syscall sysret_ss_attrs syscall_nt test_mremap_vdso check_initial_reg_state sigreturn
    iopl ioperm test_vsyscall mov_ss_trap sigtrap_loop syscall_arg_fault fsgsbase_restore sigaltstack ldt_gdt
    ptrace_syscall""".split()
ONLY32 = """entry_from_vm86 test_syscall_vdso unwind_vdso test_FCMOV test_FCOMI test_FISTTP
    vdso_restorer""".split()
ONLY64 = "fsgsbase sysret_rip syscall_numbering corrupt_xstate_header amx".split()
MORE = {
    "ptrace_syscall_32": [SOURCE / "raw_syscall_helper_32.S"],
    "test_syscall_vdso_32": [SOURCE / "thunks_32.S"],
    "sysret_ss_attrs_64": [SOURCE / "thunks.S"],
    "check_initial_reg_state_32": ["-Wl,-ereal_start"],
    "check_initial_reg_state_64": ["-Wl,-ereal_start"],
}

# What must come out of tests that a host may get wrong.
EXPECTED = {
    # Under some software KVM the host's #DB after MOV SS; INT1 repeats for ever.
    "mov_ss_trap_32": (0, "I aten't dead"),
    "mov_ss_trap_64": (0, "I aten't dead"),
}


def host_has(pattern, path="/proc/cpuinfo"):
    return re.search(pattern, Path(path).read_text(encoding="utf-8"), re.M) is not None


def differences():
    """Tests whose words differ because host and guest differ by a feature; the exit status must not.

    The guest is an Intel-like processor without AVX-512 under Linux 6.1.
    """
    reasons = {}
    if host_has("AuthenticAMD"):  # SYSENTER in long mode is #UD on AMD
        reasons["single_step_syscall"] = reasons["syscall_arg_fault"] = "the host's SYSENTER"
    if host_has(r"\bavx512f\b"):  # a signal frame with AVX-512 exceeds MINSIGSTKSZ
        reasons["sigaltstack"] = "the host's AVX-512"
    if "failed (38)" in run_on_host("iopl_64")[1]:  # without CONFIG_X86_IOPL_IOPERM
        reasons["iopl"] = reasons["ioperm"] = "the host's kernel has no I/O permissions"
    if "invalid tile data" not in run_on_host("amx_64")[1]:
        reasons["amx"] = "the host's CPUID has a size for AMX's state"
    if "failed to find getcpu" not in run_on_host("test_vsyscall_32")[1]:
        reasons["test_vsyscall_32"] = "the host's kernel has getcpu in its 32-bit vDSO"
    return reasons


def vsyscall_mode():
    """The guest's vsyscall page as the host's is."""
    if not host_has("vsyscall", "/proc/self/maps"):
        return "vsyscall=none"
    return "vsyscall=emulate" if host_has("r-xp.*vsyscall", "/proc/self/maps") else "vsyscall=xonly"


def build():
    names = [f"{name}_32" for name in BOTH + ONLY32] + [f"{name}_64" for name in BOTH + ONLY64]
    failed = []
    for name in names:
        flags = FLAGS32 if name.endswith("_32") else ["-m64"]
        command = ["gcc", *flags, *FLAGS, "-o", f"tests/{name}", SOURCE / f"{name[:-3]}.c",
                   *MORE.get(name, []), "-lrt", "-ldl", "-lm"]
        result = subprocess.run(command, capture_output=True, check=False)
        if result.returncode:
            failed.append((name, result.stderr[-500:]))
    ok(not failed, f"{len(names)} tests are built", *failed)
    return sorted(set(names) - {name for name, _ in failed})


def plain(text):
    """Lines without numbers, pids and spaces. SYSENTER in 64-bit code leads to the lower half of an address
    that differs each time; what may be mapped there runs, with a warning when it has run for long."""
    text = re.sub(r".*Hit \d+ SIGTRAPs.*\n", "", text)
    lines = re.sub(r"\b(0x)*[0-9a-fA-F]+\b|-", "N", text).splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


def run_on_host(name):
    try:
        result = subprocess.run([f"tests/{name}"], capture_output=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return None, ""
    output = (result.stdout + result.stderr).decode(errors="replace")
    return result.returncode if result.returncode >= 0 else 128 - result.returncode, output


def compare(name, guest, reasons):
    if not ok(name in guest, f"{name}: comes to its end in the guest"):
        return
    output, status = guest[name]
    if name in EXPECTED:
        expected_status, text = EXPECTED[name]
        ok(status == expected_status and text in output, f"{name}: as it must be", output[-2000:])
        return
    host_status, host_output = run_on_host(name)
    ok(status == host_status, f"{name}: exit status", f"host {host_status}, guest {status}",
       output[-2000:])
    ok("[FAIL]" not in output or "[FAIL]" in host_output, f"{name}: nothing fails", output[-2000:])
    reason = reasons.get(name, reasons.get(name[:-3]))
    if reason:
        note(f"{name}: what it prints is not compared: {reason}")
        return
    differ = sorted(set(plain(output)) ^ set(plain(host_output)))
    ok(not differ, f"{name}: prints the same", *differ)


def main():
    if not require_material():
        done()
    kernel = next(path for path in sorted((MATERIAL / "kernels/boot").glob("vmlinuz-*"))
                  if "-rt-" not in path.name)
    with Directory() as directory:
        os.chdir(directory)
        os.mkdir("tests")
        names = build()
        script = """
            chmod +x /tests/*
            mount -t tmpfs none /tmp
            cd /tests
            for name in *; do
                timeout 900 ./$name >/tmp/log 2>&1
                status=$?
                echo "BEGIN $name"
                cat /tmp/log
                echo "END $name $status"
            done
        """
        files = [option for name in names for option in ("-f", f"tests/{name}:/tests/{name}")]
        make_initramfs("selftests.cpio", script, "-k", kernel, *files)
        recorded = record_linux("selftests", kernel, "selftests.cpio", "--mem", "1G", "--cpus", "2",
                                append=vsyscall_mode())
        text = recorded.stdout.decode(errors="replace").replace("\r", "")
        found = re.findall(r"^BEGIN (\w+)\n(.*?)^END \1 (\d+)$", text, re.M | re.S)
        guest = {name: (output, int(status)) for name, output, status in found}
        reasons = differences()
        for name in names:
            compare(name, guest, reasons)
        note(f"{len(guest)} tests ran; kernel {Path(kernel).name}")
        verify("selftests", recorded, stops=8, saves=2)
    done()


main()
