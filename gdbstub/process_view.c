/*
 * The process view: the threads of one Linux process, numbered as Linux does, with the registers
 * and the memory that they have in user mode. While a thread is in the kernel it stands behind the
 * instruction that led there, or at it where that was a fault or an interrupt.
 */
#include <inttypes.h>
#include <string.h>

#include "gdbstub/linux/paths.h"
#include "gdbstub/process.h"

static uint32_t process_number(const struct gdbstub *stub)
{
	return stub->process->pid;
}

/* ---- threads ---- */

struct thread_walk {
	const struct gdbstub *stub;
	view_thread_fn *fn;
	void *ctx;
};

static bool show_thread(void *ctx, const struct task *task)
{
	const struct thread_walk *walk = ctx;
	const struct linux_guest *guest = walk->stub->process->guest;
	int vcpu = task_vcpu(guest, task->address);
	struct view_thread thread = {.number = task->tid, .core = vcpu < 0 ? 0 : (unsigned)vcpu};

	memcpy(thread.name, task->name, sizeof(task->name));
	thread.state = vcpu < 0                                  ? "waiting"
		       : task_in_user_mode(guest, task->address) ? "running"
								 : "in the kernel";
	walk->fn(walk->ctx, &thread);
	return true;
}

static void each_thread(const struct gdbstub *stub, view_thread_fn *fn, void *ctx)
{
	struct thread_walk walk = {stub, fn, ctx};

	task_each(stub->process->guest, stub->process->leader, show_thread, &walk);
}

static bool has_thread(const struct gdbstub *stub, uint32_t number)
{
	struct task task;

	return task_find_thread(stub->process->guest, stub->process->leader, number, &task);
}

bool process_current(const struct gdbstub *stub, struct task *ret)
{
	const struct process *process = stub->process;
	uint64_t current = linux_current_task(process->guest, stub_machine(stub)->current);

	return task_read(process->guest, current, ret) && ret->pid == process->pid &&
	       ret->mm == process->mm;
}

bool process_runs_here(const struct gdbstub *stub, uint32_t tid)
{
	struct task task;

	return machine_current(stub_machine(stub))->cpl == 3 && process_current(stub, &task) &&
	       task.tid == tid;
}

static bool take_first(void *ctx, const struct task *task)
{
	*(uint32_t *)ctx = task->tid;
	return false;
}

static uint32_t thread_here(const struct gdbstub *stub)
{
	const struct process *process = stub->process;
	uint32_t first = process->pid;
	struct task task;

	if (process_current(stub, &task))
		return task.tid;
	if (has_thread(stub, stub->g_thread))
		return stub->g_thread;
	task_each(process->guest, process->leader, take_first, &first);
	return first;
}

/* ---- registers and memory ---- */

static bool read_registers(const struct gdbstub *stub, uint32_t thread,
			   struct thread_registers *ret)
{
	const struct process *process = stub->process;
	struct task task;

	/* Most often it is the one that runs. */
	if (!process_current(stub, &task) || task.tid != thread)
		if (!task_find_thread(process->guest, process->leader, thread, &task))
			return false;
	return task_registers(process->guest, task.address, process->pgd_gpa, ret);
}

static bool read_space(const struct gdbstub *stub, uint32_t thread, struct cpu *ret)
{
	task_space(stub->process->guest, stub->process->pgd_gpa, ret);
	return true;
}

/* ---- documents ---- */

static bool read_auxv(const struct gdbstub *stub, struct reply *ret)
{
	const struct linux_guest *guest = stub->process->guest;
	uint64_t at = stub->process->mm + guest->at.mm_auxv, pair[2];

	for (uint32_t i = 0; i + sizeof(pair) <= guest->at.mm_auxv_bytes; i += sizeof(pair)) {
		if (!linux_read(guest, at + i, pair, sizeof(pair)))
			return false;
		reply_bytes(ret, pair, sizeof(pair));
		if (!pair[0])
			break;
	}
	return true;
}

static bool read_exec_file(const struct gdbstub *stub, struct reply *ret)
{
	if (stub->process->path)
		reply_print(ret, "%s", stub->process->path);
	return stub->process->path != NULL;
}

/* ---- where it stands ---- */

static unsigned signal_here(const struct gdbstub *stub)
{
	const struct process *process = stub->process;

	return timeline_position(stub->timeline) == process->last_icount ? process->signal : 0;
}

static void describe_place(const struct gdbstub *stub, struct reply *reply)
{
	task_describe_current(stub->process->guest, stub_machine(stub)->current, reply);
}

const struct view_ops process_view = {
	.registers = REGISTERS_PROCESS,
	.follows_mappings = true,
	.process = process_number,
	.each_thread = each_thread,
	.has_thread = has_thread,
	.thread_here = thread_here,
	.read_registers = read_registers,
	.read_space = read_space,
	.read_absent = process_read_absent,
	.find_thread_local = process_find_thread_local,
	.counts = process_counts,
	.step = process_step,
	.step_back = process_step_back,
	.go_on = process_go_on,
	.go_back = process_go_back,
	.signal_here = signal_here,
	.describe_place = describe_place,
	.read_auxv = read_auxv,
	.read_exec_file = read_exec_file,
	.read_proc_file = process_read_proc_file,
};
