"""The main job on a real kernel: record the Debian kernel with a busybox guest, replay it elsewhere.

REPRISE_TEST_REPEAT says how often each recording is made and replayed (default 1).
"""

import json
import re
import shutil

from harness import (NO_SELF_TESTS, REPEAT, SOURCE, Directory, done, dump_events, make_initramfs, note, ok, reprise,
                     require_kernel, same)

TYPED = b"World\n"
EXPECTED = [
    rb"time    20\d\d-\d\d-\d\d ",
    rb"random  [0-9a-f]{32} from the kernel",
    rb"random  [0-9a-f]{32} from the virtio device",
    rb"disk    Hello from the disk image\.",
    rb"disk    written by the guest",
    rb"typed   Hello, World\.",
    rb"counted to 1000, sha256 67d4ff71d43921d5",
    rb"the guest powers off",
]


def make_inputs(directory, kernel):
    inputs = directory / "inputs"
    inputs.mkdir()
    shutil.copy(kernel, inputs / "kernel")
    make_initramfs(inputs / "initramfs", (SOURCE / "tools/guest/demo.sh").read_text(), "-k", kernel)
    (inputs / "disk").write_bytes(b"Hello from the disk image.\n".ljust(1 << 20, b"\0"))
    return inputs


def record(inputs, output, *options, self_tests=False):
    append = "quiet" if self_tests else f"quiet {NO_SELF_TESTS}"
    return reprise("record", "--kernel", "kernel", "--initrd", "initramfs", "--append", append,
                   "--disk", "disk", "-o", output, *options, cwd=inputs, input=TYPED)


def check_recording(result, name):
    ok(result.returncode == 0, f"{name}: record", result.stderr.decode())
    for pattern in EXPECTED:
        ok(re.search(pattern, result.stdout), f"{name}: the console has {pattern.decode()}",
           result.stdout.decode(errors="replace"))


def check_replay(file, recorded, name):
    """Replays in the file's own directory, where nothing else is."""
    result = reprise("replay", "--json", file.name, cwd=file.parent)
    ok(result.returncode == 0, f"{name}: replay", result.stderr.decode())
    ok(result.stdout == recorded.stdout, f"{name}: the same console, byte for byte",
       result.stdout.decode(errors="replace"))
    outcome = json.loads(result.stderr.splitlines()[-1])
    ok(outcome["status"] == "end" and outcome["digests_checked"] > 0, f"{name}: digests", outcome)


def record_and_replay(directory, kernel, clock, options):
    """Each round makes its inputs anew and removes them before the replay. In the first the kernel tests itself."""
    elsewhere = directory / f"elsewhere-{clock}"
    elsewhere.mkdir()
    for round_number in range(REPEAT):
        name = f"{clock} clock, round {round_number + 1}"
        inputs = make_inputs(directory, kernel)
        disk = (inputs / "disk").read_bytes()
        file = elsewhere / f"{round_number}.rpz"
        recorded = record(inputs, file, *options, self_tests=round_number == 0)
        check_recording(recorded, name)
        ok((inputs / "disk").read_bytes() == disk, f"{name}: the disk image is unchanged")
        shutil.rmtree(inputs)
        check_replay(file, recorded, name)
        info = json.loads(reprise("info", "--json", file).stdout)
        note(f"{name}: {info['end_icount']} instructions, {info['event_bytes']} bytes of events")
    return file


def test_disk_write(directory, kernel):
    inputs = make_inputs(directory, kernel)
    recorded = record(inputs, directory / "write.rpz", "--disk-write")
    ok(recorded.returncode == 0 and b"written by the guest" in (inputs / "disk").read_bytes(),
       "--disk-write changes the image", recorded.stderr.decode())
    shutil.rmtree(inputs)
    check_replay(directory / "write.rpz", recorded, "--disk-write")


def test_same_twice(directory, kernel):
    """Virtual clock, seed and input given: the events are a function of them."""
    inputs = make_inputs(directory, kernel)
    consoles = [record(inputs, directory / name, "--clock", "virtual", "--seed", 7).stdout
                for name in ("a.rpz", "b.rpz")]
    same(consoles[0], consoles[1], "virtual clock and seed: the same console")
    a, b = dump_events(directory / "a.rpz"), dump_events(directory / "b.rpz")
    first = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), None)
    ok(a == b, "virtual clock and seed: the same events and digests",
       f"{len(a)} and {len(b)} events; first difference at {first}",
       *([a[first], b[first]] if first is not None else []))


def test_virtio_console(directory, kernel):
    """hvc0 takes the typed line; what is said on it and on ttyS0 is recorded and replayed."""
    script = """
        echo "on ttyS0"
        read -r line </dev/hvc0
        echo "hvc0 got $line" >/dev/hvc0
        seq 2000 >/dev/hvc0
        echo "ttyS0 again"
    """
    make_initramfs(directory / "hvc.cpio", script, "-k", kernel, "-m", "virtio_console")
    path = directory / "hvc.rpz"
    recorded = reprise("record", "--kernel", kernel, "--initrd", directory / "hvc.cpio", "--append",
                       f"quiet {NO_SELF_TESTS}", "--console", "virtio", "-o", path, input=TYPED)
    console = recorded.stdout.replace(b"\r", b"")
    ok(recorded.returncode == 0 and re.search(
        rb"on ttyS0\n(.*\n)*hvc0 got World\n(.*\n)*ttyS0 again\n", console),
       "hvc0: takes and gives lines", console.decode(errors="replace"))
    numbers = "".join(f"{n}\n" for n in range(1, 2001)).encode()
    ok(numbers in console, "hvc0: much output", console[-500:])
    check_replay(path, recorded, "hvc0")


def main():
    kernel = require_kernel()
    with Directory() as directory:
        record_and_replay(directory, kernel, "host", [])
        record_and_replay(directory, kernel, "virtual", ["--clock", "virtual"])
        record_and_replay(directory, kernel, "seeded", ["--seed", "1"])
        test_disk_write(directory, kernel)
        test_virtio_console(directory, kernel)
        test_same_twice(directory, kernel)
    done()


main()
