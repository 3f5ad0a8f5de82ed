/*
 * The table of chunks: where each stands and what it covers, in file order. The writer keeps one
 * and stores it as the index; the reader takes it from the index or makes it by scanning. Every row
 * is checked against the rows before it, wherever it comes from.
 */
#ifndef REPRISE_LOG_FORMAT_TABLE_H
#define REPRISE_LOG_FORMAT_TABLE_H

#include "log-format/chunks.h"

struct table_row {
	struct chunk chunk;
	uint64_t pages_after;  /* pages in the file up to and including this chunk */
	uint64_t icount_after; /* icount of the last event up to and including this chunk */
};

struct chunk_table {
	struct table_row *rows;
	uint64_t n, capacity;
	uint64_t n_events, n_attachments;
};

void chunk_table_finish(struct chunk_table *table);

/* Adds the chunk that follows. Returns 0, -ENOMEM, or -EBADMSG: it cannot stand there. */
int chunk_table_add(struct chunk_table *table, const struct chunk *chunk,
		    struct log_error *ret_error);
/* Drops the rows from the n-th on. */
void chunk_table_cut(struct chunk_table *table, uint64_t n);

/* Offset behind the last chunk. */
uint64_t chunk_table_end(const struct chunk_table *table);
/* Pages before the n-th chunk: a reference in it must be to one of these. */
uint64_t chunk_table_pages_before(const struct chunk_table *table, uint64_t n);
/* icount of the last event before the n-th chunk; 0 when there is none. */
uint64_t chunk_table_icount_before(const struct chunk_table *table, uint64_t n);
/* The first chunk of this kind at or after the n-th; table->n when there is none. */
uint64_t chunk_table_find_kind(const struct chunk_table *table, uint64_t n, unsigned kind);
/* The event chunk in which to look for the first event at or after icount, or table->n. */
uint64_t chunk_table_find_icount(const struct chunk_table *table, uint64_t icount);
/* The chunk that holds the page of this number (which must be in the table). */
uint64_t chunk_table_find_page(const struct chunk_table *table, uint64_t page);

/* Appends the index chunk's content to column. Returns 0, -ENOMEM, or -EFBIG: larger than a chunk.
 */
int chunk_table_encode(const struct chunk_table *table, struct column *column);
/* Makes an empty table from it; the chunks must fill the file from the preamble up to end. */
int chunk_table_decode(struct chunk_table *table, struct cursor cursor, uint64_t n, uint64_t end,
		       struct log_error *ret_error);

#endif
