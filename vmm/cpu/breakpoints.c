#include "vmm/cpu/breakpoints.h"

#include <errno.h>
#include <stdlib.h>

static int compare_addresses(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void finish_set(struct breakpoints *breakpoints)
{
	qsort(breakpoints->linear, breakpoints->n, sizeof(*breakpoints->linear), compare_addresses);
	for (unsigned i = 0; i < breakpoints->n; i++) {
		uint64_t offset = breakpoints->linear[i] % PAGE_BYTES;
		breakpoints->offsets[offset / 64] |= UINT64_C(1) << offset % 64;
	}
}

int breakpoints_init(struct breakpoints *breakpoints, const uint64_t *linear, unsigned n)
{
	*breakpoints = (struct breakpoints){.linear = calloc((size_t)n + 1, sizeof(*linear))};
	if (!breakpoints->linear)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		breakpoints->linear[i] = linear[i];
	breakpoints->n = n;
	finish_set(breakpoints);
	return 0;
}

void breakpoints_finish(struct breakpoints *breakpoints)
{
	free(breakpoints->linear);
	*breakpoints = (struct breakpoints){0};
}

bool breakpoints_lie_in(const struct breakpoints *breakpoints, uint64_t first, uint64_t last)
{
	unsigned low = 0, high = breakpoints->n;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		if (breakpoints->linear[middle] < first)
			low = middle + 1;
		else
			high = middle;
	}
	return low < breakpoints->n && breakpoints->linear[low] <= last;
}

bool breakpoints_lie_in_pages(const struct breakpoints *breakpoints, uint64_t first, uint64_t last)
{
	bool found = false;

	for (; breakpoints->n && first <= last && !found; first++) {
		uint64_t offset = first % PAGE_BYTES;
		found = breakpoints->offsets[offset / 64] >> offset % 64 & 1;
	}
	return found;
}

static void add_missing(struct breakpoints *to, const struct breakpoints *from,
			const struct breakpoints *other)
{
	for (unsigned i = 0; i < from->n; i++)
		if (!breakpoints_lie_in(other, from->linear[i], from->linear[i]))
			to->linear[to->n++] = from->linear[i];
}

int breakpoints_compare(const struct breakpoints *a, const struct breakpoints *b,
			struct breakpoints *ret_different)
{
	struct breakpoints different = {
		.linear = calloc((size_t)a->n + b->n + 1, sizeof(*different.linear))};

	if (!different.linear)
		return -ENOMEM;
	add_missing(&different, a, b);
	add_missing(&different, b, a);
	finish_set(&different);
	*ret_different = different;
	return 0;
}
