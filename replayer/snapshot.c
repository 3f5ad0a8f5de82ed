/* A replay's state as a value: what a replayer of the same file can be set back to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replayer/place.h"

struct saved_page {
	uint64_t gpa;
	uint8_t bytes[PAGE_BYTES];
};

struct replayer_snapshot {
	struct place place;
	struct saved_page *page;
	size_t n_pages, max_pages;
};

static int save_page(void *ctx, uint64_t gpa, const uint8_t *bytes)
{
	static const uint8_t zero[PAGE_BYTES];
	struct replayer_snapshot *snapshot = ctx;

	if (!memcmp(bytes, zero, PAGE_BYTES))
		return 0;
	if (snapshot->n_pages == snapshot->max_pages) {
		size_t max = snapshot->max_pages ? snapshot->max_pages * 2 : 256;
		struct saved_page *page = realloc(snapshot->page, max * sizeof(*page));

		if (!page)
			return -ENOMEM;
		snapshot->page = page;
		snapshot->max_pages = max;
	}
	snapshot->page[snapshot->n_pages].gpa = gpa;
	memcpy(snapshot->page[snapshot->n_pages++].bytes, bytes, PAGE_BYTES);
	return 0;
}

static int save(const struct replayer *replayer, struct replayer_snapshot *snapshot)
{
	int error = place_save(replayer, &snapshot->place);

	return error ? error : memory_each_page(replayer->machine->memory, save_page, snapshot);
}

int replayer_save(const struct replayer *replayer, struct replayer_snapshot **ret_snapshot)
{
	struct replayer_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	int error = snapshot ? save(replayer, snapshot) : -ENOMEM;

	if (error) {
		replayer_snapshot_destroy(snapshot);
		return error;
	}
	*ret_snapshot = snapshot;
	return 0;
}

int replayer_restore(struct replayer *replayer, const struct replayer_snapshot *snapshot)
{
	struct memory *memory = replayer->machine->memory;

	memory_clear(memory);
	for (size_t i = 0; i < snapshot->n_pages; i++)
		memory_load(memory, snapshot->page[i].gpa, snapshot->page[i].bytes, PAGE_BYTES);
	replayer->engine->ops->flush(replayer->engine);
	return place_restore(replayer, &snapshot->place);
}

void replayer_snapshot_destroy(struct replayer_snapshot *snapshot)
{
	if (!snapshot)
		return;
	place_finish(&snapshot->place);
	free(snapshot->page);
	free(snapshot);
}
