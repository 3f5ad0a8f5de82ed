/* The families of handlers, and the functions that choose among them. */
#ifndef REPRISE_VMM_CPU_INTERP_OPS_H
#define REPRISE_VMM_CPU_INTERP_OPS_H

#include <Zydis/Mnemonic.h>

#include "vmm/cpu/interp/interp.h"

/* The operands of an instruction, as kinds: register, memory, immediate. */
enum form {
	FORM_RR,
	FORM_RI,
	FORM_RM,
	FORM_MR,
	FORM_MI,
	FORM_COUNT,
	FORM_R,
	FORM_M,
	FORM_I,
	FORM_NONE,
	FORM_OTHER
};

static inline unsigned size_index(unsigned size)
{
	return size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
}

/* Each gives a handler for the instruction, or NULL when its family has none. */
uop_fn *select_alu(const struct insn *insn, enum form form);
uop_fn *select_move(const struct insn *insn, enum form form);
uop_fn *select_shift(const struct insn *insn, enum form form);
uop_fn *select_branch(const struct insn *insn, enum form form, uint32_t mode, bool same_page);
uop_fn *select_stack(const struct insn *insn, enum form form, uint32_t mode);
/* ret_aligned: 1 when the memory operand must be aligned; goes to uop->cc. */
uop_fn *select_vector(const struct insn *insn, uint32_t mode, uint8_t *ret_aligned);

/* CMP or TEST (the form given) followed by a jump on cc inside the same page. */
uop_fn *select_pair(const struct insn *compare, enum form form, unsigned cc);

/* The condition code 0..15 of a Jcc, SETcc or CMOVcc mnemonic, or -1. */
int jump_condition(uint16_t mnemonic);
int set_condition(uint16_t mnemonic);
int move_condition(uint16_t mnemonic);

/* Operations that run an exec function; what differs is what is checked before and done after. */
uop_fn uop_exec;         /* nothing */
uop_fn uop_exec_checked; /* the row's flags first */
uop_fn uop_exec_end;     /* checked; then the block ends */
/*
 * Iterations of an ascending MOVS or STOS with flat segments, as one copy or fill inside a page of
 * each operand, where the cached translations serve. RSI and RDI are moved on, RCX and the count
 * are not. Returns how many iterations that made (0: none), at most limit.
 */
uint64_t rep_bulk(struct cpu *cpu, const struct insn *insn, uint64_t limit);

uop_fn uop_exec_rep; /* a string instruction with REP */

#endif
