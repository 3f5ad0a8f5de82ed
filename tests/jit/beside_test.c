/* A guest's addresses are its own in whichever of a process's areas its code runs. */
#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/jit/jit.h"

#define MACHINES 3
#define STEPS    2000

/*
 * Addresses without a base register, three ways each; R10 and R15 are the registers that lie
 * elsewhere while translated code runs.
 */
static const uint8_t program[] = {
	0x48, 0x8d, 0x04, 0x25, 0x00, 0x00, 0x03, 0x00, /* lea rax, [RIG_DATA] */
	0x48, 0x01, 0x04, 0xdd, 0x00, 0x00, 0x03, 0x00, /* add [RIG_DATA + rbx * 8], rax */
	0x4a, 0x8d, 0x0c, 0xfd, 0x10, 0x00, 0x03, 0x00, /* lea rcx, [RIG_DATA + 16 + r15 * 8] */
	0x48, 0x01, 0x0c, 0x25, 0x20, 0x00, 0x03, 0x00, /* add [RIG_DATA + 32], rcx */
	0x4a, 0x03, 0x14, 0xd5, 0x00, 0x00, 0x03, 0x00, /* add rdx, [RIG_DATA + r10 * 8] */
	0x48, 0xff, 0xc3,                               /* inc rbx */
	0x48, 0x83, 0xe3, 0x3f,                         /* and rbx, 63 */
	0x49, 0x89, 0xda,                               /* mov r10, rbx */
	0x4d, 0x89, 0xd7,                               /* mov r15, r10 */
	0x48, 0x8d, 0x3d, 0xc4, 0x07, 0x01, 0x00,       /* lea rdi, [RIG_DATA + 0x800] */
	0xb9, 0x08, 0x00, 0x00, 0x00,                   /* mov ecx, 8 */
	0x48, 0x89, 0xd0,                               /* mov rax, rdx */
	0xf3, 0x48, 0xab,                               /* rep stosq */
	0xeb, 0xb7,                                     /* jmp program */
};

static uint64_t run(struct rig *rig, const struct engine_ops *engine)
{
	rig_engine = engine;
	rig_create(rig, RIG_KERNEL64);
	rig_load(rig, RIG_CODE, program, sizeof(program));
	rig->cpu->rip = RIG_CODE;
	rig->cpu->gpr[RBX] = 0;
	rig->cpu->gpr[R10] = 0;
	rig->cpu->gpr[R15] = 0;
	rig_run(rig, STEPS, false);
	return rig_digest(rig);
}

int main(void)
{
	struct rig rig[MACHINES], single;
	struct engine_use uses[ENGINE_MAX_USES];
	uint64_t expected = run(&single, &interp_engine_ops);

	for (unsigned i = 0; i < MACHINES; i++) {
		tap_ok(run(&rig[i], &jit_engine_ops) == expected,
		       "machine %u of a process: interp's state", i + 1);
		rig[i].engine->ops->uses(rig[i].engine, uses);
		tap_ok(uses[0].instructions > STEPS / 2, "most of it by translated code");
	}
	for (unsigned i = 0; i < MACHINES; i++)
		rig_destroy(&rig[i]);
	rig_destroy(&single);
	return tap_done();
}
