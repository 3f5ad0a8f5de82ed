/* Near branch targets. */
#ifndef REPRISE_VMM_CPU_INTEGER_BRANCH_H
#define REPRISE_VMM_CPU_INTEGER_BRANCH_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/exec.h"

/*
 * Operand size of a near branch in bytes: 8 in 64-bit mode, where the 66 prefix is ignored (SDM 2
 * "JMP", Intel's behaviour), otherwise the instruction's.
 */
static inline unsigned branch_size(const struct cpu *cpu, const struct insn *insn)
{
	return cpu_code64(cpu) ? 8 : insn->op_size;
}

/*
 * Truncates a target to the branch's operand size and checks it: #GP(0) when it is not canonical or
 * lies beyond CS.limit.
 */
bool branch_check(struct cpu *cpu, const struct insn *insn, uint64_t target, uint64_t *ret_target);

#endif
