#include "log-format/column.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log-format/bytes.h"

void column_clear(struct column *column)
{
	column->bytes = 0;
}

void column_finish(struct column *column)
{
	free(column->data);
	*column = (struct column){0};
}

int column_reserve(struct column *column, size_t n)
{
	if (n <= column->capacity - column->bytes)
		return 0;
	size_t capacity = column->capacity ? column->capacity : 256;
	while (capacity - column->bytes < n)
		capacity *= 2;
	uint8_t *data = realloc(column->data, capacity);
	if (!data)
		return -ENOMEM;
	column->data = data;
	column->capacity = capacity;
	return 0;
}

void column_put_bytes(struct column *column, const void *data, size_t n)
{
	if (!n)
		return;
	memcpy(column->data + column->bytes, data, n);
	column->bytes += n;
}

void column_put_byte(struct column *column, uint8_t value)
{
	column->data[column->bytes++] = value;
}

void column_put_le64(struct column *column, uint64_t value)
{
	bytes_put_le64(column->data + column->bytes, value);
	column->bytes += 8;
}

void column_put_varint(struct column *column, uint64_t value)
{
	while (value >= 0x80) {
		column_put_byte(column, (uint8_t)(value | 0x80));
		value >>= 7;
	}
	column_put_byte(column, (uint8_t)value);
}

bool cursor_bytes(struct cursor *cursor, size_t n, const uint8_t **ret_data)
{
	if (n > (size_t)(cursor->end - cursor->at))
		return false;
	*ret_data = cursor->at;
	cursor->at += n;
	return true;
}

bool cursor_byte(struct cursor *cursor, uint8_t *ret_value)
{
	if (cursor->at == cursor->end)
		return false;
	*ret_value = *cursor->at++;
	return true;
}

bool cursor_le64(struct cursor *cursor, uint64_t *ret_value)
{
	const uint8_t *data;
	if (!cursor_bytes(cursor, 8, &data))
		return false;
	*ret_value = bytes_get_le64(data);
	return true;
}

bool cursor_varint(struct cursor *cursor, uint64_t *ret_value)
{
	uint64_t value = 0;
	const uint8_t *at = cursor->at;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (at == cursor->end)
			return false;
		uint8_t byte = *at++;
		/* The tenth byte has room for one bit only. */
		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			cursor->at = at;
			*ret_value = value;
			return true;
		}
	}
	return false;
}

void column_put_page_ref(struct column *column, uint64_t ref, uint64_t *previous)
{
	column_put_varint(column, zigzag_difference(ref, *previous + 1));
	*previous = ref;
}

bool cursor_page_ref(struct cursor *cursor, uint64_t *previous, uint64_t *ret_ref)
{
	uint64_t folded;
	if (!cursor_varint(cursor, &folded))
		return false;
	*previous = *ret_ref = zigzag_apply(folded, *previous + 1);
	return true;
}
