/*
 * Code that two processes have at different addresses is translated once; each finds its own
 * addresses by it, returns to its own, and stops at its own breakpoints. Pages that a process has
 * at two addresses, or one after the other at the same, work too.
 */
#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/jit/engine.h"
#include "vmm/jit/jit.h"

#define PML4_A  0x1000u /* the rig's own */
#define PML4_B  0x8000u
#define HIGH_B  UINT64_C(0x7e1234567000)
#define TABLE_B 0x9000u /* of the third level, and the two below: HIGH_B + n is RIG_CODE + n */
#define SYSTEM  0x15000u

#define LOOP      (RIG_CODE + 0x10)
#define FUNCTION  (RIG_CODE + 0x1100)
#define CROSSING  (RIG_CODE + 0xffd)
#define BREAK_AT  (FUNCTION + 3)
#define PER_ROUND 19 /* instructions */

/* Of the way into the other process, at most. */
#define KERNEL_BLOCKS 3

/* Goes on in the other process, by RCX, which RBX tells the way: mov rax, cr3; xor rax, A ^ B; mov
 * cr3, rax; xor rcx, rbx; sysretq */
static const uint8_t system_call[] = {
	0x0f, 0x20, 0xd8, 0x48, 0x35, 0x00, 0x90, 0x00, 0x00,
	0x0f, 0x22, 0xd8, 0x48, 0x31, 0xd9, 0x48, 0x0f, 0x07,
};

static const uint8_t loop[] = {
	0xe8, 0xeb, 0x10, 0x00, 0x00,                   /* call FUNCTION */
	0xff, 0xd2,                                     /* call rdx: what it returned */
	0x48, 0x8b, 0x35, 0xf2, 0x01, 0x00, 0x00,       /* mov rsi, [loop + 0x200] */
	0x48, 0x03, 0x35, 0xf3, 0x01, 0x00, 0x00,       /* add rsi, [loop + 0x208] */
	0x48, 0x03, 0x34, 0x25, 0x08, 0x02, 0x00, 0x00, /* add rsi, [0x208] */
	0xe9, 0xcb, 0x0f, 0x00, 0x00,                   /* jmp CROSSING */
};

static const uint8_t function[] = {
	0x48, 0xff, 0xc7,                         /* inc rdi */
	0x48, 0x8d, 0x15, 0xf6, 0x00, 0x00, 0x00, /* lea rdx, [function + 0x100] */
	0xc3,                                     /* ret */
};

/* At function + 0x100: the lower half of an address; and back. */
static const uint8_t lower[] = {
	0x8d, 0x05, 0x00, 0x00, 0x00, 0x00, /* lea eax, [rip] */
	0xc3,                               /* ret */
};

/* Across two pages; then into the other process, and on there: add rsi, 1 (7 bytes); syscall; jmp
 * LOOP */
static const uint8_t crossing[] = {
	0x48, 0x81, 0xc6, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xe9, 0x05, 0xf0, 0xff, 0xff,
};

static void map_code_at_b(struct rig *rig)
{
	for (unsigned i = 0; i < 512; i++)
		rig_store64(rig, PML4_B + 8 * i, rig_fetch(rig, PML4_A + 8 * i, 8));
	rig_store64(rig, PML4_B + 8 * (RIG_HIGH >> 39), 0);
	rig_store64(rig, PML4_B + 8 * (HIGH_B >> 39 & 511), TABLE_B | 7);
	rig_store64(rig, TABLE_B + 8 * (HIGH_B >> 30 & 511), (TABLE_B + 0x1000) | 7);
	rig_store64(rig, TABLE_B + 0x1000 + 8 * (HIGH_B >> 21 & 511), (TABLE_B + 0x2000) | 7);
	for (unsigned i = 0; i < 4; i++)
		rig_store64(rig, TABLE_B + 0x2000 + 8 * (HIGH_B / PAGE_BYTES + i) % PAGE_BYTES,
			    (RIG_CODE + i * PAGE_BYTES) | 7);
}

static void start(struct rig *rig, const struct engine_ops *engine)
{
	rig_engine = engine;
	rig_create(rig, RIG_USER64);
	rig_map_high(rig);
	map_code_at_b(rig);
	rig_load(rig, LOOP, loop, sizeof(loop));
	rig_load(rig, FUNCTION, function, sizeof(function));
	rig_load(rig, FUNCTION + 0x100, lower, sizeof(lower));
	rig_load(rig, CROSSING, crossing, sizeof(crossing));
	rig_load(rig, SYSTEM, system_call, sizeof(system_call));
	rig_store64(rig, LOOP + 0x200, 0x1111);
	rig_store64(rig, LOOP + 0x208, 0x2222);
	rig_store64(rig, 0x208, 0x330000);
	rig->cpu->lstar = SYSTEM;
	rig->cpu->rip = RIG_HIGH + LOOP;
	rig->cpu->gpr[RBX] = (RIG_HIGH + CROSSING + 9) ^ (HIGH_B + CROSSING + 9 - RIG_CODE);
}

/* Compares with interp at every nth count. */
static void test_states(void (*begin)(struct rig *rig, const struct engine_ops *engine),
			unsigned counts, unsigned nth, const char *what)
{
	bool same = true;

	for (unsigned count = 1; count <= counts; count += nth)
		same &= rig_digest_at(begin, &jit_engine_ops, count) ==
			rig_digest_at(begin, &interp_engine_ops, count);
	tap_ok(same, "%s: interp's state at counts up to %u", what, counts);
}

static const struct translator_statistics *statistics(const struct rig *rig)
{
	return translator_statistics(((const struct jit_engine *)rig->engine)->translator);
}

static bool is_at(const struct rig *rig, uint64_t base)
{
	return rig->cpu->rip - base < RIG_CODE_BYTES;
}

/* Runs until the program is in one process's code. */
static void run_into(struct rig *rig, uint64_t base)
{
	while (!is_at(rig, base))
		rig_run(rig, rig->machine->icount + 1, false);
}

static void test_sharing(void)
{
	static const uint8_t stay[] = {0x48, 0x0f, 0x07}; /* sysretq */
	struct rig rig, alone;

	start(&alone, &jit_engine_ops);
	rig_load(&alone, SYSTEM, stay, sizeof(stay));
	rig_run(&alone, PER_ROUND * 40, false);
	start(&rig, &jit_engine_ops);
	rig_run(&rig, PER_ROUND * 40, false);
	uint64_t blocks = statistics(&rig)->blocks, of_one = statistics(&alone)->blocks;
	uint64_t links = statistics(&rig)->exits[RUNTIME_EXIT_LINK];
	tap_ok(blocks <= of_one + KERNEL_BLOCKS, "two processes: %llu blocks, one: %llu",
	       (unsigned long long)blocks, (unsigned long long)of_one);
	rig_run(&rig, PER_ROUND * 400, false);
	tap_ok(statistics(&rig)->blocks == blocks, "they are translated once");
	tap_ok(statistics(&rig)->exits[RUNTIME_EXIT_LINK] == links,
	       "and linked for both processes");
	rig_destroy(&rig);
	rig_destroy(&alone);
}

/* How often the loop is stopped at an address; -1: somewhere else. */
static int stops_at(uint64_t linear)
{
	struct rig rig;
	int n = 0;

	start(&rig, &jit_engine_ops);
	rig_run(&rig, PER_ROUND * 40, false);
	run_into(&rig, RIG_HIGH + LOOP);
	rig.engine->ops->set_breakpoints(rig.engine, &linear, 1);
	uint64_t until = rig.machine->icount + PER_ROUND * 100;
	while (n >= 0 && rig.machine->icount < until) {
		if (rig_run_once(&rig, until, false) != ENGINE_BREAKPOINT)
			continue;
		n = rig.cpu->rip == linear ? n + 1 : -1;
		rig.engine->ops->set_breakpoints(rig.engine, NULL, 0);
		rig_run(&rig, rig.machine->icount + 1, false);
		rig.engine->ops->set_breakpoints(rig.engine, &linear, 1);
	}
	rig_destroy(&rig);
	return n;
}

static void test_breakpoints(void)
{
	int a = stops_at(RIG_HIGH + BREAK_AT), b = stops_at(HIGH_B + BREAK_AT - RIG_CODE);

	tap_ok(a > 40 && b > 40 && a <= b + 1 && b <= a + 1,
	       "each process stops at its own breakpoint: %d and %d times", a, b);
	tap_ok(stops_at(RIG_HIGH + BREAK_AT + PAGE_BYTES) == 0, "and at no other");
	tap_ok(stops_at(RIG_HIGH + RIG_CODE + PAGE_BYTES) == 0,
	       "one inside of an instruction that lies across two pages does not matter");
}

/* ---- the second page of an instruction ---- */

/* One process jumps to CROSSING from here, the other from elsewhere in the page. */
static const uint8_t jump_a[] = {0xe9, 0xe8, 0x0f, 0x00, 0x00};       /* jmp CROSSING */
static const uint8_t jump_b[] = {0x90, 0xe9, 0xa7, 0x0f, 0x00, 0x00}; /* nop; jmp CROSSING */
#define JUMP_B 0x40u

/* As system_call, with where each goes on in R12 and R13: mov rcx, r12; xchg r12, r13 */
static const uint8_t to_other[] = {
	0x0f, 0x20, 0xd8, 0x48, 0x35, 0x00, 0x90, 0x00, 0x00, 0x0f, 0x22,
	0xd8, 0x4c, 0x89, 0xe1, 0x4d, 0x87, 0xe5, 0x48, 0x0f, 0x07,
};

static void start_second_page(struct rig *rig, const struct engine_ops *engine)
{
	start(rig, engine);
	rig_load(rig, LOOP, jump_a, sizeof(jump_a));
	rig_load(rig, LOOP + JUMP_B, jump_b, sizeof(jump_b));
	rig_load(rig, SYSTEM, to_other, sizeof(to_other));
	rig->cpu->gpr[R12] = HIGH_B + LOOP - RIG_CODE + JUMP_B;
	rig->cpu->gpr[R13] = RIG_HIGH + LOOP;
}

/* ---- one page at two addresses, two pages at one ---- */

#define ALIAS_COUNTS 3000
#define ALIAS_STRIDE 7

/* To the alias and back again; now and then to where nothing is. */
static const uint8_t to_and_fro[] = {
	0x48, 0x8d, 0x15, 0x00, 0x00, 0x00, 0x00, /* lea rdx, [rip] */
	0x48, 0x01, 0xd6,                         /* add rsi, rdx */
	0x48, 0xff, 0xc7,                         /* inc rdi */
	0x40, 0xf6, 0xc7, 0x3f,                   /* test dil, 63 */
	0x75, 0x03,                               /* jnz over */
	0x48, 0xff, 0xc7,                         /* inc rdi */
	0x40, 0xf6, 0xc7, 0x01,                   /* over: test dil, 1 */
	0x74, 0x05,                               /* jz back */
	0xe9, 0xdf, 0xff, 0x1d, 0x00,             /* jmp to_and_fro + ALIAS_CODE - CODE */
	0xe9, 0xda, 0xff, 0xe1, 0xff,             /* back: jmp to_and_fro + CODE - ALIAS_CODE */
};

/* Two pages, and then both at their other address. */
static const uint8_t first_page[] = {
	0x48, 0x8d, 0x15, 0x00, 0x00, 0x00, 0x00, /* lea rdx, [rip] */
	0x48, 0x01, 0xd6,                         /* add rsi, rdx */
	0xe9, 0xf1, 0x0f, 0x00, 0x00,             /* jmp second_page */
};
static const uint8_t second_page[] = {
	0x48, 0x8d, 0x15, 0x00, 0x00, 0x00, 0x00, /* lea rdx, [rip] */
	0x48, 0x01, 0xd6,                         /* add rsi, rdx */
	0x48, 0x8d, 0x05, 0xef, 0xef, 0xff, 0xff, /* lea rax, [first_page] */
	0x48, 0x35, 0x00, 0x00, 0x22, 0x00,       /* xor rax, CODE ^ ALIAS_CODE */
	0xff, 0xe0,                               /* jmp rax */
};

/* A page that is another one each time: what it does, by the page. */
static const uint8_t one_page[] = {
	0x48, 0xff, 0xc7,             /* inc rdi */
	0xe9, 0xf8, 0x0f, 0x00, 0x00, /* jmp change */
};
static const uint8_t other_page[] = {
	0x48, 0x83, 0xc7, 0x10,       /* add rdi, 16 */
	0xe9, 0xf7, 0x0f, 0x00, 0x00, /* jmp change */
};
#define OTHER_PAGE (RIG_CODE + 4 * PAGE_BYTES)
/* Has that page lie at OTHER_PAGE, or at RIG_CODE + PAGE_BYTES again; and that of first_page not
 * fetched yet. */
static const uint8_t change[] = {
	0x81, 0x34, 0x25, 0x08, 0x41, 0x00, 0x00, 0x00, 0x50, 0x00, 0x00, /* xor [entry], 0x5000 */
	0xc6, 0x04, 0x25, 0x00, 0x41, 0x00, 0x00, 0x07, /* mov byte [entry before], 7 */
	0xe9, 0xe8, 0xdf, 0xff, 0xff,                   /* jmp first_page */
};

/* At RIG_HIGH, where what faults goes on too. */
static void start_high(struct rig *rig, const struct engine_ops *engine)
{
	rig_engine = engine;
	rig_create(rig, RIG_USER64);
	rig_map_high(rig);
	for (unsigned i = 0; i < 64; i++)
		rig_store64(rig, RIG_SLOTS + 8 * i, RIG_HIGH + RIG_CODE);
	rig->cpu->rip = RIG_HIGH + RIG_CODE;
}

static void start_alias(struct rig *rig, const struct engine_ops *engine)
{
	start_high(rig, engine);
	rig_load(rig, RIG_CODE, to_and_fro, sizeof(to_and_fro));
}

static void start_pages(struct rig *rig, const struct engine_ops *engine)
{
	start_high(rig, engine);
	rig_load(rig, RIG_CODE, first_page, sizeof(first_page));
	rig_load(rig, RIG_CODE + PAGE_BYTES, second_page, sizeof(second_page));
	rig->cpu->rip = RIG_HIGH + RIG_ALIAS_CODE + PAGE_BYTES;
}

static void start_change(struct rig *rig, const struct engine_ops *engine)
{
	start_high(rig, engine);
	rig_load(rig, RIG_CODE, first_page, sizeof(first_page));
	rig_load(rig, RIG_CODE + PAGE_BYTES, one_page, sizeof(one_page));
	rig_load(rig, OTHER_PAGE, other_page, sizeof(other_page));
	rig_load(rig, RIG_CODE + 2 * PAGE_BYTES, change, sizeof(change));
}

int main(void)
{
	test_states(start, 8 * PER_ROUND, 1, "two processes");
	test_sharing();
	test_breakpoints();
	test_states(start_second_page, 100, 1, "each fetches an instruction's second page itself");
	test_states(start_alias, ALIAS_COUNTS, ALIAS_STRIDE, "a page at two addresses");
	test_states(start_pages, ALIAS_COUNTS, ALIAS_STRIDE, "two pages at two addresses");
	test_states(start_change, ALIAS_COUNTS, ALIAS_STRIDE, "two pages at one address");
	return tap_done();
}
