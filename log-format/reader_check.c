/* log_reader_verify(): every chunk read and decoded once, in file order, nothing kept. */
#include <errno.h>

#include "log-format/reader.h"

static int check_events(struct log_reader *reader, uint64_t row, struct event_decoder *decoder,
			struct log_error *ret_error)
{
	int result = reader_load_events(reader, row, decoder, ret_error);
	struct event event;
	/* References are checked against the table; the pages' own chunks have their own turn. */
	while (result == 0 && (result = event_decoder_next(decoder, NULL, &event, ret_error)) > 0)
		result = 0;
	return result;
}

static int check_chunk(struct log_reader *reader, uint64_t row, struct event_decoder *decoder,
		       struct log_error *ret_error)
{
	const struct chunk *chunk = &reader->table.rows[row].chunk;
	Reprise__Attachment *message;
	int error;
	switch (chunk->kind) {
	case REPRISE__CHUNK_KIND__CHUNK_EVENTS:
		return check_events(reader, row, decoder, ret_error);
	case REPRISE__CHUNK_KIND__CHUNK_RAM:
		return reader_walk_ram(reader, row, NULL, NULL, ret_error);
	case REPRISE__CHUNK_KIND__CHUNK_ATTACHMENT:
		error = reader_load_attachment(reader, row, &message, ret_error);
		if (!error)
			protobuf_c_message_free_unpacked(&message->base, NULL);
		return error;
	default: /* pages; header and trailer were decoded on opening */
		return chunk_read(&reader->chunks, chunk, &reader->raw, ret_error);
	}
}

int log_reader_verify(struct log_reader *reader, struct log_error *ret_error)
{
	struct event_decoder *decoder;
	if (event_decoder_create(&decoder))
		return log_error_set(ret_error, -ENOMEM, 0, "out of memory");
	int error = 0;
	for (uint64_t row = 0; !error && row < reader->table.n; row++)
		error = check_chunk(reader, row, decoder, ret_error);
	event_decoder_destroy(decoder);
	if (error)
		return error;
	if (reader->damage.code) {
		if (ret_error)
			*ret_error = reader->damage;
		return reader->damage.code;
	}
	if (reader->trailer && !reader->has_index)
		return log_error_set(ret_error, -EBADMSG, chunk_table_end(&reader->table),
				     "the index is missing or does not fit the chunks");
	return 0;
}
