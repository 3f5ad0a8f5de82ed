"""reprise gdb around its gdb: what it starts, removes and leaves behind."""

import os
import re
import subprocess
from pathlib import Path

from harness import TOOL, Directory, done, ok, reprise, same
from tiny_guest import tiny_guest


def test_no_folder():
    """Nothing was made, so nothing is to be removed."""
    # Leaks cannot be looked for in a process that is traced.
    environment = os.environ | {"TMPDIR": "/nonexistent", "ASAN_OPTIONS": "detect_leaks=0"}
    result = subprocess.run(["strace", "-f", "-o", "trace", "-e", "trace=unlink,unlinkat,rmdir", TOOL, "gdb",
                             "-q", "R"], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                            check=False)
    ok(result.returncode == 125 and b"/nonexistent/reprise-gdb-" in result.stderr,
       "where no folder can be made, that is told", result)
    same(re.findall(r"(?:unlink|unlinkat|rmdir)\(.*", Path("trace").read_text()), [], "and nothing is removed")


def main():
    with Directory() as directory:
        os.chdir(directory)
        Path("K").write_bytes(tiny_guest(b"The guest runs.\r\n"))
        reprise("record", "--kernel", "K", "--mem", "16M", "-o", "R")
        test_no_folder()
    done()


main()
