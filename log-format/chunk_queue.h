/*
 * A thread that compresses chunks and appends them to a file, in order, while what they hold is
 * left behind: the initial RAM, so that the guest need not wait for it.
 */
#ifndef REPRISE_LOG_FORMAT_CHUNK_QUEUE_H
#define REPRISE_LOG_FORMAT_CHUNK_QUEUE_H

#include "log-format/chunks.h"

struct chunk_queue;

/* The sink is the queue's own until chunk_queue_finish(). level: chunk_write()'s. Returns 0 or
 * -errno. */
int chunk_queue_create(struct byte_sink *sink, int level, struct chunk_queue **ret_queue);

/* Appends a chunk some time later. In: its kind, n_items and icounts, and raw, which is empty
 * afterwards. Waits while too many are not written yet. Returns 0, -ENOMEM or what an earlier chunk
 * failed with. */
int chunk_queue_push(struct chunk_queue *queue, const struct chunk *chunk, struct column *raw);

/* Of those pushed. */
uint64_t chunk_queue_count(const struct chunk_queue *queue);

/*
 * Waits until all have been appended and ends the thread; then says of each in turn where it is, as
 * chunk_write() does. Returns 0, or what the first failed with, and then says nothing of that and
 * of those behind it, which are not in the file; or what written returned. Accepts NULL.
 */
int chunk_queue_finish(struct chunk_queue *queue,
		       int (*written)(void *ctx, const struct chunk *chunk), void *ctx);

#endif
