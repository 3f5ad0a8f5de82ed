#include "vmm/memory/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int watch_set_replace(struct watch_set *set, const struct memory_watch *watches, unsigned n)
{
	struct memory_watch *copy = NULL;

	if (n) {
		copy = malloc(n * sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, watches, n * sizeof(*copy));
	}
	free(set->watches);
	set->watches = copy;
	set->n = n;
	set->n_hits = 0;
	return 0;
}

void watch_set_finish(struct watch_set *set)
{
	free(set->watches);
}

bool watch_set_counts(const struct watch_set *set, uint64_t gpa, uint32_t n, bool write)
{
	for (unsigned i = 0; i < set->n; i++) {
		const struct memory_watch *watch = &set->watches[i];
		bool overlaps = gpa < watch->gpa + watch->bytes && watch->gpa < gpa + n;
		if (overlaps && (write ? watch->writes : watch->reads))
			return true;
	}
	return false;
}

/* Where the next hit goes, or NULL. */
static struct memory_watch_access *place_for(struct watch_set *set, bool write)
{
	if (set->n_hits < MEMORY_MAX_WATCH_HITS)
		return &set->hit[set->n_hits++];
	for (unsigned i = 0; i < set->n_hits && write; i++)
		if (!set->hit[i].write)
			return &set->hit[i];
	return NULL;
}

bool watch_set_access(struct watch_set *set, uint64_t gpa, uint32_t n, bool write)
{
	bool first = !set->n_hits;

	if (!watch_set_counts(set, gpa, n, write))
		return false;
	struct memory_watch_access *place = place_for(set, write);
	if (place)
		*place = (struct memory_watch_access){gpa, n, write};
	return first;
}

void watch_set_forget_reads(struct watch_set *set)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < set->n_hits; i++)
		if (set->hit[i].write)
			set->hit[kept++] = set->hit[i];
	set->n_hits = kept;
}
