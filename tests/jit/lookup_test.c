/* Look-ups of translated code whose page changes, is watched, or is one of two. */
#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/jit/jit.h"

#define USED 0x67u /* present, writable, user, accessed, dirty */

/*
 * A block writes to a page whose host address it has found; a look-up in the middle of the block
 * then makes that page a page table; and the block writes to it again, which changes what a page
 * that was found too is mapped to.
 */
#define PD_ENTRY 0x3010u /* of the third 2 MiB */
#define TABLE    0x31000u
#define FRAME_A  0x32000u
#define FRAME_B  0x33000u
#define PAGE     0x400000u
#define WARM     200 /* instructions by which the code is translated */
#define STEPS    (WARM + 12)

static const uint8_t becomes_table[] = {
	0xff, 0xcd,                               /* L: dec ebp */
	0x75, 0xfc,                               /* jnz L */
	0x48, 0x89, 0x83, 0x00, 0x08, 0x00, 0x00, /* mov [rbx + 0x800], rax: A and D */
	0xeb, 0x00,                               /* jmp: a block begins */
	0x48, 0x89, 0x13,                         /* mov [rbx], rdx: the page is at FRAME_A */
	0x48, 0x8b, 0x01,                         /* mov rax, [rcx] */
	0x48, 0x89, 0x33,                         /* mov [rbx], rsi: at FRAME_B */
	0x4c, 0x8b, 0x01,                         /* mov r8, [rcx] */
	0x90,                                     /* nop */
	0xeb, 0xfe,                               /* jmp to itself */
};

static void start_table(struct rig *rig, const struct engine_ops *engine)
{
	rig_engine = engine;
	rig_create(rig, RIG_KERNEL64);
	rig_load(rig, RIG_CODE, becomes_table, sizeof(becomes_table));
	rig_store64(rig, PD_ENTRY, TABLE | USED);
	rig_store64(rig, FRAME_A, 0x1111);
	rig_store64(rig, FRAME_B, 0x2222);
	rig->cpu->rip = RIG_CODE;
	rig->cpu->gpr[RBP] = WARM / 2;
	rig->cpu->gpr[RBX] = TABLE;
	rig->cpu->gpr[RCX] = PAGE;
	rig->cpu->gpr[RDX] = FRAME_A | USED;
	rig->cpu->gpr[RSI] = FRAME_B | USED;
}

/* The page is written beside a watchpoint. */
static void start_watched(struct rig *rig, const struct engine_ops *engine)
{
	const struct memory_watch watch = {TABLE + 0xf00, 8, true, true};

	start_table(rig, engine);
	memory_set_watches(rig->machine->memory, &watch, 1);
}

static bool is_translated(const struct rig *rig)
{
	struct engine_use uses[ENGINE_MAX_USES];

	rig->engine->ops->uses(rig->engine, uses);
	return uses[0].instructions > rig->machine->icount / 2;
}

static void test_becomes_table(void (*start)(struct rig *, const struct engine_ops *),
			       const char *what)
{
	struct rig rig;

	for (unsigned count = WARM; count <= STEPS; count++)
		tap_ok(rig_digest_at(start, &jit_engine_ops, count) ==
			       rig_digest_at(start, &interp_engine_ops, count),
		       "%s, count %u: interp's state", what, count);
	start(&rig, &jit_engine_ops);
	rig_run(&rig, STEPS, false);
	tap_ok(is_translated(&rig), "%s: by translated code", what);
	tap_ok(rig.cpu->gpr[RAX] == 0x1111 && rig.cpu->gpr[R8] == 0x2222,
	       "%s: each load finds the page where it is mapped then", what);
	rig_destroy(&rig);
}

/* A load across two pages that do not lie side by side, the first of which is looked up anew. */
#define FIRST_ENTRY  (RIG_ALIAS_PT + 8 * 4u)
#define SECOND_FRAME (RIG_DATA + 0x3000u)
#define ACROSS       (RIG_ALIAS_DATA + PAGE_BYTES - 4)
#define ACROSS_STEPS 1000

static const uint8_t across[] = {
	0x48, 0x89, 0x16,                         /* L: mov [rsi], rdx: the first page's entry */
	0x48, 0x81, 0xf2, 0x00, 0x02, 0x00, 0x00, /* xor rdx, 0x200: a bit that means nothing */
	0xeb, 0x00,                               /* jmp: a block begins */
	0x4c, 0x03, 0x45, 0x00,                   /* add r8, [rbp] */
	0xeb, 0xee,                               /* jmp L */
};

static void start_across(struct rig *rig, const struct engine_ops *engine)
{
	rig_engine = engine;
	rig_create(rig, RIG_KERNEL64);
	rig_load(rig, RIG_CODE, across, sizeof(across));
	rig_store64(rig, FIRST_ENTRY + 8, SECOND_FRAME | USED);
	rig_store64(rig, SECOND_FRAME, 0x3333);
	rig->cpu->rip = RIG_CODE;
	rig->cpu->gpr[RBP] = ACROSS;
	rig->cpu->gpr[RSI] = FIRST_ENTRY;
	rig->cpu->gpr[RDX] = RIG_DATA | USED;
	rig->cpu->gpr[R8] = 0;
}

static void test_across(void)
{
	struct rig rig;

	tap_ok(rig_digest_at(start_across, &jit_engine_ops, ACROSS_STEPS) ==
		       rig_digest_at(start_across, &interp_engine_ops, ACROSS_STEPS),
	       "across two pages: interp's state");
	start_across(&rig, &jit_engine_ops);
	rig_run(&rig, ACROSS_STEPS, false);
	tap_ok(is_translated(&rig), "across two pages: by translated code");
	rig_destroy(&rig);
}

int main(void)
{
	test_becomes_table(start_table, "plain");
	test_becomes_table(start_watched, "watched");
	test_across();
	return tap_done();
}
