/* A hash index from names to small numbers, for tables whose names come from a guest. */
#ifndef REPRISE_GDBSTUB_LINUX_NAME_INDEX_H
#define REPRISE_GDBSTUB_LINUX_NAME_INDEX_H

#include <stdint.h>

struct name_index {
	uint32_t *slot; /* number + 1, or 0 */
	uint32_t mask;
	/* The name of number n; stays the owner's. */
	const char *(*name)(const void *ctx, uint32_t n);
	const void *ctx;
};

#define NAME_INDEX_NONE UINT32_MAX

/* Room for n names. Returns 0 or -ENOMEM. */
int name_index_init(struct name_index *index, uint32_t n,
		    const char *(*name)(const void *ctx, uint32_t n), const void *ctx);
void name_index_finish(struct name_index *index);
/* Adds a number under its name; does nothing when the name is there already. At most as many as
 * there is room for. */
void name_index_add(struct name_index *index, uint32_t n);
/* The number that has the name, or NAME_INDEX_NONE. */
uint32_t name_index_find(const struct name_index *index, const char *name);

#endif
