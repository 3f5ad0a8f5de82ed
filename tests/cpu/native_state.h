/* Running one instruction on the host on a state of our choice; native_state.S, native_state.c. */
#ifndef REPRISE_TESTS_CPU_NATIVE_STATE_H
#define REPRISE_TESTS_CPU_NATIVE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"

/* native_state.S knows the offsets. */
struct native_state {
	struct fx_state fx;
	uint64_t gpr[16]; /* gpr[RSP] is not used */
	uint64_t rflags;
	const void *code;
};

extern struct native_state native_state;

/*
 * Makes ready: maps a code page and the data area at the given address. Returns 0 or a negative
 * errno.
 */
int native_state_init(void *data, size_t data_bytes);

/*
 * Runs one instruction of n bytes on native_state. Returns 0 when it retired, or the signal it
 * raised; fx then holds what the signal's frame says, and gpr is unchanged.
 */
int native_state_execute(const uint8_t *bytes, size_t n);

#endif
