/*
 * Loops that jit writes as one, against interp's single steps: each program of loop_programs.S,
 * as a kernel's and as relative code of a user, stopped at every count of its rounds.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/cpu/interp_guest.h"
#include "tests/jit/loop_flags.h"
#include "tests/tap.h"
#include "vmm/jit/engine.h"
#include "vmm/jit/jit.h"

struct loop_program {
	const char *name;
	const uint8_t *begin, *end;
	uint64_t flags;
};

extern const struct loop_program loop_programs[], loop_programs_end[];

/* What a program finds in RIG_DATA's second page. */
enum page { PLAIN, ABSENT, READ_ONLY, DEVICE, ITS_CODE, TABLE, WATCHED, PAGES };

static const char *const page_names[PAGES] = {
	"a plain page",   "no page",      "a page that cannot be written",
	"a device",       "its own code", "a page table",
	"a watched page",
};

struct setting {
	const struct loop_program *program;
	enum page page;
	bool high; /* relative code of a user */
};

_Static_assert(RIG_ALIAS_PT_AT == RIG_ALIAS_PT, "loop_programs.S writes to it");

#define PAGE_ENTRY (RIG_PT + 8 * (RIG_DATA / PAGE_BYTES + 1))
#define VALUES     (RIG_DATA + 0x3f00) /* of loop_programs.S */

/* ---- rigs ---- */

static uint64_t mix(uint64_t value)
{
	value = (value + 1) * UINT64_C(0x9e3779b97f4a7c15);
	return value ^ value >> 29;
}

static void fill(struct rig *rig)
{
	for (unsigned at = 0; at < RIG_DATA_BYTES; at += 8)
		rig_store64(rig, RIG_DATA + at, mix(at));
	for (unsigned reg = 0; reg < 16; reg++)
		if (reg != RSP)
			rig->cpu->gpr[reg] = mix(reg) << 8 | reg;
}

static void put_page(struct rig *rig, enum page page)
{
	static const uint64_t entries[PAGES] = {
		[PLAIN] = (RIG_DATA + PAGE_BYTES) | 7,
		[ABSENT] = (RIG_DATA + PAGE_BYTES) | 6,
		[READ_ONLY] = (RIG_DATA + PAGE_BYTES) | 5,
		[DEVICE] = RIG_DEVICE | 7,
		[ITS_CODE] = RIG_CODE | 7,
		[TABLE] = RIG_ALIAS_PT | 7,
		[WATCHED] = (RIG_DATA + PAGE_BYTES) | 7,
	};
	static const struct memory_watch watches[] = {
		{RIG_DATA + PAGE_BYTES + 16, 8, true, true},
		{RIG_DATA + 2 * PAGE_BYTES - 40, 24, false, true},
		{RIG_DATA + 2 * PAGE_BYTES - 700, 300, true, false},
	};

	rig_store64(rig, PAGE_ENTRY, entries[page]);
	if (page == WATCHED)
		memory_set_watches(rig->machine->memory, watches, 3);
	if (page == ITS_CODE) /* what it changes is itself */
		rig_store64(rig, VALUES, 0);
}

static void start(struct rig *rig, const struct engine_ops *engine, const struct setting *setting)
{
	const struct loop_program *program = setting->program;
	uint64_t code = RIG_CODE + (setting->high ? RIG_HIGH : 0);

	rig_engine = engine;
	rig_create(rig, setting->high ? RIG_USER64 : RIG_KERNEL64);
	if (setting->high)
		rig_map_high(rig);
	for (unsigned i = 0; i < 64; i++)
		rig_store64(rig, RIG_SLOTS + 8 * i, code);
	rig_load(rig, RIG_CODE, program->begin, (uint32_t)(program->end - program->begin));
	fill(rig);
	put_page(rig, setting->page);
	rig->cpu->seg[SEG_FS].base = 0x40;
	rig->cpu->seg[SEG_GS].base = RIG_DATA;
	rig->cpu->rip = code;
}

static struct jit_engine *jit_of(const struct rig *rig)
{
	return (struct jit_engine *)rig->engine;
}

static const struct translator_statistics *statistics(const struct rig *rig)
{
	return translator_statistics(jit_of(rig)->translator);
}

/* Whether rounds have run since the last time. No loop is given up for what stops cost it. */
static bool take_rounds(const struct rig *rig)
{
	struct jit_context *context = jit_of(rig)->context;
	bool ran = context->rounds_insns;

	context->rounds_insns = 0;
	memset(context->credit, INT8_MAX, sizeof(context->credit));
	return ran;
}

/* ---- interp's states ---- */

/* A program's way from its beginning to the next. */
#define LONGEST 20000u

#define MAX_STOPS   600u
#define CLOSE_STOPS 12

struct reference {
	unsigned n; /* stops */
	uint64_t count[MAX_STOPS], state[MAX_STOPS];
};

static uint64_t state_of(struct rig *rig)
{
	return rig_digest(rig) ^ mix(rig->hits) ^ mix(rig->n_inputs);
}

static void step_to(struct rig *rig, uint64_t count)
{
	while (rig->machine->icount < count)
		rig_run(rig, rig->machine->icount + 1, false);
}

static void step_home(struct rig *rig, const struct setting *setting)
{
	uint64_t home = RIG_CODE + (setting->high ? RIG_HIGH : 0);

	uint64_t bound = rig->machine->icount + LONGEST;

	do
		step_to(rig, rig->machine->icount + 1);
	while (rig->cpu->rip != home && rig->machine->icount < bound);
}

/* From one beginning to the next. */
static unsigned period_of(const struct setting *setting)
{
	struct rig rig;

	start(&rig, &interp_engine_ops, setting);
	step_home(&rig, setting);
	uint64_t before = rig.machine->icount;
	step_home(&rig, setting);
	unsigned period = (unsigned)(rig.machine->icount - before);
	rig_destroy(&rig);
	return period;
}

static void add_stops(struct reference *reference, unsigned n, unsigned distance)
{
	uint64_t count = reference->n ? reference->count[reference->n - 1] : 0;

	while (n-- && reference->n < MAX_STOPS)
		reference->count[reference->n++] = count += distance;
}

/* Stops at each count of what a program does from its beginning to the next and on to the one
 * behind that; first some that are close to each other. */
static void refer(struct reference *reference, const struct setting *setting)
{
	unsigned period = period_of(setting);
	struct rig rig;

	reference->n = 0;
	add_stops(reference, CLOSE_STOPS, 23);
	add_stops(reference, 2 * period, period + 1 + period / MAX_STOPS);
	start(&rig, &interp_engine_ops, setting);
	for (unsigned i = 0; i < reference->n; i++) {
		step_to(&rig, reference->count[i]);
		reference->state[i] = state_of(&rig);
	}
	rig_destroy(&rig);
}

/* ---- comparing ---- */

struct result {
	unsigned stops, with_rounds, different;
	uint64_t loops;
};

static void note_difference(const struct rig *rig, const struct setting *setting)
{
	tap_note("%s%s, %s: not interp's state at %llu, rip %llx", setting->program->name,
		 setting->high ? " (relative)" : "", page_names[setting->page],
		 (unsigned long long)rig->machine->icount, (unsigned long long)rig->cpu->rip);
}

static void compare(struct result *result, const struct setting *setting)
{
	static struct reference reference;
	struct rig rig;
	bool same = true;

	refer(&reference, setting);
	start(&rig, &jit_engine_ops, setting);
	for (unsigned i = 0; i < reference.n && same; i++) {
		rig_run(&rig, reference.count[i], false);
		result->stops++;
		result->with_rounds += take_rounds(&rig);
		same = state_of(&rig) == reference.state[i];
	}
	if (!same) {
		note_difference(&rig, setting);
		result->different++;
	}
	result->loops += statistics(&rig)->loops;
	rig_destroy(&rig);
}

/* Relative code on a host whose undefined flags are taken to be different. */
static void compare_mode(struct result *result, struct setting setting, bool high)
{
	jit_options = (struct jit_options){.max_insns = 24, .loop_heat = 1, .distrust_host = high};
	setting.high = high;
	compare(result, &setting);
}

static void test_program(const struct loop_program *program)
{
	struct result result[2] = {{0}};

	for (unsigned high = 0; high < 2; high++)
		compare_mode(&result[high], (struct setting){.program = program}, high);
	tap_ok(!result[0].different && !result[1].different, "%s: interp's state at %u stops",
	       program->name, result[0].stops + result[1].stops);
	if (program->flags & LOOPS)
		tap_ok(result[0].with_rounds * 3 > result[0].stops &&
			       result[1].with_rounds * 3 > result[1].stops,
		       "%s: rounds before %u and %u of them", program->name, result[0].with_rounds,
		       result[1].with_rounds);
	if (program->flags & NEVER)
		tap_ok(!result[0].loops && !result[1].loops, "%s: no loop", program->name);
}

/* Programs that go into another page, which is not plain; each in one of the modes. */
static void test_page(enum page page)
{
	struct result result = {0};

	for (unsigned i = 0; loop_programs + i < loop_programs_end; i++) {
		const struct setting setting = {.program = &loop_programs[i], .page = page};
		if (setting.program->flags & CROSSES)
			compare_mode(&result, setting, (i + page) % 2);
	}
	tap_ok(!result.different, "into %s: interp's state at %u stops", page_names[page],
	       result.stops);
	tap_ok(result.with_rounds * 4 > result.stops, "into %s: rounds before %u of them",
	       page_names[page], result.with_rounds);
}

/* ---- what does not last ---- */

static struct setting setting_of(const char *name)
{
	const struct loop_program *program = loop_programs;

	while (strcmp(program->name, name))
		program++;
	return (struct setting){.program = program};
}

/* Two rigs at one count. */
struct pair {
	struct rig jit, interp;
	bool same;
};

static void start_pair_at(struct pair *pair, const char *name, bool high)
{
	struct setting setting = setting_of(name);

	setting.high = high;
	start(&pair->jit, &jit_engine_ops, &setting);
	start(&pair->interp, &interp_engine_ops, &setting);
	pair->same = true;
}

static void start_pair(struct pair *pair, const char *name)
{
	start_pair_at(pair, name, false);
}

static void destroy_pair(struct pair *pair)
{
	rig_destroy(&pair->jit);
	rig_destroy(&pair->interp);
}

/* Returns how many of n stops, so many counts apart, rounds ran before. */
static unsigned run_pair(struct pair *pair, unsigned distance, unsigned n)
{
	unsigned with_rounds = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t count = pair->jit.machine->icount + distance;
		rig_run(&pair->jit, count, false);
		step_to(&pair->interp, count);
		with_rounds += take_rounds(&pair->jit);
		pair->same &= state_of(&pair->jit) == state_of(&pair->interp);
	}
	return with_rounds;
}

/* Without take_rounds(), which keeps loops from being given up. */
static void test_given_up(void)
{
	struct setting setting = setting_of("two_rounds");
	struct jit_context *context;
	struct pair pair;
	bool early = false, late = false;

	start_pair(&pair, setting.program->name);
	context = jit_of(&pair.jit)->context;
	for (unsigned i = 0; i < 100; i++) {
		rig_run(&pair.jit, pair.jit.machine->icount + 997, false);
		*(i < 50 ? &early : &late) |= context->rounds_insns;
		context->rounds_insns = 0;
	}
	tap_ok(early && !late, "a loop of two rounds is given up");
	step_to(&pair.interp, pair.jit.machine->icount);
	tap_ok(run_pair(&pair, 1, 20) == 0 && pair.same, "interp's state then");
	destroy_pair(&pair);
}

/* From outside, as a device does. */
static void test_written(const char *name)
{
	struct pair pair;
	bool ran = true;

	start_pair(&pair, name);
	for (uint32_t i = 0; i < 20; i++) {
		uint64_t at = RIG_CODE + 0x100 + 4; /* its constant */
		ran &= run_pair(&pair, 701 + i, 2) == 2;
		rig_load(&pair.jit, at, &i, 4);
		rig_load(&pair.interp, at, &i, 4);
	}
	tap_ok(pair.same, "%s, while it is hot: interp's state", name);
	tap_ok(ran, "%s, while it is hot: rounds run again", name);
	destroy_pair(&pair);
}

/* A user's code that runs much is written anew around its loops. */
static void test_runs_much(void)
{
	struct pair pair;

	jit_options.hot_samples = 200;
	start_pair_at(&pair, "half_rewritten", true);
	bool before = run_pair(&pair, 601, 10) == 10;
	uint64_t loops = statistics(&pair.jit)->loops, dropped = statistics(&pair.jit)->dropped;
	bool later = run_pair(&pair, 601, 400) > 390;
	tap_ok(before && later && pair.same && statistics(&pair.jit)->dropped > dropped,
	       "code that runs much: rounds run on");
	tap_ok(statistics(&pair.jit)->loops == loops, "its loop stays");
	destroy_pair(&pair);
	jit_options.hot_samples = 0;
}

#define SMALL_CACHE 0xa0000

static void test_flushed(void)
{
	struct pair pair;
	unsigned n = 0, with_rounds = 0;

	jit_options.cache_bytes = SMALL_CACHE;
	start_pair(&pair, "rewritten");
	for (; n < 600 && statistics(&pair.jit)->flushes < 3; n++)
		with_rounds += run_pair(&pair, 1013, 1);
	tap_ok(statistics(&pair.jit)->flushes == 3 && pair.same && with_rounds * 2 > n,
	       "a small cache that is flushed: interp's state at %u stops", n);
	destroy_pair(&pair);
	jit_options.cache_bytes = 0;
}

/* ---- debuggers ---- */

#define INSIDE (RIG_CODE + 0x100 + 8) /* rewritten's second ADD */

static void set_breakpoints(struct pair *pair, unsigned n)
{
	const uint64_t at = INSIDE;

	pair->jit.engine->ops->set_breakpoints(pair->jit.engine, &at, n);
	pair->interp.engine->ops->set_breakpoints(pair->interp.engine, &at, n);
}

/* On from where the last one was. */
static bool stops_inside(struct rig *rig)
{
	const struct run_control control = {.until_icount = rig->machine->icount + 1000,
					    .skip_breakpoint = true};

	return rig->engine->ops->run(rig->engine, &control) == ENGINE_BREAKPOINT &&
	       rig->cpu->rip == INSIDE;
}

static void test_breakpoint(void)
{
	struct pair pair;
	bool stopped = true;

	start_pair(&pair, "rewritten");
	bool before = run_pair(&pair, 601, 10) == 10;
	set_breakpoints(&pair, 1);
	for (unsigned i = 0; i < 100; i++)
		stopped &= stops_inside(&pair.jit) && stops_inside(&pair.interp) &&
			   state_of(&pair.jit) == state_of(&pair.interp);
	tap_ok(stopped && !take_rounds(&pair.jit), "a breakpoint inside stops each round");
	set_breakpoints(&pair, 0);
	tap_ok(before && run_pair(&pair, 601, 10) == 10 && pair.same,
	       "taken away, rounds run again");
	destroy_pair(&pair);
}

static void set_watches(struct pair *pair, unsigned n)
{
	static const struct memory_watch watch = {RIG_DATA + 0x820, 3, true, true};
	struct rig *const rigs[] = {&pair->jit, &pair->interp};

	for (unsigned i = 0; i < 2; i++) {
		memory_set_watches(rigs[i]->machine->memory, &watch, n);
		rigs[i]->engine->ops->flush(rigs[i]->engine);
	}
}

static void test_watched(void)
{
	struct pair pair;

	start_pair(&pair, "move_lea");
	bool before = run_pair(&pair, 601, 10) == 10 && !pair.jit.n_hits;
	set_watches(&pair, 1);
	unsigned with_rounds = run_pair(&pair, 601, 10);
	tap_ok(before && pair.same && !with_rounds && pair.jit.n_hits > 50 &&
		       pair.jit.n_hits == pair.interp.n_hits,
	       "watched while it is hot: %u hits at the same counts", pair.jit.n_hits);
	set_watches(&pair, 0);
	tap_ok(run_pair(&pair, 601, 10) == 10 && pair.same, "watched no more, rounds run again");
	destroy_pair(&pair);
}

int main(void)
{
	for (const struct loop_program *program = loop_programs; program < loop_programs_end;
	     program++)
		test_program(program);
	for (enum page page = PLAIN + 1; page < PAGES; page++)
		test_page(page);
	jit_options = (struct jit_options){.max_insns = 24, .loop_heat = 1};
	test_given_up();
	test_written("rewritten");
	test_written("half_rewritten");
	test_runs_much();
	test_flushed();
	test_breakpoint();
	test_watched();
	return tap_done();
}
