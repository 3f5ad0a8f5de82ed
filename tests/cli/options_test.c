/* The option parser: every kind of option, and every way to get one wrong. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/tap.h"
#include "tools/options.h"

struct values {
	bool flag, other;
	const char *string;
	struct option_list list;
	struct option_number number, size;
	struct option_number time;
	const char *maybe;
	unsigned choice;
};

static const char *const choices[] = {"red", "green", NULL};

#define FIELD(member) offsetof(struct values, member)

static const struct option options[] = {
	{.name = "flag",
	 .letter = 'f',
	 .kind = OPTION_FLAG,
	 .negatable = true,
	 .offset = FIELD(flag)},
	{.name = "other", .letter = 'x', .kind = OPTION_FLAG, .offset = FIELD(other)},
	{.name = "string", .letter = 's', .kind = OPTION_STRING, .offset = FIELD(string)},
	{.name = "list", .kind = OPTION_LIST, .offset = FIELD(list)},
	{.name = "number", .kind = OPTION_NUMBER, .offset = FIELD(number), .min = 1, .max = 100},
	{.name = "size", .kind = OPTION_SIZE, .offset = FIELD(size)},
	{.name = "choice", .kind = OPTION_CHOICE, .offset = FIELD(choice), .choices = choices},
	{.name = "time", .kind = OPTION_TIME, .offset = FIELD(time), .min = 1},
	{.name = "maybe", .kind = OPTION_MAYBE, .offset = FIELD(maybe)},
};

static const struct option_table table = {
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

static const struct command command = {
	.name = "test",
	.operands = "FILE",
	.tables = {&table},
	.max_operands = 2,
};

static const struct command starter = {
	.name = "test",
	.operands = "CMD",
	.tables = {&table},
	.min_operands = 1,
	.max_operands = 100,
	.takes_command = true,
};

#define MAX_ARGUMENTS 8

static const struct parse_case {
	const char *name;
	const struct command *command;
	const char *arguments[MAX_ARGUMENTS];
	enum options_result result;
	struct values values;
	int n_operands;
	const char *last_operand;
} cases[] = {
	{"nothing", &command, {NULL}, OPTIONS_OK, {0}, 0, NULL},
	{"a flag", &command, {"--flag"}, OPTIONS_OK, {.flag = true}, 0, NULL},
	{"a flag taken back", &command, {"--flag", "--no-flag"}, OPTIONS_OK, {0}, 0, NULL},
	{"two letters", &command, {"-fx"}, OPTIONS_OK, {.flag = true, .other = true}, 0, NULL},
	{"a value behind =", &command, {"--string=a=b"}, OPTIONS_OK, {.string = "a=b"}, 0, NULL},
	{"a value as the next",
	 &command,
	 {"--string", "--x"},
	 OPTIONS_OK,
	 {.string = "--x"},
	 0,
	 NULL},
	{"a value behind a letter",
	 &command,
	 {"-fsab"},
	 OPTIONS_OK,
	 {.flag = true, .string = "ab"},
	 0,
	 NULL},
	{"an empty value", &command, {"--string="}, OPTIONS_OK, {.string = ""}, 0, NULL},
	{"a number", &command, {"--number", "0x1f"}, OPTIONS_OK, {.number = {31, true}}, 0, NULL},
	{"a size", &command, {"--size", "3MiB"}, OPTIONS_OK, {.size = {3 << 20, true}}, 0, NULL},
	{"a choice", &command, {"--choice", "green"}, OPTIONS_OK, {.choice = 1}, 0, NULL},
	{"a time", &command, {"--time", "90"}, OPTIONS_OK, {.time = {90, true}}, 0, NULL},
	{"seconds", &command, {"--time=5s"}, OPTIONS_OK, {.time = {5, true}}, 0, NULL},
	{"minutes", &command, {"--time", "10m"}, OPTIONS_OK, {.time = {600, true}}, 0, NULL},
	{"hours", &command, {"--time", "2h"}, OPTIONS_OK, {.time = {7200, true}}, 0, NULL},
	{"a value that may be left out",
	 &command,
	 {"--maybe", "a"},
	 OPTIONS_OK,
	 {.maybe = ""},
	 1,
	 "a"},
	{"or is there", &command, {"--maybe=a"}, OPTIONS_OK, {.maybe = "a"}, 0, NULL},
	{"operands between", &command, {"a", "--flag", "b"}, OPTIONS_OK, {.flag = true}, 2, "b"},
	{"operands that look like options",
	 &command,
	 {"--", "--flag"},
	 OPTIONS_OK,
	 {0},
	 1,
	 "--flag"},
	{"a single dash", &command, {"-"}, OPTIONS_OK, {0}, 1, "-"},
	{"a command's own options",
	 &starter,
	 {"-f", "ls", "-l"},
	 OPTIONS_OK,
	 {.flag = true},
	 2,
	 "-l"},
	{"a command behind --", &starter, {"--", "ls", "--"}, OPTIONS_OK, {0}, 2, "--"},
	{"unknown", &command, {"--nonsense"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"the beginning of a name", &command, {"--fla"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"unknown letter", &command, {"-fz"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"no- of one that has none", &command, {"--no-other"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"a flag with a value", &command, {"--flag=1"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"no value", &command, {"--string"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"below the least", &command, {"--number", "0"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"above the most", &command, {"--number", "101"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"not a number", &command, {"--number", "7x"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"a negative number", &command, {"--number", "-1"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"not a time", &command, {"--time", "soon"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"no unit of time", &command, {"--time", "5d"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"two units of time", &command, {"--time", "5mm"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"a time too long",
	 &command,
	 {"--time", "18446744073709551615h"},
	 OPTIONS_WRONG,
	 {0},
	 0,
	 NULL},
	{"not a choice", &command, {"--choice", "blue"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"an operand too many", &command, {"a", "b", "c"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"an operand too few", &starter, {"--flag"}, OPTIONS_WRONG, {0}, 0, NULL},
	{"help", &starter, {"--help"}, OPTIONS_DONE, {0}, 0, NULL},
	{"version", &starter, {"--version"}, OPTIONS_DONE, {0}, 0, NULL},
};

static const struct number_case {
	const char *text;
	int size_result, number_result;
	uint64_t size;
} numbers[] = {
	{"0", 0, 0, 0},
	{"512M", 0, -EINVAL, 512ull << 20},
	{"1k", 0, -EINVAL, 1024},
	{"2GB", 0, -EINVAL, 2ull << 30},
	{"1TiB", 0, -EINVAL, 1ull << 40},
	{"18446744073709551615", 0, 0, UINT64_MAX},
	{"18446744073709551616", -ERANGE, -ERANGE, 0},
	{"99999999999999999999999999", -ERANGE, -ERANGE, 0},
	{"16777216T", -ERANGE, -EINVAL, 0},
	{"", -EINVAL, -EINVAL, 0},
	{" 1", -EINVAL, -EINVAL, 0},
	{"-1", -EINVAL, -EINVAL, 0},
	{"+1", -EINVAL, -EINVAL, 0},
	{"1.5G", -EINVAL, -EINVAL, 0},
	{"1MM", -EINVAL, -EINVAL, 0},
	{"M", -EINVAL, -EINVAL, 0},
	{"0x", -EINVAL, -EINVAL, 0},
};

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_values(const struct values *a, const struct values *b)
{
	return a->flag == b->flag && a->other == b->other && same_text(a->string, b->string) &&
	       a->number.given == b->number.given && a->number.value == b->number.value &&
	       a->size.given == b->size.given && a->size.value == b->size.value &&
	       a->choice == b->choice;
}

/* The parser's lines and help would look like TAP's: they go nowhere. */
static enum options_result parse_silently(const struct command *parsed, int argc, char **argv,
					  struct values *values, struct operands *operands)
{
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);

	fflush(stdout);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	enum options_result result = options_parse(parsed, argc, argv, values, operands);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	close(null);
	return result;
}

static void test_case(const struct parse_case *test)
{
	char *argv[MAX_ARGUMENTS + 2] = {(char *)"test"};
	struct values values = {0};
	struct operands operands = {0};
	int argc = 1;

	for (int i = 0; i < MAX_ARGUMENTS && test->arguments[i]; i++)
		argv[argc++] = (char *)test->arguments[i];
	enum options_result result = parse_silently(test->command, argc, argv, &values, &operands);
	bool good = result == test->result;
	if (good && result == OPTIONS_OK) {
		const char *last = operands.n ? operands.item[operands.n - 1] : NULL;
		good = same_values(&values, &test->values) && operands.n == test->n_operands &&
		       same_text(last, test->last_operand) && !operands.item[operands.n];
	}
	tap_ok(good, "%s", test->name);
}

static void test_list(void)
{
	char *argv[] = {(char *)"test", (char *)"--list", (char *)"a", (char *)"--list=b", NULL};
	struct values values = {0};
	struct operands operands;

	options_parse(&command, 4, argv, &values, &operands);
	tap_ok(values.list.n == 2 && same_text(values.list.item[0], "a") &&
		       same_text(values.list.item[1], "b"),
	       "an option given again makes a list");
}

static void test_number(const struct number_case *test)
{
	uint64_t size = 1, number = 1;
	int size_result = options_parse_size(test->text, &size);
	int number_result = options_parse_number(test->text, &number);

	tap_ok(size_result == test->size_result && number_result == test->number_result &&
		       size == (size_result ? 1 : test->size) &&
		       number == (number_result ? 1 : test->size),
	       "number '%s'", test->text);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(&cases[i]);
	test_list();
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		test_number(&numbers[i]);
	return tap_done();
}
