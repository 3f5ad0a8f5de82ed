/*
 * Writes JSON (RFC 8259) to a stream: objects, arrays, and values in them. Keys are NULL inside
 * arrays and at the top. Nothing is indented: one value at the top is one line.
 */
#ifndef REPRISE_TOOLS_JSON_H
#define REPRISE_TOOLS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	bool needs_comma;
};

static inline void json_init(struct json *json, FILE *out)
{
	*json = (struct json){.out = out};
}

void json_begin_object(struct json *json, const char *key);
void json_end_object(struct json *json);
void json_begin_array(struct json *json, const char *key);
void json_end_array(struct json *json);

/* Any bytes: control characters as \uNNNN, bytes that are not UTF-8 as U+FFFD. NULL: null. */
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, uint64_t value);
void json_signed(struct json *json, const char *key, int64_t value);
void json_bool(struct json *json, const char *key, bool value);
/* A string "0x…": for addresses and hashes, which a reader's doubles could not hold. */
void json_hex(struct json *json, const char *key, uint64_t value);
/* A string of two hexadecimal digits a byte. */
void json_bytes(struct json *json, const char *key, const uint8_t *data, size_t n);

/* Ends the line. */
void json_end_line(struct json *json);

#endif
