/*
 * What an engine whose guests can store into the context reads back from there: exits that no site
 * has, counts that cannot be, each at its bounds. Nothing runs here: the context is written as
 * translated code, or a guest, would.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/translate/translate.h"

extern const uint8_t program_mix[], program_mix_end[];

#define BUDGET 10000u
#define START  500u

struct fixture {
	struct rig rig;
	struct translator *t;
	struct runtime_context *context;
};

static void create(struct fixture *f)
{
	struct translator_config config = {.bias = UINT64_C(1) << 45, .ahead = 64};

	rig_create(&f->rig, RIG_USER64);
	rig_load(&f->rig, RIG_CODE, program_mix, (uint32_t)(program_mix_end - program_mix));
	f->rig.cpu->rip = RIG_CODE;
	f->rig.cpu->fx.fcw = 0x37f;
	rig_run(&f->rig, START, false);
	config.machine = f->rig.machine;
	if (translator_create(&config, &f->t)) {
		printf("Bail out! no translator\n");
		exit(1);
	}
	f->context = translator_context(f->t);
	uint64_t entry = translator_find(f->t, f->rig.cpu);
	translator_enter(f->t, f->rig.cpu, entry, START + BUDGET);
}

static void destroy(struct fixture *f)
{
	translator_destroy(f->t);
	rig_destroy(&f->rig);
}

static void set_icount(struct fixture *f, uint64_t icount)
{
	f->context->count = icount - f->t->budget;
}

/* The first site that leaves so. */
static uint32_t find_site(const struct fixture *f, enum runtime_exit exit)
{
	uint32_t site = 0;

	while (site < f->t->cache->n_sites && code_cache_exit(&f->t->cache->sites[site]) != exit)
		site++;
	return site;
}

static bool has_left(struct fixture *f, uint64_t exit, uint64_t site)
{
	f->context->exit = exit;
	f->context->exit_arg = site;
	return translator_has_left(f->t);
}

static void test_kinds(struct fixture *f)
{
	uint32_t n = f->t->cache->n_sites, wrong = 0, good = 0;

	for (uint32_t site = 0; site < n; site++) {
		for (uint64_t exit = 0; exit < 2 * RUNTIME_EXIT_COUNT; exit++) {
			bool is_its = exit == code_cache_exit(&f->t->cache->sites[site]);
			wrong += has_left(f, exit, site) != is_its;
			good += is_its;
		}
	}
	tap_ok(n && good == n && !wrong, "of each of %u sites one exit is believed", n);
}

static void test_exits(struct fixture *f)
{
	static const uint64_t exits[] = {RUNTIME_EXIT_NONE,     RUNTIME_EXIT_HERE,
					 RUNTIME_EXIT_COUNT,    UINT32_MAX,
					 UINT64_C(1) << 32 | 1, UINT64_MAX};
	unsigned believed = 0;

	for (unsigned i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		for (uint32_t site = 0; site < f->t->cache->n_sites; site++)
			believed += has_left(f, exits[i], site);
	tap_ok(!believed, "no exit is believed that has no site");
}

static void test_sites(struct fixture *f)
{
	uint32_t n = f->t->cache->n_sites;
	const uint64_t sites[] = {n, n + 1, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
	unsigned believed = 0;

	for (enum runtime_exit exit = 0; exit < RUNTIME_EXIT_COUNT; exit++)
		for (unsigned i = 0; i < sizeof(sites) / sizeof(sites[0]); i++)
			believed += has_left(f, exit, sites[i]);
	enum runtime_exit last = code_cache_exit(&f->t->cache->sites[n - 1]);
	tap_ok(!believed && has_left(f, last, n - 1), "no site is believed that there is not");
	translator_flush(f->t);
	tap_ok(!has_left(f, last, 0) && !has_left(f, last, n - 1), "after a flush none is");
}

/* Counts, and whether translated code that was entered at START can have come to them. */
static const struct {
	uint64_t icount;
	bool possible;
} counts[] = {
	{START, true},
	{START - 1, false},
	{0, false},
	{START + BUDGET, true},
	{START + BUDGET + RUNTIME_POLL_BOUND - 1, true},
	{START + BUDGET + RUNTIME_POLL_BOUND, false},
	{UINT64_C(0x4141414141414141), false},
	{INT64_MAX, false},
	{UINT64_MAX, false},
};

#define N_COUNTS (sizeof(counts) / sizeof(counts[0]))

static void test_counts(struct fixture *f)
{
	uint32_t site = find_site(f, RUNTIME_EXIT_POLL);
	unsigned wrong = 0;

	for (unsigned i = 0; i < N_COUNTS; i++) {
		set_icount(f, counts[i].icount);
		wrong += has_left(f, RUNTIME_EXIT_POLL, site) != counts[i].possible;
	}
	tap_ok(!wrong, "a count is believed from that of the entry to the last poll's");
	set_icount(f, START + 100);
	has_left(f, RUNTIME_EXIT_POLL, site);
	translator_leave(f->t, f->rig.cpu);
	set_icount(f, START + 99);
	tap_ok(f->rig.machine->icount == START + 100 && !has_left(f, RUNTIME_EXIT_POLL, site),
	       "and does not go back");
}

/* ---- faults ---- */

/* The count as the code of a mark would have it, where that is, at icount. */
static void set_mark_count(struct fixture *f, const struct mark *mark, uint64_t icount,
			   struct runtime_registers *registers)
{
	uint64_t count = icount - f->t->budget - mark->n;
	const struct translation *translation;

	code_cache_find_mark(f->t->cache, mark->code, &translation);
	if (mark->state & MARK_COUNT_AHEAD)
		count += translation->n_insns;
	f->context->count = mark->state & MARK_COUNT_SAVED ? count : UINT64_MAX;
	registers->gpr[R11] = mark->state & MARK_COUNT_SAVED ? UINT64_MAX : count;
	f->context->scratch[SCRATCH_RCX] = registers->gpr[RCX];
}

/* Whether a fault at the mark with that count is believed exactly if it can be, and changes nothing
 * if not. */
static bool fault_is_right(struct fixture *f, const struct mark *mark, unsigned i)
{
	struct runtime_registers registers = {.rip = RUNTIME_BASE + mark->code,
					      .rflags = FLAG_FIXED};
	uint64_t before = rig_digest(&f->rig);

	set_mark_count(f, mark, counts[i].icount, &registers);
	bool believed = translator_fault(f->t, &registers, f->rig.cpu);
	bool right = believed == counts[i].possible &&
		     (believed ? f->rig.machine->icount == counts[i].icount
			       : rig_digest(&f->rig) == before);
	f->rig.machine->icount = f->t->entered = START;
	return right;
}

static void test_faults(struct fixture *f)
{
	struct code_cache *cache = f->t->cache;
	unsigned wrong = 0, saved = 0, ahead = 0;

	for (uint32_t m = 0; m < cache->n_marks; m++) {
		const struct mark *mark = &cache->marks[m];
		saved += !!(mark->state & MARK_COUNT_SAVED);
		ahead += !!(mark->state & MARK_COUNT_AHEAD);
		for (unsigned i = 0; i < N_COUNTS; i++)
			wrong += !fault_is_right(f, mark, i);
	}
	tap_ok(!wrong && saved && ahead,
	       "the same at faults: %u places, the count saved at %u and ahead at %u",
	       cache->n_marks, saved, ahead);
}

static void test_strange_places(struct fixture *f)
{
	static const uint64_t places[] = {0,
					  RUNTIME_BASE - 1,
					  RUNTIME_BASE,
					  RUNTIME_BASE + RUNTIME_CODE,
					  RUNTIME_BASE + RUNTIME_LINEAR_BYTES - 1,
					  RUNTIME_BASE + RUNTIME_LINEAR_BYTES,
					  UINT64_C(0x100000000) + RUNTIME_BASE + RUNTIME_CODE,
					  UINT64_MAX};
	struct runtime_registers registers = {.gpr[R11] = (uint64_t) - (int64_t)BUDGET};
	unsigned believed = 0;

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		registers.rip = places[i];
		believed += translator_fault(f->t, &registers, f->rig.cpu);
	}
	tap_ok(!believed, "no fault is believed where no instruction was translated to");
}

int main(void)
{
	static void (*const tests[])(struct fixture * f) = {
		test_kinds, test_exits, test_counts, test_faults, test_strange_places, test_sites,
	};
	static struct fixture f;

	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		create(&f);
		tests[i](&f);
		destroy(&f);
	}
	return tap_done();
}
