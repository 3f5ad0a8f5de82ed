#include "tools/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tools/message.h"

#define HELP_COLUMN 28

/* The value of one option on its way into the command's struct. */
struct parse {
	const struct command *command;
	void *values;
	char **argv;
	int argc, at; /* at: index of the next argument */
};

int options_parse_number(const char *text, uint64_t *ret_value)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	int base = text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10;
	errno = 0;
	uint64_t value = strtoull(text, &end, base);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end || end == text)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

/* The power of two that a size's suffix stands for, or -1. */
static int suffix_shift(const char *suffix)
{
	static const char letters[] = "KMGT";

	if (!*suffix)
		return 0;
	const char *letter = strchr(letters, toupper((unsigned char)*suffix));
	const char *rest = suffix + 1;
	if (!letter || (*rest && strcasecmp(rest, "B") && strcasecmp(rest, "iB")))
		return -1;
	return 10 * (int)(letter - letters + 1);
}

int options_parse_size(const char *text, uint64_t *ret_value)
{
	size_t digits = strspn(text, "0123456789");
	char number[24];

	int shift = suffix_shift(text + digits);
	if (!digits || shift < 0)
		return -EINVAL;
	if (digits >= sizeof(number))
		return -ERANGE;
	memcpy(number, text, digits);
	number[digits] = 0;
	uint64_t value;
	int err = options_parse_number(number, &value);
	if (err)
		return err;
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_value = value << shift;
	return 0;
}

int options_parse_time(const char *text, uint64_t *ret_value)
{
	size_t digits = strspn(text, "0123456789");
	const char *suffix = text + digits;
	uint64_t unit = *suffix == 'h' ? 3600 : *suffix == 'm' ? 60 : 1, value;
	char number[24];

	if (!digits || (*suffix && (!strchr("smh", *suffix) || suffix[1])))
		return -EINVAL;
	if (digits >= sizeof(number))
		return -ERANGE;
	memcpy(number, text, digits);
	number[digits] = 0;
	int err = options_parse_number(number, &value);
	if (err)
		return err;
	if (value > UINT64_MAX / unit)
		return -ERANGE;
	*ret_value = value * unit;
	return 0;
}

int options_check_files(const char *option, const struct option_list *files, int mode)
{
	for (unsigned i = 0; i < files->n; i++) {
		if (!access(files->item[i], mode))
			continue;
		message("--%s %s: %s", option, files->item[i], strerror(errno));
		return STATUS_USAGE;
	}
	return STATUS_OK;
}

/* ---- help ---- */

/* Of text in UTF-8, whose characters all are one wide. */
static int columns(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static void print_option(const struct option *option)
{
	char left[80];
	char letter[] = {'-', option->letter, ',', ' ', 0};
	const char *link = option->kind == OPTION_MAYBE ? "[=" : option->argument ? " " : "";

	snprintf(left, sizeof(left), "  %s--%s%s%s%s%s", option->letter ? letter : "    ",
		 option->negatable ? "[no-]" : "", option->name, link,
		 option->argument ? option->argument : "", option->kind == OPTION_MAYBE ? "]" : "");
	int width = columns(left);
	if (width < HELP_COLUMN)
		printf("%s%*s%s\n", left, HELP_COLUMN - width, "", option->help);
	else
		printf("%s\n%*s%s\n", left, HELP_COLUMN, "", option->help);
}

void options_print_help(const struct command *command)
{
	static const struct option help = {.name = "help", .letter = 'h', .help = "Show this help"};
	static const struct option version = {.name = "version", .help = "Show the version"};

	printf("Usage: reprise %s [options]%s%s\n%s.\n", command->name,
	       command->operands[0] ? " " : "", command->operands, command->summary);
	if (command->details)
		printf("\n%s\n", command->details);
	for (int i = 0; i < COMMAND_MAX_TABLES && command->tables[i]; i++) {
		printf("\n%s:\n", command->tables[i]->title);
		for (unsigned k = 0; k < command->tables[i]->n; k++)
			print_option(&command->tables[i]->options[k]);
	}
	printf("\nOther:\n");
	print_option(&help);
	print_option(&version);
}

/* ---- parsing ---- */

__attribute__((format(printf, 2, 3))) static enum options_result wrong(
	const struct command *command, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	message("%s: %s (see reprise %s --help)", command->name, text, command->name);
	return OPTIONS_WRONG;
}

/* Finds by letter (name NULL) or by the n characters of name; *ret_negated for --no-NAME. */
static const struct option *find_option(const struct command *command, char letter,
					const char *name, size_t n, bool *ret_negated)
{
	for (int i = 0; i < COMMAND_MAX_TABLES && command->tables[i]; i++) {
		for (unsigned k = 0; k < command->tables[i]->n; k++) {
			const struct option *option = &command->tables[i]->options[k];
			*ret_negated = false;
			if (!name && option->letter == letter)
				return option;
			if (!name)
				continue;
			if (strlen(option->name) == n && !strncmp(option->name, name, n))
				return option;
			*ret_negated = true;
			if (option->negatable && n > 3 && !strncmp(name, "no-", 3) &&
			    strlen(option->name) == n - 3 &&
			    !strncmp(option->name, name + 3, n - 3))
				return option;
		}
	}
	return NULL;
}

static enum options_result set_number(struct parse *parse, const struct option *option,
				      const char *value)
{
	struct option_number *number = (void *)((char *)parse->values + option->offset);
	bool size = option->kind == OPTION_SIZE;
	const char *is = size ? "size" : "whole number", *example = size ? "512M" : "7";
	uint64_t n = 0;
	int err = size ? options_parse_size(value, &n) : options_parse_number(value, &n);

	if (option->kind == OPTION_TIME) {
		err = options_parse_time(value, &n);
		is = "time";
		example = "90s or 10m";
	}

	if (err == -EINVAL)
		return wrong(parse->command, "--%s: '%s' is not a %s, for example %s", option->name,
			     value, is, example);
	if (err || n < option->min || (option->max && n > option->max))
		return wrong(parse->command,
			     "--%s: %s is out of range, %" PRIu64 " to %" PRIu64 "%s", option->name,
			     value, option->min, option->max ? option->max : UINT64_MAX,
			     size ? " bytes" : "");
	*number = (struct option_number){.value = n, .given = true};
	return OPTIONS_OK;
}

static enum options_result set_choice(struct parse *parse, const struct option *option,
				      const char *value)
{
	char all[128] = "";

	for (unsigned i = 0; option->choices[i]; i++) {
		if (!strcmp(option->choices[i], value)) {
			*(unsigned *)((char *)parse->values + option->offset) = i;
			return OPTIONS_OK;
		}
		size_t used = strlen(all);
		snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", option->choices[i]);
	}
	return wrong(parse->command, "--%s: '%s' is not one of %s", option->name, value, all);
}

static enum options_result set_list(struct parse *parse, const struct option *option,
				    const char *value)
{
	struct option_list *list = (void *)((char *)parse->values + option->offset);

	if (list->n == OPTION_LIST_MAX)
		return wrong(parse->command, "--%s: given more than %d times", option->name,
			     OPTION_LIST_MAX);
	list->item[list->n++] = value;
	return OPTIONS_OK;
}

static enum options_result set_value(struct parse *parse, const struct option *option,
				     const char *value)
{
	switch (option->kind) {
	case OPTION_STRING:
		*(const char **)((char *)parse->values + option->offset) = value;
		return OPTIONS_OK;
	case OPTION_LIST:
		return set_list(parse, option, value);
	case OPTION_CHOICE:
		return set_choice(parse, option, value);
	default:
		return set_number(parse, option, value);
	}
}

/* value: what follows "=" or a letter, NULL when nothing does. */
static enum options_result set_option(struct parse *parse, const struct option *option,
				      bool negated, const char *value)
{
	if (option->kind == OPTION_FLAG) {
		if (value)
			return wrong(parse->command, "--%s takes no value", option->name);
		*(bool *)((char *)parse->values + option->offset) = !negated;
		return OPTIONS_OK;
	}
	if (option->kind == OPTION_MAYBE) {
		*(const char **)((char *)parse->values + option->offset) = value ? value : "";
		return OPTIONS_OK;
	}
	if (!value && parse->at < parse->argc)
		value = parse->argv[parse->at++];
	if (!value)
		return wrong(parse->command, "--%s needs a value: %s", option->name,
			     option->argument);
	return set_value(parse, option, value);
}

static enum options_result parse_long(struct parse *parse, const char *text)
{
	size_t n = strcspn(text, "=");
	bool negated;

	if (!strcmp(text, "help")) {
		options_print_help(parse->command);
		return OPTIONS_DONE;
	}
	if (!strcmp(text, "version")) {
		puts("reprise " REPRISE_VERSION);
		return OPTIONS_DONE;
	}
	const struct option *option = find_option(parse->command, 0, text, n, &negated);
	if (!option)
		return wrong(parse->command, "unknown option --%.*s", (int)n, text);
	return set_option(parse, option, negated, text[n] ? text + n + 1 : NULL);
}

/* One or more letters behind a single dash; the rest behind a letter with a value is that value. */
static enum options_result parse_letters(struct parse *parse, const char *letters)
{
	for (; *letters; letters++) {
		bool negated;
		if (*letters == 'h')
			return parse_long(parse, "help");
		const struct option *option =
			find_option(parse->command, *letters, NULL, 0, &negated);
		if (!option)
			return wrong(parse->command, "unknown option -%c", *letters);
		if (option->kind != OPTION_FLAG)
			return set_option(parse, option, false, letters[1] ? letters + 1 : NULL);
		enum options_result result = set_option(parse, option, false, NULL);
		if (result != OPTIONS_OK)
			return result;
	}
	return OPTIONS_OK;
}

static enum options_result check_operands(const struct command *command,
					  const struct operands *operands)
{
	if (operands->n < command->min_operands)
		return wrong(command, "%s is missing", command->operands);
	if (operands->n > command->max_operands)
		return wrong(command, "unexpected argument '%s'",
			     operands->item[command->max_operands]);
	return OPTIONS_OK;
}

enum options_result options_parse(const struct command *command, int argc, char **argv,
				  void *values, struct operands *ret_operands)
{
	struct parse parse = {command, values, argv, argc, 1};
	struct operands operands = {.item = argv + 1};
	bool only_operands = false;

	while (parse.at < argc) {
		char *argument = argv[parse.at++];
		enum options_result result = OPTIONS_OK;
		if (only_operands || argument[0] != '-' || !argument[1]) {
			operands.item[operands.n++] = argument;
			only_operands |= command->takes_command;
		} else if (!strcmp(argument, "--")) {
			only_operands = true;
		} else if (argument[1] == '-') {
			result = parse_long(&parse, argument + 2);
		} else {
			result = parse_letters(&parse, argument + 1);
		}
		if (result != OPTIONS_OK)
			return result;
	}
	/* Without operands item[0] may be argv[argc], which is NULL already. */
	if (operands.n < argc - 1)
		operands.item[operands.n] = NULL;
	*ret_operands = operands;
	return check_operands(command, &operands);
}
