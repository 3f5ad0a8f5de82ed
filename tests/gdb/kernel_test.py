"""The kernel's symbols, types and frames in a real gdb on a recorded Debian boot.

Usage: kernel_test.py REPRISE [--material FOLDER] [RECORDING]
--material: the other kernels that packages.sh strange has unpacked there, instead of that in /boot."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from remote import done, ok, same

SOURCE = Path(__file__).resolve().parents[2]
SCRIPT = """echo hello; ls / >/dev/null; dd if=/dev/zero of=/dev/null bs=1M count=4 2>/dev/null
i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; echo bye
"""


def record(folder, kernel, *options):
    script, initramfs, file = (Path(folder) / name for name in ("script", "initramfs", "boot.rpz"))
    script.write_text(SCRIPT)
    subprocess.run([SOURCE / "tools/make-initramfs.sh", "-k", kernel, "-o", initramfs, script],
                   check=True, stdout=subprocess.DEVNULL)
    result = subprocess.run([sys.argv[1], "record", "--kernel", kernel, "--initrd", initramfs,
                             "-o", file, *options], stdin=subprocess.DEVNULL, capture_output=True,
                            check=False)
    same(result.returncode, 0, f"{kernel.name}: a boot is recorded")
    return file


def run(file, *options, gdb=()):
    return subprocess.run([sys.argv[1], "gdb", "--quiet", *options, file, "--", "-nx", "-q", "-batch",
                           *gdb], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=1200, check=False)


def take_checks(name, gdb):
    for line in gdb.stdout.splitlines():
        if line.startswith("check ok - "):
            ok(True, f"{name}: " + line.removeprefix("check ok - "))
        elif line.startswith("check not ok - "):
            ok(False, f"{name}: " + line.removeprefix("check not ok - "))
        elif line.startswith("# "):
            print(line)
    ok("check done" in gdb.stdout and gdb.returncode == 0, f"{name}: gdb came to the script's end",
       gdb.returncode, gdb.stdout[-2000:], gdb.stderr[-2000:])


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


def test_kernel(kernel, file=None):
    name = kernel.name.removeprefix("vmlinuz-")
    with tempfile.TemporaryDirectory() as folder:
        file = file or record(folder, kernel)
        start = time.monotonic()
        take_checks(name, run(file, gdb=["-x", Path(__file__).with_name("kernel.py")]))
        print(f"# {name}: gdb's script took {time.monotonic() - start:.1f} s")
        test_start(name, file)
        test_file(name, file, folder)


def test_relocated(kernel):
    """A kernel that unpacks itself, in a format the loader does not know, lies where it likes."""
    with tempfile.TemporaryDirectory() as folder:
        image, file, elf = (Path(folder) / name for name in ("vmlinuz", "self.rpz", "kernel.elf"))
        data = bytearray(kernel.read_bytes())
        data[0x248:0x250] = bytes(8) # payload_offset, payload_length: none
        image.write_bytes(data)
        linked = Path(folder) / "linked.elf"
        subprocess.run([sys.argv[1], "symbols", "-q", "-o", linked, record(folder, kernel)], check=True)
        subprocess.run([sys.argv[1], "record", "--kernel", image, "--initrd",
                        Path(folder) / "initramfs", "-o", file, "--clock", "virtual", "--seed", "1"],
                       stdin=subprocess.DEVNULL, capture_output=True, check=True)
        subprocess.run([sys.argv[1], "symbols", "-q", "-o", elf, file], check=True)
        ok(address(elf, "_text") not in (None, address(linked, "_text")), "relocated: it was relocated",
           address(elf, "_text"))
        take_checks("relocated", run(file, gdb=["-x", Path(__file__).with_name("kernel.py")]))
        gdb = run(file, "--vmlinux", linked, gdb=["-ex", "p &vfs_read"])
        ok(f"{address(elf, 'vfs_read'):x} <vfs_read>" in gdb.stdout, "relocated: --vmlinux goes along",
           gdb.stdout, gdb.stderr)


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
        test_relocated(sorted(Path("/boot").glob("vmlinuz-*cloud*"))[-1])
        done()
    kernels = sorted(Path("/boot").glob("vmlinuz-*cloud*"))
    if not ok(kernels, "a kernel as /boot/vmlinuz-*cloud*", "install linux-image-cloud-amd64"):
        done()
    test_kernel(kernels[-1], *arguments)
    done()


main()
