/* The protocol's text: hexadecimal, numbers, and replies that are put together piece by piece. */
#ifndef REPRISE_GDBSTUB_TEXT_H
#define REPRISE_GDBSTUB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A packet's content being read from front to back. */
struct cursor {
	const char *at, *end;
};

/* Takes the literal when it comes next. */
bool cursor_take(struct cursor *cursor, const char *literal);
/* Takes a hexadecimal number of at most 16 digits. Returns false when there is none. */
bool cursor_hex(struct cursor *cursor, uint64_t *ret_value);
/* Takes "ADDR,LENGTH". */
bool cursor_range(struct cursor *cursor, uint64_t *ret_address, uint64_t *ret_bytes);
/* Takes n bytes written as 2n hexadecimal digits. */
bool cursor_hex_bytes(struct cursor *cursor, uint8_t *ret_bytes, size_t n);
/* Takes up to and without the separator (and drops that), or all that is left. */
struct cursor cursor_until(struct cursor *cursor, char separator);
static inline size_t cursor_left(const struct cursor *cursor)
{
	return (size_t)(cursor->end - cursor->at);
}

/* What goes back; grows as needed. Without memory it becomes empty and stays so. */
struct reply {
	char *data;
	size_t n, max;
	bool failed;
};

void reply_finish(struct reply *reply);
void reply_clear(struct reply *reply);
void reply_bytes(struct reply *reply, const void *data, size_t n);
void reply_hex_bytes(struct reply *reply, const void *data, size_t n);
__attribute__((format(printf, 2, 3))) void reply_print(struct reply *reply, const char *format,
						       ...);

#endif
