/*
 * Finds the bytes of the output streams among the guest's port writes and in its RAM, as the file's
 * header describes them. A 16550's transmitter is followed as far as needed: DLAB hides it,
 * loopback silences it.
 */
#ifndef REPRISE_REPLAYER_STREAMS_H
#define REPRISE_REPLAYER_STREAMS_H

#include "log-format/log.h"
#include "vmm/boundary.h"
#include "vmm/memory/memory.h"

struct replay_streams;

/* Called with n bytes of stream number stream (header order). */
typedef void stream_output_fn(void *ctx, unsigned stream, const uint8_t *data, size_t n);

/* output may be NULL. Returns 0, -EINVAL when the header's streams are not possible, or -ENOMEM. */
int replay_streams_create(const Reprise__Header *header, stream_output_fn *output, void *ctx,
			  struct replay_streams **ret_streams);
void replay_streams_destroy(struct replay_streams *streams);

/* Looks at one crossing that wrote. Bytes are held back until a flush, a full buffer, or a byte of
 * another stream. */
void replay_streams_write(struct replay_streams *streams, const struct crossing_request *request);

/*
 * Takes the bytes that an output event names, which lie in RAM. False: its stream is none of those.
 */
bool replay_streams_take(struct replay_streams *streams, const struct event *event,
			 const struct memory *memory);

/* Hands on what is held back. */
void replay_streams_flush(struct replay_streams *streams);

/* The machine was reset: so were its UARTs. */
void replay_streams_reset(struct replay_streams *streams);

/* Makes the UARTs of to, made from the same header, what those of from are. Bytes held back stay.
 */
void replay_streams_copy_state(struct replay_streams *to, const struct replay_streams *from);

#endif
