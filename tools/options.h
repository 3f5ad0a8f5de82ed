/*
 * Options of a subcommand: tables say what there is, one parser fills the command's struct in, one
 * function prints the help.
 */
#ifndef REPRISE_TOOLS_OPTIONS_H
#define REPRISE_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/command.h"

/* What an option's value is, and the type of the field at its offset. */
enum option_kind {
	OPTION_UNSPECIFIED,
	OPTION_FLAG,   /* bool; with negatable, --no-NAME clears it */
	OPTION_STRING, /* const char * */
	OPTION_LIST,   /* struct option_list: may be given again */
	OPTION_NUMBER, /* struct option_number: decimal or 0x… */
	OPTION_SIZE,   /* struct option_number: bytes, or with K, M, G, T (powers of 1024) */
	OPTION_CHOICE, /* unsigned: index into choices */
	OPTION_TIME,   /* struct option_number: seconds, or with s, m, h */
	OPTION_MAYBE,  /* const char *: "" where no =VALUE follows */
};

#define OPTION_LIST_MAX 256

struct option_list {
	const char *item[OPTION_LIST_MAX]; /* borrowed from argv */
	unsigned n;
};

struct option_number {
	uint64_t value;
	bool given;
};

struct option {
	const char *name; /* without the dashes */
	char letter;      /* 0: none */
	uint8_t kind;     /* enum option_kind */
	bool negatable;
	size_t offset;              /* of the field in the command's struct */
	const char *argument;       /* what help calls the value */
	const char *help;           /* one line */
	const char *const *choices; /* NULL-terminated */
	uint64_t min, max;          /* of numbers and sizes; max 0: no limit */
};

struct option_table {
	const char *title;
	const struct option *options;
	unsigned n;
};

struct operands {
	char **item; /* borrowed from argv, NULL-terminated */
	int n;
};

enum options_result {
	OPTIONS_OK,
	OPTIONS_DONE,  /* --help or --version was printed: exit with STATUS_OK */
	OPTIONS_WRONG, /* a line was printed on stderr: exit with STATUS_USAGE */
};

/*
 * Parses argv[1..] after the command's tables into the struct at values, which holds the defaults.
 * Moves operands to the front of argv. --help, -h and --version are understood everywhere.
 */
enum options_result options_parse(const struct command *command, int argc, char **argv,
				  void *values, struct operands *ret_operands);

/* Prints the command's help to stdout. */
void options_print_help(const struct command *command);

/* Returns 0, or -EINVAL for anything but a whole number ("12", "0x1f"), or -ERANGE. */
int options_parse_number(const char *text, uint64_t *ret_value);

/*
 * Whether the files that an option (its name without the dashes) names can be accessed in a mode of
 * access(2). Returns STATUS_OK, or STATUS_USAGE after a line about the first that cannot.
 */
int options_check_files(const char *option, const struct option_list *files, int mode);
/* As above with an optional suffix: K, M, G or T, optionally followed by B or iB. */
int options_parse_size(const char *text, uint64_t *ret_value);
/* Seconds, with an optional suffix: s, m or h. */
int options_parse_time(const char *text, uint64_t *ret_value);

#endif
