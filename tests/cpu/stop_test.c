/*
 * Breakpoints and watchpoints of an engine: where they stop, and that they change nothing else.
 * Interp; with the argument jit, that.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/jit/jit.h"
#include "vmm/mmu/mmu.h"

static void start(struct rig *rig, const void *code, uint32_t n)
{
	rig_create(rig, RIG_KERNEL64);
	rig_load(rig, RIG_CODE, code, n);
}
#define START(rig, literal) start((rig), (literal), sizeof(literal) - 1)

/* Runs to a count, answering crossings; stops at what else the engine says. */
static enum engine_exit run(struct rig *rig, uint64_t until, bool skip)
{
	struct run_control control = {.until_icount = until, .skip_breakpoint = skip};
	struct crossing *crossing = &rig->machine->crossing;
	enum engine_exit exit;

	while ((exit = rig->engine->ops->run(rig->engine, &control)) == ENGINE_CROSSING)
		crossing->answers[crossing->n_answers++] = 0x5a;
	return exit;
}

static void set_breakpoints(struct rig *rig, unsigned n, const uint64_t *linear)
{
	rig->engine->ops->set_breakpoints(rig->engine, linear, n);
}

static void set_watches(struct rig *rig, unsigned n, const struct memory_watch *watches)
{
	memory_set_watches(rig->machine->memory, watches, n);
	rig->engine->ops->flush(rig->engine);
}

static bool stopped_at(struct rig *rig, enum engine_exit exit, enum engine_exit expected,
		       uint64_t rip, uint64_t icount)
{
	if (exit == expected && rig->cpu->rip == rip && rig->machine->icount == icount)
		return true;
	tap_note("exit %d at %llx, icount %llu", exit, (unsigned long long)rig->cpu->rip,
		 (unsigned long long)rig->machine->icount);
	return false;
}

/* ---- breakpoints ---- */

static void test_loop(void)
{
	struct rig rig;
	const uint64_t at = RIG_CODE + 2, both[] = {RIG_CODE + 5, RIG_CODE + 2};

	START(&rig, "\x31\xc0\xff\xc0\x90\xeb\xfb"); /* xor eax, eax; L: inc eax; nop; jmp L */
	run(&rig, 50, false);
	rig.cpu->rip = RIG_CODE;
	rig.machine->icount = 0;
	set_breakpoints(&rig, 1, &at);
	tap_ok(stopped_at(&rig, run(&rig, 1000, false), ENGINE_BREAKPOINT, at, 1),
	       "a breakpoint inside a block that has run before");
	tap_ok(stopped_at(&rig, run(&rig, 1000, false), ENGINE_BREAKPOINT, at, 1),
	       "it stands until it is skipped");
	bool good = true;
	for (unsigned i = 1; i <= 20; i++)
		good &= stopped_at(&rig, run(&rig, 1000, true), ENGINE_BREAKPOINT, at, 1 + 3 * i);
	tap_ok(good && rig.cpu->gpr[RAX] == 20, "skipped, it stops at each round");
	tap_ok(stopped_at(&rig, run(&rig, 61, true), ENGINE_LIMIT, at, 61),
	       "the limit itself is no stop for a breakpoint there");
	tap_ok(stopped_at(&rig, run(&rig, 64, true), ENGINE_LIMIT, at, 64),
	       "a limit at the next hit ends the run as a limit");
	set_breakpoints(&rig, 2, both);
	tap_ok(stopped_at(&rig, run(&rig, 1000, true), ENGINE_BREAKPOINT, RIG_CODE + 5, 66),
	       "two breakpoints, not in order");
	set_breakpoints(&rig, 0, NULL);
	tap_ok(stopped_at(&rig, run(&rig, 90, false), ENGINE_LIMIT, RIG_CODE + 5, 90),
	       "taken away, they are gone");
	rig_destroy(&rig);
}

static void test_linear(void)
{
	struct rig rig;
	const uint64_t at = RIG_ALIAS_CODE + 1, other = RIG_CODE + 0x1001;

	START(&rig, "\x90\x90\x90\xeb\xfb"); /* nop; L: nop; nop; jmp L */
	set_breakpoints(&rig, 1, &at);
	tap_ok(stopped_at(&rig, run(&rig, 20, false), ENGINE_LIMIT, RIG_CODE, 20),
	       "the same bytes at another linear address are not it");
	set_breakpoints(&rig, 1, &other);
	tap_ok(stopped_at(&rig, run(&rig, 41, false), ENGINE_LIMIT, RIG_CODE + 1, 41),
	       "nor is the same offset in another page");
	rig.cpu->rip = RIG_ALIAS_CODE;
	set_breakpoints(&rig, 1, &at);
	tap_ok(stopped_at(&rig, run(&rig, 90, false), ENGINE_BREAKPOINT, at, 42), "the alias is");
	rig_destroy(&rig);
}

static void test_special_places(void)
{
	struct rig rig;
	const uint64_t handler = RIG_HANDLERS + 32 * RIG_VECTOR_SOFT, cross = RIG_CODE + 0xffe;
	const uint64_t rep = RIG_CODE + 5, out = RIG_CODE + 1;

	START(&rig, "\xcd\x50\x90\x90"); /* int 0x50 */
	set_breakpoints(&rig, 1, &handler);
	tap_ok(stopped_at(&rig, run(&rig, 90, false), ENGINE_BREAKPOINT, handler, 1),
	       "at an interrupt handler");
	rig.cpu->rip = RIG_CODE + 0xffc;
	rig_load(&rig, RIG_CODE + 0xffc, "\x90\x90\xb8\x01\x00\x00\x00\x90", 8);
	set_breakpoints(&rig, 1, &cross);
	tap_ok(stopped_at(&rig, run(&rig, 90, false), ENGINE_BREAKPOINT, cross, 3),
	       "at an instruction that crosses pages");
	rig_destroy(&rig);

	START(&rig, "\xb9\x03\0\0\0\xf3\xaa\x90"); /* mov ecx, 3; rep stosb */
	rig.cpu->gpr[RDI] = RIG_DATA;
	set_breakpoints(&rig, 1, &rep);
	bool good = stopped_at(&rig, run(&rig, 90, false), ENGINE_BREAKPOINT, rep, 1);
	good &= stopped_at(&rig, run(&rig, 90, true), ENGINE_BREAKPOINT, rep, 2);
	good &= stopped_at(&rig, run(&rig, 90, true), ENGINE_BREAKPOINT, rep, 3);
	good &= (rig.cpu->rflags_rest & FLAG_RF) != 0;
	tap_ok(good && rig.cpu->gpr[RCX] == 1,
	       "at each iteration of a repeat, with RF between them");
	rig_destroy(&rig);

	START(&rig, "\x90\xe4\x00\x90\x90"); /* nop; in al, RIG_PORT's low byte */
	rig_load(&rig, RIG_CODE, "\x90\x66\xba\x00\x05\xec\x90\x90", 8); /* mov dx, 0x500; in */
	const uint64_t in = RIG_CODE + 5;
	set_breakpoints(&rig, 1, &in);
	tap_ok(stopped_at(&rig, run(&rig, 90, false), ENGINE_BREAKPOINT, in, 2),
	       "at an instruction that crosses the boundary");
	tap_ok(stopped_at(&rig, run(&rig, 90, true), ENGINE_RETIRED, in + 1, 3) &&
		       (uint8_t)rig.cpu->gpr[RAX] == 0x5a,
	       "skipped, it crosses once and retires");
	set_breakpoints(&rig, 1, &out);
	rig_destroy(&rig);

	START(&rig, "\x90\xb8\0\x90\x20\0\xff\xe0"); /* nop; mov eax, RIG_ALIAS_ABSENT; jmp rax */
	const uint64_t absent = RIG_ALIAS_ABSENT;
	set_breakpoints(&rig, 1, &absent);
	tap_ok(stopped_at(&rig, run(&rig, 90, false), ENGINE_BREAKPOINT, absent, 3),
	       "before the fault that fetching raises");
	tap_ok(stopped_at(&rig, run(&rig, 4, true), ENGINE_LIMIT, RIG_HANDLERS + 32 * VECTOR_PF, 4),
	       "skipped, it faults");
	rig_destroy(&rig);
}

static void start_elsewhere(struct rig *rig)
{
	/* jmp rax; there: L: nop; jmp L */
	START(rig, "\xff\xe0\x90\xeb\xfd");
	rig_store64(rig, RIG_ALIAS_PT, RIG_CODE | 7); /* present, writable, user: not accessed */
	rig->cpu->gpr[RAX] = RIG_ALIAS_CODE + 2;
}

/* A stop in front of an instruction comes before that is fetched. */
static void test_fetch_behind_breakpoint(void)
{
	struct rig stopped, other;
	const uint64_t there = RIG_ALIAS_CODE + 2;

	start_elsewhere(&stopped);
	start_elsewhere(&other);
	set_breakpoints(&stopped, 1, &there);
	tap_ok(stopped_at(&stopped, run(&stopped, 100, false), ENGINE_BREAKPOINT, there, 1),
	       "a breakpoint in another page");
	run(&other, 1, false);
	tap_ok(rig_digest(&stopped) == rig_digest(&other), "its accessed bits are still clear");
	rig_destroy(&stopped);
	rig_destroy(&other);
}

/* ---- watchpoints ---- */

static bool hit_is(struct rig *rig, uint64_t gpa, uint32_t bytes, bool write)
{
	struct memory_watch_access access = {0};
	bool hit = memory_watch_hit(rig->machine->memory, &access);

	memory_clear_watch_hit(rig->machine->memory);
	if (hit && access.gpa == gpa && access.bytes == bytes && access.write == write)
		return true;
	tap_note("hit %d at %llx, %u bytes, write %d", hit, (unsigned long long)access.gpa,
		 access.bytes, access.write);
	return false;
}

static void test_writes(void)
{
	struct rig rig;
	const struct memory_watch watch = {RIG_DATA + 0x1804, 4, false, true};

	/* L: mov [rbx], eax; mov [rbx+6], ax; mov ecx, [rbx+4]; inc eax; jmp L */
	START(&rig, "\x89\x03\x66\x89\x43\x06\x8b\x4b\x04\xff\xc0\xeb\xf3");
	run(&rig, 50, false); /* translations are cached */
	rig.cpu->rip = RIG_CODE;
	rig.machine->icount = 0;
	set_watches(&rig, 1, &watch);
	tap_ok(stopped_at(&rig, run(&rig, 1000, false), ENGINE_WATCHPOINT, RIG_CODE + 6, 2) &&
		       hit_is(&rig, RIG_DATA + 0x1806, 2, true),
	       "a write that overlaps stops behind its instruction; one beside it does not");
	tap_ok(stopped_at(&rig, run(&rig, 1000, false), ENGINE_WATCHPOINT, RIG_CODE + 6, 7) &&
		       hit_is(&rig, RIG_DATA + 0x1806, 2, true),
	       "and again");
	tap_ok(stopped_at(&rig, run(&rig, 12, false), ENGINE_WATCHPOINT, RIG_CODE + 6, 12) &&
		       hit_is(&rig, RIG_DATA + 0x1806, 2, true),
	       "also where the run ends");
	tap_ok(stopped_at(&rig, run(&rig, 16, false), ENGINE_LIMIT, RIG_CODE + 2, 16),
	       "not before");
	set_watches(&rig, 0, NULL);
	tap_ok(stopped_at(&rig, run(&rig, 90, false), ENGINE_LIMIT, RIG_CODE, 90),
	       "taken away, it is gone");
	rig_destroy(&rig);
}

static void test_reads(void)
{
	struct rig rig;
	const struct memory_watch watch = {RIG_DATA + 0x1800, 1, true, false};
	const struct memory_watch far_away = {RIG_DATA + 0x1810, 8, true, true};

	/* L: mov [rbx], al; mov rdx, [rbp-7]; mov dl, [rbx+1]; inc eax; jmp L: rbp is the alias */
	START(&rig, "\x88\x03\x48\x8b\x55\xf9\x8a\x53\x01\xff\xc0\xeb\xf3");
	set_watches(&rig, 1, &watch);
	tap_ok(stopped_at(&rig, run(&rig, 1000, false), ENGINE_WATCHPOINT, RIG_CODE + 6, 2) &&
		       hit_is(&rig, RIG_DATA + 0x17f9, 8, false),
	       "a read through another mapping; the write before does not count");
	set_watches(&rig, 1, &far_away);
	tap_ok(stopped_at(&rig, run(&rig, 1000, false), ENGINE_LIMIT, RIG_CODE, 1000),
	       "other bytes of the page do not count");
	rig_destroy(&rig);
}

/* Its share of instructions in percent; 100 for an engine that has no translated code. */
static unsigned translated(const struct rig *rig)
{
	struct engine_use uses[ENGINE_MAX_USES];

	if (rig->engine->ops != &jit_engine_ops)
		return 100;
	rig->engine->ops->uses(rig->engine, uses);
	return (unsigned)(uses[0].instructions * 100 / rig->machine->icount);
}

/* Accesses walk up to what is watched, in its page. */
static void test_approach(bool reads, bool writes, const char *what)
{
	struct rig rig;
	const struct memory_watch watch = {RIG_DATA + 0x1806, 1, reads, writes};

	/* L: add [rbx], eax; mov edx, [rbx]; add rbx, 4; jmp L */
	START(&rig, "\x01\x03\x8b\x13\x48\x83\xc3\x04\xeb\xf6");
	rig.cpu->gpr[RBX] = RIG_DATA + 0x1000;
	set_watches(&rig, 1, &watch);
	tap_ok(stopped_at(&rig, run(&rig, 5000, false), ENGINE_WATCHPOINT, RIG_CODE + 2,
			  513 * 4 + 1) &&
		       hit_is(&rig, RIG_DATA + 0x1804, 4, writes),
	       "%s: the first that overlaps is a hit, none before", what);
	tap_ok(translated(&rig) >= 90, "%u %% of that by the engine's fastest means",
	       translated(&rig));
	rig_destroy(&rig);
}

/* Reads of a page that is watched for writes alone are as fast as others. */
static void test_reads_of_written(void)
{
	struct rig rig;
	const struct memory_watch watch = {RIG_DATA + 0x1800, 8, false, true};

	/* L: mov eax, [rbx]; jmp L */
	START(&rig, "\x8b\x03\xeb\xfc");
	rig.cpu->gpr[RBX] = RIG_DATA + 0x1000;
	set_watches(&rig, 1, &watch);
	run(&rig, 500, false);
	*tlb_slot(rig.cpu->tlb->read, RIG_DATA + 0x1000) =
		(struct tlb_entry){.tag = 1}; /* as another page's does */
	run(&rig, 1000, false);
	tap_ok(tlb_lookup(rig.cpu->tlb->read, RIG_DATA + 0x1000, 4),
	       "a page that is watched for writes alone is found again for reading");
	rig_destroy(&rig);
}

/* A repeat that no translation does, beside what is watched, with a limit in its middle. */
static void test_long_repeat(void)
{
	struct rig rig, plain;
	struct engine_use uses[ENGINE_MAX_USES];
	const struct memory_watch watch = {RIG_STACK - 8, 8, true, true};

	/* mov ecx, 0x2800; rep stosb; L: jmp L */
	START(&plain, "\xb9\x00\x28\x00\x00\xf3\xaa\xeb\xfe");
	START(&rig, "\xb9\x00\x28\x00\x00\xf3\xaa\xeb\xfe");
	plain.cpu->gpr[RDI] = rig.cpu->gpr[RDI] = RIG_DATA + 0x80;
	set_watches(&rig, 1, &watch);
	run(&rig, 0x1234, false);
	run(&rig, 0x2900, false);
	run(&plain, 0x2900, false);
	tap_ok(rig_digest(&rig) == rig_digest(&plain), "a long repeat where memory is watched");
	unsigned n = rig.engine->ops->uses ? rig.engine->ops->uses(rig.engine, uses) : 0;
	tap_ok(n < 2 || uses[1].entries < 20, "without going in and out at every turn");
	rig_destroy(&rig);
	rig_destroy(&plain);
}

/* Two pages that share a place among the watched ones. */
static void test_colliding_pages(void)
{
	struct rig rig;
	const uint64_t other = RIG_DATA + TLB_WATCHED_ENTRIES * PAGE_BYTES;
	const struct memory_watch watches[] = {{RIG_DATA + 0x800, 8, true, true},
					       {other + 0x800, 8, true, true}};

	/* L: mov eax, [rbx]; mov ecx, [rdx]; jmp L */
	START(&rig, "\x8b\x03\x8b\x0a\xeb\xfa");
	rig.cpu->gpr[RBX] = RIG_DATA;
	rig.cpu->gpr[RDX] = other;
	set_watches(&rig, 2, watches);
	run(&rig, 5000, false);
	tap_ok(rig.machine->icount == 5000 && translated(&rig) >= 90,
	       "reads of two pages in turn: %u %% by the engine's fastest means", translated(&rig));
	rig_destroy(&rig);
}

static void test_repeats(void)
{
	struct rig rig;
	const struct memory_watch watch = {RIG_DATA + 0x1428, 8, false, true};

	/* L: mov rdi, rbx; mov ecx, 8; rep stosq; add rbx, 64; jmp L */
	START(&rig, "\x48\x89\xdf\xb9\x08\x00\x00\x00\xf3\x48\xab\x48\x83\xc3\x40\xeb\xef");
	rig.cpu->gpr[RBX] = RIG_DATA + 0x1000;
	set_watches(&rig, 1, &watch);
	tap_ok(stopped_at(&rig, run(&rig, 5000, false), ENGINE_WATCHPOINT, RIG_CODE + 8,
			  16 * 12 + 2 + 6) &&
		       hit_is(&rig, RIG_DATA + 0x1428, 8, true) && rig.cpu->gpr[RCX] == 2,
	       "an iteration of a repeat is a hit, none before");
	rig_destroy(&rig);
}

static void test_other_writers(void)
{
	struct rig rig;
	struct memory_watch watch = {RIG_STACK - 16 - 40, 40, false, true};
	const uint64_t handler = RIG_HANDLERS + 32 * VECTOR_PF;

	START(&rig, "\x90\x48\xa1\0\x90\x20\0\0\0\0\0"); /* nop; mov rax, [RIG_ALIAS_ABSENT] */
	watch.gpa = 0x1f000 - 48;
	set_watches(&rig, 1, &watch);
	tap_ok(stopped_at(&rig, run(&rig, 90, false), ENGINE_WATCHPOINT, handler, 2) &&
		       memory_watch_hit(rig.machine->memory, NULL),
	       "the frame of an exception");
	rig_destroy(&rig);

	START(&rig,
	      "\x90\x48\xa1\0\x50\x20\0\0\0\0\0\x90"); /* mov rax, [RIG_ALIAS_DATA + 0x1000] */
	watch = (struct memory_watch){RIG_ALIAS_PT + 8 * 5, 8, false, true};
	set_watches(&rig, 1, &watch);
	tap_ok(stopped_at(&rig, run(&rig, 90, false), ENGINE_WATCHPOINT, RIG_CODE + 11, 2) &&
		       hit_is(&rig, RIG_ALIAS_PT + 8 * 5, 8, true),
	       "the accessed bit of a page-table entry");
	rig_destroy(&rig);

	START(&rig,
	      "\x90\x48\xa3\0\x50\x20\0\0\0\0\0\x90"); /* mov [RIG_ALIAS_DATA + 0x1000], rax */
	const struct memory_watch both[] = {{RIG_ALIAS_PT + 8 * 5, 8, false, true},
					    {RIG_DATA + 0x1004, 1, true, true}};
	set_watches(&rig, 2, both);
	bool stopped = stopped_at(&rig, run(&rig, 90, false), ENGINE_WATCHPOINT, RIG_CODE + 11, 2);
	unsigned n;
	const struct memory_watch_access *access = memory_watch_hits(rig.machine->memory, &n);
	tap_ok(stopped && n == 2 && access[0].gpa == RIG_ALIAS_PT + 8 * 5 && access[0].write &&
		       access[1].gpa == RIG_DATA + 0x1000 && access[1].write,
	       "accessed and dirty bit, and the write that set them: all of a step");
	rig_destroy(&rig);

	START(&rig, "\xb9\x08\0\0\0\xf3\xaa\x90"); /* mov ecx, 8; rep stosb */
	rig.cpu->gpr[RDI] = RIG_DATA;
	watch = (struct memory_watch){RIG_DATA + 4, 1, false, true};
	set_watches(&rig, 1, &watch);
	tap_ok(stopped_at(&rig, run(&rig, 90, false), ENGINE_WATCHPOINT, RIG_CODE + 5, 6) &&
		       hit_is(&rig, RIG_DATA + 4, 1, true) && rig.cpu->gpr[RCX] == 3,
	       "one iteration of a repeat");
	rig_destroy(&rig);

	START(&rig, "\x90\xeb\xfd");
	watch = (struct memory_watch){RIG_DATA, 1, false, true};
	set_watches(&rig, 1, &watch);
	rig_load(&rig, RIG_DATA - 2, "\1\2\3", 3);
	tap_ok(stopped_at(&rig, run(&rig, 90, false), ENGINE_WATCHPOINT, RIG_CODE, 0) &&
		       hit_is(&rig, RIG_DATA - 2, 2, true) == false,
	       "a device, seen before the next instruction");
	rig_destroy(&rig);
}

/* A store that faults on its second page has written nothing, and is no hit. */
static void test_faulting_store(void)
{
	struct rig rig;
	const struct memory_watch watch = {RIG_DATA + 0xff8, 8, true, true};

	START(&rig, "\x48\x89\x45\x00\x90"); /* mov [rbp], rax */
	rig_store64(&rig, RIG_ALIAS_PT + 8 * 10, RIG_DATA | 7);
	rig.cpu->gpr[RBP] = RIG_ALIAS_SPARE + 0xffc;
	set_watches(&rig, 1, &watch);
	tap_ok(stopped_at(&rig, run(&rig, 1, false), ENGINE_LIMIT, RIG_HANDLERS + 32 * VECTOR_PF,
			  1),
	       "a store that faults is no hit");
	rig_destroy(&rig);
}

/* ---- nothing else changes ---- */

static uint64_t run_random(bool debugged, uint32_t seed, unsigned *ret_stops)
{
	struct rig rig;
	uint8_t code[1024];
	uint64_t breakpoints[8], digest;
	struct memory_watch watches[4];

	srand(seed);
	rig_create(&rig, RIG_KERNEL64);
	for (unsigned i = 0; i < sizeof(code); i++)
		code[i] = (uint8_t)rand();
	rig_load(&rig, RIG_CODE, code, sizeof(code));
	for (unsigned i = 0; i < 8; i++)
		breakpoints[i] = RIG_CODE + (uint64_t)(rand() % (int)sizeof(code));
	for (unsigned i = 0; i < 4; i++)
		watches[i] = (struct memory_watch){RIG_DATA + (uint64_t)(rand() % 0x3000),
						   1 + (uint64_t)(rand() % 64), rand() & 1, true};
	if (debugged) {
		set_breakpoints(&rig, 8, breakpoints);
		set_watches(&rig, 4, watches);
	}
	bool skip = false;
	*ret_stops = 0;
	while (rig.machine->icount < 3000) {
		enum engine_exit exit = run(&rig, 3000, skip);
		skip = exit == ENGINE_BREAKPOINT;
		*ret_stops += exit == ENGINE_BREAKPOINT || exit == ENGINE_WATCHPOINT;
		memory_clear_watch_hit(rig.machine->memory);
		if (exit == ENGINE_HALTED)
			break;
	}
	digest = rig_digest(&rig);
	rig_destroy(&rig);
	return digest;
}

static void test_nothing_changes(void)
{
	unsigned bad = 0, stops = 0, n;

	for (uint32_t seed = 1; seed <= 60; seed++) {
		uint64_t plain = run_random(false, seed, &n);
		if (run_random(true, seed, &n) != plain) {
			tap_note("seed %u differs", seed);
			bad++;
		}
		stops += n;
	}
	tap_ok(!bad && stops > 100, "random code runs the same with %u stops", stops);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "jit"))
		rig_engine = &jit_engine_ops;
	test_loop();
	test_linear();
	test_special_places();
	test_writes();
	test_reads();
	test_approach(true, false, "reads");
	test_approach(false, true, "writes");
	test_approach(true, true, "both");
	test_reads_of_written();
	test_colliding_pages();
	test_long_repeat();
	test_repeats();
	test_fetch_behind_breakpoint();
	test_other_writers();
	test_faulting_store();
	test_nothing_changes();
	return tap_done();
}
