#include "gdbstub/linux/name_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int name_index_init(struct name_index *index, uint32_t n,
		    const char *(*name)(const void *ctx, uint32_t n), const void *ctx)
{
	uint32_t slots = 16;

	while (slots / 2 < n && slots < UINT32_C(1) << 30)
		slots *= 2;
	*index = (struct name_index){.mask = slots - 1, .name = name, .ctx = ctx};
	index->slot = calloc(slots, sizeof(*index->slot));
	return index->slot ? 0 : -ENOMEM;
}

void name_index_finish(struct name_index *index)
{
	free(index->slot);
	index->slot = NULL;
}

/* The slot that holds the name, or the empty one where it belongs. */
static uint32_t *find_slot(const struct name_index *index, const char *name)
{
	uint32_t at = (uint32_t)XXH3_64bits(name, strlen(name)) & index->mask;

	while (index->slot[at] && strcmp(index->name(index->ctx, index->slot[at] - 1), name) != 0)
		at = (at + 1) & index->mask;
	return &index->slot[at];
}

void name_index_add(struct name_index *index, uint32_t n)
{
	uint32_t *slot = find_slot(index, index->name(index->ctx, n));

	if (!*slot)
		*slot = n + 1;
}

uint32_t name_index_find(const struct name_index *index, const char *name)
{
	uint32_t slot = *find_slot(index, name);

	return slot ? slot - 1 : NAME_INDEX_NONE;
}
