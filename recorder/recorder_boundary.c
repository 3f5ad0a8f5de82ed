/*
 * The boundary answered from the platform. Each turn of events() brings guest time and devices up
 * to date, hands the machine what they have for it, and plans the next run: exactly to the next
 * count at which something is due.
 */
#include "recorder/state.h"
#include "vmm/devices/layout.h"

/* Where a vCPU writes to send an interrupt to others (SDM 3A 10.6.1, 10.12.9). */
#define LAPIC_ICR_OFFSET 0x300
#define X2APIC_ICR_MSR   0x830

/* ---- bringing the platform up to date ---- */

/* Timers whose time has come, input, device work. */
static void run_devices(struct recorder *recorder)
{
	struct platform *platform = recorder->platform;
	uint64_t now_ns = machine_clock_now(recorder->machine);

	if (now_ns >= platform_deadline(platform))
		platform_advance(platform, now_ns);
	if (now_ns >= world_input_due(&recorder->world)) {
		world_flush(&recorder->world); /* a prompt stands before its answer */
		world_fetch_due(&recorder->world, now_ns, recorder_stop_requested, recorder);
		if (recorder_stop_requested(recorder))
			recorder->upkeep_icount = recorder->machine->icount;
	}
	if (world_input_filled(&recorder->world))
		platform_poll_input(platform);
	if (platform_needs_service(platform)) {
		platform_advance(platform, now_ns);
		platform_service(platform);
	}
}

/* INIT and start-up messages go to vCPUs that wait for them and are lost on others. */
static enum boundary_result start_vcpu(struct recorder *recorder, uint8_t kind,
				       const struct platform_signal_event *signal)
{
	struct event event = {
		.kind = kind,
		.icount = recorder->machine->icount,
		.delivery = {.vcpu = signal->vcpu, .vector = signal->vector},
	};

	if (machine_event_misfit(recorder->machine, &event))
		return BOUNDARY_GO;
	recorder->nmi_pending &= (uint16_t) ~(1u << signal->vcpu);
	return recorder_emit(recorder, &event);
}

/* The channel's device asks for power-off as well, once it has the command's exit status. */
static enum boundary_result power_off(struct recorder *recorder)
{
	struct event event = {.kind = EVENT_POWER_OFF};
	enum boundary_result result = recorder_emit(recorder, &event);

	if (result != BOUNDARY_GO)
		return result;
	recorder->has_exit_status =
		platform_channel_exited(recorder->platform, &recorder->exit_status);
	return recorder_end(recorder, recorder->has_exit_status ? "exit" : "power-off");
}

static enum boundary_result take_signals(struct recorder *recorder)
{
	enum boundary_result result = BOUNDARY_GO;

	while (result == BOUNDARY_GO) {
		struct platform_signal_event signal = platform_take_signal(recorder->platform);

		switch (signal.signal) {
		case PLATFORM_SIGNAL_NONE:
			return BOUNDARY_GO;
		case PLATFORM_SIGNAL_NMI:
			recorder->nmi_pending |= (uint16_t)(1u << signal.vcpu);
			break;
		case PLATFORM_SIGNAL_INIT:
			result = start_vcpu(recorder, EVENT_INIT, &signal);
			break;
		case PLATFORM_SIGNAL_SIPI:
			result = start_vcpu(recorder, EVENT_SIPI, &signal);
			break;
		case PLATFORM_SIGNAL_RESET:
			result = recorder_reset(recorder);
			break;
		case PLATFORM_SIGNAL_POWER_OFF:
			result = power_off(recorder);
			break;
		}
	}
	return result;
}

/* ---- ends ---- */

static enum boundary_result check_ends(struct recorder *recorder)
{
	const struct recorder_config *config = recorder->config;

	if (config->limit_icount && recorder->machine->icount >= config->limit_icount)
		return recorder_end(recorder, "limit");
	if (machine_clock_now(recorder->machine) >= recorder->end_ns)
		return recorder_end(recorder, "timeout");
	if (config->save_path && platform_channel_ready(recorder->platform))
		return recorder_save(recorder);
	if (machine_current(recorder->machine)->activity != ACTIVITY_SHUTDOWN)
		return BOUNDARY_GO;
	if (config->reset_on_shutdown)
		return recorder_reset(recorder);
	return recorder_end(recorder, "shutdown");
}

/* ---- deliveries ---- */

/* Delivers an NMI or an interrupt if one waits and the vCPU can take it. */
static enum boundary_result deliver(struct recorder *recorder, bool *ret_delivered)
{
	struct machine *machine = recorder->machine;
	const struct cpu *cpu = machine_current(machine);
	struct event event = {.delivery = {.vcpu = machine->current}};

	if ((recorder->nmi_pending >> machine->current & 1) && cpu_can_take_nmi(cpu)) {
		recorder->nmi_pending &= (uint16_t) ~(1u << machine->current);
		event.kind = EVENT_NMI;
		event.delivery.vector = VECTOR_NMI;
	} else if (cpu_can_take_interrupt(cpu) &&
		   platform_pending_interrupt(recorder->platform, machine->current) >= 0) {
		int vector = platform_take_interrupt(recorder->platform, machine->current);

		if (vector < 0)
			return BOUNDARY_GO;
		event.kind = EVENT_INTERRUPT;
		event.delivery.vector = (uint8_t)vector;
	} else {
		return BOUNDARY_GO;
	}
	*ret_delivered = true;
	if (recorder->clock.follows_host &&
	    recorder_sync_clock(recorder, world_now_ns()) != BOUNDARY_GO)
		return BOUNDARY_FAILED;
	return recorder_emit(recorder, &event);
}

/* ---- planning ---- */

static void lower(uint64_t *value, uint64_t limit)
{
	if (limit < *value)
		*value = limit;
}

/* The count at which the next timer or paced input is due; worked out anew only when it changes. */
static uint64_t due_icount(struct recorder *recorder)
{
	uint64_t due_ns = platform_deadline(recorder->platform);
	const struct machine_clock *clock = &recorder->machine->clock;

	lower(&due_ns, world_input_due(&recorder->world));
	lower(&due_ns, recorder->end_ns);
	if (due_ns != recorder->due_ns || clock->base != recorder->due_clock.base ||
	    clock->base_icount != recorder->due_clock.base_icount ||
	    clock->ratio != recorder->due_clock.ratio) {
		recorder->due_ns = due_ns;
		recorder->due_clock = *clock;
		recorder->due_icount = guest_clock_icount_at(recorder->machine, due_ns);
	}
	return recorder->due_icount;
}

static void make_plan(struct recorder *recorder, uint64_t switch_icount,
		      struct boundary_plan *ret_plan)
{
	const struct machine *machine = recorder->machine;
	uint64_t until = recorder->upkeep_icount;

	lower(&until, due_icount(recorder));
	lower(&until, chaos_icount(&recorder->chaos));
	lower(&until, switch_icount);
	if (!recorder->clock.follows_host)
		lower(&until, recorder->cut_icount);
	if (recorder->config->limit_icount)
		lower(&until, recorder->config->limit_icount);
	ret_plan->until_icount = until;
	ret_plan->interrupt_window =
		platform_pending_interrupt(recorder->platform, machine->current) >= 0;
	ret_plan->nmi_window = recorder->nmi_pending >> machine->current & 1;
}

/* ---- the boundary's functions ---- */

static enum boundary_result start(struct recorder *recorder)
{
	const struct recorder_config *config = recorder->config;
	struct machine *machine = recorder->machine;
	struct event event;

	recorder->started = true;
	recorder->host_ns = world_now_ns();
	guest_clock_start(&recorder->clock, machine, config->start_delay_ns, recorder->host_ns,
			  &event);
	if (config->limit_ns)
		recorder->end_ns = event.clock.base + config->limit_ns;
	chaos_start(&recorder->chaos, machine_current(machine), machine->icount);
	enum boundary_result result = recorder_emit(recorder, &event);
	return result == BOUNDARY_GO ? recorder_log_start_pace(recorder) : result;
}

/*
 * Everything that is due at this count, up to one delivery. *ret_run is set when the machine can
 * run on from here, until switch_icount at the latest.
 */
static enum boundary_result take_turn(struct recorder *recorder, bool *ret_run,
				      uint64_t *ret_switch_icount)
{
	enum boundary_result result = recorder_upkeep(recorder);
	bool ready = false, delivered = false;

	if (result == BOUNDARY_GO)
		result = recorder_chaos(recorder);
	if (result != BOUNDARY_GO)
		return result;
	run_devices(recorder);
	if (recorder->error.code) /* a device's write could not be logged */
		return BOUNDARY_FAILED;
	result = take_signals(recorder);
	if (result == BOUNDARY_GO)
		result = check_ends(recorder);
	if (result == BOUNDARY_GO)
		result = recorder_log_keep_pace(recorder);
	if (result == BOUNDARY_GO)
		result = recorder_schedule(recorder, &ready, ret_switch_icount);
	if (result == BOUNDARY_GO && !ready)
		return recorder_idle(recorder);
	if (result == BOUNDARY_GO)
		result = deliver(recorder, &delivered);
	*ret_run = !delivered && machine_current(recorder->machine)->activity == ACTIVITY_RUNNING;
	return result;
}

static enum boundary_result record_events(void *ctx, struct machine *machine,
					  struct boundary_plan *ret_plan)
{
	struct recorder *recorder = ctx;
	enum boundary_result result = recorder->started ? BOUNDARY_GO : start(recorder);

	while (result == BOUNDARY_GO) {
		uint64_t switch_icount = UINT64_MAX;
		bool run = false;

		result = take_turn(recorder, &run, &switch_icount);
		if (result != BOUNDARY_GO || !run)
			continue;
		make_plan(recorder, switch_icount, ret_plan);
		if (ret_plan->until_icount > machine->icount)
			break;
	}
	return result;
}

/*
 * Brings the devices' time up to the instruction that asks. A timer that is due waits until the
 * instruction has retired: its device may write to memory.
 */
static void tell_time(struct recorder *recorder)
{
	uint64_t now_ns = machine_clock_now(recorder->machine);

	if (now_ns < platform_deadline(recorder->platform))
		platform_advance(recorder->platform, now_ns);
}

/* Accesses that may change whether the guest listens on its console. */
static bool concerns_console(const struct recorder *recorder, uint8_t kind)
{
	return recorder->config->virtio_console
		       ? kind == CROSSING_MMIO_WRITE
		       : kind == CROSSING_PORT_READ || kind == CROSSING_PORT_WRITE;
}

static bool console_listens(const struct recorder *recorder)
{
	return recorder->config->virtio_console ? platform_console_listens(recorder->platform)
						: console_gate_is_open(&recorder->world.gate);
}

static void observe_console(struct recorder *recorder, const struct crossing_request *request)
{
	struct world *world = &recorder->world;

	if (!concerns_console(recorder, request->kind))
		return;
	console_gate_observe(&world->gate, request);
	input_source_hold(&world->console_in, !console_listens(recorder),
			  machine_clock_now(recorder->machine));
}

static uint64_t random_value(struct recorder *recorder, unsigned size)
{
	uint64_t value = 0;

	random_source_fill(&recorder->world.random, &value, size);
	return value;
}

static enum boundary_result record_input(void *ctx, const struct machine *machine,
					 const struct crossing_request *request,
					 uint64_t *ret_value)
{
	struct recorder *recorder = ctx;
	struct event event = {
		.kind = EVENT_INPUT,
		.input = {.kind = request->kind,
			  .size = request->size,
			  .address = request->address},
	};
	enum boundary_result result;

	if (request->kind == CROSSING_RDRAND || request->kind == CROSSING_RDSEED) {
		event.input.value = random_value(recorder, request->size);
	} else {
		tell_time(recorder);
		event.input.value = platform_read(recorder->platform, machine->current, request);
	}
	if (request->size < 8)
		event.input.value &= (UINT64_C(1) << 8 * request->size) - 1;
	observe_console(recorder, request);
	result = recorder_emit(recorder, &event);
	if (result == BOUNDARY_GO)
		*ret_value = event.input.value;
	return result;
}

static bool sends_interrupts(const struct crossing_request *request)
{
	return (request->kind == CROSSING_MMIO_WRITE &&
		request->address == LAYOUT_LAPIC_GPA + LAPIC_ICR_OFFSET) ||
	       (request->kind == CROSSING_MSR_WRITE && request->address == X2APIC_ICR_MSR);
}

static enum boundary_result record_output(void *ctx, const struct machine *machine,
					  const struct crossing_request *request)
{
	struct recorder *recorder = ctx;

	tell_time(recorder);
	platform_write(recorder->platform, machine->current, request,
		       machine->vcpu[machine->current].tsc_offset);
	observe_console(recorder, request);
	if (sends_interrupts(request))
		recorder_hurry_switch(recorder);
	return BOUNDARY_GO;
}

const struct boundary_ops recorder_boundary_ops = {
	.events = record_events,
	.input = record_input,
	.output = record_output,
};
