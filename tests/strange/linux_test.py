"""Debian's cloud kernel in circumstances that are not the usual ones, one boot each."""

import os
import re
import subprocess

from strange import GUESTS, chosen, record_linux, verify
from harness import Directory, done, make_initramfs, ok, require_kernel, same


def test_program32(kernel):
    """A 32-bit program in the 64-bit guest does what it does on the host."""
    program = GUESTS / "program32"
    host = subprocess.run([program], capture_output=True, check=False)
    same((host.returncode, b"BAD" in host.stdout), (42, False), "program32: on the host")
    make_initramfs("program32.cpio", "chmod +x /bin/program32; program32; echo status $?",
                   "-k", kernel, "-f", f"{program}:/bin/program32")
    recorded = record_linux("program32", kernel, "program32.cpio")
    guest = recorded.stdout.replace(b"\r", b"")
    ok(host.stdout + b"status 42\n" in guest, "program32: the same in the guest", guest.decode(),
       host.stdout.decode())
    verify("program32", recorded)


def test_reset(kernel):
    """The guest reboots once; the disk, as the devices see it, remembers."""
    script = """
        [ "$(head -c 6 /dev/vda)" = second ] && echo "second start" && exit
        echo "first start"
        printf second | dd of=/dev/vda conv=notrunc 2>/dev/null
        sync
        reboot -f
    """
    make_initramfs("reset.cpio", script, "-k", kernel)
    with open("disk", "wb") as disk:
        disk.truncate(1 << 20)
    recorded = record_linux("reset", kernel, "reset.cpio", "--disk", "disk")
    ok(re.search(rb"first start\r?\n(.*\n)*second start", recorded.stdout),
       "reset: starts a second time", recorded.stdout.decode(errors="replace"))
    os.unlink("disk")
    verify("reset", recorded)


def test_large(kernel):
    """8 GiB of RAM, filled above 4 GiB; the end is a triple fault, Linux's way to reset by force."""
    script = """
        grep MemTotal /proc/meminfo
        mount -t tmpfs none /tmp
        dd if=/dev/urandom of=/tmp/a bs=1M count=4 2>/dev/null
        for i in 1 2 3 4 5 6 7 8; do cat /tmp/a >>/tmp/b; done
        md5sum /tmp/a | cut -d ' ' -f 1
        tail -c 4194304 /tmp/b | md5sum | cut -d ' ' -f 1
        grep 'System RAM' /proc/iomem
        reboot -f
    """
    make_initramfs("large.cpio", script, "-k", kernel)
    recorded = record_linux("large", kernel, "large.cpio", "--mem", "8G", append="reboot=triple")
    text = recorded.stdout.decode(errors="replace")
    total = re.search(r"MemTotal: +(\d+) kB", text)
    ok(total and int(total[1]) > 7.7 * 1048576, "large: 8 GiB are there", text)
    sums = re.findall(r"^[0-9a-f]{32}", text, re.M)
    ok(len(sums) == 2 and sums[0] == sums[1], "large: memory keeps what it is given", sums)
    ok(re.search(r"100000000-23fffffff : System RAM", text), "large: RAM above 4 GiB", text)
    verify("large", recorded, end_reason="shutdown", saves=1)


def main():
    kernel = require_kernel()
    with Directory() as directory:
        os.chdir(directory)
        for test in (test_program32, test_reset, test_large):
            if chosen(test.__name__.removeprefix("test_")):
                test(kernel)
    done()


main()
