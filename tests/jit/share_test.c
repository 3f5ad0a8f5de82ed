/*
 * A block writes to a page whose host address it has found; a look-up in the middle of the block
 * then makes that page a page table; and the block writes to it again, which changes what a page
 * that was found too is mapped to.
 */
#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/jit/jit.h"

#define PD_ENTRY 0x3010u /* of the third 2 MiB */
#define TABLE    0x31000u
#define FRAME_A  0x32000u
#define FRAME_B  0x33000u
#define PAGE     0x400000u
#define USED     0x67u /* present, writable, user, accessed, dirty */
#define STEPS    12

static const uint8_t program[] = {
	0x48, 0x89, 0x83, 0x00, 0x08, 0x00, 0x00, /* mov [rbx + 0x800], rax: A and D */
	0xeb, 0x00,                               /* jmp: a block begins */
	0x48, 0x89, 0x13,                         /* mov [rbx], rdx: the page is at FRAME_A */
	0x48, 0x8b, 0x01,                         /* mov rax, [rcx] */
	0x48, 0x89, 0x33,                         /* mov [rbx], rsi: at FRAME_B */
	0x4c, 0x8b, 0x01,                         /* mov r8, [rcx] */
	0x90,                                     /* nop */
	0xeb, 0xfe,                               /* jmp to itself */
};

static void start(struct rig *rig, const struct engine_ops *engine)
{
	rig_engine = engine;
	rig_create(rig, RIG_KERNEL64);
	rig_load(rig, RIG_CODE, program, sizeof(program));
	rig_store64(rig, PD_ENTRY, TABLE | USED);
	rig_store64(rig, FRAME_A, 0x1111);
	rig_store64(rig, FRAME_B, 0x2222);
	rig->cpu->rip = RIG_CODE;
	rig->cpu->gpr[RBX] = TABLE;
	rig->cpu->gpr[RCX] = PAGE;
	rig->cpu->gpr[RDX] = FRAME_A | USED;
	rig->cpu->gpr[RSI] = FRAME_B | USED;
}

int main(void)
{
	struct rig rig;

	for (unsigned count = 1; count <= STEPS; count++)
		tap_ok(rig_digest_at(start, &jit_engine_ops, count) ==
			       rig_digest_at(start, &interp_engine_ops, count),
		       "count %u: interp's state", count);
	start(&rig, &jit_engine_ops);
	rig_run(&rig, STEPS, false);
	tap_ok(rig.cpu->gpr[RAX] == 0x1111 && rig.cpu->gpr[R8] == 0x2222,
	       "each load finds the page where it is mapped then");
	rig_destroy(&rig);
	return tap_done();
}
