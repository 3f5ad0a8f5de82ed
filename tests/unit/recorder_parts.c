/* The recorder's parts that need no guest: clock, sources, gate, random numbers. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder/chaos.h"
#include "recorder/console_gate.h"
#include "recorder/guest_clock.h"
#include "recorder/random.h"
#include "recorder/source.h"
#include "tests/tap.h"

#define MS UINT64_C(1000000)

/* ---- guest clock ---- */

/* What machine_apply_event does with a clock event. */
static void apply(struct machine *machine, const struct event *event)
{
	machine->clock.base = event->clock.base;
	machine->clock.base_icount = event->icount;
	machine->clock.ratio = event->clock.ratio;
}

static void test_icount_at(void)
{
	static const struct {
		uint64_t base, base_icount, ratio, ns;
	} cases[] = {
		{0, 0, UINT64_C(1) << 32, 1000},
		{5, 100, UINT64_C(10) << 32, 1001},
		{5, 100, UINT64_C(3) << 31, 77},
		{5, 100, 12345, 6},
		{0, 7, (UINT64_C(1) << 32) / 3, 123456789},
		{1, 7, 0xfffffffff, UINT64_C(1) << 50},
	};
	struct machine machine = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t icount;
		bool exact;

		machine.clock =
			(struct machine_clock){cases[i].base, cases[i].base_icount, cases[i].ratio};
		icount = guest_clock_icount_at(&machine, cases[i].ns);
		machine.icount = icount;
		exact = machine_clock_now(&machine) >= cases[i].ns;
		machine.icount = icount - 1;
		exact = exact && machine_clock_now(&machine) < cases[i].ns;
		tap_ok(exact, "icount_at %zu: the first count at or past the time", i);
	}
	machine.clock = (struct machine_clock){5, 100, 1};
	tap_ok(guest_clock_icount_at(&machine, 3) == 100, "icount_at: a time that has passed");
	tap_ok(guest_clock_icount_at(&machine, UINT64_MAX) == UINT64_MAX, "icount_at: never");
	machine.clock.ratio = 0;
	tap_ok(guest_clock_icount_at(&machine, 6) == UINT64_MAX, "icount_at: time stands still");
}

/* Runs n slices of a machine of this speed; returns how far guest time is behind the host's. */
static int64_t follow(struct guest_clock *clock, struct machine *machine, uint64_t *host_ns, int n,
		      uint64_t ns_per_instruction, bool *ret_backwards)
{
	uint64_t host_start = *host_ns, guest_start = machine_clock_now(machine);
	struct event event;

	while (n--) {
		uint64_t before;

		machine->icount += 50000;
		*host_ns += 50000 * ns_per_instruction;
		before = machine_clock_now(machine);
		if (guest_clock_sync(clock, machine, *host_ns, &event))
			apply(machine, &event);
		*ret_backwards = *ret_backwards || machine_clock_now(machine) < before;
	}
	return (int64_t)(*host_ns - host_start) -
	       (int64_t)(machine_clock_now(machine) - guest_start);
}

static void test_following(void)
{
	struct machine machine = {0};
	struct guest_clock clock;
	struct event event;
	uint64_t host_ns = 5000 * MS, before;
	bool backwards = false;
	int64_t behind;

	guest_clock_init(&clock, true, 0);
	guest_clock_start(&clock, &machine, 0, host_ns, &event);
	apply(&machine, &event);
	tap_ok(machine_clock_now(&machine) == 0, "guest time starts at 0");
	behind = follow(&clock, &machine, &host_ns, 100, 12, &backwards);
	tap_ok(llabs(behind) < (int64_t)MS, "guest time follows a steady host");
	behind = follow(&clock, &machine, &host_ns, 300, 3, &backwards);
	tap_ok(llabs(behind) < (int64_t)MS, "guest time follows when the guest runs faster");
	behind = follow(&clock, &machine, &host_ns, 300, 40, &backwards);
	tap_ok(llabs(behind) < (int64_t)MS, "guest time follows when the guest runs slower");
	tap_ok(!backwards, "guest time never goes backwards");
	behind = follow(&clock, &machine, &host_ns, 10, 1000, &backwards);
	tap_ok(behind > (int64_t)(400 * MS), "a slow engine slows the guest's time");
	before = machine_clock_now(&machine);
	host_ns += 60000 * MS;
	machine.icount += 1000;
	guest_clock_sync(&clock, &machine, host_ns, &event);
	apply(&machine, &event);
	tap_ok(machine_clock_now(&machine) - before <= 1000 * 200,
	       "time stands still while the recorder is stopped");
	tap_ok(!guest_clock_sync(&clock, &machine, host_ns + MS, &event),
	       "no event without an instruction");
	before = machine_clock_now(&machine);
	guest_clock_jump(&clock, &machine, before + 7 * MS, host_ns, &event);
	apply(&machine, &event);
	tap_ok(machine_clock_now(&machine) == before + 7 * MS, "idle time passes by a jump");
	guest_clock_jump(&clock, &machine, before, host_ns, &event);
	tap_ok(event.clock.base == before + 7 * MS, "a jump never goes backwards");
}

static void test_virtual(void)
{
	struct machine machine = {0};
	struct guest_clock clock;
	struct event event;

	guest_clock_init(&clock, false, 2500);
	guest_clock_start(&clock, &machine, 0, 1, &event);
	apply(&machine, &event);
	machine.icount = 4000;
	tap_ok(machine_clock_now(&machine) == 10000, "virtual clock: 2.5 ns an instruction");
	tap_ok(!guest_clock_sync(&clock, &machine, 900 * MS, &event),
	       "virtual clock: the host's time is nothing");
}

/* ---- sources ---- */

static bool never(void *ctx)
{
	return false;
}

static bool at_once(void *ctx)
{
	return true;
}

static void test_source(void)
{
	struct input_source source;
	struct input_source_config config = {
		.piece_bytes = 1, .period_ns = 100, .settle_ns = 100, .waits = true};
	uint8_t byte = 0;
	int ends[2];

	if (pipe(ends) < 0 || write(ends[1], "ab", 2) != 2)
		printf("Bail out! no pipe\n");
	config.fd = ends[0];
	input_source_init(&source, &config);
	input_source_hold(&source, true, 0);
	tap_ok(input_source_due(&source) == UINT64_MAX, "source: held, nothing is due");
	input_source_hold(&source, false, 1000);
	tap_ok(input_source_due(&source) == 1100, "source: due a period after the guest listens");
	input_source_fetch_due(&source, 1099, never, NULL);
	tap_ok(!input_source_filled(&source), "source: nothing before it is due");
	input_source_fetch_due(&source, 1100, never, NULL);
	tap_ok(input_source_filled(&source) && input_source_due(&source) == UINT64_MAX,
	       "source: one piece at a time");
	tap_ok(input_source_read(&source, &byte, 1) == 1 && byte == 'a', "source: the byte");
	tap_ok(input_source_due(&source) == 1200, "source: the next a period later");
	input_source_fetch_due(&source, 1250, never, NULL);
	tap_ok(input_source_read(&source, &byte, 1) == 1 && byte == 'b', "source: and in order");
	input_source_fetch_due(&source, 2000, at_once, NULL);
	tap_ok(!input_source_filled(&source) && !input_source_ended(&source),
	       "source: waiting stops when asked to");
	close(ends[1]);
	input_source_fetch_due(&source, 2000, never, NULL);
	tap_ok(input_source_ended(&source) && !input_source_alive(&source), "source: the end");
	close(ends[0]);

	if (pipe(ends) < 0)
		printf("Bail out! no pipe\n");
	config.fd = ends[0];
	config.waits = false;
	input_source_init(&source, &config);
	input_source_fetch_due(&source, 100, never, NULL);
	tap_ok(input_source_watched(&source) && input_source_due(&source) == UINT64_MAX,
	       "source: not waited for, then watched");
	if (write(ends[1], "c", 1) != 1)
		printf("Bail out! no pipe\n");
	input_source_fetch_watched(&source, 150);
	tap_ok(input_source_filled(&source) && !input_source_watched(&source),
	       "source: taken when it comes");
	close(ends[0]);
	close(ends[1]);
}

static void test_slow_source(void)
{
	struct input_source source;
	struct input_source_config config = {
		.piece_bytes = 1, .period_ns = 9 * MS, .slow_pieces = 2, .waits = true};
	uint8_t bytes[8];
	int ends[2];

	if (pipe(ends) < 0 || write(ends[1], "abcdef", 6) != 6)
		printf("Bail out! no pipe\n");
	config.fd = ends[0];
	input_source_init(&source, &config);
	input_source_fetch_due(&source, 9 * MS, never, NULL);
	tap_ok(input_source_read(&source, bytes, 8) == 1 && input_source_due(&source) == 18 * MS,
	       "source: the first slow piece");
	input_source_fetch_due(&source, 18 * MS, never, NULL);
	tap_ok(input_source_read(&source, bytes, 8) == 1 && input_source_due(&source) == 19 * MS,
	       "source: after the last slow piece the next comes soon");
	input_source_fetch_due(&source, 19 * MS, never, NULL);
	tap_ok(input_source_read(&source, bytes, 8) == 4, "source: with all the rest");
	close(ends[0]);
	close(ends[1]);
}

/* ---- gate ---- */

static void touch(struct console_gate *gate, bool write, uint16_t port, uint8_t value)
{
	struct crossing_request request = {
		.kind = write ? CROSSING_PORT_WRITE : CROSSING_PORT_READ,
		.size = 1,
		.address = port,
		.value = value,
	};

	console_gate_observe(gate, &request);
}

static void test_gate(void)
{
	struct console_gate gate = {0};

	for (int i = 0; i < 1000; i++) {
		touch(&gate, false, 0x3fd, 0);
		touch(&gate, true, 0x3f8, 'x');
	}
	tap_ok(!console_gate_is_open(&gate), "gate: sending is not listening");
	touch(&gate, true, 0x3fb, 0x80);
	touch(&gate, true, 0x3f9, 0x01);
	tap_ok(!console_gate_is_open(&gate), "gate: the divisor is not the interrupt register");
	touch(&gate, true, 0x3fb, 0x03);
	touch(&gate, true, 0x3f9, 0x05);
	tap_ok(console_gate_is_open(&gate), "gate: the receive interrupt opens it");
	touch(&gate, true, 0x3f9, 0x00);
	tap_ok(!console_gate_is_open(&gate), "gate: and closes it");
	for (int i = 0; i < 100; i++)
		touch(&gate, false, 0x3fd, 0);
	tap_ok(console_gate_is_open(&gate), "gate: polling opens it");
	touch(&gate, true, 0x3f8, 'x');
	tap_ok(console_gate_is_open(&gate), "gate: an echo does not close it");
}

/* ---- random numbers ---- */

static void test_random(void)
{
	struct random_source a, b;
	uint8_t bytes_a[600], bytes_b[600];

	random_source_init(&a, true, 7);
	random_source_init(&b, true, 7);
	random_source_fill(&a, bytes_a, 600);
	random_source_fill(&b, bytes_b, 600);
	tap_ok(!memcmp(bytes_a, bytes_b, 600), "random: one seed, one sequence");
	random_source_init(&b, true, 8);
	random_source_fill(&b, bytes_b, 600);
	tap_ok(memcmp(bytes_a, bytes_b, 600) != 0, "random: another seed, another sequence");
	random_source_init(&a, false, 7);
	random_source_fill(&a, bytes_a, 600);
	random_source_init(&b, false, 7);
	random_source_fill(&b, bytes_b, 600);
	tap_ok(memcmp(bytes_a, bytes_b, 600) != 0, "random: the host's bytes do not repeat");
}

/* ---- chaos ---- */

#define TICK_NS         UINT64_C(4000000)
#define COMMAND_SPACE   UINT64_C(0x1234000)
#define AGENT_SPACE     UINT64_C(0x5678000)
#define CHAOS_DECISIONS 3000

/* A command that runs in user mode all the time: at which counts time passes, and how much. */
static unsigned make_decisions(unsigned strategies, uint64_t seed, uint64_t space,
			       uint64_t decision[CHAOS_DECISIONS], uint64_t *ret_ns)
{
	const struct chaos_config config = {.strategies = strategies, .seed = seed};
	struct cpu cpu = {.cr3 = AGENT_SPACE, .cpl = 3};
	struct chaos chaos;
	unsigned n = 0;

	*ret_ns = 0;
	chaos_init(&chaos, &config);
	chaos_start(&chaos, &cpu, 0);
	cpu.cr3 = space;
	for (unsigned i = 0; i < 100000 && n < CHAOS_DECISIONS; i++) {
		uint64_t icount = chaos_icount(&chaos);
		if (icount == UINT64_MAX)
			break;
		cpu.seg[SEG_FS].base = 1 + i % 4; /* four threads */
		uint64_t ns = chaos_due_ns(&chaos, &cpu, icount, TICK_NS);
		if (chaos_icount(&chaos) <= icount)
			return 0; /* it would not end */
		*ret_ns += ns;
		if (ns)
			decision[n++] = icount ^ ns << 32;
	}
	return n;
}

static void test_chaos(void)
{
	static uint64_t a[CHAOS_DECISIONS], b[CHAOS_DECISIONS];
	static const unsigned interrupting[] = {CHAOS_PREEMPT, CHAOS_STARVE,
						CHAOS_PREEMPT | CHAOS_STARVE};
	uint64_t ns;

	for (size_t i = 0; i < sizeof(interrupting) / sizeof(interrupting[0]); i++) {
		unsigned n = make_decisions(interrupting[i], 7, COMMAND_SPACE, a, &ns);
		tap_ok(n > 10 && ns <= UINT64_C(8000000000), "chaos %u: interrupts, within bounds",
		       interrupting[i]);
		tap_ok(make_decisions(interrupting[i], 7, COMMAND_SPACE, b, &ns) == n &&
			       !memcmp(a, b, n * sizeof(a[0])),
		       "chaos %u: one seed, one sequence", interrupting[i]);
		tap_ok(make_decisions(interrupting[i], 8, COMMAND_SPACE, b, &ns) != n ||
			       memcmp(a, b, n * sizeof(a[0])) != 0,
		       "chaos %u: another seed, another sequence", interrupting[i]);
		tap_ok(!make_decisions(interrupting[i], 7, AGENT_SPACE, a, &ns),
		       "chaos %u: the agent is left in peace", interrupting[i]);
	}
	tap_ok(make_decisions(CHAOS_CLOCK, 7, AGENT_SPACE, a, &ns) > 10 &&
		       ns <= UINT64_C(8000000000),
	       "chaos: time jumps, within bounds");
	tap_ok(!make_decisions(0, 7, COMMAND_SPACE, a, &ns), "chaos: none where none is asked for");
}

static void test_chaos_choice(void)
{
	unsigned seen = 0, alone = 0;

	for (uint64_t seed = 0; seed < 200; seed++) {
		const struct chaos_config both = {CHAOS_DISK | CHAOS_IO, seed};
		const struct chaos_config one = {CHAOS_IO, seed};
		struct chaos chaos;

		chaos_init(&chaos, &both);
		seen |= 1u << (chaos.strategies / CHAOS_DISK);
		chaos_init(&chaos, &one);
		alone += chaos.strategies == CHAOS_IO;
	}
	tap_ok(seen == (1u << 1 | 1u << 2 | 1u << 3),
	       "chaos: of two strategies one, the other, both");
	tap_ok(alone == 200, "chaos: one alone is always on");
}

/* How many instructions of so many are looked at, of code that is all zeros. */
static uint64_t count_looks(struct cpu *cpu, uint64_t seed, uint64_t instructions)
{
	const struct chaos_config config = {.strategies = CHAOS_ATOMICS, .seed = seed};
	struct chaos chaos;
	uint64_t looks = 0;

	chaos_init(&chaos, &config);
	cpu->cr3 = AGENT_SPACE;
	chaos_start(&chaos, cpu, 0);
	cpu->cr3 = COMMAND_SPACE;
	for (uint64_t icount; (icount = chaos_icount(&chaos)) < instructions; looks++)
		chaos_due_ns(&chaos, cpu, icount, TICK_NS);
	return looks;
}

static void test_chaos_walks(void)
{
	const struct machine_config config = {
		.n_vcpus = 1,
		.cpu_model = "x86-64-v2",
		.regions = {{REGION_RAM, 0, PAGE_BYTES}},
		.n_regions = 1,
	};
	struct machine *machine;
	uint64_t most = 0;

	if (machine_create(&config, &machine)) {
		tap_ok(false, "chaos: a machine");
		return;
	}
	struct cpu *cpu = machine_current(machine);
	cpu->cpl = 3;
	cpu->seg[SEG_CS].base = cpu->rip = 0;
	cpu->seg[SEG_FS].base = 1;
	for (uint64_t seed = 0; seed < 20; seed++) {
		uint64_t looks = count_looks(cpu, seed, UINT64_C(1) << 24);
		most = looks > most ? looks : most;
	}
	tap_ok(most > 1500 && most < 100000,
	       "chaos: code without atomic instructions is not walked through from end to end");
	machine_destroy(machine);
}

int main(void)
{
	test_icount_at();
	test_following();
	test_virtual();
	test_source();
	test_slow_source();
	test_gate();
	test_random();
	test_chaos();
	test_chaos_choice();
	test_chaos_walks();
	return tap_done();
}
