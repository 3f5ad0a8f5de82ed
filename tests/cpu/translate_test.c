/*
 * Translated code in lockstep with interp: programs that do what translation is difficult for, run
 * natively in the test's process (native_engine.h), stopped at every count of a range and at random
 * ones, with equal states at each.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/cpu/interp_guest.h"
#include "tests/cpu/native_engine.h"
#include "tests/tap.h"

#define STEPS 9000u

#define PROGRAMS(X)           X(mix) X(self) X(collide) X(function) X(flags)
#define PROGRAM_DECLARE(name) extern const uint8_t program_##name[], program_##name##_end[];
PROGRAMS(PROGRAM_DECLARE)

/* Offsets in the program flags. */
extern const uint32_t program_flags_after[], program_flags_after_end[];

/* Where the colliding functions lie: + n * 64 KiB. */
#define FUNCTIONS   0x110230u
#define N_FUNCTIONS 6u

static uint64_t digests[STEPS + 1];

static void load_functions(struct rig *rig)
{
	uint32_t n = (uint32_t)(program_function_end - program_function);

	for (uint32_t i = 0; i < N_FUNCTIONS; i++) {
		rig_load(rig, FUNCTIONS + i * 0x10000, program_function, n);
		rig_store64(rig, RIG_DATA + 0x1900 + 8 * i, FUNCTIONS + i * 0x10000);
	}
}

/* Faults go on behind the loads that raise them, one after the other; the first takes slot 1. */
static void load_slots(struct rig *rig)
{
	uint32_t n = (uint32_t)(program_flags_after_end - program_flags_after);

	for (uint32_t i = 0; i < 64; i++)
		rig_store64(rig, RIG_SLOTS + 8 * i,
			    RIG_CODE + program_flags_after[(i + n - 1) % n]);
}

static void load(struct rig *rig, const uint8_t *code, const uint8_t *end, uint32_t offset)
{
	rig_create(rig, RIG_USER64);
	rig_load(rig, RIG_CODE + offset, code, (uint32_t)(end - code));
	rig->cpu->rip = RIG_CODE + offset;
	rig->cpu->fx.fcw = 0x37f;
	load_functions(rig);
	if (code == program_flags)
		load_slots(rig);
}

/* The state at every count, by single steps of interp. */
static void record(const uint8_t *code, const uint8_t *end, uint32_t offset)
{
	struct rig rig;

	rig_engine = &interp_engine_ops;
	load(&rig, code, end, offset);
	for (uint32_t i = 0; i <= STEPS; i++) {
		digests[i] = rig_digest(&rig);
		rig_run(&rig, i + 1, false);
	}
	rig_destroy(&rig);
}

struct outcome {
	bool good;
	uint64_t counted, steps;
	struct translator_statistics statistics;
};

static void run_to(struct rig *rig, uint64_t count, struct outcome *outcome)
{
	rig_run(rig, count, false);
	if (rig_digest(rig) == digests[count] || !outcome->good)
		return;
	outcome->good = false;
	tap_note("differs at %llu, rip %llx", (unsigned long long)count,
		 (unsigned long long)rig->cpu->rip);
}

static void finish(struct rig *rig, struct outcome *outcome)
{
	outcome->statistics = *translator_statistics(native_engine_translator(rig->engine));
	outcome->counted += outcome->statistics.counted;
	outcome->steps += rig->machine->icount;
	rig_destroy(rig);
}

/* Stops at each of n counts from first on, from the beginning each time. */
static void stop_everywhere(const uint8_t *code, const uint8_t *end, uint32_t offset,
			    uint32_t first, uint32_t n, struct outcome *outcome)
{
	for (uint32_t i = 0; i < n; i++) {
		struct rig rig;
		load(&rig, code, end, offset);
		run_to(&rig, first + i, outcome);
		finish(&rig, outcome);
	}
}

/* One run, stopped at every stride-th count. */
static void stop_often(const uint8_t *code, const uint8_t *end, uint32_t offset, uint32_t stride,
		       struct outcome *outcome)
{
	struct rig rig;

	load(&rig, code, end, offset);
	for (uint32_t at = stride; at <= STEPS; at += stride)
		run_to(&rig, at, outcome);
	finish(&rig, outcome);
}

static void report(const struct outcome *outcome, const char *name, const char *how)
{
	bool translated = outcome->counted * 40 > outcome->steps;

	tap_ok(outcome->good && translated, "%s, %s: %llu of %llu steps translated", name, how,
	       (unsigned long long)outcome->counted, (unsigned long long)outcome->steps);
}

static const struct native_engine_options small = {.poll_often = true, .max_insns = 4};
static const struct native_engine_options distrustful = {
	.poll_often = true, .max_insns = 8, .distrust_host = true};

static void test_program(const char *name, const uint8_t *code, const uint8_t *end, uint32_t offset)
{
	static const uint32_t strides[] = {37, 211, 2999};
	struct outcome outcome = {.good = true};

	record(code, end, offset);
	rig_engine = &native_engine_ops;
	native_engine_options = (struct native_engine_options){0};
	stop_everywhere(code, end, offset, STEPS - 40, 40, &outcome);
	report(&outcome, name, "every count of a range");
	outcome = (struct outcome){.good = true};
	native_engine_options = small;
	stop_everywhere(code, end, offset, 200, 30, &outcome);
	for (unsigned i = 0; i < 3; i++)
		stop_often(code, end, offset, strides[i], &outcome);
	report(&outcome, name, "small blocks");
	outcome = (struct outcome){.good = true};
	native_engine_options = distrustful;
	for (unsigned i = 0; i < 3; i++)
		stop_often(code, end, offset, strides[i], &outcome);
	report(&outcome, name, "a host whose undefined flags are not trusted");
}

/* ---- more than equal states ---- */

static void test_collisions(void)
{
	struct rig rig;

	rig_engine = &native_engine_ops;
	native_engine_options = (struct native_engine_options){0};
	load(&rig, program_collide, program_collide_end, 0);
	rig_run(&rig, 1000000, false);
	const struct translator_statistics *s =
		translator_statistics(native_engine_translator(rig.engine));
	tap_ok(s->counted > 900000 && s->exits[RUNTIME_EXIT_MISS] < 1000,
	       "targets that collide: %llu misses in %llu steps",
	       (unsigned long long)s->exits[RUNTIME_EXIT_MISS], (unsigned long long)s->counted);
	rig_destroy(&rig);
}

static void test_cache_bound(void)
{
	struct rig rig;

	record(program_self, program_self_end, 0);
	rig_engine = &native_engine_ops;
	native_engine_options = (struct native_engine_options){.cache_bytes = 0x82000};
	struct outcome outcome = {.good = true};
	load(&rig, program_self, program_self_end, 0);
	run_to(&rig, STEPS, &outcome);
	rig_run(&rig, 60000, false);
	const struct translator_statistics *s =
		translator_statistics(native_engine_translator(rig.engine));
	tap_ok(outcome.good && s->flushes > 0, "a small cache is emptied: %llu times, %llu blocks",
	       (unsigned long long)s->flushes, (unsigned long long)s->blocks);
	rig_destroy(&rig);
}

static void test_breakpoint(void)
{
	const struct run_control control = {.until_icount = 100000};
	uint64_t counts[2], at = RIG_CODE + 0x12; /* inside the first block */
	bool stopped = true;

	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;
		rig_engine = i ? &native_engine_ops : &interp_engine_ops;
		load(&rig, program_mix, program_mix_end, 0);
		rig_run(&rig, 20000, false);
		rig.engine->ops->set_breakpoints(rig.engine, &at, 1);
		stopped &= rig.engine->ops->run(rig.engine, &control) == ENGINE_BREAKPOINT;
		counts[i] = rig.machine->icount;
		rig_destroy(&rig);
	}
	tap_ok(stopped && counts[0] == counts[1], "a breakpoint inside a block: at %llu and %llu",
	       (unsigned long long)counts[0], (unsigned long long)counts[1]);
}

static void set_breakpoint(struct rig *rig, const uint64_t *at)
{
	rig->engine->ops->set_breakpoints(rig->engine, at, at ? 1 : 0);
}

/* Puts a breakpoint at each byte of the program in turn into code that has run without it, and
 * takes it out again. Returns where it stopped, every time, as one number. */
static uint64_t move_breakpoint(struct rig *rig, uint32_t bytes, unsigned *ret_hits)
{
	uint64_t sum = 0;

	*ret_hits = 0;
	for (uint32_t i = 0; i < 3 * bytes; i++) {
		const uint64_t at = rig->cpu->rip / PAGE_BYTES * PAGE_BYTES + i % bytes;
		const struct run_control control = {.until_icount = rig->machine->icount + 400};
		rig_run(rig, rig->machine->icount + 100 + i % 7, false);
		set_breakpoint(rig, &at);
		*ret_hits += rig->engine->ops->run(rig->engine, &control) == ENGINE_BREAKPOINT;
		sum = sum * 31 + rig->machine->icount + rig->cpu->rip;
		set_breakpoint(rig, NULL);
	}
	return sum;
}

static void test_moving_breakpoint(void)
{
	uint64_t sums[2];
	unsigned hits[2];

	native_engine_options = (struct native_engine_options){0};
	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;
		rig_engine = i ? &native_engine_ops : &interp_engine_ops;
		load(&rig, program_mix, program_mix_end, 0);
		sums[i] =
			move_breakpoint(&rig, (uint32_t)(program_mix_end - program_mix), &hits[i]);
		rig_destroy(&rig);
	}
	tap_ok(hits[0] > 100 && hits[0] == hits[1] && sums[0] == sums[1],
	       "put into code that runs and taken out of it, it is met %u and %u times", hits[0],
	       hits[1]);
}

/* Blocks that are made as the program runs on, with a breakpoint elsewhere put in first or not. */
static uint64_t new_blocks(bool breakpoint)
{
	const uint64_t elsewhere = RIG_CODE + 0x3000;
	struct rig rig;

	rig_engine = &native_engine_ops;
	load(&rig, program_mix, program_mix_end, 0);
	rig_run(&rig, 50000, false);
	const struct translator_statistics *s =
		translator_statistics(native_engine_translator(rig.engine));
	uint64_t before = s->blocks;
	if (breakpoint)
		set_breakpoint(&rig, &elsewhere);
	rig_run(&rig, 100000, false);
	uint64_t made = s->blocks - before;
	rig_destroy(&rig);
	return made;
}

static void test_other_code_stays(void)
{
	uint64_t without = new_blocks(false), with = new_blocks(true);

	tap_ok(with == without, "one elsewhere has nothing translated again: %llu and %llu blocks",
	       (unsigned long long)without, (unsigned long long)with);
}

int main(void)
{
	if (!native_engine_possible()) {
		tap_skip("the host has no FSGSBASE");
		return tap_done();
	}
#define PROGRAM(name) #name, program_##name, program_##name##_end
	test_program(PROGRAM(mix), 0);
	test_program(PROGRAM(self), 0);
	test_program(PROGRAM(collide), 0);
	test_program(PROGRAM(flags), 0);
	/* The same across a page's end. */
	for (uint32_t offset = 0xf00; offset < 0x1000; offset += 97)
		test_program(PROGRAM(mix), offset);
	test_collisions();
	test_cache_bound();
	test_breakpoint();
	test_moving_breakpoint();
	test_other_code_stays();
	return tap_done();
}
