"""A real gdb on a recorded Debian boot. Usage: session_test.py REPRISE [RECORDING]"""

import subprocess
import sys
import tempfile
from pathlib import Path

from remote import Server, done, ok, same

SOURCE = Path(__file__).resolve().parents[2]
SCRIPT = "echo hello; ls / >/dev/null; i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; echo bye\n"


def newest_kernel():
    kernels = sorted(Path("/boot").glob("vmlinuz-*cloud*")) or sorted(Path("/boot").glob("vmlinuz-*"))
    return kernels[-1] if kernels else None


def record(folder):
    kernel = newest_kernel()
    if not ok(kernel, "a kernel as /boot/vmlinuz-*", "install linux-image-cloud-amd64"):
        done()
    script, initramfs, file = (Path(folder) / name for name in ("script", "initramfs", "boot.rpz"))
    script.write_text(SCRIPT)
    subprocess.run([SOURCE / "tools/make-initramfs.sh", "-k", kernel, "-o", initramfs, script],
                   check=True, stdout=subprocess.DEVNULL)
    result = subprocess.run([sys.argv[1], "record", "--kernel", kernel, "--initrd", initramfs,
                             "-o", file], stdin=subprocess.DEVNULL,
                            capture_output=True, check=False)
    same(result.returncode, 0, "a boot is recorded")
    return file


def run_gdb(server):
    return subprocess.run(
        ["gdb", "-nx", "-q", "-batch", "-iex", "set auto-load off", "-ex",
         f"target remote {server.socket}", "-x", Path(__file__).with_name("session.py")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200, check=False)


def take_checks(gdb):
    for line in gdb.stdout.splitlines():
        if line.startswith("check ok - "):
            ok(True, line.removeprefix("check ok - "))
        elif line.startswith("check not ok - "):
            ok(False, line.removeprefix("check not ok - "))
        elif line.startswith("# "):
            print(line)
    ok("No more reverse-execution history" in gdb.stdout, "gdb says where history begins")
    ok("check done" in gdb.stdout and gdb.returncode == 0, "gdb came to the script's end",
       gdb.returncode, gdb.stdout[-2000:], gdb.stderr[-2000:])


def main():
    with tempfile.TemporaryDirectory() as folder:
        file = sys.argv[2] if len(sys.argv) > 2 else record(folder)
        with Server(sys.argv[1], file, "--at", "start") as server:
            take_checks(run_gdb(server))
        # The same, started by reprise itself; a gdb that is killed does not take the server along.
        gdb = subprocess.run([sys.argv[1], "gdb", "--quiet", "--at", "1000", file, "--", "-nx", "-q",
                              "-batch", "-ex", "monitor when", "-ex", "kill"],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        ok(gdb.returncode == 0 and "icount 1000 of" in gdb.stdout + gdb.stderr, "reprise gdb --at 1000",
           gdb.stdout, gdb.stderr)
    done()


main()
