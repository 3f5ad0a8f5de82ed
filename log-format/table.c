#include "log-format/table.h"

#include <errno.h>
#include <stdlib.h>

#include "log-format/format.h"

void chunk_table_finish(struct chunk_table *table)
{
	free(table->rows);
	*table = (struct chunk_table){0};
}

uint64_t chunk_table_end(const struct chunk_table *table)
{
	if (!table->n)
		return FORMAT_PREAMBLE_BYTES;
	const struct chunk *last = &table->rows[table->n - 1].chunk;
	return last->offset + last->bytes;
}

uint64_t chunk_table_pages_before(const struct chunk_table *table, uint64_t n)
{
	return n ? table->rows[n - 1].pages_after : 0;
}

uint64_t chunk_table_icount_before(const struct chunk_table *table, uint64_t n)
{
	return n ? table->rows[n - 1].icount_after : 0;
}

/* Why the chunk cannot follow those in the table, or NULL. */
static const char *order_misfit(const struct chunk_table *table, const struct chunk *chunk)
{
	bool first = table->n == 0;
	bool header = chunk->kind == REPRISE__CHUNK_KIND__CHUNK_HEADER;
	if (first != header)
		return first ? "stands where the header chunk must" : "stands in the file twice";
	if (table->n >= FORMAT_CHUNKS_MAX)
		return "is one more than a file may have";
	if (chunk->kind == REPRISE__CHUNK_KIND__CHUNK_INDEX)
		return "stands where the recording has not ended";
	if (!first && table->rows[table->n - 1].chunk.kind == REPRISE__CHUNK_KIND__CHUNK_TRAILER)
		return "follows the trailer";
	if (chunk->kind == REPRISE__CHUNK_KIND__CHUNK_RAM && table->n_events)
		return "follows the first events";
	if (chunk->kind == REPRISE__CHUNK_KIND__CHUNK_ATTACHMENT &&
	    table->n_attachments >= FORMAT_ATTACHMENTS_MAX)
		return "is one more than a file may have";
	if (chunk->kind == REPRISE__CHUNK_KIND__CHUNK_EVENTS &&
	    chunk->first_icount < chunk_table_icount_before(table, table->n))
		return "goes back in instruction counts";
	return NULL;
}

static int make_room(struct chunk_table *table)
{
	if (table->n < table->capacity)
		return 0;
	uint64_t capacity = table->capacity ? table->capacity * 2 : 64;
	struct table_row *rows = realloc(table->rows, capacity * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	table->rows = rows;
	table->capacity = capacity;
	return 0;
}

int chunk_table_add(struct chunk_table *table, const struct chunk *chunk,
		    struct log_error *ret_error)
{
	const char *misfit = order_misfit(table, chunk);
	if (misfit)
		return log_error_set(ret_error, -EBADMSG, chunk->offset, "%s chunk %s",
				     chunk_kind_name(chunk->kind), misfit);
	if (make_room(table))
		return log_error_set(ret_error, -ENOMEM, chunk->offset, "out of memory");
	bool events = chunk->kind == REPRISE__CHUNK_KIND__CHUNK_EVENTS;
	bool pages = chunk->kind == REPRISE__CHUNK_KIND__CHUNK_PAGES;
	struct table_row row = {
		.chunk = *chunk,
		.pages_after =
			chunk_table_pages_before(table, table->n) + (pages ? chunk->n_items : 0),
		.icount_after =
			events ? chunk->last_icount : chunk_table_icount_before(table, table->n),
	};
	table->rows[table->n++] = row;
	if (events)
		table->n_events += chunk->n_items;
	if (chunk->kind == REPRISE__CHUNK_KIND__CHUNK_ATTACHMENT)
		table->n_attachments++;
	return 0;
}

void chunk_table_cut(struct chunk_table *table, uint64_t n)
{
	while (table->n > n) {
		const struct chunk *chunk = &table->rows[--table->n].chunk;
		if (chunk->kind == REPRISE__CHUNK_KIND__CHUNK_EVENTS)
			table->n_events -= chunk->n_items;
		if (chunk->kind == REPRISE__CHUNK_KIND__CHUNK_ATTACHMENT)
			table->n_attachments--;
	}
}

uint64_t chunk_table_find_kind(const struct chunk_table *table, uint64_t n, unsigned kind)
{
	while (n < table->n && table->rows[n].chunk.kind != kind)
		n++;
	return n;
}

/* The first row whose pages_after (or icount_after) is at least value; both never decrease. */
static uint64_t lower_bound(const struct chunk_table *table, bool pages, uint64_t value)
{
	uint64_t low = 0, high = table->n;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		const struct table_row *row = &table->rows[middle];
		if ((pages ? row->pages_after : row->icount_after) < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t chunk_table_find_icount(const struct chunk_table *table, uint64_t icount)
{
	return chunk_table_find_kind(table, lower_bound(table, false, icount),
				     REPRISE__CHUNK_KIND__CHUNK_EVENTS);
}

uint64_t chunk_table_find_page(const struct chunk_table *table, uint64_t page)
{
	return lower_bound(table, true, page + 1);
}

/* ---- the index ---- */

int chunk_table_encode(const struct chunk_table *table, struct column *column)
{
	uint64_t icount = 0;
	for (uint64_t i = 0; i < table->n; i++) {
		const struct chunk *chunk = &table->rows[i].chunk;
		if (column_reserve(column, 6 * VARINT_MAX_BYTES))
			return -ENOMEM;
		column_put_byte(column, chunk->kind);
		column_put_varint(column, chunk->bytes);
		column_put_varint(column, chunk->raw_bytes);
		column_put_varint(column, chunk->n_items);
		column_put_varint(column, zigzag_difference(chunk->first_icount, icount));
		column_put_varint(column, chunk->last_icount - chunk->first_icount);
		icount = chunk->last_icount;
	}
	return column->bytes > FORMAT_RAW_MAX ? -EFBIG : 0;
}

static bool decode_row(struct cursor *cursor, struct chunk *chunk, uint64_t *icount)
{
	uint64_t first, length;
	if (!cursor_byte(cursor, &chunk->kind) || !cursor_varint(cursor, &chunk->bytes) ||
	    !cursor_varint(cursor, &chunk->raw_bytes) || !cursor_varint(cursor, &chunk->n_items) ||
	    !cursor_varint(cursor, &first) || !cursor_varint(cursor, &length))
		return false;
	chunk->first_icount = zigzag_apply(first, *icount);
	chunk->last_icount = chunk->first_icount + length;
	*icount = chunk->last_icount;
	return chunk->bytes > FORMAT_FRAME_BYTES && !chunk_misfit(chunk);
}

int chunk_table_decode(struct chunk_table *table, struct cursor cursor, uint64_t n, uint64_t end,
		       struct log_error *ret_error)
{
	uint64_t icount = 0;
	for (uint64_t i = 0; i < n; i++) {
		struct chunk chunk = {.offset = chunk_table_end(table)};
		if (!decode_row(&cursor, &chunk, &icount) || chunk.bytes > end - chunk.offset)
			return log_error_set(ret_error, -EBADMSG, end,
					     "index row %llu is impossible", (unsigned long long)i);
		int error = chunk_table_add(table, &chunk, ret_error);
		if (error)
			return error;
	}
	if (!cursor_at_end(&cursor) || chunk_table_end(table) != end)
		return log_error_set(ret_error, -EBADMSG, end, "the index does not fit the file");
	return 0;
}
