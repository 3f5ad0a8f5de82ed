"""Runs inside gdb on a recorded Linux boot: the kernel's symbols, types and frames."""

import os
import re
import sys

import gdb

sys.path.insert(0, os.path.dirname(__file__))

# pylint: disable=wrong-import-position
import session
from checks import check, execute, icount, register, seek


def value(expression):
    return gdb.parse_and_eval(expression)


def names_of_frames():
    names, frame = [], gdb.newest_frame()
    while frame and len(names) < 64:
        names.append(frame.name())
        frame = frame.older()
    return names


def symbols():
    check(int(value("(long)&entry_SYSCALL_64")) & (1 << 64) - 1 == register("lstar"),
          "a symbol is where the machine says: entry_SYSCALL_64 is IA32_LSTAR")
    check("do_sys_openat2" in execute("info symbol do_sys_openat2"), "info symbol")
    for name in ("vfs_read", "start_kernel", "init_task", "jiffies", "runqueues"):
        check(name in execute(f"info address {name}"), f"info address {name}")


def types():
    text = execute("ptype struct list_head")
    check("struct list_head *next;" in text, "ptype struct list_head", text)
    check("volatile long" in execute("ptype atomic64_t") or "s64" in execute("ptype atomic64_t"),
          "ptype atomic64_t")
    text = execute("ptype struct task_struct")
    for member in ("char comm[16];", "struct mm_struct *mm;", "pid_t pid;", "struct list_head tasks;"):
        check(member in text, f"ptype struct task_struct: {member}")
    check(re.search(r"unsigned int \w+ : 1;", text), "bitfields", text[:3000])
    check("TASK_RUNNING" not in text and "PIDTYPE_PID" in execute("ptype enum pid_type"),
          "ptype enum pid_type")
    check("(struct file *, char *, size_t, loff_t *)" in execute("ptype vfs_read"), "ptype vfs_read",
          execute("ptype vfs_read"))


def variables():
    check('"swapper' in str(value("init_task.comm")), "p init_task.comm", str(value("init_task.comm")))
    check(int(value("init_task.pid")) == 0, "p init_task.pid")
    check(int(value("jiffies")) > 0, "p jiffies", str(value("jiffies")))
    check("Linux version" in execute("p linux_banner"), "p linux_banner")
    first = value("init_task.tasks.next")
    offset = int(value("(long)&((struct task_struct *)0)->tasks"))
    task = gdb.Value(int(first) - offset).cast(gdb.lookup_type("struct task_struct").pointer())
    check(int(task["pid"]) == 1, "the list of processes begins with the first",
          str(task["comm"]), str(task["pid"]))
    text = execute(f"p *(struct task_struct *){int(task):#x}")
    check("pid = 1," in text, "p *(struct task_struct *)…", text[:500])


def per_cpu():
    """Per-CPU variables are those of the chosen vCPU."""
    current = value("current_task")
    check(int(current["pid"]) >= 0 and 0 < len(current["comm"].string()) < 16,
          "p current_task->comm", str(current))
    check(int(value("runqueues.cpu")) == 0, "p runqueues.cpu")
    check(int(value("this_cpu_off")) == int(value("__per_cpu_offset[0]")), "p this_cpu_off")


def backtrace():
    """From a system call's function to its entry; arguments at the breakpoint."""
    seek("end")
    gdb.Breakpoint("vfs_write")
    execute("reverse-continue")
    check(names_of_frames()[:1] == ["vfs_write"], "break vfs_write", names_of_frames())
    frame = gdb.newest_frame()
    count = int(frame.read_var("count"))
    check(count == register("rdx"), "arguments", execute("frame"))
    names = names_of_frames()
    check("ksys_write" in names and "do_syscall_64" in names, "bt", execute("bt"))
    check("entry_SYSCALL_64_after_hwframe" in names, "bt to the system call's entry", execute("bt"))
    entry = names.index("entry_SYSCALL_64_after_hwframe")
    user = gdb.newest_frame()
    for _ in range(entry + 1):
        user = user.older()
    check(user.pc() >> 47 == 0, "and to the user's code", hex(user.pc()))
    check("corrupt stack" not in execute("bt"), "whose stack is not taken for a damaged one", execute("bt"))
    gdb.execute("delete")
    here = icount()
    execute("finish")
    check(names_of_frames()[0] == names[1] and icount() > here, "finish", execute("bt"))
    return user.pc()


def interrupts():
    """Through an interrupt's frame back to what it interrupted."""
    seek("end")
    gdb.Breakpoint("__sysvec_apic_timer_interrupt" if has("__sysvec_apic_timer_interrupt")
                   else "sysvec_apic_timer_interrupt")
    execute("reverse-continue")
    text = execute("bt")
    check("<signal handler called>" in text and "sysvec_apic_timer_interrupt" in text,
          "bt through an interrupt", text)
    check("corrupt stack" not in text.split("<signal handler called>")[0], "without a complaint", text)
    frame = gdb.newest_frame()
    while frame.type() != gdb.SIGTRAMP_FRAME:
        frame = frame.older()
    interrupted = frame.older()
    check(interrupted is not None, "there is an interrupted frame")
    pc, sp = interrupted.pc(), int(interrupted.read_register("rsp")) & (1 << 64) - 1
    gdb.execute("delete")
    execute("reverse-stepi")
    for _ in range(600):
        if register("rip") == pc and register("rsp") == sp:
            break
        execute("reverse-stepi")
    check(register("rip") == pc and register("rsp") == sp,
          "the frame is what was interrupted", hex(pc), hex(register("rip")))


def faults():
    seek("end")
    gdb.Breakpoint("handle_mm_fault")
    execute("reverse-continue")
    text = execute("bt")
    check("exc_page_fault" in text and "<signal handler called>" in text, "bt through a page fault",
          text)
    gdb.execute("delete")


def there_and_back():
    """The way of session.py, by a function's name."""
    hits = session.breakpoints("do_sys_openat2")
    seek(hits[0])
    check(names_of_frames()[0] == "do_sys_openat2", "break do_sys_openat2", names_of_frames())
    gdb.execute("delete")


def modules():
    """Functions of a loaded module, and frames through them."""
    seek("end")
    gdb.Breakpoint("virtio_mmio_probe")
    execute("reverse-continue")
    names = names_of_frames()
    check(names[0] == "virtio_mmio_probe" and "__do_sys_finit_module" in names and
          "entry_SYSCALL_64_after_hwframe" in names, "bt in a module", names)
    execute("finish")
    check(names_of_frames()[0] == names[1], "finish in a module", names_of_frames())
    gdb.execute("delete")


def has(name):
    return gdb.lookup_static_symbol(name) is not None or gdb.lookup_global_symbol(name) is not None


def every_frame():
    """Wherever the kernel is, the frames lead to user code or to where a thread starts."""
    seek("end")
    end, bad, kernel = icount(), [], 0
    for i in range(24):
        seek(end * (i + 25) // 49)
        if not register("rip") >> 63:
            continue
        kernel += 1
        text = execute("bt")
        last = re.findall(r"^#\d+ +(?:(0x[0-9a-f]+) in )?(\S+) \(", text, re.M)[-1]
        to_user = last[1] == "??" and int(last[0], 16) >> 47 == 0
        if not to_user and not re.match(r"ret_from_fork|secondary_startup|asm_|entry_|error_|swapgs_",
                                        last[1]):
            bad.append((icount(), text))
    check(kernel >= 10 and not bad, f"bt at {kernel} places in the kernel", *bad[:3])


def main():
    execute("set pagination off")
    execute("set confirm off")
    seek("end")
    symbols()
    types()
    variables()
    per_cpu()
    backtrace()
    interrupts()
    faults()
    there_and_back()
    modules()
    every_frame()
    print("check done", flush=True)


main()
