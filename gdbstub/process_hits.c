/* Which hits count in the process view, and whose they are. */
#include <stdio.h>
#include <string.h>

#include "gdbstub/hits.h"
#include "gdbstub/process.h"

/* ---- goals ---- */

/* The task is about to go on in user mode: out of the kernel, or where another vCPU left it. */
static bool is_leaving(const struct process *process, const struct cpu *cpu, uint64_t current)
{
	return current == process->goal_task &&
	       (cpu->cpl == 3 || crossings_leads_to_user(process->guest, &process->crossings, cpu));
}

static bool is_entering(struct process *process, const struct cpu *cpu, uint64_t current)
{
	const struct crossing_entry *entry = crossings_entry(&process->crossings, cpu->rip);
	uint64_t rip;

	if (cpu->rip == process->history.address[HISTORY_FORK])
		return cpu->gpr[RDI] == process->goal_task;
	return entry && current == process->goal_task &&
	       crossings_came_from_user(process->guest, cpu, entry, &rip);
}

static bool goal_is_met(struct process *process, const struct cpu *cpu, uint64_t current)
{
	switch (process->goal) {
	case GOAL_USER_MODE:
		return is_leaving(process, cpu, current);
	case GOAL_KERNEL:
		return cpu->cpl == 0 && is_entering(process, cpu, current);
	case GOAL_NONE:
		break;
	}
	return false;
}

/* ---- gdb's points ---- */

/* The last hit that counts is one of gdb's points. */
static void take_hit(struct process *process, uint32_t tid, bool in_kernel)
{
	process->goal_met = false;
	process->hit_tid = tid;
	process->hit_in_kernel = in_kernel;
	process->remark[0] = '\0';
}

/* A fault that the kernel has mended leads back to its instruction with RF set: that one has been
 * met already. */
static bool breakpoint_counts(struct gdbstub *stub, const struct cpu *cpu, const struct task *task)
{
	if (cpu->cpl != 3 || cpu->rflags_rest & FLAG_RF || !task ||
	    !hits_breakpoint(stub, task->tid, target_pc(cpu)))
		return false;
	take_hit(stub->process, task->tid, false);
	return true;
}

static void remark_stranger(struct process *process, const struct cpu *cpu, const struct task *task)
{
	char name[TASK_NAME_BYTES];

	memcpy(name, task->name, sizeof(name));
	for (char *c = name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	snprintf(process->remark, sizeof(process->remark),
		 "written from outside: %s process %u (%s)",
		 cpu->cpl == 3 ? "by" : "in the kernel, while it is at", task->pid, name);
}

/* The thread is in a system call that takes mappings away (Linux
 * arch/x86/entry/syscalls/syscall_64.tbl): mmap, munmap, brk, mremap, madvise, shmdt. */
static bool is_unmapping(const struct gdbstub *stub, const struct cpu *cpu, const struct task *task)
{
	static const uint16_t calls[] = {9, 11, 12, 25, 28, 67};
	const struct process *process = stub->process;
	struct thread_registers registers;

	if (cpu->cpl == 3 ||
	    !task_registers(process->guest, task->address, process->pgd_gpa, &registers))
		return false;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (registers.orig_rax == calls[i])
			return true;
	return false;
}

/* ours: current, when it is a thread of the process; else another is told. */
static bool access_counts(struct gdbstub *stub, const struct cpu *cpu, const struct task *current,
			  const struct task *ours)
{
	struct process *process = stub->process;
	uint32_t tid = ours ? ours->tid : stub->g_thread;

	if (!hits_watch(stub, tid, ours && is_unmapping(stub, cpu, ours)))
		return false;
	take_hit(process, tid, ours && cpu->cpl != 3);
	if (!ours)
		remark_stranger(process, cpu, current);
	return true;
}

/* ---- what devices write ---- */

/* Who waits for what a device writes to an address. */
struct waiting {
	const struct gdbstub *stub;
	uint64_t address;
	unsigned likelihood;
	uint32_t tid; /* 0: nobody */
};

/*
 * How likely it is that the device writes for this thread: it is in a system call with a buffer and
 * its length as second and third argument, as those that read have them, and the address is in
 * there; it waits for something that signals do not end, as for disks; it is in the kernel at all.
 */
static unsigned likelihood(const struct waiting *waiting, const struct task *task)
{
	const struct process *process = waiting->stub->process;
	struct thread_registers registers;
	uint64_t start, bytes;

	if (task_in_user_mode(process->guest, task->address) ||
	    !task_registers(process->guest, task->address, process->pgd_gpa, &registers))
		return 0;
	start = registers.cpu.gpr[RSI];
	bytes = registers.cpu.gpr[RDX];
	if ((int64_t)registers.orig_rax >= 0 && waiting->address - start < bytes)
		return 3;
	if (task_waits_firmly(process->guest, task->address))
		return 2;
	return task_vcpu(process->guest, task->address) >= 0;
}

static bool choose_likely(void *ctx, const struct task *task)
{
	struct waiting *waiting = ctx;
	unsigned likely = likelihood(waiting, task);

	if (likely > waiting->likelihood) {
		waiting->likelihood = likely;
		waiting->tid = task->tid;
	}
	return true;
}

/* A device writes when it is ready, whatever the vCPUs are at. */
static bool device_counts(struct gdbstub *stub)
{
	struct process *process = stub->process;
	struct waiting waiting = {.stub = stub};

	if (watches_written_address(stub, &waiting.address))
		task_each(process->guest, process->leader, choose_likely, &waiting);
	if (!hits_watch(stub, waiting.tid ? waiting.tid : stub->g_thread, false))
		return false;
	take_hit(process, waiting.tid ? waiting.tid : stub->g_thread, waiting.tid != 0);
	if (!waiting.tid)
		snprintf(process->remark, sizeof(process->remark),
			 "written from outside: by a device");
	return true;
}

/* ---- all of them ---- */

bool process_counts(struct gdbstub *stub, const struct timeline_hit *hit)
{
	struct process *process = stub->process;
	const struct cpu *cpu = &stub_machine(stub)->vcpu[hit->vcpu];
	struct task current = {0};
	bool ours;

	if (hit->icount < process->first_icount)
		return false;
	if (hit->device)
		return device_counts(stub);
	task_read(process->guest, linux_current_task(process->guest, hit->vcpu), &current);
	ours = current.pid == process->pid && current.mm == process->mm;
	if (hit->watch)
		return access_counts(stub, cpu, &current, ours ? &current : NULL);
	if (goal_is_met(process, cpu, current.address)) {
		process->goal_met = true;
		process->goal_born = cpu->rip == process->history.address[HISTORY_FORK];
		return true;
	}
	return breakpoint_counts(stub, cpu, ours ? &current : NULL);
}
