/*
 * What is known of the registers in a block, and from that which accesses lie close to each other:
 * addresses at constant distances off one value, or off the sum of two.
 */
#ifndef REPRISE_VMM_JIT_TRACK_H
#define REPRISE_VMM_JIT_TRACK_H

#include "vmm/translate/generate.h"

#define TRACK_NONE UINT8_MAX

/* What is known of a register: one of the values that the block deals with, and what was added. */
struct value {
	uint16_t id;
	int64_t plus;
};

/* Values that are no register's: none at all, for constant addresses; and the linear address of the
 * page that the code lies in, where that is not known. */
#define ID_CONSTANT UINT16_MAX
#define ID_PAGE     (UINT16_MAX - 1)

/* The sum of two values. */
struct sum {
	uint16_t base, index;
	uint8_t scale;
	uint16_t id;
};

struct range {
	uint16_t id;
	uint16_t epoch;
	int64_t first, end; /* what has been added to the value */
	unsigned n;
	bool write;
};

struct tracker {
	bool relative; /* struct plan's */
	struct value
		gpr[16]; /* at the block's end; at its beginning each is the value of its number */
	uint16_t n_ids;
	uint16_t epoch; /* permissions are others in the next */
	struct sum sums[BLOCK_MAX_INSNS];
	unsigned n_sums;
	struct range ranges[BLOCK_MAX_INSNS];
	unsigned n_ranges;
	struct {
		uint8_t range; /* index of ranges, or TRACK_NONE */
		int64_t plus;
		struct value base, index; /* of its address, where that has both */
	} access[BLOCK_MAX_INSNS];
};

/* Follows the block. Of a loop: one round, without the branch back. */
void track_plan(struct tracker *t, const struct plan *plan);

/* Whether a copied instruction writes RAX, RCX or RDX without naming it; or takes one of them or
 * RBX for anything. */
bool track_writes_unnamed(const struct insn *insn);
bool track_takes_unnamed(const struct insn *insn);

#endif
