#include "tools/text.h"

#include <inttypes.h>
#include <string.h>

/* The row for a lead byte: how many bytes follow, and the least code point that needs them. */
static const struct utf8_form {
	uint8_t mask, lead;
	int length;
	uint32_t least;
} utf8_forms[] = {
	{.mask = 0x80, .lead = 0x00, .length = 1, .least = 0},
	{.mask = 0xe0, .lead = 0xc0, .length = 2, .least = 0x80},
	{.mask = 0xf0, .lead = 0xe0, .length = 3, .least = 0x800},
	{.mask = 0xf8, .lead = 0xf0, .length = 4, .least = 0x10000},
};

static const struct utf8_form *find_form(uint8_t lead)
{
	for (size_t i = 0; i < sizeof(utf8_forms) / sizeof(utf8_forms[0]); i++) {
		if ((lead & utf8_forms[i].mask) == utf8_forms[i].lead)
			return &utf8_forms[i];
	}
	return NULL;
}

int text_decode_utf8(const uint8_t *p, size_t n, uint32_t *ret_code_point)
{
	const struct utf8_form *form = n ? find_form(p[0]) : NULL;

	if (!form)
		return 0;
	uint32_t code_point = p[0] & (uint8_t)~form->mask;
	for (int i = 1; i < form->length; i++) {
		if ((size_t)i == n)
			return -1;
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code_point = code_point << 6 | (p[i] & 0x3f);
	}
	if (code_point < form->least || code_point > 0x10ffff ||
	    (code_point >= 0xd800 && code_point <= 0xdfff))
		return 0;
	*ret_code_point = code_point;
	return form->length;
}

int text_is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || /* C0, DEL, C1 */
	       c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0xfeff; /* line breaks, direction marks */
}

static void print_byte_escaped(FILE *out, uint8_t byte)
{
	if (byte == '\n')
		fputs("\\n", out);
	else if (byte == '\t')
		fputs("\\t", out);
	else
		fprintf(out, "\\x%02x", byte);
}

void text_print_escaped(FILE *out, const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t n = strlen(s);

	while (n) {
		uint32_t code_point = 0;
		int length = text_decode_utf8(p, n, &code_point);
		int step = length < 1 ? 1 : length;
		if (length < 1 || text_is_control(code_point)) {
			for (int i = 0; i < step; i++)
				print_byte_escaped(out, p[i]);
		} else {
			if (code_point == '\\')
				fputc('\\', out);
			fwrite(p, 1, (size_t)step, out);
		}
		p += step;
		n -= (size_t)step;
	}
}

const char *text_count(char buffer[TEXT_NUMBER_BYTES], uint64_t n)
{
	char digits[TEXT_NUMBER_BYTES];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *to = buffer;

	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = 0;
	return buffer;
}

const char *text_bytes(char buffer[TEXT_NUMBER_BYTES], uint64_t n)
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
	double scaled = (double)n;
	unsigned unit = 0;

	for (; scaled >= 1000 && unit < 6; unit++)
		scaled /= 1000;
	if (!unit)
		snprintf(buffer, TEXT_NUMBER_BYTES, "%" PRIu64 " bytes", n);
	else
		snprintf(buffer, TEXT_NUMBER_BYTES, "%.*f %s", scaled < 10 ? 2 : 1, scaled,
			 units[unit]);
	return buffer;
}

const char *text_seconds(char buffer[TEXT_NUMBER_BYTES], uint64_t ns)
{
	snprintf(buffer, TEXT_NUMBER_BYTES, "%" PRIu64 ".%03u s", ns / 1000000000,
		 (unsigned)(ns / 1000000 % 1000));
	return buffer;
}
