/*
 * The vector comparison's cases: every encoding of every mnemonic of rows_vector.h, and the state
 * it starts from. native_state.h runs it on the host, vector_guest.h in the machine.
 *
 * Both have the same sandbox: pages of data at VECTOR_DATA with the rights of vector_pages[], and a
 * page of code at VECTOR_CODE. A case fills a window of the data, in the middle of which two pages
 * meet; its memory operands start there.
 */
#ifndef REPRISE_TESTS_CPU_VECTOR_CASE_H
#define REPRISE_TESTS_CPU_VECTOR_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/insn.h"

/* Linear addresses, the same on the host and in the guest. */
#define VECTOR_DATA         UINT64_C(0x10000000)
#define VECTOR_PAGES        7u
#define VECTOR_DATA_BYTES   (VECTOR_PAGES * 4096)
#define VECTOR_CODE         (VECTOR_DATA + 0x200000)
#define VECTOR_WINDOW_BYTES 1024u

enum vector_page { VECTOR_PAGE_ABSENT, VECTOR_PAGE_RW, VECTOR_PAGE_RO };
extern const uint8_t vector_pages[VECTOR_PAGES];

/* Whether n bytes at an address may all be written. */
bool vector_is_writable(uint64_t address, unsigned n);

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

/* How bytes name a memory operand (vector_address.c). */
struct vector_address {
	uint64_t linear;
	uint8_t prefix[2]; /* 67, a segment's */
	uint8_t n_prefixes;
	uint8_t rex; /* X and B */
	uint8_t mod, rm, sib;
	uint8_t disp_bytes;
	bool has_sib, rip_relative;
	int32_t disp; /* rip_relative: not known before the instruction's length is */
};

/*
 * Bytes of one encoding of the form with random operands. Returns their number; *ret_disp_at is
 * where the displacement stands.
 */
unsigned vector_form_encode(const struct vector_form *form, struct vector_random *random,
			    const struct vector_address *address, uint8_t *ret_bytes,
			    unsigned *ret_disp_at);

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
	uint64_t rip;   /* from VECTOR_CODE */
	uint32_t flags; /* the six arithmetic ones */
};

/* What a case starts from. */
struct vector_start {
	struct vector_state state;
	uint32_t window; /* from VECTOR_DATA */
	bool calm;       /* of most sequences: no operand on purpose misaligned or unmapped */
	uint8_t data[VECTOR_WINDOW_BYTES];
};

/* A random start, rich in special values, that suits the form; form NULL: a sequence. */
void vector_start_make(const struct vector_form *form, struct vector_random *random,
		       struct vector_start *start);

/* Whether the form takes its whole x87 or SSE state from memory, or its control word. */
bool vector_form_loads_image(const struct vector_form *form);

/* Puts a mostly acceptable image there, if it lies in the window as a whole. */
void vector_start_put_image(struct vector_start *start, struct vector_random *random,
			    uint64_t address);

/* Where a sequence finds such an image, from its window. */
#define VECTOR_IMAGE 512u

/* An offset in a window for an operand: aligned or, unless calm, not; in either page or across. */
uint32_t vector_window_offset(struct vector_random *random, bool calm);

/* ---- vector_address.c ---- */

/* Some way to name some operand in the window, with the registers as they are. */
void vector_address_make(struct vector_random *random, const uint64_t *gpr,
			 const struct vector_start *start, struct vector_address *ret_address);
/* Some way to name the operand at this address. */
void vector_address_make_at(struct vector_random *random, const uint64_t *gpr, uint64_t linear,
			    struct vector_address *ret_address);
/* Puts in the displacement of a RIP-relative operand of the instruction at rip. */
void vector_address_finish(const struct vector_address *address, uint64_t rip, unsigned length,
			   uint8_t *disp);
bool vector_is_canonical(uint64_t address);

/* ---- vector_sequence.c: one instruction, or several in a row ---- */

#define VECTOR_SEQUENCE_MAX 8

struct vector_part {
	const struct vector_form *form;
	struct insn insn;
	uint32_t at;      /* its bytes, from VECTOR_CODE */
	uint64_t address; /* of its memory operand */
};

/* VECTOR_RETIRED: no fault. */
#define VECTOR_RETIRED 255

struct vector_outcome {
	struct vector_state state;
	unsigned vector;
	uint32_t error; /* of the fault, or 0 */
	uint64_t cr2;   /* #PF, or 0 */
};

struct vector_sequence {
	struct vector_start start;
	struct vector_part part[VECTOR_SEQUENCE_MAX];
	unsigned n;
	uint8_t code[VECTOR_SEQUENCE_MAX * INSN_MAX_BYTES + 1];
	unsigned length; /* of code */
	struct vector_outcome out;
};

struct machine;

/*
 * One instruction of the form. The machine has run it by exec functions then; its memory is as the
 * instruction left it. Returns false when it came out unusable and nothing was run.
 */
bool vector_single_make(struct vector_random *random, const struct vector_form *form,
			struct machine *machine, struct vector_sequence *ret_sequence);

/* The same, of 2 to VECTOR_SEQUENCE_MAX instructions of any of the n forms; a fault ends it. */
bool vector_sequence_make(struct vector_random *random, const struct vector_form *forms, unsigned n,
			  struct machine *machine, struct vector_sequence *ret_sequence);

/* The part that faulted, or the last. */
const struct vector_part *vector_sequence_end(const struct vector_sequence *sequence);

#endif
