/*
 * No vCPU can run. Under the virtual clock time jumps to what is due next; under the host clock,
 * and while a person may type, the recorder sleeps until then.
 */
#include "recorder/state.h"

/* The longest sleep: signals and the user are looked at in between. */
#define NAP_NS UINT64_C(100000000)

/* Only an NMI or INIT could wake such a guest; one that comes at all comes within this guest time.
 */
#define DEAD_NS UINT64_C(1000000000)

static bool can_be_interrupted(const struct machine *machine)
{
	for (uint32_t i = 0; i < machine->config.n_vcpus; i++)
		if (cpu_can_take_interrupt(&machine->vcpu[i]))
			return true;
	return false;
}

/* Every vCPU has halted with interrupts off, for long enough. */
static bool is_dead(struct recorder *recorder, uint64_t now_ns)
{
	if (can_be_interrupted(recorder->machine))
		return false;
	if (recorder->dead_icount != recorder->machine->icount) {
		recorder->dead_icount = recorder->machine->icount;
		recorder->dead_since_ns = now_ns;
	}
	return now_ns - recorder->dead_since_ns >= DEAD_NS;
}

static enum boundary_result jump(struct recorder *recorder, uint64_t guest_ns)
{
	struct event event;

	guest_clock_jump(&recorder->clock, recorder->machine, guest_ns, recorder->host_ns, &event);
	return recorder_emit(recorder, &event);
}

/*
 * Sleeps towards guest time until_ns and sets *ret_now_ns to the guest time reached. A sleep that
 * took far longer than asked for is time in which the recorder was stopped.
 */
static void nap(struct recorder *recorder, uint64_t now_ns, uint64_t until_ns, uint64_t *ret_now_ns)
{
	uint64_t before_ns = world_now_ns(), host_guest_ns, nap_ns = NAP_NS, took_ns;

	if (!recorder->clock.follows_host) /* only idle time passes as on the host */
		guest_clock_anchor(&recorder->clock, now_ns, before_ns);
	host_guest_ns = guest_clock_at_host(&recorder->clock, before_ns);
	if (host_guest_ns > now_ns + GUEST_CLOCK_STALL_NS) {
		guest_clock_skip(&recorder->clock, host_guest_ns - now_ns);
		host_guest_ns = now_ns;
	}
	if (host_guest_ns < now_ns)
		host_guest_ns = now_ns;
	if (until_ns <= host_guest_ns)
		nap_ns = 0;
	else if (until_ns - host_guest_ns < nap_ns)
		nap_ns = until_ns - host_guest_ns;
	world_sleep(&recorder->world, nap_ns);
	recorder->host_ns = world_now_ns();
	took_ns = recorder->host_ns - before_ns;
	if (took_ns > nap_ns + GUEST_CLOCK_STALL_NS)
		guest_clock_skip(&recorder->clock, took_ns - nap_ns);
	host_guest_ns = guest_clock_at_host(&recorder->clock, recorder->host_ns);
	*ret_now_ns = host_guest_ns > now_ns ? host_guest_ns : now_ns;
}

/* One nap. Time moves with it, so that the clock never has to tell idle time from running. */
static enum boundary_result sleep_until(struct recorder *recorder, uint64_t now_ns,
					uint64_t until_ns)
{
	uint64_t reached_ns;

	nap(recorder, now_ns, until_ns, &reached_ns);
	world_fetch_watched(&recorder->world, reached_ns);
	recorder->upkeep_icount = recorder->machine->icount;
	if (!recorder->clock.follows_host && reached_ns > until_ns)
		reached_ns = until_ns;
	return jump(recorder, reached_ns);
}

enum boundary_result recorder_idle(struct recorder *recorder)
{
	struct world *world = &recorder->world;
	uint64_t now_ns = machine_clock_now(recorder->machine);
	uint64_t until_ns = platform_deadline(recorder->platform);

	if (world_input_due(world) < until_ns)
		until_ns = world_input_due(world);
	if (is_dead(recorder, now_ns))
		return recorder_end(recorder, "halted");
	if (until_ns == UINT64_MAX && !world_input_alive(world))
		return recorder_end(recorder, "deadlock");
	if (recorder->clock.follows_host || world_is_interactive(world)) {
		world_flush(world);
		return sleep_until(recorder, now_ns, until_ns);
	}
	recorder->host_ns = world_now_ns();
	recorder->upkeep_icount = recorder->machine->icount;
	return jump(recorder, until_ns);
}
