#include "gdbstub/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool cursor_take(struct cursor *cursor, const char *literal)
{
	size_t n = strlen(literal);

	if (cursor_left(cursor) < n || memcmp(cursor->at, literal, n) != 0)
		return false;
	cursor->at += n;
	return true;
}

bool cursor_hex(struct cursor *cursor, uint64_t *ret_value)
{
	uint64_t value = 0;
	unsigned n = 0;

	while (cursor->at < cursor->end && digit(*cursor->at) >= 0) {
		if (n++ == 16)
			return false;
		value = value << 4 | (unsigned)digit(*cursor->at++);
	}
	*ret_value = value;
	return n != 0;
}

bool cursor_range(struct cursor *cursor, uint64_t *ret_address, uint64_t *ret_bytes)
{
	return cursor_hex(cursor, ret_address) && cursor_take(cursor, ",") &&
	       cursor_hex(cursor, ret_bytes);
}

bool cursor_hex_bytes(struct cursor *cursor, uint8_t *ret_bytes, size_t n)
{
	if (cursor_left(cursor) / 2 < n)
		return false;
	for (size_t i = 0; i < n; i++, cursor->at += 2) {
		int high = digit(cursor->at[0]), low = digit(cursor->at[1]);
		if (high < 0 || low < 0)
			return false;
		ret_bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

struct cursor cursor_until(struct cursor *cursor, char separator)
{
	struct cursor part = *cursor;
	const char *found = memchr(cursor->at, separator, cursor_left(cursor));

	if (found) {
		part.end = found;
		cursor->at = found + 1;
	} else {
		cursor->at = cursor->end;
	}
	return part;
}

/* ---- replies ---- */

void reply_finish(struct reply *reply)
{
	free(reply->data);
	*reply = (struct reply){0};
}

void reply_clear(struct reply *reply)
{
	reply->n = 0;
	reply->failed = false;
}

/* Makes room for n bytes more and a zero. */
static bool reserve(struct reply *reply, size_t n)
{
	size_t max = reply->max ? reply->max : 256;

	if (reply->failed)
		return false;
	while (max - reply->n <= n)
		max *= 2;
	if (max == reply->max)
		return true;
	char *data = realloc(reply->data, max);
	if (!data) {
		reply->n = 0;
		reply->failed = true;
		return false;
	}
	reply->data = data;
	reply->max = max;
	return true;
}

void reply_bytes(struct reply *reply, const void *data, size_t n)
{
	if (!n || !reserve(reply, n))
		return;
	memcpy(reply->data + reply->n, data, n);
	reply->n += n;
}

void reply_hex_bytes(struct reply *reply, const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;

	if (!reserve(reply, 2 * n))
		return;
	for (size_t i = 0; i < n; i++) {
		reply->data[reply->n++] = digits[bytes[i] >> 4];
		reply->data[reply->n++] = digits[bytes[i] & 15];
	}
}

void reply_print(struct reply *reply, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0 || !reserve(reply, (size_t)n))
		return;
	va_start(args, format);
	vsnprintf(reply->data + reply->n, (size_t)n + 1, format, args);
	va_end(args);
	reply->n += (size_t)n;
}
