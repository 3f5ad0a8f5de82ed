#include "tools/json.h"

#include <inttypes.h>
#include <string.h>

#include "tools/text.h"

/* The string between quotation marks, escaped. */
static void print_quoted(FILE *out, const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t n = strlen(s);

	fputc('"', out);
	while (n) {
		uint32_t c = 0;
		int length = text_decode_utf8(p, n, &c);
		size_t step = length < 1 ? 1 : (size_t)length;
		if (length < 1)
			fputs("\\ufffd", out);
		else if (c == '"' || c == '\\')
			fprintf(out, "\\%c", (char)c);
		else if (text_is_control(c))
			fprintf(out, "\\u%04" PRIx32, c);
		else
			fwrite(p, 1, step, out);
		p += step;
		n -= step;
	}
	fputc('"', out);
}

static void begin_value(struct json *json, const char *key)
{
	if (json->needs_comma)
		fputc(',', json->out);
	json->needs_comma = true;
	if (key) {
		print_quoted(json->out, key);
		fputc(':', json->out);
	}
}

static void open_bracket(struct json *json, const char *key, char bracket)
{
	begin_value(json, key);
	fputc(bracket, json->out);
	json->needs_comma = false;
}

static void close_bracket(struct json *json, char bracket)
{
	fputc(bracket, json->out);
	json->needs_comma = true;
}

void json_begin_object(struct json *json, const char *key)
{
	open_bracket(json, key, '{');
}

void json_end_object(struct json *json)
{
	close_bracket(json, '}');
}

void json_begin_array(struct json *json, const char *key)
{
	open_bracket(json, key, '[');
}

void json_end_array(struct json *json)
{
	close_bracket(json, ']');
}

void json_string(struct json *json, const char *key, const char *value)
{
	begin_value(json, key);
	if (value)
		print_quoted(json->out, value);
	else
		fputs("null", json->out);
}

void json_number(struct json *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRIu64, value);
}

void json_signed(struct json *json, const char *key, int64_t value)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRId64, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_value(json, key);
	fputs(value ? "true" : "false", json->out);
}

void json_hex(struct json *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	fprintf(json->out, "\"0x%" PRIx64 "\"", value);
}

void json_bytes(struct json *json, const char *key, const uint8_t *data, size_t n)
{
	begin_value(json, key);
	fputc('"', json->out);
	for (size_t i = 0; i < n; i++)
		fprintf(json->out, "%02x", data[i]);
	fputc('"', json->out);
}

void json_end_line(struct json *json)
{
	fputc('\n', json->out);
	json->needs_comma = false;
}
