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
	set->hit = false;
	return 0;
}

void watch_set_finish(struct watch_set *set)
{
	free(set->watches);
}

bool watch_set_access(struct watch_set *set, uint64_t gpa, uint32_t n, bool write)
{
	if (set->hit && (set->access.write || !write))
		return false;
	for (unsigned i = 0; i < set->n; i++) {
		const struct memory_watch *watch = &set->watches[i];
		bool overlaps = gpa < watch->gpa + watch->bytes && watch->gpa < gpa + n;
		if (overlaps && (write ? watch->writes : watch->reads)) {
			set->hit = true;
			set->access = (struct memory_watch_access){gpa, n, write};
			return true;
		}
	}
	return false;
}
