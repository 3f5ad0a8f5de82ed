/* Several vCPUs take turns of about a millisecond of guest time, in a circle. */
#include "recorder/state.h"

#define TURN_NS UINT64_C(1000000)

/* What is left of a turn when another vCPU was sent an interrupt that this one may wait for. */
#define HURRIED_TURN_NS UINT64_C(20000)

static uint64_t instructions_in(const struct machine *machine, uint64_t ns)
{
	uint64_t ratio = machine->clock.ratio ? machine->clock.ratio : 1;

	return 1 + (uint64_t)(((unsigned __int128)ns << 32) / ratio);
}

bool recorder_vcpu_ready(const struct recorder *recorder, uint32_t vcpu)
{
	const struct cpu *cpu = &recorder->machine->vcpu[vcpu];

	if (cpu->activity == ACTIVITY_RUNNING || cpu->activity == ACTIVITY_SHUTDOWN)
		return true; /* a vCPU that shut down is the boundary's to see to */
	if ((recorder->nmi_pending >> vcpu & 1) && cpu_can_take_nmi(cpu))
		return true;
	return cpu_can_take_interrupt(cpu) &&
	       platform_pending_interrupt(recorder->platform, vcpu) >= 0;
}

/* The next vCPU after the current one that is ready; the current one itself when no other is. */
static uint32_t next_ready(const struct recorder *recorder)
{
	const struct machine *machine = recorder->machine;
	uint32_t n = machine->config.n_vcpus;

	for (uint32_t step = 1; step < n; step++) {
		uint32_t vcpu = (machine->current + step) % n;
		if (recorder_vcpu_ready(recorder, vcpu))
			return vcpu;
	}
	return machine->current;
}

/*
 * While a vCPU is alone its turn does not count down: it starts when another becomes ready, which
 * happens at a count that does not depend on when the host was looked at.
 */
enum boundary_result recorder_schedule(struct recorder *recorder, bool *ret_ready,
				       uint64_t *ret_until)
{
	struct machine *machine = recorder->machine;
	uint32_t next = next_ready(recorder);
	bool ready = recorder_vcpu_ready(recorder, machine->current);
	enum boundary_result result = BOUNDARY_GO;

	if (next == machine->current)
		recorder->switch_icount = UINT64_MAX;
	else if (recorder->switch_icount == UINT64_MAX)
		recorder->switch_icount = machine->icount + instructions_in(machine, TURN_NS);
	if (next != machine->current && (!ready || machine->icount >= recorder->switch_icount)) {
		struct event event = {.kind = EVENT_SWITCH, .delivery = {.vcpu = next}};

		result = recorder_emit(recorder, &event);
		recorder->switch_icount = machine->icount + instructions_in(machine, TURN_NS);
		ready = true;
	}
	*ret_ready = ready;
	*ret_until = recorder->switch_icount;
	return result;
}

void recorder_hurry_switch(struct recorder *recorder)
{
	struct machine *machine = recorder->machine;
	uint64_t icount = machine->icount + instructions_in(machine, HURRIED_TURN_NS);

	if (icount < recorder->switch_icount)
		recorder->switch_icount = icount;
}
