/*
 * What serves accesses anywhere in many pages: extents, where code runs much, and look-ups, where
 * pages take the place of others that come back. The pages are mapped otherwise, protected, watched
 * or taken away meanwhile, in two address spaces; against interp.
 */
#include <string.h>

#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/jit/engine.h"
#include "vmm/jit/jit.h"
#include "vmm/mmu/walk.h"

extern const uint8_t extent_program[], extent_program_end[];

#define PML4_A 0x1000u
#define PD_A   0x3000u
#define PML4_B 0x50000u /* and the three tables below */
#define PT_B   (PML4_B + 3 * PAGE_BYTES)
#define PT_C   (PML4_B + 4 * PAGE_BYTES)
#define PT_A2  (PML4_B + 5 * PAGE_BYTES)
#define PT_B2  (PML4_B + 6 * PAGE_BYTES)
#define SYSTEM 0x15000u

#define PAGES  16u
#define FRAME  0x80000u /* of the first page, in space A */
#define FRAMES 72u
/* As far away again, in tables of their own, and each in the place of one of these in the mmu's
 * arrays.
 */
#define OTHERS     (TLB_ENTRIES * PAGE_BYTES)
#define FIRST_PAGE ((RIG_ALIAS_SPARE - RIG_ALIAS_CODE) / PAGE_BYTES)

/* Accesses are taken to be 11 of 40 instructions: some more are. */
#define ROUND_INSNS 40

/* Goes on in the other space: mov rax, cr3; xor rax, A ^ B; mov cr3, rax; sysretq */
static const uint8_t system_call[] = {
	0x0f, 0x20, 0xd8, 0x48, 0x35, 0x00, 0x10, 0x05, 0x00, 0x0f, 0x22, 0xd8, 0x48, 0x0f, 0x07,
};

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(random_state >> 33) % n;
}

/* ---- rigs ---- */

/* Tables that a page is mapped by: bit 0 says in which space, bit 1 which pages. */
#define TABLES 4

/* An entry that is so already stays as it is, accessed and dirty bits too. */
static void map(struct rig *rig, unsigned table, unsigned page, unsigned frame, unsigned bits)
{
	static const uint32_t tables[TABLES] = {RIG_ALIAS_PT, PT_B, PT_A2, PT_B2};
	uint64_t at = tables[table] + 8 * (FIRST_PAGE + page);
	uint64_t entry = (FRAME + (uint64_t)frame * PAGE_BYTES) | bits;

	if ((rig_fetch(rig, at, 8) & ~(uint64_t)(PTE_A | PTE_D)) != entry)
		rig_store64(rig, at, entry);
}

/* The pages lie side by side, those of a table behind those of another. */
static void map_all(struct rig *rig)
{
	for (unsigned table = 0; table < TABLES; table++)
		for (unsigned page = 0; page < PAGES; page++)
			map(rig, table, page, page + table * PAGES, 7);
}

/* No two do. */
static void scatter(struct rig *rig)
{
	for (unsigned table = 0; table < TABLES; table++)
		for (unsigned page = 0; page < PAGES; page++)
			map(rig, table, page, (page * 3 + table) % FRAMES, 7);
}

static void build_b(struct rig *rig)
{
	static const uint32_t tables[] = {PML4_A, 0x2000, PD_A, RIG_ALIAS_PT};

	for (unsigned i = 0; i < 4; i++)
		for (unsigned at = 0; at < PAGE_BYTES; at += 8)
			rig_store64(rig, PML4_B + i * PAGE_BYTES + at,
				    rig_fetch(rig, tables[i] + at, 8));
	rig_store64(rig, PML4_B, (PML4_B + PAGE_BYTES) | 7);
	rig_store64(rig, PML4_B + PAGE_BYTES, (PML4_B + 2 * PAGE_BYTES) | 7);
	rig_store64(rig, PML4_B + 2 * PAGE_BYTES + 8, PT_B | 7);
	rig_store64(rig, PML4_B + 2 * PAGE_BYTES + 3 * 8, PT_B2 | 7);
	for (unsigned page = 0; page < PAGES; page++)
		rig_store64(rig, PT_C + 8 * (FIRST_PAGE + page),
			    (FRAME + (FRAMES - 1 - page) * PAGE_BYTES) | 7);
}

static void start(struct rig *rig, const struct engine_ops *engine, bool others)
{
	rig_engine = engine;
	rig_create(rig, RIG_USER64);
	build_b(rig);
	rig_store64(rig, PD_A + 3 * 8, PT_A2 | 7);
	map_all(rig);
	rig_load(rig, RIG_CODE, extent_program, (uint32_t)(extent_program_end - extent_program));
	rig_load(rig, SYSTEM, system_call, sizeof(system_call));
	for (unsigned i = 0; i < FRAMES * PAGE_BYTES / 8; i++)
		rig_store64(rig, FRAME + 8 * i, i * UINT64_C(0x9e3779b97f4a7c15) >> 8);
	rig->cpu->lstar = SYSTEM;
	rig->cpu->gpr[RSI] = RIG_ALIAS_SPARE;
	rig->cpu->gpr[R10] = others ? OTHERS : 0;
	rig->cpu->gpr[R9] = UINT64_C(6364136223846793005);
	rig->cpu->fx.mxcsr = 0x1f80;
}

struct pair {
	struct rig jit, interp;
	bool same;
};

static void start_pair(struct pair *pair, bool others)
{
	start(&pair->jit, &jit_engine_ops, others);
	start(&pair->interp, &interp_engine_ops, others);
	pair->same = true;
}

static void destroy_pair(struct pair *pair)
{
	rig_destroy(&pair->jit);
	rig_destroy(&pair->interp);
}

static void run_pair(struct pair *pair, unsigned distance)
{
	uint64_t count = pair->jit.machine->icount + distance;

	rig_run(&pair->jit, count, false);
	rig_run(&pair->interp, count, false);
	pair->same &= rig_digest(&pair->jit) == rig_digest(&pair->interp) &&
		      pair->jit.hits == pair->interp.hits;
}

static uint64_t given(const struct pair *pair)
{
	return extents_given(((const struct jit_engine *)pair->jit.engine)->extents);
}

/* ---- what happens meanwhile ---- */

enum happening {
	MAP_OTHERWISE,
	MAP_ABSENT,
	MAP_READ_ONLY,
	MAP_BY_OTHER_TABLE,
	NOTHING,
	WRITE_FROM_OUTSIDE,
	DIGEST,
	WATCH,
	EVENTS
};

static const char *const event_names[EVENTS] = {
	"pages elsewhere", "pages taken away", "pages that cannot be written",
	"tables in turn",  "nothing",          "writes from outside",
	"digests",         "watchpoints",
};

static void watch(struct rig *rig, uint32_t where)
{
	const struct memory_watch watch = {FRAME + (uint64_t)where * 8, 8, where & 1, true};

	memory_set_watches(rig->machine->memory, &watch, where != 0);
	rig->engine->ops->flush(rig->engine);
}

static void happen(struct rig *rig, enum happening event, uint32_t number)
{
	unsigned table = number & 3, page = number >> 2 & (PAGES - 1), frame = number >> 8 & 63;

	switch (event) {
	case MAP_OTHERWISE:
		map(rig, table, page, frame, 7);
		break;
	case MAP_ABSENT:
		map(rig, table, page, frame, 6);
		break;
	case MAP_READ_ONLY:
		map(rig, table, page, page + table * PAGES, 5);
		break;
	case MAP_BY_OTHER_TABLE:
		rig_store64(rig, PML4_B + 2 * PAGE_BYTES + 8, (number & 1 ? PT_B : PT_C) | 7);
		break;
	case WRITE_FROM_OUTSIDE:
		rig_store64(rig, FRAME + frame * (uint64_t)PAGE_BYTES + (number >> 14 & 0xff8),
			    number);
		break;
	case DIGEST:
		memory_digest(rig->machine->memory);
		break;
	case WATCH:
		watch(rig, number & 2 ? number >> 8 & 0x3fff : 0);
		break;
	default:
		break;
	}
}

static void happen_to(struct pair *pair, enum happening event)
{
	uint32_t number = random_below(UINT32_MAX);

	happen(&pair->jit, event, number);
	happen(&pair->interp, event, number);
}

/* Of one kind, and between two all is as it was; stops at which code becomes hot come first. */
static void test_event(enum happening event, bool extents)
{
	struct pair pair;

	jit_options.hot_samples = extents;
	start_pair(&pair, !extents);
	for (unsigned i = 0; i < 200; i++)
		run_pair(&pair, 1 + random_below(50));
	for (unsigned i = 0; i < 150; i++) {
		happen_to(&pair, event);
		run_pair(&pair, 1 + random_below(2000));
		map_all(&pair.jit);
		map_all(&pair.interp);
		run_pair(&pair, 1 + random_below(2000));
	}
	uint64_t accesses = pair.jit.machine->icount / ROUND_INSNS * 11, n = given(&pair);
	tap_ok(pair.same, "%s, %s: interp's state at all stops", event_names[event],
	       extents ? "extents" : "look-ups");
	if (extents)
		tap_ok(n > 100 && n * 3 < accesses,
		       "%s: extents given %llu times, for some %llu accesses", event_names[event],
		       (unsigned long long)n, (unsigned long long)accesses);
	destroy_pair(&pair);
}

static void test_all(void)
{
	struct pair pair;

	start_pair(&pair, true);
	for (unsigned i = 0; i < 600; i++) {
		run_pair(&pair, 1 + random_below(700));
		happen_to(&pair, (enum happening)random_below(EVENTS));
	}
	tap_ok(pair.same, "all of it: interp's state at all stops");
	destroy_pair(&pair);
}

/* ---- as the product has it ---- */

#define SLICES 60

static uint64_t run_slices(struct pair *pair)
{
	uint64_t before = given(pair);

	for (unsigned i = 0; i < SLICES; i++)
		run_pair(pair, 20000 + random_below(50));
	return given(pair) - before;
}

static void test_product(void)
{
	struct pair pair;

	start_pair(&pair, false);
	run_slices(&pair);
	uint64_t first = given(&pair), later = run_slices(&pair);
	tap_ok(first && later * 100 < SLICES * 20000 / ROUND_INSNS * 11,
	       "pages side by side: extents are given %llu times, later %llu times",
	       (unsigned long long)first, (unsigned long long)later);
	tap_ok(pair.same, "pages side by side: interp's state at all stops");
	destroy_pair(&pair);
}

/* Where accesses seldom lie close to each other. */
static void test_poor(void)
{
	struct pair pair;

	start_pair(&pair, false);
	scatter(&pair.jit);
	scatter(&pair.interp);
	run_slices(&pair);
	run_slices(&pair);
	run_slices(&pair);
	uint64_t later = run_slices(&pair);
	tap_ok(!later && pair.same, "pages apart: code is written without extents (%llu)",
	       (unsigned long long)later);
	destroy_pair(&pair);
}

int main(void)
{
	jit_options = (struct jit_options){
		.max_insns = 24, .loop_heat = 1, .hot_samples = 1, .extents_soon = true};
	for (enum happening event = 0; event < EVENTS; event++) {
		test_event(event, false);
		test_event(event, true);
	}
	test_all();
	jit_options.extents_soon = false;
	test_product();
	test_poor();
	return tap_done();
}
