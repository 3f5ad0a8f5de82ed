#include "tools/cpio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HEADER_BYTES 110 /* the magic and thirteen fields of eight digits */
#define ALIGNMENT    4

struct cpio {
	uint8_t *data;
	size_t n, capacity;
	uint32_t n_entries;
};

int cpio_create(struct cpio **ret_cpio)
{
	struct cpio *cpio = calloc(1, sizeof(*cpio));

	if (!cpio)
		return -ENOMEM;
	*ret_cpio = cpio;
	return 0;
}

void cpio_destroy(struct cpio *cpio)
{
	if (!cpio)
		return;
	free(cpio->data);
	free(cpio);
}

static int reserve(struct cpio *cpio, size_t more)
{
	size_t capacity = cpio->capacity ? cpio->capacity : 65536;

	if (more > SIZE_MAX / 4 - cpio->n)
		return -ENOMEM;
	while (capacity < cpio->n + more)
		capacity *= 2;
	if (capacity == cpio->capacity)
		return 0;
	uint8_t *data = realloc(cpio->data, capacity);
	if (!data)
		return -ENOMEM;
	cpio->data = data;
	cpio->capacity = capacity;
	return 0;
}

static void append(struct cpio *cpio, const void *data, size_t n)
{
	if (n)
		memcpy(cpio->data + cpio->n, data, n);
	cpio->n += n;
	while (cpio->n % ALIGNMENT)
		cpio->data[cpio->n++] = 0;
}

/* The header and the name are aligned as one. */
static void append_header(struct cpio *cpio, const struct cpio_entry *entry)
{
	size_t name_bytes = strlen(entry->name) + 1;
	unsigned links = S_ISDIR(entry->mode) ? 2 : 1;
	char *to = (char *)cpio->data + cpio->n;

	/* Inode, mode, owner, group, links, time, bytes, four device numbers, name's bytes, check.
	 */
	snprintf(to, HEADER_BYTES + 1, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		 ++cpio->n_entries, (unsigned)entry->mode, 0, 0, links, (unsigned)entry->mtime_s,
		 (unsigned)entry->n, 0, 0, 0, 0, (unsigned)name_bytes, 0);
	cpio->n += HEADER_BYTES;
	append(cpio, entry->name, name_bytes);
}

int cpio_add(struct cpio *cpio, const struct cpio_entry *entry)
{
	if (entry->n > UINT32_MAX)
		return -EFBIG;
	int err = reserve(cpio, HEADER_BYTES + strlen(entry->name) + 1 + entry->n + 2 * ALIGNMENT);
	if (err)
		return err;
	append_header(cpio, entry);
	append(cpio, entry->data, entry->n);
	return 0;
}

int cpio_finish(struct cpio *cpio, uint8_t **ret_data, size_t *ret_n)
{
	int err = cpio_add(cpio, &(struct cpio_entry){.name = "TRAILER!!!"});

	if (err)
		return err;
	*ret_data = cpio->data;
	*ret_n = cpio->n;
	cpio->data = NULL;
	cpio->n = cpio->capacity = 0;
	return 0;
}
