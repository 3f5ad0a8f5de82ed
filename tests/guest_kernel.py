"""The kernel that the tests' guests boot."""

import re
from pathlib import Path

from tap import done, ok

# On its command line. Half of what a Debian kernel executes until it powers off are tests of its own
# ciphers; that they pass is seen where a boot is the matter itself.
NO_SELF_TESTS = "cryptomgr.notests"


def version(path):
    """Orders 6.1.0-9 before 6.1.0-10."""
    return [(part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r"(\d+)", path.name)]


def newest_kernel():
    """The newest Debian cloud kernel when there is one, else the newest kernel; None when there is none."""
    kernels = sorted(Path("/boot").glob("vmlinuz-*"), key=version)
    cloud = [path for path in kernels if "cloud" in path.name]
    return (cloud or kernels or [None])[-1]


def require_kernel():
    """Ends the test, failed, where there is none."""
    kernel = newest_kernel()
    if not kernel:
        ok(False, "a kernel as /boot/vmlinuz-*", "install linux-image-cloud-amd64")
        done()
    return kernel
