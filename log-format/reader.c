/* Reading events: forwards, from an instruction count, from a position. */
#include "log-format/reader.h"

#include <errno.h>

const Reprise__Header *log_reader_header(const struct log_reader *reader)
{
	return reader->header;
}

const Reprise__Trailer *log_reader_trailer(const struct log_reader *reader)
{
	return reader->trailer;
}

const struct log_error *log_reader_damage(const struct log_reader *reader)
{
	return reader->damage.code ? &reader->damage : NULL;
}

uint64_t log_reader_last_icount(const struct log_reader *reader)
{
	return reader->last_icount;
}

int reader_load_events(struct log_reader *reader, uint64_t row, struct event_decoder *decoder,
		       struct log_error *ret_error)
{
	const struct chunk *chunk = &reader->table.rows[row].chunk;
	int error = chunk_read(&reader->chunks, chunk, event_decoder_raw(decoder), ret_error);
	if (error)
		return error;
	return event_decoder_start(decoder, chunk, chunk_table_pages_before(&reader->table, row),
				   ret_error);
}

/* Damage met at the present place: what can be read ends before it. */
static int note_damage(struct log_reader *reader, const struct log_error *error,
		       struct log_error *ret_error)
{
	if (error->code == -EBADMSG) {
		uint64_t icount = chunk_table_icount_before(&reader->table, reader->row);
		if (reader->loaded && event_decoder_position(reader->decoder))
			icount = event_decoder_icount(reader->decoder);
		if (icount < reader->last_icount)
			reader->last_icount = icount;
		reader->damage = *error;
	}
	if (ret_error)
		*ret_error = *error;
	return error->code;
}

/* Loads the event chunk at reader->row or the next one after it. Returns 1; 0 when there is none.
 */
static int load(struct log_reader *reader, struct log_error *ret_error)
{
	const struct chunk_table *table = &reader->table;
	if (reader->loaded)
		return 1;
	reader->row = chunk_table_find_kind(table, reader->row, REPRISE__CHUNK_KIND__CHUNK_EVENTS);
	if (reader->row == table->n)
		return 0;
	struct log_error error;
	if (reader_load_events(reader, reader->row, reader->decoder, &error))
		return note_damage(reader, &error, ret_error);
	reader->loaded = true;
	return 1;
}

int log_reader_next(struct log_reader *reader, struct event *ret_event, struct log_error *ret_error)
{
	for (;;) {
		int result = load(reader, ret_error);
		if (result < 0)
			return result;
		if (!result)
			break;
		struct log_error error;
		result = event_decoder_next(reader->decoder, &reader->pages, ret_event, &error);
		if (result > 0)
			return 1;
		if (result < 0)
			return note_damage(reader, &error, ret_error);
		reader->loaded = false;
		reader->row++;
	}
	if (reader->damage.code && ret_error)
		*ret_error = reader->damage;
	return reader->damage.code;
}

/* Makes event n of chunk row the next one. Page contents on the way are not looked up. */
static int go_to(struct log_reader *reader, uint64_t row, uint64_t n, struct log_error *ret_error)
{
	if (!reader->loaded || reader->row != row) {
		reader->loaded = false;
		reader->row = row;
		int result = load(reader, ret_error);
		if (result <= 0)
			return result;
	}
	struct log_error error;
	if (event_decoder_position(reader->decoder) > n &&
	    event_decoder_start(reader->decoder, &reader->table.rows[row].chunk,
				chunk_table_pages_before(&reader->table, row), &error))
		return note_damage(reader, &error, ret_error);
	struct event event;
	while (event_decoder_position(reader->decoder) < n) {
		if (event_decoder_next(reader->decoder, NULL, &event, &error) < 0)
			return note_damage(reader, &error, ret_error);
	}
	return 0;
}

int log_reader_seek(struct log_reader *reader, uint64_t icount, struct log_error *ret_error)
{
	uint64_t row = chunk_table_find_icount(&reader->table, icount);
	int error = go_to(reader, row, 0, ret_error);
	if (error || row == reader->table.n)
		return error;
	return go_to(reader, row, event_decoder_find(reader->decoder, icount), ret_error);
}

struct log_position log_reader_position(const struct log_reader *reader)
{
	return (struct log_position){
		.chunk = reader->row,
		.event = reader->loaded ? event_decoder_position(reader->decoder) : 0,
	};
}

int log_reader_set_position(struct log_reader *reader, struct log_position position,
			    struct log_error *ret_error)
{
	const struct chunk_table *table = &reader->table;
	const struct chunk *chunk =
		position.chunk < table->n ? &table->rows[position.chunk].chunk : NULL;
	bool events = chunk && chunk->kind == REPRISE__CHUNK_KIND__CHUNK_EVENTS;
	if (position.chunk > table->n || position.event > (events ? chunk->n_items : 0))
		return log_error_set(ret_error, -EINVAL, 0, "no such position in the file");
	if (events)
		return go_to(reader, position.chunk, position.event, ret_error);
	/* Between event chunks: the next one is looked for when it is asked for. */
	reader->loaded = false;
	reader->row = position.chunk;
	return 0;
}

bool log_reader_chunk(const struct log_reader *reader, uint64_t n, struct log_chunk_info *ret_info)
{
	if (n >= reader->table.n)
		return false;
	const struct chunk *chunk = &reader->table.rows[n].chunk;
	bool events = chunk->kind == REPRISE__CHUNK_KIND__CHUNK_EVENTS;
	*ret_info = (struct log_chunk_info){
		.offset = chunk->offset,
		.compressed_bytes = chunk->bytes,
		.raw_bytes = chunk->raw_bytes,
		.first_icount = chunk->first_icount,
		.last_icount = chunk->last_icount,
		.n_events = events ? chunk->n_items : 0,
		.kind = chunk_kind_name(chunk->kind),
	};
	return true;
}
