/* What the host's arithmetic leaves in its MXCSR reaches no guest, and what a guest loads there
 * stays with the guest. */
#include <xmmintrin.h>

#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/jit/jit.h"

#define STEPS  2000
#define STRIDE 7 /* the host's arithmetic comes between runs */

#define GUEST_MXCSR 0x7f80u /* rounds towards 0 */

static const uint8_t program[] = {
	0xb8, 0x03, 0x00, 0x00, 0x00,                   /* mov eax, 3 */
	0x31, 0xd2,                                     /* xor edx, edx */
	0x0f, 0xae, 0x24, 0x25, 0x00, 0x00, 0x03, 0x00, /* xsave [RIG_DATA] */
	0x0f, 0xae, 0x2c, 0x25, 0x00, 0x00, 0x03, 0x00, /* xrstor [RIG_DATA] */
	0xeb, 0xe7,                                     /* jmp program */
};

/* Returns the digest after the program; *ret_mxcsr: the host's. */
static uint64_t run(const struct engine_ops *engine, uint32_t *ret_mxcsr)
{
	struct rig rig;

	rig_engine = engine;
	rig_create(&rig, RIG_KERNEL64);
	rig_load(&rig, RIG_CODE, program, sizeof(program));
	rig.cpu->rip = RIG_CODE;
	rig.cpu->cr4 |= CR4_OSXSAVE | CR4_OSFXSR;
	rig.cpu->xcr0 = 3;
	rig.cpu->fx.mxcsr = GUEST_MXCSR;
	*ret_mxcsr = 0;
	while (rig.machine->icount < STEPS) {
		_mm_setcsr(_MM_MASK_MASK | _MM_EXCEPT_INEXACT | _MM_EXCEPT_OVERFLOW);
		rig_run(&rig, rig.machine->icount + STRIDE, false);
		*ret_mxcsr |= _mm_getcsr();
	}
	_mm_setcsr(_MM_MASK_MASK);
	uint64_t digest = rig_digest(&rig);
	tap_ok(rig.cpu->fx.mxcsr == GUEST_MXCSR && rig_fetch(&rig, RIG_DATA + 24, 4) == GUEST_MXCSR,
	       "the guest's MXCSR is 0x%x, and saved as 0x%x", rig.cpu->fx.mxcsr,
	       (unsigned)rig_fetch(&rig, RIG_DATA + 24, 4));
	rig_destroy(&rig);
	return digest;
}

int main(void)
{
	uint32_t of_interp, of_jit;

	tap_ok(run(&interp_engine_ops, &of_interp) == run(&jit_engine_ops, &of_jit),
	       "jit's state is interp's");
	tap_ok(!(of_jit & _MM_ROUND_MASK) && !(of_interp & _MM_ROUND_MASK),
	       "the host rounds as before: 0x%x, 0x%x", of_interp, of_jit);
	return tap_done();
}
