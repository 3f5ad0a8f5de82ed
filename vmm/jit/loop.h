/*
 * Loops written as one: rounds that look nothing up, save no flags and leave nowhere but by their
 * branches.
 *
 * A loop qualifies if its accesses go on by the same number of bytes with each round (or none), and
 * its instructions can neither fault otherwise nor change what accesses depend on. In front of the
 * rounds their number is decided, such that each access stays in the page that it begins in and the
 * budget holds; the pages are looked up once, for all of them. What cannot be had so (a page that
 * is to be filled, an access across two, the last instructions of a budget) is left to the block
 * that the loop begins with, whose branch back leads here again.
 *
 * Nothing that an access depends on changes meanwhile: entries of the mmu's arrays go only where
 * translated code is left, and a write that could make one go has no entry itself.
 */
#ifndef REPRISE_VMM_JIT_LOOP_H
#define REPRISE_VMM_JIT_LOOP_H

#include "vmm/jit/code.h"
#include "vmm/jit/context.h"
#include "vmm/translate/generate.h"

/* Accesses that lie close to each other. */
#define LOOP_RANGES 8

#define LOOP_NONE UINT8_MAX

/* The sum of at most two guest registers, as they are in front of the first round; GPR_ZERO. */
struct loop_sum {
	uint8_t base, index, scale;
};

struct loop_range {
	struct loop_sum at; /* where it begins, with first */
	int64_t first;
	int32_t stride; /* bytes a round; 0: the slot holds its host address */
	uint16_t bytes;
	bool write, aligned; /* aligned: to 16 */
	bool in_page;        /* first counts from the page of the code */
	/* What the slot holds is added to one register of an access; what else its address has is
	 * part of that. */
	struct loop_sum folded;
	uint8_t host; /* the register that holds what the slot does, or GPR_ZERO */
};

struct loop_access {
	uint8_t range;         /* or LOOP_NONE */
	uint8_t moving, scale; /* of a range with a stride: the register that is added */
	int32_t disp;
};

/* A branch that leaves the loop. */
struct loop_exit {
	uint32_t patch;
	uint8_t at;   /* the instruction */
	bool counted; /* its round has been counted */
};

struct loop {
	unsigned n_ranges;
	struct loop_range range[LOOP_RANGES];
	struct loop_access access[BLOCK_MAX_INSNS];
	/* Where the guest's registers that are not in place are meanwhile: in the temporaries, or
	 * in what is borrowed of those that the loop does not name; GPR_ZERO: in the context. */
	uint8_t home[16];
	uint16_t borrowed; /* bit n: register n */
	bool moved_in;     /* they are there, in what is being written */
	unsigned n_exits;
	struct loop_exit exits[2 * BLOCK_MAX_INSNS];
};

/* Finds the accesses of a round. Returns false if the loop does not qualify. */
bool loop_plan(struct loop *loop, const struct plan *plan);
bool loop_is_possible(const struct plan *plan);

/* Writes it (struct writer). */
void loop_write(struct generator *g, const struct plan *plan, uint32_t code);

/* Gives registers to what would lie in memory: the guest's that are not in place, then slots. */
void loop_give_registers(struct loop *loop, const struct plan *plan);

/* The memory operand of the present instruction, in a loop. Takes what temporaries there are, not
 * the flags. */
struct host_operand loop_operand(struct generator *g);

/* dec byte [counter]; mov byte [counter], value */
void loop_count_down(struct emitter *e, uint32_t counter);
void loop_set_counter(struct emitter *e, uint32_t counter, uint8_t value);

#endif
