"""Records a Debian boot for the tests of this folder."""

import signal
import subprocess
from pathlib import Path

from remote import same
from guest_kernel import NO_SELF_TESTS, require_kernel
from signals import listen

SOURCE = Path(__file__).resolve().parents[2]


def record_boot(tool, folder, script, *options, kernel=None, files=(), until=None):
    """Boots a kernel, or the newest cloud kernel, with a busybox guest that runs the script; returns the
    recording. files: HOST:GUEST, put into the guest. until: what on the console ends a recording that would
    not end itself."""
    kernel = kernel or require_kernel()
    script_path, initramfs, path = (Path(folder) / name for name in ("script", "initramfs", "boot.rpz"))
    script_path.write_text(script)
    subprocess.run([SOURCE / "tools/make-initramfs.sh", "-k", kernel, "-o", initramfs,
                    *(argument for file in files for argument in ("-f", file)), script_path],
                   check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen([tool, "record", "--kernel", kernel, "--initrd", initramfs, "-o", path,
                           "--append", NO_SELF_TESTS, *options],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, preexec_fn=listen) as recorder:
        for line in recorder.stdout:
            if until and until in line:
                recorder.send_signal(signal.SIGINT)
    same(recorder.returncode, 0, f"{kernel.name}: a boot is recorded")
    return path
