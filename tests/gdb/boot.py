"""Records a Debian boot for the tests of this folder."""

import signal
import subprocess
from pathlib import Path

from remote import done, ok, same

SOURCE = Path(__file__).resolve().parents[2]

# Half of what a Debian kernel executes until it powers off are tests of its own ciphers.
NO_SELF_TESTS = "cryptomgr.notests"


def newest_kernel():
    kernels = sorted(Path("/boot").glob("vmlinuz-*cloud*")) or sorted(Path("/boot").glob("vmlinuz-*"))
    return kernels[-1] if kernels else None


def record_boot(tool, folder, script, *options, kernel=None, files=(), until=None):
    """Boots a kernel, or the newest cloud kernel, with a busybox guest that runs the script; returns the
    recording. files: HOST:GUEST, put into the guest. until: what on the console ends a recording that would
    not end itself."""
    kernel = kernel or newest_kernel()
    if not ok(kernel, "a kernel as /boot/vmlinuz-*", "install linux-image-cloud-amd64"):
        done()
    script_path, initramfs, path = (Path(folder) / name for name in ("script", "initramfs", "boot.rpz"))
    script_path.write_text(script)
    subprocess.run([SOURCE / "tools/make-initramfs.sh", "-k", kernel, "-o", initramfs,
                    *(argument for file in files for argument in ("-f", file)), script_path],
                   check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen([tool, "record", "--kernel", kernel, "--initrd", initramfs, "-o", path,
                           "--append", NO_SELF_TESTS, *options],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as recorder:
        for line in recorder.stdout:
            if until and until in line:
                recorder.send_signal(signal.SIGINT)
    same(recorder.returncode, 0, f"{kernel.name}: a boot is recorded")
    return path
