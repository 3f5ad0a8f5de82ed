/* The set of watchpoints of a memory, and the accesses that hit some. */
#ifndef REPRISE_VMM_MEMORY_WATCH_H
#define REPRISE_VMM_MEMORY_WATCH_H

#include "vmm/memory/memory.h"

struct watch_set {
	struct memory_watch *watches;
	unsigned n;
	unsigned n_hits;
	struct memory_watch_access hit[MEMORY_MAX_WATCH_HITS]; /* in the order of the accesses */
};

/* Copies the watches in place of the old ones. Returns 0 or -ENOMEM. */
int watch_set_replace(struct watch_set *set, const struct memory_watch *watches, unsigned n);
void watch_set_finish(struct watch_set *set);

/* Looks at an access; returns true when it is the first to hit since the hits were cleared. When
 * there is no room left for another, a write takes the place of a read. */
bool watch_set_access(struct watch_set *set, uint64_t gpa, uint32_t n, bool write);

/* Reads are as if they had not been. */
void watch_set_forget_reads(struct watch_set *set);

/* Whether such an access of the n bytes at gpa hits any. */
bool watch_set_counts(const struct watch_set *set, uint64_t gpa, uint32_t n, bool write);

#endif
