/* The linear addresses at which a debugger wants to stop. */
#ifndef REPRISE_VMM_CPU_BREAKPOINTS_H
#define REPRISE_VMM_CPU_BREAKPOINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/memory/memory.h"

/* All zeros: none. */
struct breakpoints {
	uint64_t *linear; /* ascending; some may be there twice */
	unsigned n;
	uint64_t offsets[PAGE_BYTES / 64]; /* bit by bit: whether one lies there in its page */
};

/* Copies the addresses, which come in any order. Returns 0 or -ENOMEM. */
int breakpoints_init(struct breakpoints *breakpoints, const uint64_t *linear, unsigned n);
void breakpoints_finish(struct breakpoints *breakpoints);

/* Whether one lies from first to last. */
bool breakpoints_lie_in(const struct breakpoints *breakpoints, uint64_t first, uint64_t last);

/* Likewise from first to last in any page; those are offsets in one, or reach into the next. */
bool breakpoints_lie_in_pages(const struct breakpoints *breakpoints, uint64_t first, uint64_t last);

/* Those of one set that are not of the other as well. Returns 0 or -ENOMEM. */
int breakpoints_compare(const struct breakpoints *a, const struct breakpoints *b,
			struct breakpoints *ret_different);

#endif
