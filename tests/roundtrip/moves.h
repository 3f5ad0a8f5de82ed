/*
 * Random seeks through a recording, forwards and backwards, each to a count whose state a straight
 * run has seen: after a seek every register, all RAM and the digest must be the same.
 */
#ifndef REPRISE_TESTS_ROUNDTRIP_MOVES_H
#define REPRISE_TESTS_ROUNDTRIP_MOVES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/engine.h"
#include "vmm/machine.h"

/* Everything there is to compare at a count. */
struct seen_state {
	uint64_t icount;
	uint64_t registers; /* of the whole encoded state */
	uint64_t ram;       /* of every byte, page by page */
	struct digest digest;
};

void seen_state_take(struct machine *machine, struct seen_state *ret);

#define MOVES_TEXT_BYTES 512

struct moves {
	const char *path;
	const struct engine_ops *engine;
	const struct seen_state *seen; /* by ascending count */
	unsigned n_seen, n_moves;      /* n_moves at least 3 */
	uint64_t seed;
	/* What came of it. */
	bool good;
	char text[MOVES_TEXT_BYTES];
};

/* Touches nothing but *moves: may run beside another replay. */
void moves_run(struct moves *moves);

#endif
