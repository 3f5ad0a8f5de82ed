/* The set of watchpoints of a memory, and the first access that hit one. */
#ifndef REPRISE_VMM_MEMORY_WATCH_H
#define REPRISE_VMM_MEMORY_WATCH_H

#include "vmm/memory/memory.h"

struct watch_set {
	struct memory_watch *watches;
	unsigned n;
	bool hit;
	struct memory_watch_access access; /* valid while hit */
};

/* Copies the watches in place of the old ones. Returns 0 or -ENOMEM. */
int watch_set_replace(struct watch_set *set, const struct memory_watch *watches, unsigned n);
void watch_set_finish(struct watch_set *set);

/* Looks at an access; returns true when it is to be remembered: the first to hit since the hit was
 * cleared, or the first write after reads. */
bool watch_set_access(struct watch_set *set, uint64_t gpa, uint32_t n, bool write);

#endif
