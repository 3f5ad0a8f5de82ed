/* A replay's state as a value: what a replayer of the same file can be set back to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replayer/state.h"

struct saved_page {
	uint64_t gpa;
	uint8_t bytes[PAGE_BYTES];
};

struct replayer_snapshot {
	struct log_position position; /* of the first event not yet applied */
	uint64_t proven_icount;
	struct replay_streams *streams;
	uint8_t *state; /* machine_state_encode */
	size_t state_bytes;
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
	const struct machine *machine = replayer->machine;
	int error = replay_streams_create(log_reader_header(replayer->reader), NULL, NULL,
					  &snapshot->streams);

	if (error)
		return error;
	replay_streams_copy_state(snapshot->streams, replayer->streams);
	snapshot->position = replayer->has_next ? replayer->next_position
						: log_reader_position(replayer->reader);
	snapshot->proven_icount = replayer->divergence.proven_icount;
	snapshot->state_bytes = machine_state_bytes(machine);
	snapshot->state = malloc(snapshot->state_bytes);
	if (!snapshot->state)
		return -ENOMEM;
	machine_state_encode(machine, snapshot->state);
	return memory_each_page(machine->memory, save_page, snapshot);
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
	struct machine *machine = replayer->machine;
	int error;

	memory_clear(machine->memory);
	for (size_t i = 0; i < snapshot->n_pages; i++)
		memory_load(machine->memory, snapshot->page[i].gpa, snapshot->page[i].bytes,
			    PAGE_BYTES);
	error = machine_state_decode(machine, snapshot->state, snapshot->state_bytes);
	if (error) {
		replayer->error = (struct log_error){.code = error};
		snprintf(replayer->error.text, sizeof(replayer->error.text),
			 "the snapshot is of another machine");
		return error;
	}
	replayer->engine->ops->flush(replayer->engine);
	replay_streams_copy_state(replayer->streams, snapshot->streams);
	replayer->has_next = false;
	replayer->log_ended = false;
	replayer->divergence.proven_icount = snapshot->proven_icount;
	return log_reader_set_position(replayer->reader, snapshot->position, &replayer->error);
}

void replayer_snapshot_destroy(struct replayer_snapshot *snapshot)
{
	if (!snapshot)
		return;
	replay_streams_destroy(snapshot->streams);
	free(snapshot->state);
	free(snapshot->page);
	free(snapshot);
}
