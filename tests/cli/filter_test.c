/* The console filter, the escaping of text, and JSON: nothing that acts on a terminal gets through.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"
#include "tools/filter.h"
#include "tools/json.h"
#include "tools/text.h"

static const struct filter_case {
	const char *name, *in, *out;
} filters[] = {
	{"plain text", "abc\r\n\tx\b", "abc\r\n\tx\b"},
	{"UTF-8", "gr\303\274n \342\202\254 \360\237\230\200",
	 "gr\303\274n \342\202\254 \360\237\230\200"},
	{"colours", "\033[1;31mred\033[0m\033[38:5:1m", "\033[1;31mred\033[0m\033[38:5:1m"},
	{"cursor movement", "a\033[2J\033[10;5Hb\033[?25lc", "abc"},
	{"answer back", "a\033[6n\033[c\033Zb", "ab"},
	{"window title", "a\033]0;title\007b", "ab"},
	{"window title ended by ST", "a\033]0;title\033\\b", "ab"},
	{"clipboard", "a\033]52;c;AAAA\007b", "ab"},
	{"device control string", "a\033P$q\"p\033\\b", "ab"},
	{"APC, PM, SOS", "a\033_x\033\\b\033^x\033\\c\033Xx\033\\d", "abcd"},
	{"a string that never ends loses a line", "a\033]0;title\nb", "a\nb"},
	{"character sets", "a\033(0b\033#8c", "abc"},
	{"reset", "a\033cb", "ab"},
	{"bell and other controls", "a\007\016\017\177b", "ab"},
	{"8-bit controls in UTF-8", "a\302\2332J\302\235x", "a2Jx"},
	{"direction marks", "a\342\200\256b\342\201\246c", "abc"},
	{"invalid bytes", "a\377\200b\303(", "a??b?("},
	{"overlong", "\300\257", "??"},
	{"a character cut by a sequence", "\303\033[31mx", "?\033[31mx"},
	{"a sequence cut by a sequence", "\033[31\033[32mx", "\033[32mx"},
	{"a control inside a sequence", "\033[3\n1mx", "1mx"},
	{"too long a sequence", "\033[11111111111111111111111111111111111111111mx", "x"},
};

/* In one piece, then byte by byte: the same must come out. */
static void test_filter(const struct filter_case *test)
{
	uint8_t out[2][512];
	size_t n[2] = {0}, n_in = strlen(test->in), expected = strlen(test->out);
	struct filter filter;

	filter_init(&filter);
	n[0] = filter_apply(&filter, (const uint8_t *)test->in, n_in, out[0]);
	filter_init(&filter);
	for (size_t i = 0; i < n_in; i++)
		n[1] += filter_apply(&filter, (const uint8_t *)test->in + i, 1, out[1] + n[1]);
	for (int i = 0; i < 2; i++)
		tap_ok(n[i] == expected && !memcmp(out[i], test->out, expected), "filter: %s%s",
		       test->name, i ? ", byte by byte" : "");
}

/* Random bytes: the promised room suffices (the sanitizer looks), and no control comes out. */
static void test_filter_noise(void)
{
	static const uint8_t common[] = {0x1b, '[', ']', 'm', ';', 0xc2, 0x9b, 0xe2, '\n', 7};
	struct filter filter;
	uint8_t *in = malloc(300), *out = malloc(300 + FILTER_PENDING_MAX);
	uint32_t random = 1;
	bool clean = true;

	filter_init(&filter);
	for (int round = 0; round < 2000; round++) {
		for (int i = 0; i < 300; i++) {
			random = random * 1664525 + 1013904223;
			in[i] = random >> 31 ? (uint8_t)(random >> 20)
					     : common[(random >> 20) % sizeof(common)];
		}
		size_t n = filter_apply(&filter, in, random >> 20 & 255, out);
		for (size_t i = 0; i < n; i++) {
			clean &= out[i] != 7 && out[i] != 0x7f;
			clean &= out[i] != 0x1b || (i + 1 < n && out[i + 1] == '[');
		}
	}
	tap_ok(clean, "filter: random bytes");
	free(in);
	free(out);
}

static const struct escape_case {
	const char *in, *text, *json;
} escapes[] = {
	{"plain", "plain", "\"plain\""},
	{"a\"b\\c", "a\"b\\\\c", "\"a\\\"b\\\\c\""},
	{"\033[31m\n", "\\x1b[31m\\n", "\"\\u001b[31m\\u000a\""},
	{"\303\274", "\303\274", "\"\303\274\""},
	{"\377x", "\\xffx", "\"\\ufffdx\""},
	{"\302\233", "\\xc2\\x9b", "\"\\u009b\""},
	{"\342\200\256", "\\xe2\\x80\\xae", "\"\\u202e\""},
	{"\342\202", "\\xe2\\x82", "\"\\ufffd\\ufffd\""},
};

static void test_escape(const struct escape_case *test)
{
	char *text = NULL, *json_text = NULL;
	size_t n;
	struct json json;

	FILE *out = open_memstream(&text, &n);
	text_print_escaped(out, test->in);
	fclose(out);
	out = open_memstream(&json_text, &n);
	json_init(&json, out);
	json_string(&json, NULL, test->in);
	fclose(out);
	tap_ok(!strcmp(text, test->text), "escaped: %s", test->text);
	tap_ok(!strcmp(json_text, test->json), "JSON: %s", test->json);
	free(text);
	free(json_text);
}

static void test_json(void)
{
	static const char expected[] =
		"{\"a\":1,\"b\":[],\"c\":[\"x\",null,{\"d\":-1}],\"e\":true,\"f\":\"0xff\","
		"\"g\":\"00a0\"}\n[2]\n";
	char *text = NULL;
	size_t n;
	struct json json;
	FILE *out = open_memstream(&text, &n);

	json_init(&json, out);
	json_begin_object(&json, NULL);
	json_number(&json, "a", 1);
	json_begin_array(&json, "b");
	json_end_array(&json);
	json_begin_array(&json, "c");
	json_string(&json, NULL, "x");
	json_string(&json, NULL, NULL);
	json_begin_object(&json, NULL);
	json_signed(&json, "d", -1);
	json_end_object(&json);
	json_end_array(&json);
	json_bool(&json, "e", true);
	json_hex(&json, "f", 255);
	json_bytes(&json, "g", (const uint8_t[]){0, 0xa0}, 2);
	json_end_object(&json);
	json_end_line(&json);
	json_begin_array(&json, NULL);
	json_number(&json, NULL, 2);
	json_end_array(&json);
	json_end_line(&json);
	fclose(out);
	tap_ok(!strcmp(text, expected), "JSON: every kind of value");
	free(text);
}

static void test_numbers(void)
{
	char buffer[TEXT_NUMBER_BYTES];

	tap_ok(!strcmp(text_count(buffer, 0), "0") && !strcmp(text_count(buffer, 999), "999") &&
		       !strcmp(text_count(buffer, 1000), "1,000"),
	       "counts");
	tap_ok(!strcmp(text_count(buffer, UINT64_MAX), "18,446,744,073,709,551,615"),
	       "the largest count");
	tap_ok(!strcmp(text_bytes(buffer, 999), "999 bytes") &&
		       !strcmp(text_bytes(buffer, 1500000), "1.50 MB") &&
		       !strcmp(text_bytes(buffer, UINT64_MAX), "18.4 EB"),
	       "bytes");
	tap_ok(!strcmp(text_seconds(buffer, 1234567890), "1.234 s"), "seconds");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		test_filter(&filters[i]);
	test_filter_noise();
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++)
		test_escape(&escapes[i]);
	test_json();
	test_numbers();
	return tap_done();
}
