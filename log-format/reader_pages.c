/* What consists of pages: initial RAM and attachments. */
#include <errno.h>
#include <stdlib.h>

#include "log-format/format.h"
#include "log-format/message.h"
#include "log-format/reader.h"

/* ---- initial RAM ---- */

/* One row: which page of RAM, and its content's reference. False: the row is missing or impossible.
 */
static bool next_ram_row(struct cursor *cursor, uint64_t n_pages, uint64_t *page, uint64_t *ref,
			 uint64_t *ret_gpa)
{
	uint64_t folded, value;
	if (!cursor_varint(cursor, &folded) || !cursor_page_ref(cursor, ref, &value))
		return false;
	uint64_t number = zigzag_apply(folded, *page);
	if (number > UINT64_MAX / FORMAT_PAGE_BYTES || value == FORMAT_ZERO_PAGE_REF ||
	    value > n_pages)
		return false;
	*page = number + 1;
	*ret_gpa = number * FORMAT_PAGE_BYTES;
	return true;
}

int reader_walk_ram(struct log_reader *reader, uint64_t row,
		    int (*fn)(void *ctx, uint64_t gpa, const uint8_t *page), void *ctx,
		    struct log_error *ret_error)
{
	const struct chunk *chunk = &reader->table.rows[row].chunk;
	int error = chunk_read(&reader->chunks, chunk, &reader->raw, ret_error);
	if (error)
		return error;
	struct cursor cursor = {reader->raw.data, reader->raw.data + reader->raw.bytes};
	uint64_t n_pages = chunk_table_pages_before(&reader->table, row);
	uint64_t page = 0, ref = FORMAT_ZERO_PAGE_REF, gpa;
	for (uint64_t i = 0; i < chunk->n_items; i++) {
		const uint8_t *content;
		if (!next_ram_row(&cursor, n_pages, &page, &ref, &gpa))
			return log_error_set(ret_error, -EBADMSG, chunk->offset,
					     "row %llu of the ram chunk is impossible",
					     (unsigned long long)i);
		error = fn ? page_cache_get(&reader->pages, ref, &content, ret_error) : 0;
		if (!error && fn)
			error = fn(ctx, gpa, content);
		if (error)
			return error;
	}
	if (!cursor_at_end(&cursor))
		return log_error_set(ret_error, -EBADMSG, chunk->offset,
				     "ram chunk has more than its rows");
	return 0;
}

int log_reader_each_page(struct log_reader *reader,
			 int (*fn)(void *ctx, uint64_t gpa, const uint8_t *page), void *ctx,
			 struct log_error *ret_error)
{
	const struct chunk_table *table = &reader->table;
	const unsigned kind = REPRISE__CHUNK_KIND__CHUNK_RAM;
	uint64_t row = chunk_table_find_kind(table, 0, kind);
	for (; row < table->n; row = chunk_table_find_kind(table, row + 1, kind)) {
		int error = reader_walk_ram(reader, row, fn, ctx, ret_error);
		if (error)
			return error;
	}
	return 0;
}

/* ---- attachments ---- */

/* An empty column of a message has no bytes to point to. */
static struct cursor page_refs(const Reprise__Attachment *message)
{
	const ProtobufCBinaryData *refs = &message->page_refs;
	return (struct cursor){refs->data, refs->len ? refs->data + refs->len : refs->data};
}

static const char *refs_misfit(const Reprise__Attachment *message, uint64_t n_pages)
{
	struct cursor cursor = page_refs(message);
	uint64_t previous = FORMAT_ZERO_PAGE_REF, ref;
	for (uint64_t at = 0; at < message->bytes; at += FORMAT_PAGE_BYTES) {
		if (!cursor_page_ref(&cursor, &previous, &ref))
			return "attachment has fewer pages than its size";
		if (ref > n_pages)
			return "attachment refers to a page that is not before it";
	}
	return cursor_at_end(&cursor) ? NULL : "attachment has more pages than its size";
}

int reader_load_attachment(struct log_reader *reader, uint64_t row,
			   Reprise__Attachment **ret_message, struct log_error *ret_error)
{
	const struct chunk *chunk = &reader->table.rows[row].chunk;
	int error = chunk_read(&reader->chunks, chunk, &reader->raw, ret_error);
	if (error)
		return error;
	Reprise__Attachment *message = (Reprise__Attachment *)message_unpack(
		&reprise__attachment__descriptor, &reader->raw);
	if (!message)
		return log_error_set(ret_error, -EBADMSG, chunk->offset,
				     "attachment is malformed or too large");
	const char *misfit = message_attachment_misfit(message);
	if (!misfit)
		misfit = refs_misfit(message, chunk_table_pages_before(&reader->table, row));
	if (misfit) {
		message_free(&message->base);
		return log_error_set(ret_error, -EBADMSG, chunk->offset, "%s", misfit);
	}
	*ret_message = message;
	return 0;
}

unsigned log_reader_attachments(const struct log_reader *reader)
{
	return reader->n_attachments;
}

void log_reader_attachment(const struct log_reader *reader, unsigned n,
			   struct log_attachment *ret_attachment)
{
	const Reprise__Attachment *message = reader->attachments[n].message;
	*ret_attachment = (struct log_attachment){
		.name = message->name,
		.build_id = message->build_id.data,
		.build_id_bytes = message->build_id.len,
		.bytes = message->bytes,
	};
}

/* The references were checked by reader_load_attachment(). */
static int stream(struct log_reader *reader, const Reprise__Attachment *message,
		  int (*fn)(void *ctx, const uint8_t *data, size_t n), void *ctx,
		  struct log_error *ret_error)
{
	struct cursor cursor = page_refs(message);
	uint64_t previous = FORMAT_ZERO_PAGE_REF, ref = FORMAT_ZERO_PAGE_REF;
	uint64_t left = message->bytes;
	while (left && cursor_page_ref(&cursor, &previous, &ref)) {
		const uint8_t *page;
		size_t n = left < FORMAT_PAGE_BYTES ? (size_t)left : FORMAT_PAGE_BYTES;
		int error = page_cache_get(&reader->pages, ref, &page, ret_error);
		if (!error)
			error = fn(ctx, page, n);
		if (error)
			return error;
		left -= n;
	}
	return 0;
}

int log_reader_attachment_data(struct log_reader *reader, unsigned n,
			       int (*fn)(void *ctx, const uint8_t *data, size_t n), void *ctx,
			       struct log_error *ret_error)
{
	Reprise__Attachment *message;
	int error = reader_load_attachment(reader, reader->attachments[n].row, &message, ret_error);
	if (error)
		return error;
	error = stream(reader, message, fn, ctx, ret_error);
	message_free(&message->base);
	return error;
}
