"""What the ways of running have in common: the programs, the guest's kernel and its initial RAM disks."""
import dataclasses
import os
import shutil
import subprocess
import sys

import works

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)


@dataclasses.dataclass(frozen=True)
class Inputs:
    directory: str      # for everything that is made; goes away with the run
    reprise: str        # the command under test
    work: str           # the guest work's program, bench-work; bench-command lies beside it
    kernel: str
    images: dict        # initial RAM disks by guest, "boot" and "work"
    script: str         # the work for the native run
    qemu_machine: str   # of ways.QEMU_MACHINES
    quick: bool


def build(build_directory):
    """Builds reprise and the guest work, with what Debian has of what they need."""
    if subprocess.run([os.path.join(TOP, "tools/packages.sh"), "bench"], check=False).returncode:
        print("bench: packages are missing; going on with what is there", file=sys.stderr)
    if not os.path.exists(os.path.join(build_directory, "build.ninja")):
        subprocess.run(["meson", "setup", build_directory, TOP], check=True, stdout=sys.stderr)
    subprocess.run(["ninja", "-C", build_directory, "tools/reprise", "bench/bench-work",
                    "bench/bench-command"],
                   check=True, stdout=sys.stderr)


def newest_kernel():
    """The newest cloud kernel under /boot, or else the newest kernel; an error when there is none."""
    for part in ("cloud", ""):
        names = [name for name in os.listdir("/boot") if name.startswith("vmlinuz-") and part in name]
        if names:
            newest = subprocess.run(["sort", "-V"], input="\n".join(names), text=True, check=True,
                                    capture_output=True).stdout.split()[-1]
            return os.path.join("/boot", newest)
    sys.exit("bench: no kernel in /boot; install linux-image-cloud-amd64")


def write(path, text):
    with open(path, "w") as out:
        out.write(text)
    return path


def libraries(program):
    """The libraries of a program, its dynamic linker among them, where it looks for them."""
    told = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return [word for line in told.splitlines() for word in line.split() if word.startswith("/")]


def make_image(directory, name, kernel, script, work):
    command = os.path.join(os.path.dirname(work), "bench-command")
    files = [f"{work}:bin/bench-work", f"{command}:bin/bench-command",
             *(f"{path}:{path[1:]}" for path in libraries(command))]
    image = os.path.join(directory, name + ".img")
    script_path = write(os.path.join(directory, name + ".sh"), script)
    subprocess.run([os.path.join(TOP, "tools/make-initramfs.sh"), "-k", kernel,
                    *(word for file in files for word in ("-f", file)), "-o", image, script_path],
                   check=True)
    return image


def prepare(directory, build_directory, reprise, kernel, qemu_machine, quick):
    """Makes everything in the directory. The programs are built already; reprise is copied, so that
    a build meanwhile does not change what is measured."""
    work = os.path.join(build_directory, "bench/bench-work")
    kernel = kernel or newest_kernel()
    scripts = {"boot": works.boot_script(), "work": works.guest_script(quick)}
    return Inputs(
        directory=directory,
        reprise=shutil.copy(reprise or os.path.join(build_directory, "tools/reprise"),
                            os.path.join(directory, "reprise")),
        work=work,
        kernel=kernel,
        images={name: make_image(directory, name, kernel, script, work)
                for name, script in scripts.items()},
        script=write(os.path.join(directory, "native.sh"), works.script(quick)),
        qemu_machine=qemu_machine,
        quick=quick,
    )
