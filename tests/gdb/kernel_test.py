"""A real gdb on a recorded Debian boot: the kernel's symbols, types and frames, and a session without.

Usage: kernel_test.py REPRISE [--material FOLDER] [RECORDING]
--material: the other kernels that packages.sh strange has unpacked there, instead of that in /boot."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import run_gdb
from boot import record_boot
from remote import Server, check_twice, done, ok
from guest_kernel import NO_SELF_TESTS, require_kernel

SOURCE = Path(__file__).resolve().parents[2]
SCRIPT = """echo hello; ls / >/dev/null; dd if=/dev/zero of=/dev/null bs=1M count=4 2>/dev/null
i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; echo bye
"""


def run(file, *options, gdb=()):
    return run_gdb.run([sys.argv[1], "gdb", "--quiet", *options, file, "--", "-nx", "-q", "-batch", *gdb])


def test_start(name, file):
    """Before the first instruction the kernel is there already."""
    gdb = run(file, "--at", "start", gdb=["-ex", "tbreak start_kernel", "-ex", "continue", "-ex", "bt",
                                          "-ex", "info symbol $rip"])
    ok("start_kernel ()" in gdb.stdout and "secondary_startup_64" in gdb.stdout,
       f"{name}: break start_kernel from the start", gdb.stdout, gdb.stderr)


def test_file(name, file, folder):
    """What `reprise symbols` writes is sound to others, and serves as a vmlinux."""
    elf = Path(folder) / "kernel.elf"
    result = subprocess.run([sys.argv[1], "symbols", "-o", elf, file], capture_output=True, text=True,
                            check=False)
    ok(result.returncode == 0 and "types, call frames of Linux version" in result.stdout,
       f"{name}: reprise symbols", result.stdout, result.stderr)
    text = subprocess.run(["readelf", "-SsW", elf], capture_output=True, text=True, check=False)
    ok(text.returncode == 0 and not text.stderr and "do_sys_openat2" in text.stdout
       and ".debug_frame" in text.stdout, f"{name}: readelf reads it", text.stderr[:500])
    gdb = run(file, "--at", "start", "--vmlinux", elf, gdb=["-ex", "ptype init_task.pid",
                                                            "-ex", "p &entry_SYSCALL_64"])
    ok("type = int" in gdb.stdout and "entry_SYSCALL_64>" in gdb.stdout, f"{name}: --vmlinux", gdb.stdout,
       gdb.stderr)
    gdb = run(file, "--at", "start", "--no-kernel-symbols", gdb=["-ex", "p init_task.pid"])
    ok('No symbol table' in gdb.stderr, f"{name}: --no-kernel-symbols", gdb.stdout, gdb.stderr)
    gdb = run(file, "--vmlinux", __file__)
    ok(gdb.returncode == 2 and "not a vmlinux" in gdb.stderr, f"{name}: --vmlinux with another file",
       gdb.returncode, gdb.stderr)


SHIFT = 0x2000000


def link_vmlinux(folder, elf, banner, comm):
    """A small vmlinux with debugging information, linked SHIFT below where the recorded kernel lies."""
    places = {"text": "_text", "banner": "linux_banner", "init_task": "init_task", "vfs_read": "vfs_read"}
    at = {section: address(elf, name) - SHIFT for section, name in places.items()}
    vmlinux = Path(folder) / "vmlinux"
    subprocess.run(["cc", "-g", "-gdwarf-4", "-O2", "-mcmodel=kernel", "-fno-pic", "-no-pie", "-nostdlib", "-static",
                    "-ffreestanding", "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-Wl,--build-id=none",
                    f"-DBANNER=\"{banner}\"", f"-DOFFSET_OF_COMM={comm}", f"-Wl,--defsym=_text={at['text']:#x}",
                    "-Wl,-e,0", *(f"-Wl,--section-start=.{section}={place:#x}" for section, place in at.items()
                                  if section != "text"),
                    Path(__file__).with_name("guests") / "vmlinux.c", "-o", vmlinux], check=True)
    return vmlinux


def test_dwarf(name, file, folder):
    """--vmlinux with DWARF: its lines, types and arguments, at the offset at which the kernel lies."""
    elf = Path(folder) / "kernel.elf"
    told = subprocess.run([sys.argv[1], "symbols", "-o", elf, file], capture_output=True, text=True, check=True)
    banner = re.search(r" of (Linux version .*)$", told.stdout, re.M)[1].replace('"', '\\"')
    gdb = run(file, "--at", "start", "--vmlinux", elf,
              gdb=["-ex", "p (long)&((struct task_struct *)0)->comm"])
    vmlinux = link_vmlinux(folder, elf, banner, re.search(r"\$1 = (\d+)", gdb.stdout)[1])
    gdb = run(file, "--at", "end", "--vmlinux", vmlinux,
              gdb=["-ex", "break vfs_read", "-ex", "reverse-continue", "-ex", "p count == $rdx", "-ex", "list",
                   "-ex", "p init_task.comm", "-ex", "ptype file", "-ex", "p &vfs_read"])
    ok(re.search(r"vfs_read \(file=.*vmlinux\.c:\d+", gdb.stdout), f"{name}: DWARF: break at a line", gdb.stdout,
       gdb.stderr)
    ok("/* the function */" in gdb.stdout, f"{name}: DWARF: list", gdb.stdout)
    ok("$1 = 1" in gdb.stdout, f"{name}: DWARF: arguments", gdb.stdout)
    ok('$2 = "swapper' in gdb.stdout, f"{name}: DWARF: a variable", gdb.stdout)
    ok("long only_here;" in gdb.stdout, f"{name}: DWARF: its own types", gdb.stdout)
    ok(f"{address(elf, 'vfs_read'):x} <vfs_read>" in gdb.stdout, f"{name}: DWARF: at the recorded addresses",
       gdb.stdout)
    ok("another kernel" not in gdb.stderr, f"{name}: DWARF: no complaint about the banner", gdb.stderr)


def test_session(name, file):
    """Without symbols, over plain reprise serve; and started by reprise itself."""
    with Server(sys.argv[1], file, "--at", "start") as server:
        gdb = run_gdb.run_script(server.socket, "session.py")
        run_gdb.take_checks(gdb, f"{name}: session")
        run_gdb.says_begin(gdb)
    gdb = run(file, "--at", "1000", gdb=["-ex", "monitor when", "-ex", "kill"])
    ok("warning" not in gdb.stderr + gdb.stdout, f"{name}: gdb has nothing to warn of", gdb.stderr)
    ok(gdb.returncode == 0 and "icount 1000 of" in gdb.stdout + gdb.stderr, f"{name}: reprise gdb --at 1000",
       gdb.stdout, gdb.stderr)


def test_kernel(kernel, file=None):
    name = kernel.name.removeprefix("vmlinuz-")
    with tempfile.TemporaryDirectory() as folder:
        given = file
        file = given or record_boot(sys.argv[1], folder, SCRIPT, kernel=kernel)
        start = time.monotonic()
        run_gdb.take_checks(run(file, gdb=["-x", Path(__file__).with_name("kernel.py")]), name)
        print(f"# {name}: gdb's script took {time.monotonic() - start:.1f} s")
        test_start(name, file)
        test_file(name, file, folder)
        test_dwarf(name, file, folder)
        test_session(name, file)
        if not given:
            check_twice(sys.argv[1], folder)


def test_relocated(kernel):
    """A kernel that unpacks itself, in a format the loader does not know, lies where it likes."""
    with tempfile.TemporaryDirectory() as folder:
        image, file, elf = (Path(folder) / name for name in ("vmlinuz", "self.rpz", "kernel.elf"))
        data = bytearray(kernel.read_bytes())
        data[0x248:0x250] = bytes(8) # payload_offset, payload_length: none
        image.write_bytes(data)
        linked = Path(folder) / "linked.elf"
        subprocess.run([sys.argv[1], "symbols", "-q", "-o", linked,
                        record_boot(sys.argv[1], folder, SCRIPT, kernel=kernel)], check=True)
        subprocess.run([sys.argv[1], "record", "--kernel", image, "--initrd",
                        Path(folder) / "initramfs", "-o", file, "--append", NO_SELF_TESTS,
                        "--clock", "virtual", "--seed", "1"],
                       stdin=subprocess.DEVNULL, capture_output=True, check=True)
        subprocess.run([sys.argv[1], "symbols", "-q", "-o", elf, file], check=True)
        ok(address(elf, "_text") not in (None, address(linked, "_text")), "relocated: it was relocated",
           address(elf, "_text"))
        run_gdb.take_checks(run(file, gdb=["-x", Path(__file__).with_name("kernel.py")]), "relocated")
        gdb = run(file, "--vmlinux", linked, gdb=["-ex", "p &vfs_read"])
        ok(f"{address(elf, 'vfs_read'):x} <vfs_read>" in gdb.stdout, "relocated: --vmlinux goes along",
           gdb.stdout, gdb.stderr)
        check_twice(sys.argv[1], folder)


def address(elf, name):
    text = subprocess.run(["readelf", "-sW", elf], capture_output=True, text=True, check=True).stdout
    return next((int(line.split()[1], 16) for line in text.splitlines()
                 if line.split()[-1:] == [name]), None)


def main():
    arguments = sys.argv[2:]
    if arguments[:1] == ["--material"]:
        subprocess.run([SOURCE / "tools/packages.sh", "strange", arguments[1]], check=True)
        kernels = sorted((Path(arguments[1]) / "boot").glob("vmlinuz-*")) or sorted(
            (Path(arguments[1]) / "kernels/boot").glob("vmlinuz-*"))
        ok(len(kernels) == 2, "two other kernels", kernels)
        for kernel in kernels:
            test_kernel(kernel)
        test_relocated(require_kernel())
        done()
    kernel = require_kernel()
    if not ok(kernel, "a kernel as /boot/vmlinuz-*", "install linux-image-cloud-amd64"):
        done()
    test_kernel(kernel, *arguments)
    done()


main()
