/*
 * Random programs run by blocks, to random counts, against the same program run in single steps:
 * equal states at every count at which both stand, and at every event and crossing. The programs
 * write their own code and page tables, use the code through two mappings, cross pages, repeat
 * strings, fault, read ports and devices, single-step themselves, set breakpoints; DMA and
 * interrupts come at fixed counts.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/cpu/random_engine.h"
#include "tests/cpu/random_program.h"
#include "tests/tap.h"

#define PROGRAMS 36
#define STEPS    2500u

static void describe(struct rig *rig, const char *who)
{
	const struct cpu *cpu = rig->cpu;
	tap_note("%s: icount %llu rip %llx rax %llx rcx %llx rsi %llx rdi %llx flags %llx pending "
		 "%llx",
		 who, (unsigned long long)rig->machine->icount, (unsigned long long)cpu->rip,
		 (unsigned long long)cpu->gpr[RAX], (unsigned long long)cpu->gpr[RCX],
		 (unsigned long long)cpu->gpr[RSI], (unsigned long long)cpu->gpr[RDI],
		 (unsigned long long)cpu_rflags(cpu), (unsigned long long)cpu->pending_db);
}

/* Carries both to the count and reports the first difference. */
static void explain(const struct writer *w, uint64_t from, uint64_t to)
{
	const struct engine_ops *ops = rig_engine;
	struct rig a, b;

	rig_engine = &interp_engine_ops;
	load_program(&a, w);
	rig_engine = ops;
	load_program(&b, w);
	while (a.machine->icount < from)
		rig_run(&a, a.machine->icount + 1, false);
	rig_run(&b, from, false);
	describe(&a, "before, single steps");
	describe(&b, "before, blocks");
	while (a.machine->icount < to && !a.halted) {
		rig_run(&a, a.machine->icount + 1, false);
		describe(&a, "single");
	}
	rig_run(&b, to, false);
	describe(&b, "blocks");
	rig_destroy(&a);
	rig_destroy(&b);
}

/* What single steps find at a count. */
struct found {
	uint64_t digest;
	uint64_t seen; /* of the states at events and crossings so far */
	bool window;   /* an interrupt could be taken */
};

static uint64_t observed; /* events and crossings of all programs */

/* The reference: single steps; fresh: with every cache dropped before each. */
static uint64_t record(const struct writer *w, bool fresh, struct found *found)
{
	struct rig rig;
	uint64_t n;

	load_program(&rig, w);
	rig.observed = true;
	do {
		if (fresh)
			rig.engine->ops->flush(rig.engine);
		found[rig.machine->icount] =
			(struct found){rig_digest(&rig), rig.seen, cpu_can_take_interrupt(rig.cpu)};
		rig_run(&rig, rig.machine->icount + 1, false);
		n = rig.machine->icount;
	} while (n < STEPS && !rig.halted);
	found[n].digest = rig_digest(&rig);
	found[n].seen = rig.seen;
	observed += rig.n_events + rig.n_crossings;
	rig_destroy(&rig);
	return n;
}

static const struct random_engine *engine;
static uint64_t steps, translated; /* of all that was compared */

/* Runs to the count, or to where an interrupt that is waited for could be taken. Returns false when
 * it could have been before. */
static bool run_to_window(struct rig *rig, uint64_t target, const struct found *found)
{
	uint64_t first = rig->machine->icount;
	enum engine_exit exit;

	while (first < target && !found[first].window)
		first++;
	do
		exit = rig_run_once(rig, target, true);
	while (exit == ENGINE_RETIRED);
	rig->halted = exit == ENGINE_HALTED;
	return rig->halted || rig->machine->icount == first;
}

static bool compare(struct writer *w, const struct found *found, uint64_t end, uint32_t stride)
{
	struct rig rig;
	bool good = true;
	uint64_t last = 0;

	load_program(&rig, w);
	rig.observed = true;
	while (good && rig.machine->icount < end) {
		uint64_t target = rig.machine->icount + 1 + any(w, stride);
		bool window = any(w, 4) == 0;
		target = target < end ? target : end;
		good = !window || !w->quiet || run_to_window(&rig, target, found);
		if (!good)
			tap_note("no stop at a window");
		rig_run(&rig, target, window && !w->quiet);
		good &= rig_digest(&rig) == found[rig.machine->icount].digest &&
			rig.seen == found[rig.machine->icount].seen;
		if (!good)
			tap_note("differs between %llu and %llu", (unsigned long long)last,
				 (unsigned long long)rig.machine->icount);
		if (good)
			last = rig.machine->icount;
	}
	uint64_t end_icount = rig.machine->icount;
	if (engine->translated)
		translated += engine->translated(rig.engine);
	steps += end_icount;
	rig_destroy(&rig);
	if (!good)
		explain(w, last, end_icount);
	return good;
}

/* ---- watchpoints ---- */

#define WATCHES    4
#define WATCH_SETS 2

/* Of any kind, 1 to 256 bytes each, in pages that the program works on: its data, stack and code
 * and the tables that map them. */
static void choose_watches(struct writer *w, struct memory_watch watches[WATCHES])
{
	static const uint64_t pages[] = {RIG_DATA, RIG_DATA + 0x1000, RIG_STACK - PAGE_BYTES,
					 RIG_CODE, RIG_ALIAS_PT,      RIG_PT};

	for (unsigned i = 0; i < WATCHES; i++) {
		unsigned kind = 1 + any(w, 3);
		watches[i] = (struct memory_watch){
			.gpa = pages[any(w, 6)] + any(w, PAGE_BYTES - 256),
			.bytes = 1u << any(w, 9),
			.reads = kind & 1,
			.writes = kind & 2,
		};
	}
}

static void run_watched(struct rig *rig, const struct writer *w,
			const struct memory_watch watches[WATCHES], uint64_t end, uint64_t stride)
{
	load_program(rig, w);
	memory_set_watches(rig->machine->memory, watches, WATCHES);
	rig->engine->ops->flush(rig->engine);
	while (rig->machine->icount < end && !rig->halted) {
		uint64_t target = rig->machine->icount + stride;
		rig_run(rig, target < end ? target : end, false);
	}
}

static uint64_t watch_hits; /* of all programs */

/* Single steps and blocks have the same hits at the same counts. */
static bool compare_watched(struct writer *w, uint64_t end)
{
	struct memory_watch watches[WATCHES];
	struct rig single, blocks;

	choose_watches(w, watches);
	rig_engine = &interp_engine_ops;
	run_watched(&single, w, watches, end, 1);
	rig_engine = engine->ops;
	run_watched(&blocks, w, watches, end, end);
	bool same = single.hits == blocks.hits && rig_digest(&single) == rig_digest(&blocks);
	if (!same)
		tap_note("%u hits in single steps, %u by blocks", single.n_hits, blocks.n_hits);
	watch_hits += single.n_hits;
	rig_destroy(&single);
	rig_destroy(&blocks);
	return same;
}

static enum rig_mode mode_of(unsigned i)
{
	if (engine->user || i % 4 == 2)
		return RIG_USER64;
	return i % 4 < 2 || engine->no_user32 ? RIG_KERNEL64 : RIG_USER32;
}

static const struct random_engine *engine_named(const char *name)
{
	const struct random_engine *found = random_engines;

	while (found->name && strcmp(found->name, name))
		found++;
	if (found->name)
		return found;
	printf("Bail out! no engine %s\n", name);
	exit(1);
}

static void compare_all(struct writer *w, const struct found *found, uint64_t end, unsigned i)
{
	static const uint32_t strides[] = {1, 4, 30, 400, STEPS};
	uint64_t steps_before = steps, translated_before = translated;
	bool good = true;

	for (unsigned s = 0; good && s < 5; s++)
		good = compare(w, found, end, strides[s]);
	uint64_t part = translated - translated_before, all = steps - steps_before;
	tap_ok(good && (part || !engine->translated),
	       "program %u, mode %d, %llu steps: %llu of %llu by translated code", i, w->mode,
	       (unsigned long long)end, (unsigned long long)part, (unsigned long long)all);
}

static void compare_all_watched(struct writer *w, uint64_t end, unsigned i)
{
	bool good = true;

	for (unsigned set = 0; good && set < WATCH_SETS; set++)
		good = compare_watched(w, end);
	tap_ok(good, "program %u: watchpoints are hit as in single steps", i);
}

static void test_program(unsigned i)
{
	static struct writer writer;
	static struct found found[STEPS + 1];
	enum rig_mode mode = mode_of(i);

	rig_engine = engine->ops;
	write_program(&writer, i + 1, mode);
	writer.high = mode == RIG_USER64 && i % 8 == 6;
	rig_engine = &interp_engine_ops;
	uint64_t end = record(&writer, i % 6 == 0, found);
	rig_engine = engine->ops;
	if (engine->vary)
		engine->vary(i);
	compare_all(&writer, found, end, i);
	if (!engine->unwatched)
		compare_all_watched(&writer, end, i);
}

/* Usage: interp_random_test [FIRST [PROGRAMS [ENGINE]]] */
int main(int argc, char **argv)
{
	unsigned first = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
	unsigned programs = argc > 2 ? (unsigned)atoi(argv[2]) : PROGRAMS;
	const char *missing;

	engine = engine_named(argc > 3 ? argv[3] : "interp");
	missing = engine->missing ? engine->missing() : NULL;
	if (missing) {
		printf("1..0 # SKIP %s\n", missing);
		return 0;
	}
	for (unsigned i = first; i < first + programs; i++)
		test_program(i);
	tap_ok(observed > programs, "%llu events and crossings, with equal states at each",
	       (unsigned long long)observed);
	if (!engine->unwatched)
		tap_ok(watch_hits > programs, "%llu hits of watchpoints",
		       (unsigned long long)watch_hits);
	if (engine->translated)
		tap_ok(translated * 100 >= steps * engine->least_percent,
		       "%llu of %llu steps by translated code", (unsigned long long)translated,
		       (unsigned long long)steps);
	return tap_done();
}
