"""Debian's other kernels: the one for real hardware and the one for real time."""

import os
import re

from strange import MATERIAL, chosen, record_linux, require_material, verify
from harness import SOURCE, Directory, done, make_initramfs, ok

TYPED = b"World\n"


def test_kernel(kernel):
    name = kernel.name.removeprefix("vmlinuz-")
    make_initramfs(f"{name}.cpio", (SOURCE / "tools/guest/demo.sh").read_text(), "-k", kernel)
    with open("disk", "wb") as disk:
        disk.write(b"Hello from the disk image.\n".ljust(1 << 20, b"\0"))
    recorded = record_linux(name, kernel, f"{name}.cpio", "--disk", "disk", input=TYPED)
    os.unlink("disk")
    text = recorded.stdout.decode(errors="replace")
    for pattern in (rf"the guest is up: Linux {re.escape(name)}", r"random  [0-9a-f]{32} from the virtio",
                    r"written by the guest", r"typed   Hello, World\.", "sha256 67d4ff71d43921d5"):
        ok(re.search(pattern, text), f"{name}: the console has {pattern}", text)
    verify(name, recorded)


def main():
    if not require_material():
        done()
    kernels = sorted((MATERIAL / "kernels/boot").glob("vmlinuz-*"))
    ok(len(kernels) == 2, "two kernels", kernels)
    with Directory() as directory:
        os.chdir(directory)
        for kernel in kernels:
            if chosen("rt" if "-rt-" in kernel.name else "amd64"):
                test_kernel(kernel)
    done()


main()
