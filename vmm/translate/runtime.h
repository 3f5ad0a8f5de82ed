/*
 * The run-time area: what translated code and whoever runs it share.
 *
 * It is one memfd. Its first RUNTIME_LINEAR_BYTES appear at linear address RUNTIME_BASE wherever
 * translated code runs, below 2 GiB, so that an absolute 32-bit displacement reaches all of it:
 *
 * - at RUNTIME_BASE: struct runtime_context, in two pages;
 * - from RUNTIME_SPACE on: struct runtime_space of the address space that runs;
 * - from RUNTIME_CODE on: the code cache.
 *
 * Behind that in the file lie RUNTIME_SPACES structs runtime_space, one for each guest address
 * space that is kept; whoever runs the code maps the one in use into the window at RUNTIME_SPACE.
 * All three parts begin at multiples of 2 MiB, in the file too.
 *
 * The translator maps the file for reading and writing at any address and never executes it there.
 *
 * Registers while translated code runs, between two guest instructions:
 *
 * - R11: the instruction count, of the block's start or its end, less the budget: negative while
 *   there is something left of it. The guest's R11 is context->gpr[11].
 * - RSP: the guest's, plus the bias of guest memory.
 * - The other general registers, the arithmetic flags and DF, x87 and SSE state: the guest's.
 * - FS base: the guest's plus the bias; GS base: the bias.
 *
 * Inside a block registers may lie elsewhere for a while; the side table knows (cache.h).
 */
#ifndef REPRISE_VMM_TRANSLATE_RUNTIME_H
#define REPRISE_VMM_TRANSLATE_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#define RUNTIME_BASE         0x60000000u
#define RUNTIME_INPUT        0x1000u   /* offset of the context's second page */
#define RUNTIME_CONTEXT      0x2000u   /* bytes of the context */
#define RUNTIME_SPACE        0x200000u /* offset of the window, in the area and in the file */
#define RUNTIME_CODE         0x400000u /* offset of the code cache, likewise */
#define RUNTIME_LINEAR_BYTES 0x8000000u
#define RUNTIME_CODE_BYTES   (RUNTIME_LINEAR_BYTES - RUNTIME_CODE)

#define RUNTIME_SPACES      16u
#define RUNTIME_SPACE_BYTES 0x200000u
#define RUNTIME_FILE_BYTES  (RUNTIME_LINEAR_BYTES + RUNTIME_SPACES * RUNTIME_SPACE_BYTES)

/* The file goes on: who runs kernels too has a second table for each space, and one that spaces
 * share.
 */
#define RUNTIME_TABLES     (2 * RUNTIME_SPACES + 1)
#define RUNTIME_AREA_BYTES (RUNTIME_LINEAR_BYTES + RUNTIME_TABLES * RUNTIME_SPACE_BYTES)

/* Offset of a space in the file. */
#define RUNTIME_SPACE_FILE(n) (RUNTIME_LINEAR_BYTES + (n)*RUNTIME_SPACE_BYTES)

/* Indirect branches look their target up by its low 16 bits. */
#define RUNTIME_LOOKUP_ENTRIES 65536u

/* Targets that share their low 16 bits stand here too: by bits 8 to 15, in any of the set's ways.
 */
#define RUNTIME_VICTIM_SETS 256u
#define RUNTIME_VICTIM_WAYS 8u

struct runtime_victim {
	uint64_t minus_rip, code; /* as below */
};

/* Direct branches out of their page jump through a slot here. */
#define RUNTIME_LINKS 110592u

/* Pages of code that is translated once for all spaces, wherever it lies in them. */
#define RUNTIME_HOMES 16384u

/* Valid for one guest address space. Written by the translator, read by translated code. */
struct runtime_space {
	uint64_t minus_rip[RUNTIME_LOOKUP_ENTRIES]; /* -target, or what matches none */
	uint64_t code[RUNTIME_LOOKUP_ENTRIES];      /* where its translation begins */
	struct runtime_victim victim[RUNTIME_VICTIM_SETS][RUNTIME_VICTIM_WAYS];
	uint64_t link[RUNTIME_LINKS];
	uint64_t home[RUNTIME_HOMES]; /* linear addresses of pages of code */
};

_Static_assert(sizeof(struct runtime_space) == RUNTIME_SPACE_BYTES, "the window's size");

enum runtime_exit {
	RUNTIME_EXIT_NONE,
	RUNTIME_EXIT_POLL,   /* the budget is used up */
	RUNTIME_EXIT_INTERP, /* the instruction at rip is to be run by interp */
	RUNTIME_EXIT_MISS,   /* likewise; it is a branch whose target is to be looked up after it */
	RUNTIME_EXIT_LINK,   /* rip is the target of a direct branch that is not linked yet */
	RUNTIME_EXIT_HERE,   /* whoever translated code called has brought rip up to date */
	RUNTIME_EXIT_COUNT,
};

/*
 * Translated code runs in one address space at a time and one vCPU at a time, so there is one
 * context. "host" is whoever drives the engine, outside the translated code.
 *
 * Where guest code could store into the context by an address of its own (docs/kvm.md), the second
 * page is not to be written while translated code runs, nor is the window: where code goes never
 * depends on a guest's stores. What the first page holds is checked (translator_has_left()).
 */
struct runtime_context {
	/*
	 * Guest registers while translated code does not run: written by the enter trampoline's
	 * caller (translator_enter()), and by translated code when it leaves. rsp is biased. While
	 * it runs only gpr[11] is the guest's.
	 */
	uint64_t gpr[16];
	uint64_t rflags; /* in: what POPF is to load; out: what PUSHF gave */
	uint64_t count;  /* R11; also where a block keeps it while it uses R11 otherwise */

	uint64_t exit;     /* enum runtime_exit; written when leaving */
	uint64_t exit_arg; /* which exit of which block; for the translator */

	uint64_t hit, miss;  /* where a second lookup goes on; written in front of it */
	uint64_t scratch[8]; /* of translated code; enum scratch_slot (cache.h) */

	uint64_t stack[32]; /* for PUSHF and POPF on the way in and out */

	/* ---- the second page: written by the host alone ---- */

	/* Where the enter trampoline jumps to. */
	_Alignas(RUNTIME_INPUT) uint64_t entry;
	uint64_t leave;   /* RUNTIME_LEAVE_JUMP: where leaving jumps to */
	uint64_t fs_base; /* biased; loaded on entry where the lowering asks for it */
	uint64_t bias;    /* constant: what is added to guest addresses */
	uint64_t minus_bias;

	/* The clock: TSC = tsc_base + ((R11 + tsc_count) * tsc_ratio >> 32). Written by
	 * translator_enter(). */
	uint64_t tsc_base, tsc_count, tsc_ratio, tsc_aux;
};

_Static_assert(offsetof(struct runtime_context, entry) == RUNTIME_INPUT, "the second page");
_Static_assert(sizeof(struct runtime_context) == RUNTIME_CONTEXT, "two pages");

/* General registers as the processor had them at a fault; rip is a host address. */
struct runtime_registers {
	uint64_t gpr[16];
	uint64_t rip;
	uint64_t rflags;
};

/*
 * At most so many instructions are counted between two polls: translated code that was entered with
 * count < budget leaves with count < budget + RUNTIME_POLL_BOUND. Nothing makes it leave earlier
 * from outside, so the budget bounds how long it runs.
 */
#define RUNTIME_POLL_BOUND 4352u

/* A budget lies less than this ahead of the count when translated code is entered. */
#define RUNTIME_BUDGET_MAX (UINT64_C(1) << 55)

#endif
