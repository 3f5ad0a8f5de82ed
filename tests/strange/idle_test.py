"""A guest that does nothing for a minute, by the host's clock: little work, a small log."""

import os
import re

from strange import info, record_linux, verify
from harness import Directory, done, make_initramfs, note, ok, require_kernel

IDLE_S = 60


def main():
    kernel = require_kernel()
    script = f"""
        echo "sleeps at $(cut -d ' ' -f 1 /proc/uptime)"
        sleep {IDLE_S}
        echo "wakes at $(cut -d ' ' -f 1 /proc/uptime)"
    """
    with Directory() as directory:
        os.chdir(directory)
        make_initramfs("idle.cpio", script, "-k", kernel)
        make_initramfs("busy.cpio", "echo busy", "-k", kernel)
        busy = record_linux("busy", kernel, "busy.cpio")
        idle = record_linux("idle", kernel, "idle.cpio")
        base, about = info("busy"), info("idle")
        times = re.findall(rb"at ([0-9.]+)", idle.stdout)
        ok(len(times) == 2 and IDLE_S <= float(times[1]) - float(times[0]) < IDLE_S + 5,
           "idle: a minute passes in the guest", times)
        ok(idle.seconds >= IDLE_S, "idle: and on the host", idle.seconds)
        cpu = idle.cpu_seconds - busy.cpu_seconds
        ok(cpu < 0.1 * IDLE_S, "idle: less than a tenth of a processor", cpu)
        log = about["event_bytes"] - base["event_bytes"]
        ok(log < 4096 * IDLE_S, "idle: less than 4 KiB of events a second", log)
        note(f"idle: {cpu / IDLE_S:.3f} of a processor, {log / IDLE_S:.0f} bytes of events a second")
        verify("idle", idle)
    done()


main()
