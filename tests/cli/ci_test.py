"""The scripts in ci/: a test command under reprise as a CI job would run it, without a CI's server."""

import os
import re
import stat
import subprocess
from pathlib import Path

from harness import SOURCE, TOOL, Directory, done, ok, require_kernel, same

CI = SOURCE / "ci"


def script(name, *arguments, **environment):
    return subprocess.run([CI / name, *arguments], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=900,
                          env=dict(os.environ, REPRISE=TOOL, **environment))


def test_success():
    result = script("test.sh", "-d", "good", "--", "echo", "fine")
    same((result.returncode, result.stdout, os.listdir("good")), (0, "fine\n", []),
         "a test that succeeds leaves nothing")


def test_failure():
    upload = 'cp "$RECORDING" "$REPORT" store/ && echo stored'
    Path("store").mkdir()
    result = script("test.sh", "-d", "bad", "-n", "unit", "-u", upload, "-o", "--mem 384M", "--",
                    "sh", "-c", "echo 'got 3, expected 4'; exit 6", GITHUB_STEP_SUMMARY="summary")
    same((result.returncode, result.stdout), (6, "got 3, expected 4\n"), "status and output of a failing test")
    same(sorted(os.listdir("store")), ["unit.md", "unit.rpz"], "recording and report are uploaded")
    report = Path("store/unit.md").read_text()
    ok("exit status 6" in report and "got 3, expected 4" in report, "the report", report)
    same(Path("summary").read_text(), report, "the report is the job's summary too")
    ok("reprise gdb unit.rpz" in result.stderr and "stored" in result.stderr, "what to do next is told",
       result.stderr)
    replay = subprocess.run([TOOL, "replay", "store/unit.rpz"], capture_output=True, text=True, check=False)
    same((replay.returncode, replay.stdout), (6, result.stdout), "what was uploaded replays")


def test_upload_fails():
    result = script("test.sh", "-u", "exit 1", "--", "false")
    ok(result.returncode == 1 and "could not be uploaded" in result.stderr,
       "an upload that fails is told and does not hide the test's status", result)


def test_broken():
    result = script("test.sh", "-o", "--kernel /nonexistent", "--", "true")
    ok(result.returncode == 125 and "no recording" in result.stderr, "reprise's own failure is one", result)
    result = script("test.sh")
    ok(result.returncode == 2 and "test.sh [-d" in result.stderr, "usage", result)


def test_hunt():
    flaky = 'read -r n < /proc/sys/kernel/random/uuid; case $n in [0-7]*) exit 3;; esac'
    result = script("test.sh", "-d", "hunt", "-H", "--runs 64 --jobs 1", "--", "sh", "-c", flaky)
    ok(result.returncode == 1 and sorted(os.listdir("hunt")) == ["test.md", "test.rpz"],
       "a hunt keeps the failing run", result)
    result = script("test.sh", "-d", "none", "-H", "--runs 2 --jobs 1", "--", "true")
    same((result.returncode, os.listdir("none")), (0, []), "a hunt that finds nothing")


STUB = """#!/bin/sh
echo "${0##*/} $*" >> "$STUB_LOG"
case ${0##*/} in
id) [ "$1" = -u ] && echo 1000 || exec /usr/bin/id "$@" ;;
sudo) [ "$SUDO_ASKS" ] && exit 1; shift; exec "$@" ;;
udevadm) case $1 in trigger) chmod a+rw "$REPRISE_KVM";; esac ;;
esac
"""


def kvm_access(mode, **environment):
    """Root may do all, so as another user."""
    os.chmod("kvm", mode)
    Path("stub.log").write_text("")
    os.chmod("stub.log", 0o666)
    command = [CI / "kvm-access.sh"]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid", "1234", "--clear-groups", *command]
    return subprocess.run(command, capture_output=True, text=True, check=False,
                          env=dict(os.environ, PATH=f"{os.getcwd()}/stubs:{os.environ['PATH']}",
                                   STUB_LOG=os.path.abspath("stub.log"), REPRISE_KVM=os.path.abspath("kvm"),
                                   REPRISE_UDEV_RULES=os.path.abspath("rules"), **environment))


def test_kvm_access():
    os.makedirs("stubs")
    for name in ("id", "sudo", "udevadm"):
        Path("stubs", name).write_text(STUB)
        os.chmod(Path("stubs", name), 0o755)
    os.makedirs("rules")
    result = subprocess.run([CI / "kvm-access.sh"], capture_output=True, text=True, check=False,
                            env=dict(os.environ, REPRISE_KVM="/nonexistent"))
    ok(result.returncode == 0 and "without it" in result.stderr, "no KVM is no failure", result)
    Path("kvm").touch()
    if os.geteuid() == 0:
        os.chmod(".", 0o755)
        os.chown("kvm", 1234, 1234)
        os.chown("rules", 1234, 1234)
    result = kvm_access(0o666)
    same((result.returncode, result.stderr, Path("stub.log").read_text()), (0, "", ""),
         "a device that is usable is left alone")
    result = kvm_access(0)
    rules = list(Path("rules").iterdir())
    ok(result.returncode == 0 and not result.stderr and 'KERNEL=="kvm"' in rules[0].read_text()
       and stat.S_IMODE(os.stat("kvm").st_mode) == 0o666, "a udev rule makes it usable", result)
    result = kvm_access(0, SUDO_ASKS="1")
    ok(result.returncode == 0 and "add the user to group" in result.stderr, "without sudo it says what to do",
       result)


def steps_of_action():
    """The shell text of the action's steps, by their names."""
    steps, name, block = {}, None, None
    for line in (CI / "action.yml").read_text().splitlines():
        indent = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indent <= block:
            block = None
        match = re.match(r"\s+- name: (.*)", line)
        if match:
            name = match[1]
        elif block is not None:
            steps[name] += line.strip() + "\n"
        elif re.match(r"\s+run: \|$", line):
            steps[name], block = "", indent
    return steps


def test_action():
    text = steps_of_action()["Test"]
    os.makedirs("temp")
    result = subprocess.run(["sh", "-e", "-c", text], capture_output=True, text=True, check=False,
                            stdin=subprocess.DEVNULL,
                            env=dict(os.environ, REPRISE=TOOL, RUNNER_TEMP=os.path.abspath("temp"),
                                     GITHUB_ACTION_PATH=str(CI), GITHUB_OUTPUT="outputs",
                                     RUN='echo "it\'s broken"\nfalse\necho no', HUNT="", OPTIONS="",
                                     NAME="my test"))
    same((result.returncode, result.stdout), (1, "it's broken\n"), "the action's step")
    recording = os.path.abspath("temp/reprise/my test.rpz")
    ok(Path(recording).is_file() and Path("outputs").read_text() == f"recording={recording}\n",
       "and the file that it uploads", result)


def main():
    require_kernel()
    with Directory() as directory:
        os.chdir(directory)
        test_success()
        test_failure()
        test_upload_fails()
        test_broken()
        if b"hunt" in subprocess.run([TOOL, "--help"], capture_output=True, check=False).stdout:
            test_hunt()
        test_kvm_access()
        test_action()
    done()


main()
