"""Debian's own initrd with an ext4 root on a virtio disk, as far as a login prompt, and its replay."""

import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import TOOL, Directory, done, note, ok, reprise, require_kernel, same
from signals import listen

INITTAB = """::sysinit:/bin/mount -t proc proc /proc
ttyS0::respawn:/bin/getty -L 115200 ttyS0 vt100
"""
TIMEOUT_S = 900


def make_root(directory):
    """An ext4 image with busybox as init and getty; debootstrap is not needed."""
    root = directory / "root"
    for name in ("bin", "dev", "etc", "proc", "root", "run", "sbin", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "bin/busybox")
    for name in ("sh", "mount", "getty", "login"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "sbin/init").symlink_to("../bin/busybox")
    (root / "etc/inittab").write_text(INITTAB)
    (root / "etc/passwd").write_text("root::0:0:root:/root:/bin/sh\n")
    (root / "etc/hostname").write_text("reprise\n")
    image = directory / "root.img"
    environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, image, "64M"], check=True,
                   stdout=subprocess.DEVNULL, env=environment)
    return image


def record_to_login(kernel, initrd, image, output):
    """Records until the prompt has come, then ends the recording. Returns status and console."""
    process = subprocess.Popen(
        [TOOL, "record", "--kernel", kernel, "--initrd", initrd, "--disk", image, "--append",
         "root=/dev/vda rw", "-o", output],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=listen)
    console = b""
    end = time.monotonic() + TIMEOUT_S
    while b" login:" not in console and time.monotonic() < end:
        if select.select([process.stdout], [], [], 1)[0]:
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                break
            console += piece
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=60)
    note(err.decode(errors="replace").strip())
    return process.returncode, console + rest


def main():
    kernel = require_kernel()
    initrd = Path("/boot/initrd.img-" + kernel.name.removeprefix("vmlinuz-"))
    if not ok(initrd.exists(), f"Debian's initrd {initrd}", "update-initramfs -c makes it"):
        done()
    with Directory() as directory:
        image = make_root(directory)
        file = directory / "debian.rpz"
        status, console = record_to_login(kernel, initrd, image, file)
        same(status, 0, "record")
        ok(b"EXT4-fs (vda): mounted" in console, "the root is the ext4 disk",
           console.decode(errors="replace"))
        ok(b" login:" in console, "a login prompt", console.decode(errors="replace"))
        image.unlink()
        replay = reprise("replay", file, timeout=TIMEOUT_S)
        same(replay.returncode, 0, "replay")
        ok(replay.stdout == console, "replay: the same console", replay.stderr)
    done()


main()
