/*
 * What translated code of the jit engine finds beside struct runtime_context: in the page behind it
 * in the run-time area.
 *
 * Registers between two guest instructions:
 *
 * - R15: the instruction count of the block's end, less the budget.
 * - R10, R11: nothing; whatever needs a register for a moment takes them.
 * - The guest's R10, R11 and R15 are runtime_context.gpr[]. All others, RSP too, are in place: so
 *   whoever handles signals meanwhile needs a stack of its own.
 * - Flags: at a block's start in runtime_context.scratch[SCRATCH_FLAGS], as LAHF and SETO give them
 *   in AX; inside a block there, in the host's flags, or both (struct generator).
 * - XMM registers and MXCSR: the guest's once loaded is set, which blocks that use them see to. Of
 * x87 and MMX state likewise, x87_loaded.
 * - DF is clear.
 */
#ifndef REPRISE_VMM_JIT_CONTEXT_H
#define REPRISE_VMM_JIT_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"
#include "vmm/memory/memory.h"
#include "vmm/translate/runtime.h"

/* Ranges of memory that a block's instructions share a look-up of (share.h). */
#define JIT_SLOTS 16

#define LOOP_COUNTERS 1024u

struct jit_context {
	uint64_t tlb_read, tlb_write; /* struct tlb_entry[] of the space and privilege */
	uint64_t space;               /* struct runtime_space of both */
	uint64_t plain_read, plain_write, lifted_read, lifted_write; /* of a kernel, by AC */
	uint64_t gs_base;
	uint64_t cpu;        /* struct cpu */
	uint64_t window;     /* flags that POPF may not set by itself */
	uint64_t host_rsp;   /* while translated code runs */
	uint64_t fx;         /* struct fx_state of the vCPU */
	uint64_t loaded;     /* 1: SSE state is in the registers */
	uint64_t host_mxcsr; /* while it is */
	uint64_t x87_loaded; /* 1: x87 state, too */
	/* Where code goes on after fill, if it has helped and if not; slow: after ask. */
	uint64_t retry, slow;
	uint64_t extents;            /* struct extent[] of the space, for user code */
	uint64_t ask;                /* jit_ask_fn */
	uint64_t fill;               /* jit_fill_fn */
	uint64_t engine;             /* the argument */
	uint64_t linear;             /* of the access that missed */
	uint64_t target;             /* kept while a second operand is translated */
	uint64_t transfer;           /* jit_transfer_fn */
	uint64_t mnemonic, next_rip; /* its arguments; slow: where it goes on if it fails */
	/* Host addresses of ranges, each good to the end of the block that stored it: none that
	 * could be written ceases to be so while the block goes on (jit_fill_fn). */
	uint64_t slots[JIT_SLOTS];
	/* Of the loop that runs (loop.h), whose ranges have the slots: rounds beside the first that
	 * its accesses allow; the count behind all of them, less the budget; and their
	 * instructions. R15 is what is left of these, negative, meanwhile. */
	uint64_t further_rounds, rounds_end, rounds_insns;
	/* By numbers that may be the same: until a branch back is taken for a loop's; and until a
	 * loop is given up. */
	uint8_t heat[LOOP_COUNTERS];
	int8_t credit[LOOP_COUNTERS];
	struct fx_state image; /* FXSAVE's and FXRSTOR's */
};

_Static_assert(sizeof(struct jit_context) <= PAGE_BYTES, "it is mapped as a page");

#define JIT_CONTEXT_OFFSET RUNTIME_CONTEXT

/* What stands in translated code in front of the address that is in the context's slow. */
struct jit_miss {
	uint32_t retry; /* where code goes on with an entry that serves the access */
	uint16_t bytes; /* of the access; 0: not known, wherever in the page they are */
	bool write;     /* some are written; they may be read, too */
};

/* Finds a cached translation (struct tlb_entry) for an access that missed: makes it, or has one for
 * this access alone where the page is watched. Returns its address and sets the context's retry; or
 * 0 when the block must be left in front of the instruction: it needs more than that, or a page may
 * no longer be written past the mmu. Changes nothing that the guest can see. */
typedef uint64_t jit_fill_fn(void *engine, uint64_t linear);

/* An access missed an extent, and it is time to ask about that: its number stands in translated
 * code in front of the address that is in the context's slow. */
typedef void jit_ask_fn(void *engine, uint64_t linear);

/*
 * Carries out the instruction of the context at a block's end, from and to runtime_context's RCX,
 * RSP, R11, flags and count. Returns where code goes on: with what follows, to leave, or, with
 * nothing done, in front of the instruction.
 */
typedef uint64_t jit_transfer_fn(void *engine);

#endif
