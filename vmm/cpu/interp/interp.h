/*
 * The interpreter's insides.
 *
 * Guest code is decoded once into blocks: straight runs of instructions inside one guest page, each
 * lowered to an operation (struct uop) with its handler. A handler does its work and calls the next
 * one's as its last act, which the compiler makes a jump; so a block runs without a dispatch loop.
 * It leaves early by returning its own uop with cpu->stop set.
 *
 * Blocks are indexed by guest-physical address and mode, never by linear address. A block's direct
 * successors inside the same page are linked, since a page's mapping cannot change without a
 * CPU_STOP_RESYNC.
 */
#ifndef REPRISE_VMM_CPU_INTERP_INTERP_H
#define REPRISE_VMM_CPU_INTERP_INTERP_H

#include "vmm/cpu/exec.h"
#include "vmm/cpu/insn.h"
#include "vmm/engine.h"

struct uop;
typedef const struct uop *uop_fn(struct cpu *cpu, const struct uop *uop);

struct uop {
	uop_fn *fn;
	union {
		uint64_t imm;  /* immediate; branches: target relative to the block's start */
		exec_fn *exec; /* uop_exec */
	};
	const struct insn *insn; /* for what runs, or may have to run, an exec function */
	int32_t disp;
	uint8_t dst, src;    /* registers, as byte offsets into cpu->gpr */
	uint8_t base, index; /* address: register numbers, GPR_ZERO when absent */
	uint8_t scale;
	uint8_t seg;    /* index into cpu->seg whose base is added; SEG_ZERO: none */
	uint8_t n;      /* instructions before this one in the block */
	uint8_t len;    /* bytes of this operation's instructions */
	uint16_t off;   /* bytes before it in the block */
	uint8_t cc;     /* condition code */
	bool same_page; /* branches: the target lies in the block's page */
};

#define BLOCK_MAX_INSNS 64

enum block_link { LINK_NONE, LINK_TAKEN, LINK_NEXT, LINK_COUNT };

struct block {
	uint64_t gpa;  /* of the first byte */
	uint32_t mode; /* cpu->mode it was decoded for, plus BLOCK_SINGLE */
	uint16_t bytes;
	uint8_t n_insns; /* steps it adds to icount when it runs to its end */
	bool valid;
	bool breakpoint;     /* a breakpoint may lie on its first instruction */
	bool crosses;        /* one instruction, which ends in another page: */
	uint64_t second_gpa; /* the page that holds its end */
	struct block *links[LINK_COUNT];
	struct block *hash_next;
	struct block *page_next[2]; /* the lists of the pages of gpa and second_gpa */
	struct uop uops[];
};

/* A block of one instruction, for stepping: kept apart from the others of the same address. */
#define BLOCK_SINGLE (1u << MODE_BITS)

struct block_cache;

/* Registers itself as the memory's code listener. Returns 0 or -ENOMEM. */
int block_cache_create(struct machine *machine, struct block_cache **ret_cache);
void block_cache_destroy(struct block_cache *cache);
void block_cache_flush(struct block_cache *cache);
/*
 * Blocks begin at every instruction whose offset in its page is that of one of these linear
 * addresses, and say so. Drops all blocks when some of those there do not.
 */
void block_cache_set_breakpoints(struct block_cache *cache, const uint64_t *linear, unsigned n);
/* Changes whenever blocks found earlier are gone. */
uint64_t block_cache_generation(const struct block_cache *cache);

/*
 * The block at cpu's RIP, decoded if need be; single: of one instruction. NULL when the fetch
 * faulted: the fault is recorded.
 */
struct block *block_find(struct block_cache *cache, struct cpu *cpu, bool single);

/*
 * Lowers one instruction to an operation; lower.c. ret_uop->n and off are already set; insn must
 * live as long as the operation. page_offset: of the block's first byte.
 */
void lower_insn(const struct insn *insn, uint32_t mode, uint64_t page_offset, struct uop *ret_uop);

/*
 * Makes of *uop, the comparison first, one operation with the conditional jump second after it,
 * where there is a handler for the pair. Returns false and leaves *uop alone otherwise.
 */
bool lower_pair(const struct insn *first, const struct insn *second, uint32_t mode,
		uint64_t page_offset, struct uop *uop);

/* Whether an instruction ends its block. */
bool insn_ends_block(const struct insn *insn);

/* Operations that need no instruction. */
uop_fn uop_end;      /* the block's end without a branch */
uop_fn uop_invalid;  /* #UD */
uop_fn uop_too_long; /* #GP(0) */

#endif
