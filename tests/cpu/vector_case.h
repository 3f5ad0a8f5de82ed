/*
 * The vector comparison's cases: every encoding of every mnemonic of rows_vector.h, and the state
 * it starts from. native_state.h runs it on the host, vector_guest.h in the machine.
 */
#ifndef REPRISE_TESTS_CPU_VECTOR_CASE_H
#define REPRISE_TESTS_CPU_VECTOR_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/insn.h"

/* Linear address of the data area, the same on the host and in the guest: one page. */
#define VECTOR_DATA       UINT64_C(0x10000000)
#define VECTOR_DATA_BYTES 4096u

struct vector_random {
	uint64_t state;
};

uint64_t random_next(struct vector_random *random);

/* Uniform in [0, n). */
static inline unsigned random_below(struct vector_random *random, unsigned n)
{
	return (unsigned)((random_next(random) >> 33) % n);
}

/* What selects one form of an instruction; operands are chosen anew for each case. */
struct vector_form {
	uint16_t mnemonic;
	uint8_t prefix; /* 0, 66, F3, F2 */
	uint8_t map;    /* as insn.opcode_map */
	uint8_t opcode;
	uint8_t reg; /* ModRM.reg where it selects the instruction, or 0xff: any */
	uint8_t rm;  /* ModRM.rm likewise, register form only */
	bool memory;
	bool rex_w;
};

/* Bytes of one encoding of the form with random operands. The memory operand is at (%rsi). */
unsigned vector_form_encode(const struct vector_form *form, struct vector_random *random,
			    uint8_t *ret_bytes);

/*
 * All forms of all mnemonics of rows_vector.h but XSAVE and its relatives, found by trying every
 * opcode. Returns their number; forms holds at most max.
 */
unsigned vector_forms(struct vector_form *forms, unsigned max);

/* A mnemonic that ought to have a form among the n but has none; 0 when all have one. */
uint16_t vector_forms_missing(const struct vector_form *forms, unsigned n);

const char *vector_mnemonic_name(uint16_t mnemonic);

struct vector_state {
	struct fx_state fx;
	uint64_t gpr[16];
	uint32_t flags; /* the six arithmetic ones */
	uint8_t data[VECTOR_DATA_BYTES];
};

/* A random state, rich in special values, that suits the form. */
void vector_state_make(const struct vector_form *form, struct vector_random *random,
		       struct vector_state *ret_state);

#endif
