/*
 * A stack in the middle of being pushed to or popped from by a far transfer or a delivery: which
 * segment and pointer, not yet those of the vCPU. Pushes are collected and checked first, then
 * written at once, so that one that faults leaves nothing behind.
 */
#ifndef REPRISE_VMM_CPU_SYSTEM_FAR_STACK_H
#define REPRISE_VMM_CPU_SYSTEM_FAR_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/exec.h"

/* SS, ESP, 31 parameters of a call gate, CS, EIP. */
#define FAR_STACK_MAX_PUSHES 36

struct far_stack {
	const struct segment *ss;
	uint64_t sp;
	uint32_t error;     /* of #SS */
	uint8_t width;      /* bytes of the stack pointer: 2, 4, 8 */
	uint8_t priv;       /* enum privilege of the accesses */
	uint8_t push_bytes; /* of every push */
	uint8_t n;          /* pushes collected */
	uint64_t linear[FAR_STACK_MAX_PUSHES];
	uint64_t value[FAR_STACK_MAX_PUSHES];
};

/* The vCPU's own stack as it is now. error code 0. */
void far_stack_init_current(struct far_stack *stack, const struct cpu *cpu, unsigned push_bytes);

/*
 * A stack switched to: ss must outlive the stack. wide: in 64-bit mode, where ss is ignored. error
 * is the #SS error code. cpl: the privilege that will run on it.
 */
void far_stack_init_new(struct far_stack *stack, const struct cpu *cpu, const struct segment *ss,
			uint64_t sp, bool wide, unsigned push_bytes, unsigned cpl, uint32_t error);

/* Adds one push; raises #SS(error) when it lies outside the segment. Writes nothing. */
bool far_stack_push(struct cpu *cpu, struct far_stack *stack, uint64_t value);

/* Checks every push against paging. Needed unless far_stack_write is the last thing that can fail.
 */
bool far_stack_probe(struct cpu *cpu, const struct far_stack *stack);

/* Writes what was pushed. The stack pointer is the caller's to commit, with far_stack_pointer(). */
bool far_stack_write(struct cpu *cpu, const struct far_stack *stack);

/* Pops n values of push_bytes each. */
bool far_stack_pop(struct cpu *cpu, struct far_stack *stack, unsigned n, uint64_t *ret_values);

/* Moves the pointer up past bytes that are not looked at. */
void far_stack_skip(struct far_stack *stack, uint32_t bytes);

/* RSP as it is to be set. */
static inline uint64_t far_stack_pointer(const struct far_stack *stack)
{
	return stack->sp;
}

/*
 * RSP after a return loads a popped stack pointer: a 16-bit stack segment takes only SP and leaves
 * the rest as it was.
 */
uint64_t far_stack_pointer_loaded(const struct cpu *cpu, const struct segment *ss, bool wide,
				  uint64_t popped);

#endif
