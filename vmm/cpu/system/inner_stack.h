/* The stack of a more privileged level, as the TSS gives it (SDM 3A 5.8.5, 7.2.1, 7.7). */
#ifndef REPRISE_VMM_CPU_SYSTEM_INNER_STACK_H
#define REPRISE_VMM_CPU_SYSTEM_INNER_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/system/descriptor.h"

struct inner_stack {
	struct segment ss;
	uint64_t sp;
	struct descriptor descriptor; /* of ss; its accessed bit is still to be set */
};

/*
 * Reads SSn:ESPn of the current 16- or 32-bit TSS and checks the stack segment for privilege cpl.
 * Raises #TS or #SS with the selector and EXT.
 */
bool inner_stack_legacy(struct cpu *cpu, unsigned cpl, bool external,
			struct inner_stack *ret_stack);

/* Reads RSPn, or ISTn when ist is not 0, of the current 64-bit TSS. Raises #TS or #SS. */
bool inner_stack_long(struct cpu *cpu, unsigned cpl, unsigned ist, bool external, uint64_t *ret_sp);

#endif
