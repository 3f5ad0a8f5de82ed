"""memtest86+ from its Debian package, until it has gone through most of its tests."""

import os
import re

from strange import MATERIAL, record, require_material, verify
from harness import Directory, done, ok

INSTRUCTIONS = 6_000_000_000  # six of its ten tests in a guest this small

# The screen is sent to the console by the clock: often enough to show each test.
NS_A_THOUSAND = 20_000


def main():
    if not require_material():
        done()
    with Directory() as directory:
        os.chdir(directory)
        recorded = record("memtest", MATERIAL / "root/boot/memtest86+x64.bin", "--append",
                          "console=ttyS0,115200", "--mem", "8M", "--until", INSTRUCTIONS,
                          "--clock", "virtual", "--virtual-rate", NS_A_THOUSAND)
        text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "\n", recorded.stdout.decode(errors="replace"))
        ok("Memtest86+ v" in text, "memtest: starts", text[-2000:])
        tests = set(re.findall(r"#\d+ +\[[^\]]+\]", text))
        ok(len(tests) >= 4, "memtest: runs at least four tests", *sorted(tests))
        errors = set(re.findall(r"Errors: +(\d+)", text))
        ok(errors == {"0"}, "memtest: finds no errors", errors)
        verify("memtest", recorded, end_reason="limit", stops=8, saves=2)
    done()


main()
