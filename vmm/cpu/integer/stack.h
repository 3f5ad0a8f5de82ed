/*
 * The stack as instructions see it: SS:rSP with the stack's own address size (16 bits, 32 with
 * SS.B, 64 in 64-bit mode; SDM 1 6.2.3), independent of the operand size.
 *
 * Instructions that move several items address them with stack_offset(), probe them all, then read
 * or write them, and set the pointer last, so that one that faults has changed nothing.
 */
#ifndef REPRISE_VMM_CPU_INTEGER_STACK_H
#define REPRISE_VMM_CPU_INTEGER_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/exec.h"

/* Bytes of the stack pointer that are in use: 2, 4 or 8. */
static inline unsigned stack_width(const struct cpu *cpu)
{
	return cpu_code64(cpu) ? 8 : cpu->mode & MODE_STACK32 ? 4 : 2;
}

/* The stack offset delta bytes above the pointer (below, when negative), wrapped to its width. */
uint64_t stack_offset(const struct cpu *cpu, int64_t delta);

/* Moves the pointer to an offset; bits above the stack's width stay. */
void stack_set(struct cpu *cpu, uint64_t offset);

/*
 * An item of size bytes (1 to 8) at a stack offset; the pointer does not move. Each returns false
 * with the fault (#SS(0), #PF) or the crossing recorded.
 */
bool stack_probe(struct cpu *cpu, uint64_t offset, unsigned size, enum access_kind kind);
bool stack_read(struct cpu *cpu, uint64_t offset, unsigned size, uint64_t *ret_value);
bool stack_write(struct cpu *cpu, uint64_t offset, unsigned size, uint64_t value);

/*
 * Pushes or pops one item of size bytes (2, 4 or 8). On false nothing has changed: with a fault
 * #SS(0), #PF or #AC, or a crossing. A caller that can still fail after one must use the functions
 * above.
 */
bool stack_push(struct cpu *cpu, unsigned size, uint64_t value);
bool stack_pop(struct cpu *cpu, unsigned size, uint64_t *ret_value);

#endif
