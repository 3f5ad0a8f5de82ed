/*
 * x87 and MMX in translated code: interp's state at every count, whatever comes in between: faults,
 * interrupts, SSE, stops; and that it is translated code that runs it.
 */
#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/jit/engine.h"
#include "vmm/jit/jit.h"

#define STOPS 300   /* counts that are all stopped at */
#define STEPS 5000u /* without a stop */

#define PROGRAM(name) extern const uint8_t x87_##name[], x87_##name##_end[]
PROGRAM(numbers);
PROGRAM(mmx);
PROGRAM(calls);
PROGRAM(absent);
PROGRAM(unmasked);
PROGRAM(stores);

#define ENTRY(name, percent)                                                                       \
	{                                                                                          \
#name, x87_##name, x87_##name##_end, percent                                       \
	}
static const struct program {
	const char *name;
	const uint8_t *code, *end;
	unsigned percent; /* that translated code runs at least; moves to CR0 are not its */
} programs[] = {
	ENTRY(numbers, 90), ENTRY(mmx, 90),      ENTRY(calls, 60),
	ENTRY(absent, 0),   ENTRY(unmasked, 60), ENTRY(stores, 60),
};
#define N_PROGRAMS (sizeof(programs) / sizeof(programs[0]))

static void start(struct rig *rig, const struct engine_ops *engine, const struct program *program)
{
	const double number = 1.25;
	uint64_t bits;

	rig_engine = engine;
	rig_create(rig, RIG_KERNEL64);
	rig_load(rig, RIG_CODE, program->code, (uint32_t)(program->end - program->code));
	for (unsigned i = 0; i < 64; i++)
		rig_store64(rig, RIG_SLOTS + 8 * i, RIG_CODE);
	memcpy(&bits, &number, sizeof(bits));
	rig_store64(rig, RIG_DATA + 0x08, 7);
	rig_store64(rig, RIG_DATA + 0x18, bits);
	rig_store64(rig, RIG_DATA + 0x40, UINT64_C(0x0123456789abcdef));
	rig_store64(rig, RIG_DATA + 0x100, bits);
	rig->cpu->rip = RIG_CODE;
	rig->cpu->cr4 |= CR4_OSFXSR;
	rig->cpu->fx.fcw = 0x37f; /* FNINIT's: all exceptions are masked */
	cpu_update_mode(rig->cpu);
}

static bool same_at(const struct program *program, uint64_t count)
{
	uint64_t digest[2];

	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;
		start(&rig, i ? &jit_engine_ops : &interp_engine_ops, program);
		rig_run(&rig, count, false);
		digest[i] = rig_digest(&rig);
		rig_destroy(&rig);
	}
	return digest[0] == digest[1];
}

/* One run that stops at each count. */
static bool same_at_each(const struct program *program)
{
	struct rig interp, jit;
	bool same = true;

	start(&interp, &interp_engine_ops, program);
	start(&jit, &jit_engine_ops, program);
	while (same && interp.machine->icount < STOPS) {
		rig_run(&interp, interp.machine->icount + 1, false);
		rig_run(&jit, jit.machine->icount + 1, false);
		same = rig_digest(&interp) == rig_digest(&jit);
	}
	rig_destroy(&interp);
	rig_destroy(&jit);
	return same;
}

static unsigned percent_translated(const struct program *program)
{
	struct rig rig;

	start(&rig, &jit_engine_ops, program);
	rig_run(&rig, STEPS, false);
	const struct jit_engine *jit = (const struct jit_engine *)rig.engine;
	uint64_t counted = translator_statistics(jit->translator)->counted;
	rig_destroy(&rig);
	return (unsigned)(counted * 100 / STEPS);
}

static void test_program(const struct program *program)
{
	bool same = same_at(program, STEPS);

	for (uint64_t count = 1; same && count < STOPS; count++)
		same = same_at(program, count);
	tap_ok(same, "%s: interp's state after any number of instructions", program->name);
	tap_ok(same_at_each(program), "%s: and where each is stopped at", program->name);
	unsigned percent = percent_translated(program);
	tap_ok(percent >= program->percent, "%s: %u %% by translated code", program->name, percent);
}

int main(void)
{
	for (unsigned i = 0; i < N_PROGRAMS; i++)
		test_program(&programs[i]);
	return tap_done();
}
