/*
 * Moving a process along as if the kernel and the other processes were not there.
 *
 * Seen from one of its threads, time is a row of boundaries between user-mode instructions. A stay
 * in the kernel, and the time in which others run, belong to the boundary at which the thread left
 * user mode: behind a system call, before an instruction that faults. A step goes from one boundary
 * to the next. Where the thread goes on in user mode is found by a breakpoint on the instructions
 * that leave the kernel, where it came from by breakpoints on those that enter it.
 */
#include "gdbstub/hits.h"
#include "gdbstub/process.h"

/* ---- stops ---- */

static enum timeline_status stopped(struct gdbstub *stub, enum timeline_status status,
				    struct view_stop *ret)
{
	const struct process *process = stub->process;

	*ret = (struct view_stop){.thread = process_view.thread_here(stub)};
	if (status == TIMELINE_HIT) {
		ret->thread = process->hit_tid;
		if (process->remark[0])
			ret->remark = process->remark;
	} else if (status == TIMELINE_END && process->ended) {
		ret->thread = process->last_tid;
	}
	return status;
}

/* As above, of a movement forward: the process may have come to its end by a signal. */
static enum timeline_status stopped_ahead(struct gdbstub *stub, enum timeline_status status,
					  uint64_t from_icount, struct view_stop *ret)
{
	stopped(stub, status, ret);
	if (status == TIMELINE_END && from_icount < stub->process->last_icount)
		ret->signal = stub->process->signal;
	return status;
}

/* ---- with a goal ---- */

/* Sets the breakpoints that a goal needs beside gdb's points. */
static int arm(struct gdbstub *stub, enum process_goal goal, uint64_t task)
{
	struct process *process = stub->process;
	const struct crossings *crossings = &process->crossings;
	uint64_t linear[CROSSINGS_GATES + 2];
	unsigned n = 0;

	process->goal = goal;
	process->goal_task = task;
	process->goal_met = false;
	if (goal == GOAL_USER_MODE) {
		int vcpu = task_vcpu(process->guest, task);
		linear[n++] = crossings->iret;
		linear[n++] = crossings->sysret;
		if (vcpu >= 0 && stub_machine(stub)->vcpu[vcpu].cpl == 3)
			linear[n++] = target_pc(&stub_machine(stub)->vcpu[vcpu]);
	} else if (goal == GOAL_KERNEL) {
		linear[n++] = process->history.address[HISTORY_FORK];
		for (unsigned i = 0; i < crossings->n_entries; i++)
			linear[n++] = crossings->entry[i].address;
	}
	return hits_arm(stub, linear, n);
}

static void disarm(struct gdbstub *stub)
{
	arm(stub, GOAL_NONE, 0);
}

enum timeline_status process_run_to_user_mode(struct gdbstub *stub, uint64_t task)
{
	enum timeline_status status;

	if (arm(stub, GOAL_USER_MODE, task))
		return TIMELINE_FAILED;
	status = timeline_continue(stub->timeline);
	bool met = status == TIMELINE_HIT && stub->process->goal_met;
	disarm(stub);
	if (!met)
		return status;
	/* What leaves the kernel is one step; in user mode already, none is needed. */
	if (machine_current(stub_machine(stub))->cpl == 3)
		return TIMELINE_ARRIVED;
	return timeline_step(stub->timeline);
}

/* Back to where the task entered the kernel last, or was made. */
static enum timeline_status back_to_entry(struct gdbstub *stub, uint64_t task, bool *ret_met)
{
	enum timeline_status status;

	if (arm(stub, GOAL_KERNEL, task))
		return TIMELINE_FAILED;
	status = timeline_continue_back(stub->timeline);
	*ret_met = status == TIMELINE_HIT && stub->process->goal_met;
	disarm(stub);
	return status;
}

/* A hit that the kernel made on behalf of a thread, while the machine goes to where it is told. */
struct kernel_hit {
	uint64_t icount;
	uint32_t tid;
	struct met_point met;
};

static struct kernel_hit kernel_hit(const struct gdbstub *stub)
{
	return (struct kernel_hit){timeline_position(stub->timeline), stub->process->hit_tid,
				   stub->met};
}

static void tell_again(struct gdbstub *stub, const struct kernel_hit *hit)
{
	stub->met = hit->met;
	stub->process->hit_tid = hit->tid;
	stub->process->remark[0] = '\0';
}

/* ---- forward ---- */

/* The machine has just left user mode at pc: whether that instruction has retired. */
static bool has_retired(const struct gdbstub *stub, uint64_t pc)
{
	const struct process *process = stub->process;
	const struct cpu *cpu = machine_current(stub_machine(stub));
	const struct crossing_entry *entry = crossings_entry(&process->crossings, cpu->rip);
	uint64_t rip;

	return entry && crossings_came_from_user(process->guest, cpu, entry, &rip) && rip != pc;
}

/* One step of the machine, from user mode of the thread. */
static enum timeline_status step_instruction(struct gdbstub *stub, uint32_t tid, uint64_t pc,
					     bool *ret_retired)
{
	enum timeline_status status = timeline_step(stub->timeline);

	if (status == TIMELINE_ARRIVED)
		*ret_retired = process_runs_here(stub, tid) || has_retired(stub, pc);
	return status;
}

/*
 * A watched access that the kernel made for a thread is told when the thread is back: a system call
 * is one instruction. Where another thread's hit comes in between, or it never comes back, it is
 * told where it was made.
 */
static enum timeline_status finish_instruction(struct gdbstub *stub)
{
	struct process *process = stub->process;
	const struct kernel_hit hit = kernel_hit(stub);
	enum timeline_status status;
	struct task task;

	if (!task_find_thread(process->guest, process->leader, hit.tid, &task))
		return TIMELINE_HIT;
	do {
		status = process_run_to_user_mode(stub, task.address);
	} while (status == TIMELINE_HIT && process->hit_tid == hit.tid && process->hit_in_kernel);
	if (status != TIMELINE_ARRIVED)
		status = timeline_seek(stub->timeline, hit.icount);
	tell_again(stub, &hit);
	return status == TIMELINE_ARRIVED ? TIMELINE_HIT : status;
}

static enum timeline_status step_thread(struct gdbstub *stub, uint32_t tid, uint64_t task)
{
	uint64_t pc = target_thread_pc(stub, tid);
	enum timeline_status status = TIMELINE_ARRIVED;
	bool retired = false;

	while (status == TIMELINE_ARRIVED) {
		if (!process_runs_here(stub, tid))
			status = process_run_to_user_mode(stub, task);
		else if (retired || target_thread_pc(stub, tid) != pc)
			break;
		else
			status = step_instruction(stub, tid, pc, &retired);
		if (stub->interrupted && status == TIMELINE_ARRIVED)
			status = TIMELINE_INTERRUPTED;
	}
	if (status == TIMELINE_HIT && stub->process->hit_in_kernel)
		status = finish_instruction(stub);
	return status;
}

enum timeline_status process_step(struct gdbstub *stub, uint32_t tid, struct view_stop *ret)
{
	uint64_t here = timeline_position(stub->timeline);
	enum timeline_status status = TIMELINE_END;
	struct task task;

	tid = tid ? tid : process_view.thread_here(stub);
	if (task_find_thread(stub->process->guest, stub->process->leader, tid, &task))
		status = step_thread(stub, tid, task.address);
	stopped_ahead(stub, status, here, ret);
	if (status == TIMELINE_ARRIVED)
		ret->thread = tid;
	return status;
}

enum timeline_status process_go_on(struct gdbstub *stub, struct view_stop *ret)
{
	uint64_t here = timeline_position(stub->timeline);
	enum timeline_status status = timeline_continue(stub->timeline);

	if (status == TIMELINE_HIT && stub->process->hit_in_kernel)
		status = finish_instruction(stub);
	return stopped_ahead(stub, status, here, ret);
}

/* ---- backward ---- */

/*
 * From an entry of the kernel back to the instruction that led there. *ret_crossed: that has
 * retired, so the boundary before it is reached.
 */
static enum timeline_status leave_entry(struct gdbstub *stub, bool *ret_crossed)
{
	const struct process *process = stub->process;
	const struct cpu *cpu = machine_current(stub_machine(stub));
	const struct crossing_entry *entry = crossings_entry(&process->crossings, cpu->rip);
	enum timeline_status status;
	uint64_t rip = 0;

	if (entry)
		crossings_came_from_user(process->guest, cpu, entry, &rip);
	status = timeline_step_back(stub->timeline);
	*ret_crossed = rip != target_pc(machine_current(stub_machine(stub)));
	return status;
}

/* By one step of the machine, when the thread was in user mode before that. Else nothing moves. */
static bool step_back_in_user_mode(struct gdbstub *stub, uint32_t tid,
				   enum timeline_status *ret_status)
{
	uint64_t here = timeline_position(stub->timeline);

	*ret_status = timeline_step_back(stub->timeline);
	if (*ret_status != TIMELINE_ARRIVED || process_runs_here(stub, tid))
		return true;
	*ret_status = timeline_seek(stub->timeline, here);
	return *ret_status != TIMELINE_ARRIVED && *ret_status != TIMELINE_END;
}

static enum timeline_status step_thread_back(struct gdbstub *stub, uint32_t tid, uint64_t task)
{
	enum timeline_status status;
	bool crossed = false, met;

	do {
		if (process_runs_here(stub, tid) && step_back_in_user_mode(stub, tid, &status))
			return status;
		status = back_to_entry(stub, task, &met);
		if (!met)
			return status;
		if (stub->process->goal_born) /* before that the thread is not there */
			return TIMELINE_START;
		status = leave_entry(stub, &crossed);
	} while (status == TIMELINE_ARRIVED && !crossed);
	return status;
}

/* A watched access that the kernel made for a thread is told at the instruction that asked for it;
 * unless another thread's hit lies in between. */
static void go_to_instruction(struct gdbstub *stub)
{
	struct process *process = stub->process;
	const struct kernel_hit hit = kernel_hit(stub);
	enum timeline_status status;
	struct task task;
	bool met = false, crossed;

	if (!task_find_thread(process->guest, process->leader, hit.tid, &task))
		return;
	do {
		status = back_to_entry(stub, task.address, &met);
	} while (status == TIMELINE_HIT && !met && process->hit_tid == hit.tid);
	if (met && !process->goal_born)
		leave_entry(stub, &crossed);
	else
		timeline_seek(stub->timeline, hit.icount);
	tell_again(stub, &hit);
}

enum timeline_status process_step_back(struct gdbstub *stub, uint32_t tid, struct view_stop *ret)
{
	enum timeline_status status = TIMELINE_START;
	struct task task;

	tid = tid ? tid : process_view.thread_here(stub);
	if (timeline_position(stub->timeline) > stub->process->first_icount &&
	    task_find_thread(stub->process->guest, stub->process->leader, tid, &task))
		status = step_thread_back(stub, tid, task.address);
	if (status == TIMELINE_HIT && stub->process->hit_in_kernel)
		go_to_instruction(stub);
	stopped(stub, status, ret);
	if (status == TIMELINE_ARRIVED)
		ret->thread = tid;
	return status;
}

enum timeline_status process_go_back(struct gdbstub *stub, struct view_stop *ret)
{
	enum timeline_status status = timeline_continue_back(stub->timeline);

	if (status == TIMELINE_HIT && stub->process->hit_in_kernel)
		go_to_instruction(stub);
	return stopped(stub, status, ret);
}
