#include "recorder/chaos.h"

#include <string.h>

#include "recorder/chaos_code.h"

#define NEVER UINT64_MAX

/* Seeds of chaos and of the guest's random numbers are one number to the user, and two streams. */
#define SEED_SALT UINT64_C(0x63686f61735f5f31)

/* Mean distances as powers of two: no distance suits every program. */
#define PREEMPT_SHIFT_MIN 6
#define PREEMPT_SHIFT_MAX 18
#define WALK_SHIFT_MIN    6
#define WALK_SHIFT_MAX    14
#define STARVE_SHIFT_MIN  8
#define STARVE_SHIFT_MAX  13
#define WINDOW_SHIFT_MIN  15
#define WINDOW_SHIFT_MAX  23
#define JUMP_SHIFT_MIN    18
#define JUMP_SHIFT_MAX    25

/* How long the command runs in peace first, and between bursts of interruptions: what there is to
 * spend is then not gone before the program has come to what it is about. */
#define PEACE_SHIFT_MIN 6
#define PEACE_SHIFT_MAX 20

/* The mean number of interruptions in a burst, as a power of two: what needs one thread to stand
 * still while another runs far is found by single ones. */
#define BURST_SHIFT_MAX 8

/* Kernels are left in peace, and leave to a thread soon: the next look comes within so many
 * instructions at most, or within a mean distance, so that a thread comes no further than that. */
#define RETRY 2000

/* A thread that is alone, as far as was seen, is interrupted more rarely, up to so many times as a
 * power of two, and gets no more than this part of what there is to spend: another may have been
 * made that has not run yet, and there is to be something left when it does. */
#define ALONE_SHIFT_MAX 5
#define ALONE_PART      2

/* One instruction after the other is slow: a walk is short. Where walks find nothing they become
 * rarer, to this mean distance; a program that computes would be walked through from end to end. */
#define WALK_STEPS      1500
#define WALK_SHIFT_RARE 20

/* How much time a run may lose to interruptions; a timeout that is longer is never to blame. */
static const uint64_t budgets_ns[] = {UINT64_C(100000000), UINT64_C(1000000000),
				      UINT64_C(1000000000), UINT64_C(8000000000)};
#define JUMPS_NS UINT64_C(8000000000)

/* Jumps and latencies in ns, as powers of two: from 1 µs to 0.5 s, to 33 ms. */
#define JUMP_NS_SHIFT_MIN    10
#define JUMP_NS_SHIFT_MAX    28
#define LATENCY_NS_SHIFT_MIN 10
#define LATENCY_NS_SHIFT_MAX 24

/* Speeds of the processor: a quarter to 16 times the time for an instruction. */
#define RATIO_SHIFT_DOWN 2
#define RATIO_SHIFTS     7

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- random numbers ---- */

static uint64_t draw(struct chaos *chaos)
{
	uint64_t value;

	random_source_fill(&chaos->random, &value, sizeof(value));
	return value;
}

/* The bias of a remainder of 64 bits does not matter here. */
uint64_t chaos_below(struct chaos *chaos, uint64_t n)
{
	return draw(chaos) % n;
}

static bool coin(struct chaos *chaos)
{
	return draw(chaos) & 1;
}

uint64_t chaos_power(struct chaos *chaos, unsigned low, unsigned high)
{
	uint64_t power = UINT64_C(1) << (low + chaos_below(chaos, high - low + 1));

	return power + chaos_below(chaos, power);
}

/* A distance of this mean. */
static uint64_t distance(struct chaos *chaos, unsigned shift)
{
	return 1 + chaos_below(chaos, UINT64_C(2) << shift);
}

/* Where no thread was met at the end of such a distance. */
static uint64_t retry(struct chaos *chaos, unsigned shift)
{
	uint64_t most = UINT64_C(2) << shift;

	return 1 + chaos_below(chaos, most < RETRY ? most : RETRY);
}

/* ---- the run's choice ---- */

/* A program that fails under one of two strategies may not fail under both at once. */
static unsigned choose_strategies(struct chaos *chaos, unsigned from)
{
	unsigned chosen = from & (unsigned)draw(chaos);

	if (!chosen)
		for (unsigned n = (unsigned)chaos_below(chaos, (unsigned)__builtin_popcount(from));
		     !chosen; from &= from - 1)
			if (!n--)
				chosen = from & -from;
	return chosen;
}

void chaos_init(struct chaos *chaos, const struct chaos_config *config)
{
	memset(chaos, 0, sizeof(*chaos));
	chaos->preempt_icount = chaos->walk_icount = chaos->starve_icount = NEVER;
	chaos->window_icount = chaos->jump_icount = NEVER;
	if (!config->strategies)
		return;
	random_source_init(&chaos->random, true, config->seed ^ SEED_SALT);
	chaos->strategies = choose_strategies(chaos, config->strategies);
	chaos->budget_ns = budgets_ns[chaos_below(chaos, LENGTH(budgets_ns))];
	chaos->alone_ns = chaos->budget_ns / ALONE_PART;
	chaos->jumps_ns = JUMPS_NS;
	chaos->alone = UINT64_C(1) << chaos_below(chaos, ALONE_SHIFT_MAX + 1);
	chaos->burst = UINT64_C(1) << chaos_below(chaos, BURST_SHIFT_MAX + 1);
	chaos->preempt_shift =
		PREEMPT_SHIFT_MIN +
		(unsigned)chaos_below(chaos, PREEMPT_SHIFT_MAX - PREEMPT_SHIFT_MIN + 1);
	chaos->walk_shift_least =
		WALK_SHIFT_MIN + (unsigned)chaos_below(chaos, WALK_SHIFT_MAX - WALK_SHIFT_MIN + 1);
	chaos->walk_shift = chaos->walk_shift_least;
	chaos->starve_shift = STARVE_SHIFT_MIN +
			      (unsigned)chaos_below(chaos, STARVE_SHIFT_MAX - STARVE_SHIFT_MIN + 1);
}

void chaos_start(struct chaos *chaos, const struct cpu *cpu, uint64_t icount)
{
	chaos->own_space = cpu->cr3 & CHAOS_SPACE_MASK;
	if (chaos->strategies & CHAOS_PREEMPT)
		chaos->preempt_icount = icount + distance(chaos, chaos->preempt_shift);
	if (chaos->strategies & CHAOS_ATOMICS)
		chaos->walk_icount = icount + distance(chaos, chaos->walk_shift);
	if (chaos->strategies & CHAOS_STARVE)
		chaos->starve_icount = chaos->window_icount = icount;
	if (chaos->strategies & CHAOS_CLOCK)
		chaos->jump_icount = icount + chaos_power(chaos, JUMP_SHIFT_MIN, JUMP_SHIFT_MAX);
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t chaos_icount(const struct chaos *chaos)
{
	return lower(lower(chaos->preempt_icount, chaos->walk_icount),
		     lower(chaos->starve_icount, chaos->jump_icount));
}

/* ---- the strategies ---- */

static void delay(uint64_t *icount, uint64_t until)
{
	if (*icount != NEVER && *icount < until)
		*icount = until;
}

/* Once no time may pass any more, nothing is looked at either. */
static uint64_t spend(struct chaos *chaos, uint64_t ns)
{
	if (ns <= chaos->budget_ns) {
		chaos->budget_ns -= ns;
		return ns;
	}
	chaos->preempt_icount = chaos->walk_icount = chaos->starve_icount = NEVER;
	return 0;
}

static bool is_commands(const struct chaos *chaos, const struct cpu *cpu)
{
	return (cpu->cr3 & CHAOS_SPACE_MASK) != chaos->own_space;
}

static uint64_t peace(struct chaos *chaos)
{
	return chaos_power(chaos, PEACE_SHIFT_MIN, PEACE_SHIFT_MAX);
}

/* The number of the thread that runs; those beyond the table's end share the last. */
static unsigned find_thread(struct chaos *chaos, const struct cpu *cpu)
{
	uint64_t key = cpu->seg[SEG_FS].base ^ (cpu->cr3 & CHAOS_SPACE_MASK) << 16;

	for (unsigned i = 0; i < chaos->n_threads; i++)
		if (chaos->thread[i] == key)
			return i;
	if (chaos->n_threads < CHAOS_MAX_THREADS)
		chaos->thread[chaos->n_threads++] = key;
	return chaos->n_threads - 1;
}

/* A thread of the command's runs its own code. Before its loader has set up a thread pointer it is
 * none yet. */
static bool is_thread(const struct chaos *chaos, const struct cpu *cpu)
{
	return cpu->cpl == 3 && is_commands(chaos, cpu) && cpu->seg[SEG_FS].base;
}

static uint64_t interrupt(struct chaos *chaos, const struct cpu *cpu, uint64_t tick_ns)
{
	find_thread(chaos, cpu);
	if (chaos->n_threads > 1)
		return spend(chaos, tick_ns);
	if (chaos->alone_ns < tick_ns || chaos_below(chaos, chaos->alone))
		return 0;
	chaos->alone_ns -= tick_ns;
	return spend(chaos, tick_ns);
}

static uint64_t preempt(struct chaos *chaos, const struct cpu *cpu, uint64_t icount,
			uint64_t tick_ns)
{
	if (!is_thread(chaos, cpu)) {
		chaos->preempt_icount = icount + retry(chaos, chaos->preempt_shift);
		return 0;
	}
	chaos->preempt_icount = icount + distance(chaos, chaos->preempt_shift);
	uint64_t ns = interrupt(chaos, cpu, tick_ns);
	if (ns && !chaos_below(chaos, chaos->burst))
		delay(&chaos->preempt_icount, chaos->preempt_icount + peace(chaos));
	return ns;
}

static void end_walk(struct chaos *chaos, uint64_t icount)
{
	chaos->walk_steps = 0;
	chaos->walk_found = false;
	chaos->walk_icount = icount + distance(chaos, chaos->walk_shift);
}

/*
 * Looks at one instruction after the other until one is atomic, or a system call; the thread is
 * then interrupted before it or behind it. Behind a system call means in the kernel, which gives
 * the processor away when it is done.
 */
static uint64_t walk(struct chaos *chaos, const struct cpu *cpu, uint64_t icount, uint64_t tick_ns)
{
	if (chaos->walk_found) {
		end_walk(chaos, icount);
		return spend(chaos, tick_ns);
	}
	if (!is_thread(chaos, cpu)) {
		end_walk(chaos, icount);
		chaos->walk_icount = icount + retry(chaos, chaos->walk_shift);
		return 0;
	}
	find_thread(chaos, cpu);
	chaos->walk_icount = icount + 1;
	if (!chaos->walk_steps)
		chaos->walk_steps = WALK_STEPS + 1;
	if (!--chaos->walk_steps) {
		chaos->walk_shift += chaos->walk_shift < WALK_SHIFT_RARE;
		end_walk(chaos, icount);
		return 0;
	}
	if (!chaos_code_is_atomic(cpu) || coin(chaos))
		return 0;
	chaos->walk_shift -= chaos->walk_shift > chaos->walk_shift_least;
	chaos->walk_found = true;
	if (coin(chaos))
		return 0;
	end_walk(chaos, icount);
	return spend(chaos, tick_ns);
}

static uint64_t starve(struct chaos *chaos, const struct cpu *cpu, uint64_t icount,
		       uint64_t tick_ns)
{
	if (icount >= chaos->window_icount) {
		chaos->starved = draw(chaos);
		chaos->window_icount =
			icount + chaos_power(chaos, WINDOW_SHIFT_MIN, WINDOW_SHIFT_MAX);
	}
	if (!is_thread(chaos, cpu)) {
		chaos->starve_icount = icount + retry(chaos, chaos->starve_shift);
		return 0;
	}
	chaos->starve_icount = icount + distance(chaos, chaos->starve_shift);
	if (!(chaos->starved >> find_thread(chaos, cpu) & 1))
		return 0;
	return interrupt(chaos, cpu, tick_ns);
}

/* The first instructions of the command are the loader's: in half of the runs they are left out. */
static void begin(struct chaos *chaos, const struct cpu *cpu, uint64_t icount)
{
	if (chaos->begun || !is_thread(chaos, cpu))
		return;
	chaos->begun = true;
	if (coin(chaos))
		return;
	delay(&chaos->preempt_icount, icount + peace(chaos));
	delay(&chaos->walk_icount, icount + peace(chaos));
	delay(&chaos->starve_icount, icount + peace(chaos));
}

static uint64_t jump(struct chaos *chaos, uint64_t icount)
{
	uint64_t ns = chaos_power(chaos, JUMP_NS_SHIFT_MIN, JUMP_NS_SHIFT_MAX);

	chaos->jump_icount = icount + chaos_power(chaos, JUMP_SHIFT_MIN, JUMP_SHIFT_MAX);
	if (ns > chaos->jumps_ns) {
		chaos->jump_icount = NEVER;
		return 0;
	}
	chaos->jumps_ns -= ns;
	return ns;
}

uint64_t chaos_due_ns(struct chaos *chaos, const struct cpu *cpu, uint64_t icount, uint64_t tick_ns)
{
	uint64_t ns = 0;

	begin(chaos, cpu, icount);
	if (icount >= chaos->jump_icount)
		ns += jump(chaos, icount);
	if (icount >= chaos->preempt_icount)
		ns += preempt(chaos, cpu, icount, tick_ns);
	if (icount >= chaos->starve_icount)
		ns += starve(chaos, cpu, icount, tick_ns);
	if (icount >= chaos->walk_icount)
		ns += walk(chaos, cpu, icount, tick_ns);
	return ns;
}

uint64_t chaos_ratio(struct chaos *chaos, uint64_t ratio)
{
	if (!(chaos->strategies & CHAOS_CLOCK))
		return ratio;
	return (ratio >> RATIO_SHIFT_DOWN) << chaos_below(chaos, RATIO_SHIFTS);
}

uint64_t chaos_latency_ns(void *ctx)
{
	return chaos_power(ctx, LATENCY_NS_SHIFT_MIN, LATENCY_NS_SHIFT_MAX);
}
