/*
 * The integer oracle: one instruction or a sequence of a few, the same registers and memory, once
 * on the host's processor and once in the machine; what differs is a bug.
 *
 * The sandbox is 64 KiB at ORACLE_BASE, shared memory in the host and identity-mapped RAM in the
 * guest:
 *
 *   0x1000  code, filled with INT3; the instruction stands at ORACLE_CODE
 *   0x3000  two pages to read and write
 *   0x5000  a page to read
 *   0x7000  a page to read and write
 *
 * Everything between is not mapped. A page of the code is readable too, so that it never matters
 * where an address points as long as it lies in the sandbox.
 */
#ifndef REPRISE_TESTS_CPU_ORACLE_H
#define REPRISE_TESTS_CPU_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/insn.h"
#include "vmm/engine.h"

#define ORACLE_BASE            0x200000u
#define ORACLE_BYTES           0x10000u
#define ORACLE_CODE_PAGE       0x1000u
#define ORACLE_CODE            0x1800u /* of the instruction, within the sandbox */
#define ORACLE_SEGMENT16_LIMIT 0x2fffu /* of CS in 16-bit mode */

enum oracle_page { ORACLE_PAGE_NONE, ORACLE_PAGE_CODE, ORACLE_PAGE_RW, ORACLE_PAGE_RO };
extern const uint8_t oracle_pages[ORACLE_BYTES / 4096];

/* 16 and 32: code in compatibility mode; 16 has segments with base ORACLE_BASE and limit 64 KiB. */
enum oracle_mode { ORACLE_64, ORACLE_32, ORACLE_16, ORACLE_MODES };

static inline uint32_t oracle_mode_bits(enum oracle_mode mode)
{
	return mode == ORACLE_64   ? MODE_CODE64
	       : mode == ORACLE_32 ? MODE_CODE32 | MODE_STACK32
				   : MODE_CODE16;
}

/* Base of CS, DS, ES and SS. */
static inline uint64_t oracle_segment_base(enum oracle_mode mode)
{
	return mode == ORACLE_16 ? ORACLE_BASE : 0;
}

/* CS, with Linux's selectors and those that oracle_native.c makes in the LDT. */
static inline uint16_t oracle_code_selector(enum oracle_mode mode)
{
	return mode == ORACLE_64 ? 0x33 : mode == ORACLE_32 ? 0x23 : 0x0f;
}

#define ORACLE_RETIRED 255 /* vector: none */

/* The flags that cases set and that are compared. TF would single-step, the others user mode cannot
 * change. */
#define ORACLE_FLAGS (FLAGS_ARITH | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID)

struct oracle_state {
	uint64_t gpr[16];
	uint64_t rip; /* offset in CS */
	uint64_t gs_base;
	uint32_t flags;
	uint16_t selector[4]; /* ES, CS, SS, DS; on the way in the mode's own are taken */
	uint8_t vector;       /* of the fault, or ORACLE_RETIRED */
	uint32_t error;       /* of the fault, or 0 */
	uint64_t address;     /* #PF */
};

/* ---- oracle_native.c: the host ---- */

/* Maps the sandbox and takes over SIGTRAP, SIGSEGV, SIGBUS, SIGFPE and SIGILL. Returns 0 or -errno.
 */
int native_open(void);
/* A writable view of the sandbox, whatever its pages' protection. */
uint8_t *native_memory(void);
/* False when the host cannot run code of this mode. */
bool native_set_mode(enum oracle_mode mode);
/* Whether user mode may use RDGSBASE and the like. */
bool native_has_gs_base(void);
/* Runs the instruction at in->rip: until it faults, or until the INT3 that follows wherever it
 * goes. */
void native_run(const struct oracle_state *in, struct oracle_state *ret_out);

/* ---- oracle_guest.c: the machine ---- */

struct guest;

/* engine NULL: the exec functions are called directly. Returns 0 or -errno. */
int guest_create(const struct engine_ops *engine, struct guest **ret_guest);
void guest_destroy(struct guest *guest);
struct engine *guest_engine(const struct guest *guest);
void guest_set_mode(struct guest *guest, enum oracle_mode mode);
/* Changes the sandbox's bytes, whatever its pages' protection. */
void guest_load(struct guest *guest, uint32_t offset, const void *data, uint32_t n);
const uint8_t *guest_page(const struct guest *guest, uint32_t offset);
/* An engine stops after every n steps; 0: never. */
void guest_set_stride(struct guest *guest, unsigned n);
/*
 * By exec functions: runs one instruction, all iterations of a REP. By an engine: runs until a
 * fault or an INT3.
 */
void guest_run(struct guest *guest, const struct oracle_state *in, struct oracle_state *ret_out);

/* ---- oracle_case.c: what is run ---- */

struct oracle_random {
	uint64_t state;
};
uint64_t oracle_next(struct oracle_random *random);
/* 0 to n - 1. */
uint32_t oracle_below(struct oracle_random *random, uint32_t n);

struct oracle_template;
/* The templates of a mode, NULL past the last. */
const struct oracle_template *oracle_template(unsigned n);
const char *oracle_template_name(const struct oracle_template *template);
bool oracle_template_in_mode(const struct oracle_template *template, enum oracle_mode mode);

struct oracle_case {
	const struct oracle_template *template;
	uint8_t bytes[16];
	unsigned length;
	bool valid; /* insn holds the decoded instruction; otherwise it must raise #UD */
	struct insn insn;
	struct oracle_state in;
	uint32_t poke_offset; /* bytes to put into the sandbox first */
	uint8_t poke[40];
	uint32_t tainted; /* flags that earlier instructions left undefined and this one does not
			     set */
};

/* Makes a case. Returns false when it came out unusable (it would reach outside the sandbox). */
bool oracle_make(struct oracle_random *random, const struct oracle_template *template,
		 enum oracle_mode mode, struct oracle_case *ret_case);

/* Registers to start a sequence from; rip is that of ORACLE_CODE. */
void oracle_start(struct oracle_random *random, enum oracle_mode mode,
		  struct oracle_case *ret_case);

/*
 * Makes an instruction that suits the state in which it is going to run, which it takes as it is:
 * ret_case->in. Returns false when it came out unusable.
 */
bool oracle_continue(struct oracle_random *random, const struct oracle_template *template,
		     enum oracle_mode mode, const struct oracle_state *in,
		     struct oracle_case *ret_case);

/* Whether the case's instruction may run in the state case->in: it stays within the data pages. */
bool oracle_may_run(const struct oracle_case *c, enum oracle_mode mode);

/* ---- oracle_sequence.c ---- */

#define ORACLE_SEQUENCE_MAX 8

struct oracle_sequence {
	struct oracle_case start; /* in, poke: what the first instruction finds */
	struct oracle_case part[ORACLE_SEQUENCE_MAX]; /* in: when it was placed; in.rip: where */
	unsigned n;
	struct oracle_case last; /* the part that ended it, with the state before it */
	struct oracle_state out; /* what the exec functions came to */
};

/*
 * Makes a sequence by running it by exec functions, each instruction chosen for the state that the
 * ones before it led to; it follows branches. The code and the poke are in the guest's memory
 * afterwards. Returns false when it led nowhere usable.
 */
bool oracle_sequence_make(struct oracle_random *random, enum oracle_mode mode, struct guest *guest,
			  struct oracle_sequence *ret_sequence);

/* ---- oracle_undefined.c ---- */

/* The flags that the manual leaves undefined after this case. */
uint32_t oracle_undefined_flags(const struct oracle_case *c);
/* The arithmetic flags that the case's instruction reads, and those that it sets for certain. */
void oracle_flag_use(const struct oracle_case *c, enum oracle_mode mode, uint32_t *ret_read,
		     uint32_t *ret_set);
/* True when even the result is undefined. */
bool oracle_undefined_result(const struct oracle_case *c);
/* PUSH or POP of a selector by 4 bytes: Intel's processors touch only 2 of them. */
bool oracle_stacks_selector(const struct oracle_case *c);

#endif
