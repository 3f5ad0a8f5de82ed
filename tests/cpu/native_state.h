/* Running vector instructions on the host on a start of our choice; native_state.S, native_state.c.
 */
#ifndef REPRISE_TESTS_CPU_NATIVE_STATE_H
#define REPRISE_TESTS_CPU_NATIVE_STATE_H

#include "tests/cpu/vector_case.h"

/* native_state.S knows the offsets. */
struct native_state {
	struct fx_state fx;
	uint64_t gpr[16];
	uint64_t rflags;
	const void *code;
	uint64_t stack; /* the test's own RSP */
};

extern struct native_state native_state;

/*
 * Maps the sandbox (vector_case.h) and takes over SIGFPE, SIGSEGV, SIGBUS and SIGILL. Returns 0 or
 * a negative errno.
 */
int native_state_init(void);

/* A writable view of the data, whatever its pages' rights. */
uint8_t *native_state_data(void);

/* Runs n bytes of code from the state, until a fault or their end. Memory is as it was left. */
void native_state_execute(const struct vector_state *in, const uint8_t *code, size_t n,
			  struct vector_outcome *ret_outcome);

#endif
