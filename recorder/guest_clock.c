#include "recorder/guest_clock.h"

#define ONE (UINT64_C(1) << 32) /* 1.0 as 32.32 */

/* Speeds that are believed, 32.32 ns per instruction. */
#define RATIO_MIN   (ONE / 16)
#define RATIO_MAX   (ONE * GUEST_CLOCK_MAX_NS_PER_INSTRUCTION)
#define RATIO_GUESS (ONE * 10)

/* Shorter runs say nothing about the speed. */
#define SPEED_MIN_INSTRUCTIONS 4096

/* A guest that is ahead of the host is brought back over this span of host time. */
#define CATCH_UP_NS UINT64_C(2000000)

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
	return value < low ? low : value > high ? high : value;
}

void guest_clock_init(struct guest_clock *clock, bool follows_host, uint64_t ps_per_instruction)
{
	*clock = (struct guest_clock){.follows_host = follows_host, .ratio = RATIO_GUESS};
	if (!follows_host)
		clock->ratio = (uint64_t)(((unsigned __int128)ps_per_instruction << 32) / 1000);
}

/* Remembers an event that sets the time to guest_ns, and fills it in. */
static void set_time(struct guest_clock *clock, const struct machine *machine, uint64_t guest_ns,
		     uint64_t ratio, struct event *ret_event)
{
	clock->last_icount = machine->icount;
	clock->last_ns = guest_ns;
	*ret_event = (struct event){
		.kind = EVENT_CLOCK,
		.icount = machine->icount,
		.clock = {.base = guest_ns, .ratio = ratio},
	};
}

uint64_t guest_clock_at_host(const struct guest_clock *clock, uint64_t host_ns)
{
	return host_ns > clock->origin_ns ? host_ns - clock->origin_ns : 0;
}

void guest_clock_anchor(struct guest_clock *clock, uint64_t guest_ns, uint64_t host_ns)
{
	clock->origin_ns = host_ns - guest_ns;
}

void guest_clock_skip(struct guest_clock *clock, uint64_t stall_ns)
{
	clock->origin_ns += stall_ns;
}

void guest_clock_gain(struct guest_clock *clock, uint64_t gain_ns)
{
	clock->origin_ns -= gain_ns;
}

void guest_clock_start(struct guest_clock *clock, const struct machine *machine, uint64_t delay_ns,
		       uint64_t host_ns, struct event *ret_event)
{
	uint64_t now_ns = machine_clock_now(machine) + delay_ns;

	guest_clock_anchor(clock, now_ns, host_ns);
	clock->speed_icount = machine->icount;
	clock->speed_host_ns = host_ns;
	set_time(clock, machine, now_ns, clock->ratio, ret_event);
}

static void measure_speed(struct guest_clock *clock, uint64_t icount, uint64_t host_ns)
{
	uint64_t instructions = icount - clock->speed_icount;
	unsigned __int128 ratio;

	if (instructions < SPEED_MIN_INSTRUCTIONS)
		return;
	ratio = ((unsigned __int128)(host_ns - clock->speed_host_ns) << 32) / instructions;
	if (ratio > RATIO_MAX)
		ratio = RATIO_MAX;
	clock->ratio = clamp((clock->ratio * 3 + (uint64_t)ratio) / 4, RATIO_MIN, RATIO_MAX);
	clock->speed_icount = icount;
	clock->speed_host_ns = host_ns;
}

/* The ratio to go on with: a little low, so that corrections go forward; lower when ahead. */
static uint64_t predicted_ratio(const struct guest_clock *clock, uint64_t ahead_ns)
{
	uint64_t ratio = clock->ratio - clock->ratio / 16;

	if (ahead_ns >= CATCH_UP_NS / 2)
		ahead_ns = CATCH_UP_NS / 2;
	return ratio - ratio / CATCH_UP_NS * ahead_ns;
}

bool guest_clock_sync(struct guest_clock *clock, const struct machine *machine, uint64_t host_ns,
		      struct event *ret_event)
{
	uint64_t instructions = machine->icount - clock->last_icount;
	uint64_t now_ns = machine_clock_now(machine), host_guest_ns, limit_ns, ahead_ns = 0;

	if (!clock->follows_host || !instructions)
		return false;
	measure_speed(clock, machine->icount, host_ns);
	host_guest_ns = guest_clock_at_host(clock, host_ns);
	limit_ns = clock->last_ns + instructions * GUEST_CLOCK_MAX_NS_PER_INSTRUCTION;
	if (host_guest_ns > limit_ns) {
		guest_clock_skip(clock, host_guest_ns - limit_ns);
		host_guest_ns = limit_ns;
	}
	if (host_guest_ns < now_ns) {
		ahead_ns = now_ns - host_guest_ns;
		host_guest_ns = now_ns;
	}
	set_time(clock, machine, host_guest_ns, predicted_ratio(clock, ahead_ns), ret_event);
	return true;
}

void guest_clock_jump(struct guest_clock *clock, const struct machine *machine, uint64_t guest_ns,
		      uint64_t host_ns, struct event *ret_event)
{
	uint64_t now_ns = machine_clock_now(machine);
	uint64_t ratio = clock->follows_host ? predicted_ratio(clock, 0) : clock->ratio;

	/* Waiting says nothing about the speed of running. */
	clock->speed_icount = machine->icount;
	clock->speed_host_ns = host_ns;
	set_time(clock, machine, guest_ns > now_ns ? guest_ns : now_ns, ratio, ret_event);
}

uint64_t guest_clock_icount_at(const struct machine *machine, uint64_t guest_ns)
{
	const struct machine_clock *clock = &machine->clock;
	unsigned __int128 count;

	if (guest_ns <= clock->base)
		return clock->base_icount;
	if (!clock->ratio || guest_ns == UINT64_MAX)
		return UINT64_MAX;
	count = (((unsigned __int128)(guest_ns - clock->base) << 32) + clock->ratio - 1) /
		clock->ratio;
	if (count > UINT64_MAX - clock->base_icount)
		return UINT64_MAX;
	return clock->base_icount + (uint64_t)count;
}

uint64_t guest_clock_instructions(const struct guest_clock *clock, uint64_t ns)
{
	unsigned __int128 count = ((unsigned __int128)ns << 32) / (clock->ratio ? clock->ratio : 1);

	return count < 1 ? 1 : count > UINT32_MAX ? UINT32_MAX : (uint64_t)count;
}
