/*
 * Lowering: how a guest memory operand becomes a host one. Everything else of a translation is the
 * same whatever the answer.
 */
#ifndef REPRISE_VMM_TRANSLATE_LOWER_H
#define REPRISE_VMM_TRANSLATE_LOWER_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/translate/emit.h"

struct generator;

struct lowering {
	const char *name;
	/* Whether the operand of an instruction at linear can be lowered; otherwise interp runs it.
	 * Mandatory. */
	bool (*possible)(const struct insn *insn, uint64_t linear);
	/* Whether that takes R11 for the address, so that the instruction may not name the guest's.
	 * Mandatory. */
	bool (*takes_r11)(const struct insn *insn, uint64_t linear);
	/* Rewrites the memory operand of an encoding that is emitted next; may emit code in front
	 * that changes R11 only, through the generator's functions. Mandatory. */
	void (*address)(struct generator *g, const struct insn *insn, uint64_t linear,
			struct encoding *encoding);
};

/* Guest memory lies at a constant bias, GS base, from where the guest has it; the hardware MMU
 * checks.
 */
extern const struct lowering lowering_mmu;

/* Linear address of a RIP-relative operand. */
static inline uint64_t insn_rip_relative(const struct insn *insn, uint64_t linear)
{
	return linear + insn->length + (uint64_t)insn->disp;
}

#endif
