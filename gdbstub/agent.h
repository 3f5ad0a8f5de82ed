/* Agent expressions: the bytecode in which gdb hands over the conditions of breakpoints (gdb
 * manual, appendix F). */
#ifndef REPRISE_GDBSTUB_AGENT_H
#define REPRISE_GDBSTUB_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an expression can see of the machine. Both return false when there is no such thing. */
struct agent_view {
	bool (*read_register)(void *ctx, unsigned number, uint64_t *ret_value);
	bool (*read_memory)(void *ctx, uint64_t address, void *buffer, size_t n);
	void *ctx;
};

/*
 * Evaluates the n bytes of code. Returns false when the expression does what it may not or cannot
 * (unknown operation, stack, memory that is not mapped, division by zero, too long); *ret_value is
 * then unchanged.
 */
bool agent_evaluate(const uint8_t *code, size_t n, const struct agent_view *view,
		    uint64_t *ret_value);

#endif
