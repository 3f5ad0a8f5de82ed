/*
 * The machine view: vCPUs are threads of process 1, vCPU n being thread n + 1. A step is one step
 * of the machine, whatever it executes.
 */
#include <stdio.h>

#include "gdbstub/hits.h"
#include "gdbstub/last_step.h"
#include "gdbstub/linux/tasks.h"
#include "gdbstub/state.h"

static uint32_t process(const struct gdbstub *stub)
{
	return 1;
}

static const char *activity_name(uint8_t activity)
{
	static const char *const names[] = {
		[ACTIVITY_RUNNING] = "running",
		[ACTIVITY_HALTED] = "halted",
		[ACTIVITY_WAIT_SIPI] = "waiting to be started",
		[ACTIVITY_SHUTDOWN] = "shut down",
	};
	return activity <= ACTIVITY_SHUTDOWN ? names[activity] : "?";
}

static void each_thread(const struct gdbstub *stub, view_thread_fn *fn, void *ctx)
{
	const struct machine *machine = stub_machine(stub);

	for (uint32_t i = 0; i < machine->config.n_vcpus; i++) {
		const struct cpu *cpu = &machine->vcpu[i];
		struct view_thread thread = {.number = i + 1, .core = i};
		char state[48];
		snprintf(thread.name, sizeof(thread.name), "vCPU %u", i);
		snprintf(state, sizeof(state), "CPL %u, %s", cpu->cpl,
			 activity_name(cpu->activity));
		thread.state = state;
		fn(ctx, &thread);
	}
}

static bool has_thread(const struct gdbstub *stub, uint32_t number)
{
	return number && number <= stub_machine(stub)->config.n_vcpus;
}

static uint32_t thread_here(const struct gdbstub *stub)
{
	return stub_machine(stub)->current + 1;
}

static bool read_space(const struct gdbstub *stub, uint32_t thread, struct cpu *ret)
{
	if (!has_thread(stub, thread))
		return false;
	*ret = stub_machine(stub)->vcpu[thread - 1];
	return true;
}

static bool read_registers(const struct gdbstub *stub, uint32_t thread,
			   struct thread_registers *ret)
{
	if (!read_space(stub, thread, &ret->cpu))
		return false;
	ret->rflags = cpu_rflags(&ret->cpu);
	ret->orig_rax = UINT64_MAX;
	return true;
}

/* gdb sees the kernel's per-CPU variables as thread-local ones. */
static bool find_thread_local(struct gdbstub *stub, uint32_t thread, uint64_t offset,
			      uint64_t link_map, uint64_t *ret_address)
{
	return has_thread(stub, thread) && symbols_per_cpu(stub, thread - 1, offset, ret_address);
}

static bool counts(struct gdbstub *stub, const struct timeline_hit *hit)
{
	if (hit->watch)
		return hits_watch(stub, hit->vcpu + 1, false);
	return hits_breakpoint(stub, hit->vcpu + 1,
			       target_pc(&stub_machine(stub)->vcpu[hit->vcpu]));
}

/* ---- movements ---- */

static enum timeline_status stopped(struct gdbstub *stub, enum timeline_status status,
				    struct view_stop *ret)
{
	*ret = (struct view_stop){.thread = thread_here(stub)};
	if (status == TIMELINE_HIT)
		ret->thread = timeline_hit(stub->timeline)->vcpu + 1;
	return status;
}

/* Steps until the vCPU has made a step: others may be in between. */
static enum timeline_status step(struct gdbstub *stub, uint32_t thread, struct view_stop *ret)
{
	enum timeline_status status;

	do {
		status = timeline_step(stub->timeline);
	} while (status == TIMELINE_ARRIVED && thread && thread_here(stub) != thread &&
		 !stub->interrupted);
	return stopped(stub, stub->interrupted ? TIMELINE_INTERRUPTED : status, ret);
}

/* Back to a count, unless something is hit on the way there. */
static enum timeline_status go_back_to(struct gdbstub *stub, uint64_t icount)
{
	uint64_t start = timeline_start(stub->timeline), end = timeline_end(stub->timeline);

	timeline_limit(stub->timeline, icount, end);
	enum timeline_status status = timeline_continue_back(stub->timeline);
	timeline_limit(stub->timeline, start, end);
	return status == TIMELINE_START ? TIMELINE_ARRIVED : status;
}

/* Undoes the vCPU's last step, which others have made steps behind. */
static enum timeline_status step_back_past_others(struct gdbstub *stub, uint32_t thread)
{
	uint64_t position = timeline_position(stub->timeline), icount;

	bool found = last_step_find(stub, thread - 1, position, &icount);
	enum timeline_status status =
		timeline_seek(stub->timeline, found ? position : timeline_start(stub->timeline));
	if (status != TIMELINE_ARRIVED)
		return status;
	return found ? go_back_to(stub, icount) : TIMELINE_START;
}

/* What has run up to a position made the step that led there. */
static enum timeline_status step_back(struct gdbstub *stub, uint32_t thread, struct view_stop *ret)
{
	enum timeline_status status =
		timeline_seek(stub->timeline, timeline_position(stub->timeline));
	uint32_t undone = thread_here(stub);

	if (status == TIMELINE_ARRIVED && thread && undone != thread) {
		undone = thread;
		status = step_back_past_others(stub, thread);
	} else if (status == TIMELINE_ARRIVED) {
		status = timeline_step_back(stub->timeline);
	}
	stopped(stub, status, ret);
	if (status == TIMELINE_ARRIVED)
		ret->thread = undone;
	return status;
}

static enum timeline_status go_on(struct gdbstub *stub, struct view_stop *ret)
{
	return stopped(stub, timeline_continue(stub->timeline), ret);
}

static enum timeline_status go_back(struct gdbstub *stub, struct view_stop *ret)
{
	return stopped(stub, timeline_continue_back(stub->timeline), ret);
}

static void describe_place(const struct gdbstub *stub, struct reply *reply)
{
	if (stub->guest)
		task_describe_current(stub->guest, stub_machine(stub)->current, reply);
}

const struct view_ops machine_view = {
	.registers = REGISTERS_MACHINE,
	.process = process,
	.each_thread = each_thread,
	.has_thread = has_thread,
	.thread_here = thread_here,
	.read_registers = read_registers,
	.read_space = read_space,
	.find_thread_local = find_thread_local,
	.counts = counts,
	.step = step,
	.step_back = step_back,
	.go_on = go_on,
	.go_back = go_back,
	.describe_place = describe_place,
};
