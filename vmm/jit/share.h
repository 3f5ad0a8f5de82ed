/*
 * Look-ups that instructions of a block share: those that access memory at constant distances from
 * each other, off one value of a register (or two), have one made for all of them.
 *
 * Who comes first finds the whole range in one page and keeps its host address in a slot of the
 * context; the others load it. It holds to the block's end: what it depends on changes only where
 * the block is left (struct jit_context, slots).
 */
#ifndef REPRISE_VMM_JIT_SHARE_H
#define REPRISE_VMM_JIT_SHARE_H

#include "vmm/jit/context.h"
#include "vmm/translate/generate.h"

#define SHARE_NONE UINT8_MAX

/* What an instruction accesses, but for those that do it in ways of their own. */
struct share_access {
	uint8_t range; /* index, or SHARE_NONE: looked up by itself */
	bool first;    /* of those that share it */
	uint16_t at;   /* offset in the range */
};

struct share_range {
	uint16_t bytes;
	bool write;      /* somebody writes */
	uint8_t aligned; /* offsets of this remainder by 16 have been found aligned; 16: none */
};

struct share {
	struct share_access access[BLOCK_MAX_INSNS]; /* by instruction */
	struct share_range range[JIT_SLOTS];
};

/* Finds out who shares what. */
void share_plan(struct share *share, const struct plan *plan);
/* Nobody does. */
void share_nothing(struct share *share);

#endif
