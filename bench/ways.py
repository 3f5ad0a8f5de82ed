"""The ways in which the same guest work is run: natively, under QEMU, under reprise with each engine.

The guests are alike: the same kernel, initial RAM disk, amount of RAM, one vCPU, console on the first
serial port. mitigations=off makes the guest kernel do the same work in each, since what it would work
around depends on the CPU that is shown to it. The quick look leaves out what half of a boot is, the kernel's tests of
its ciphers, and takes the boot's time from the work's guest.
"""
import dataclasses
import json
import os
import re
import shutil
import subprocess

from watch import GUEST_RAM_KIB

MEMORY = f"{GUEST_RAM_KIB >> 10}M"
COMMAND_LINE = {False: "mitigations=off", True: "mitigations=off cryptomgr.notests"}  # by quick
QEMU = "qemu-system-x86_64"
QEMU_MACHINES = {
    "q35": "q35",
    # Most like reprise's machine and half a second faster to boot, but on a busy host its guest finds
    # nothing to calibrate its clock with and hangs.
    "microvm": "microvm,acpi=on",
}
QEMU_OPTIONS = ("-accel", "tcg", "-m", MEMORY, "-nodefaults",
                "-no-user-config", "-display", "none", "-serial", "stdio", "-net", "none", "-no-reboot")


@dataclasses.dataclass(frozen=True)
class Way:
    """command(inputs, guest) is the argv; guests are those it runs, of "boot" and "work"."""
    name: str
    title: str
    kind: str           # native, qemu or reprise
    mode: str           # run, record, replay or discard (recorded, the log thrown away)
    engine: str
    guests: tuple
    command: object

    def recording(self, inputs, guest):
        """Where the recording of this engine lies; replays read what the same round recorded."""
        return os.path.join(inputs.directory, f"{self.kind}-{self.engine}-{guest}.recording")


def native_command(inputs, guest):
    return ["busybox", "sh", inputs.script]


def qemu_command(icount):
    def command(inputs, guest):
        return [QEMU, "-machine", QEMU_MACHINES[inputs.qemu_machine], *QEMU_OPTIONS,
                *icount(inputs, guest), "-kernel", inputs.kernel, "-initrd", inputs.images[guest],
                "-append", "console=ttyS0 " + COMMAND_LINE[inputs.quick]]
    return command


def guests_of(quick):
    return ("work",) if quick else ("boot", "work")


def qemu_way(mode, title, quick):
    def icount(inputs, guest):
        if mode == "run":
            return []
        return ["-icount", f"shift=auto,rr={mode},rrfile={way.recording(inputs, guest)}"]
    way = Way("qemu" if mode == "run" else f"qemu-{mode}", title, "qemu", mode, "tcg",
              guests_of(quick), qemu_command(icount))
    return way


def reprise_way(engine, mode, quick):
    def command(inputs, guest):
        recording = way.recording(inputs, guest)
        if mode == "replay":
            return [inputs.reprise, "replay", "--engine", engine, recording]
        return [inputs.reprise, "record", "--quiet", "--engine", engine, "--mem", MEMORY,
                "--kernel", inputs.kernel, "--initrd", inputs.images[guest],
                "--append", COMMAND_LINE[inputs.quick], "-o", "/dev/null" if mode == "discard" else recording]
    way = Way(f"reprise-{engine}-{mode}", f"{engine} {mode}", "reprise", mode, engine,
              ("boot",) if mode == "discard" else guests_of(quick), command)
    return way


def engines_of(reprise):
    """The engines in this build, which the help of record names."""
    text = subprocess.run([reprise, "record", "--help"], check=True, capture_output=True,
                          text=True).stdout
    found = re.search(r"\(this build: ([^)]*)\)", text)
    return re.split(r"[,\s]+", found.group(1)) if found else ["interp"]


def all_ways(engines, quick):
    """Every way that this host can run, in the order in which they take turns."""
    ways = [Way("native", "native", "native", "run", "", ("work",), native_command)]
    if shutil.which(QEMU):
        ways += [qemu_way("run", "QEMU", quick), qemu_way("record", "QEMU record", quick),
                 qemu_way("replay", "QEMU replay", quick)]
    for engine in engines:
        modes = ("record", "replay") if quick else ("record", "replay", "discard")
        ways += [reprise_way(engine, mode, quick) for mode in modes]
    return ways


def log_figures(way, inputs, guest):
    """Bytes of the log that a recording run left, and what else the file tells."""
    recording = way.recording(inputs, guest)
    if way.mode != "record":
        return {}
    if way.kind == "qemu":
        return {"log_bytes": os.path.getsize(recording), "file_bytes": os.path.getsize(recording)}
    info = json.loads(subprocess.check_output([inputs.reprise, "info", "--json", recording]))
    return {"log_bytes": info["event_bytes"], "file_bytes": os.path.getsize(recording),
            "events": info["events"], "instructions": info["end_icount"]}
