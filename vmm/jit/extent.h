/*
 * Extents: pages side by side, for the guest and in the host's memory too, that the mmu's arrays
 * hold. An access in one takes two bounds and a sum, of which only the sum is waited for by who
 * wants the bytes, in place of a look-up, whose steps wait for each other.
 *
 * User code that runs much (struct translator_config, hot_samples) has an extent for each access,
 * which it tries first. When that has missed a number of times it is asked about, and is given the
 * pages around the last accesses if most of these lie close to each other. One that has then been
 * good for long enough, until the first miss, is moved on by that; one that has not been waits for
 * twice as many misses each time, and in the end its code is written anew without. Those of a space
 * are dropped when the mmu's translations are that they stand on.
 */
#ifndef REPRISE_VMM_JIT_EXTENT_H
#define REPRISE_VMM_JIT_EXTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/mmu/mmu.h"

struct cpu;

/* The longest access that is served. */
#define EXTENT_ACCESS_MAX 64u

/* Of a space. The even ones are read, the odd ones written. */
#define EXTENT_COUNT 2048u

/* As translated code reads it. */
struct extent {
	uint64_t first; /* linear; while bytes is 0: the address that was asked about last */
	uint64_t bytes; /* what begins less than so far behind first lies in it; 0: there is none */
	uint8_t *host;  /* of first */
	uint64_t count; /* misses until it is asked about; translated code counts them */
};

_Static_assert(sizeof(struct extent) == 32, "as indexed by translated code");

struct extents;

/* How an extent comes to pages. */
struct extent_rules {
	uint32_t misses;     /* before it is asked about for the first time; at least 1 */
	uint8_t asked;       /* accesses in a row that decide; at least 1 */
	uint8_t hits;        /* of these, so many must lie near the last */
	uint8_t period_max;  /* log2 of the misses before it is asked about again, at most */
	uint8_t failures;    /* in a row, after which its code is better off without; 0: never */
	uint32_t good_insns; /* it is good for so many until a miss, or has failed */
};

/* Copies *rules. Returns 0 or -ENOMEM. */
int extents_create(const struct extent_rules *rules, struct extents **ret_extents);
void extents_destroy(struct extents *extents);

/* Those of a space, by number. */
struct extent *extents_of(struct extents *extents, unsigned space);

/* A number for an access of the instruction at gpa; UINT32_MAX: it is better off without. */
uint32_t extents_take(struct extents *extents, uint64_t gpa, bool write);

/*
 * A missed access of the user code that cpu runs, at a count. Returns true when the instruction at
 * *ret_gpa is better off without from now on. Fills the mmu's arrays with pages that follow, where
 * nothing else changes.
 */
bool extents_ask(struct extents *extents, struct cpu *cpu, uint32_t number, uint64_t linear,
		 uint64_t icount, uint64_t *ret_gpa);

/* Extents that have been given pages, since the beginning. */
uint64_t extents_given(const struct extents *extents);

/* What they stand on goes (struct mmu_listener). host: of the page that is protected. */
void extents_drop_space(struct extents *extents, unsigned space);
void extents_drop_page(struct extents *extents, unsigned space, uint64_t linear);
void extents_protect(struct extents *extents, const uint8_t *host);

#endif
