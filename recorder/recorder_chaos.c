/* Chaos as it reaches the machine: time passes at an instruction. */
#include "recorder/state.h"

/*
 * Kernels look at their clock every 1 to 4 ms (HZ of 250 to 1000) and let a thread run for 3 ms at
 * most when others want to.
 */
#define TICK_NS UINT64_C(4000000)

/* At least up to the next timer, which is the tick while threads run. */
static uint64_t tick_ns(const struct recorder *recorder, uint64_t now_ns)
{
	uint64_t deadline_ns = platform_deadline(recorder->platform);

	if (deadline_ns > now_ns && deadline_ns - now_ns > TICK_NS &&
	    deadline_ns - now_ns < 3 * TICK_NS)
		return deadline_ns - now_ns;
	return TICK_NS;
}

enum boundary_result recorder_chaos(struct recorder *recorder)
{
	struct machine *machine = recorder->machine;
	struct event event;

	if (machine->icount < chaos_icount(&recorder->chaos))
		return BOUNDARY_GO;
	uint64_t now_ns = machine_clock_now(machine);
	uint64_t ns = chaos_due_ns(&recorder->chaos, machine_current(machine), machine->icount,
				   tick_ns(recorder, now_ns));
	if (!ns)
		return BOUNDARY_GO;
	guest_clock_jump(&recorder->clock, machine, now_ns + ns, recorder->host_ns, &event);
	guest_clock_gain(&recorder->clock, ns);
	return recorder_emit(recorder, &event);
}
