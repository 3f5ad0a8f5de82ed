/*
 * Columns: rows of small numbers as bytes. A column is written by appending to a buffer that grows,
 * and read through a cursor that never passes its end.
 *
 * A varint holds 7 bits a byte, lowest first, bit 7 set on all but the last: at most 10 bytes.
 * Signed differences are folded to unsigned ones first (zigzag: 0, -1, 1, -2, …), modulo 2^64, so
 * that any two 64-bit numbers have a difference.
 */
#ifndef REPRISE_LOG_FORMAT_COLUMN_H
#define REPRISE_LOG_FORMAT_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX_BYTES 10u

struct column {
	uint8_t *data;
	size_t bytes, capacity;
};

/* Empties the column and keeps its memory. */
void column_clear(struct column *column);
void column_finish(struct column *column);
/* Makes room for n more bytes. Returns 0 or -ENOMEM. The appending functions below need that room.
 */
int column_reserve(struct column *column, size_t n);
void column_put_bytes(struct column *column, const void *data, size_t n);
void column_put_byte(struct column *column, uint8_t value);
void column_put_le64(struct column *column, uint64_t value);
void column_put_varint(struct column *column, uint64_t value);

struct cursor {
	const uint8_t *at, *end;
};

/* All return false, with nothing read, when the column does not hold what is asked for. */
bool cursor_byte(struct cursor *cursor, uint8_t *ret_value);
bool cursor_le64(struct cursor *cursor, uint64_t *ret_value);
bool cursor_varint(struct cursor *cursor, uint64_t *ret_value);
bool cursor_bytes(struct cursor *cursor, size_t n, const uint8_t **ret_data);

static inline bool cursor_at_end(const struct cursor *cursor)
{
	return cursor->at == cursor->end;
}

/* value - base, as an unsigned number that is small when the two are close. */
static inline uint64_t zigzag_difference(uint64_t value, uint64_t base)
{
	uint64_t difference = value - base;
	return difference << 1 ^ (0 - (difference >> 63));
}

/* The value that zigzag_difference() was made from. */
static inline uint64_t zigzag_apply(uint64_t folded, uint64_t base)
{
	return base + (folded >> 1 ^ (0 - (folded & 1)));
}

/*
 * References to pages in a row: a run of pages that follow each other in the file is a run of
 * zeros. *previous starts at FORMAT_ZERO_PAGE_REF.
 */
void column_put_page_ref(struct column *column, uint64_t ref, uint64_t *previous);
bool cursor_page_ref(struct cursor *cursor, uint64_t *previous, uint64_t *ret_ref);

#endif
