/* reprise check: validates a recording without running it. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/message.h"
#include "tools/options.h"
#include "tools/recording_file.h"
#include "tools/text.h"

struct check_options {
	bool quiet;
};

static const struct option options[] = {
	{.name = "quiet",
	 .letter = 'q',
	 .kind = OPTION_FLAG,
	 .offset = offsetof(struct check_options, quiet),
	 .help = "Say nothing but errors"},
};

static const struct option_table option_table = {
	.title = "Options",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

static void print_result(const struct log_reader *reader, const char *path)
{
	char count[TEXT_NUMBER_BYTES];
	const Reprise__Trailer *trailer = log_reader_trailer(reader);

	text_print_escaped(stdout, path);
	if (trailer)
		printf(": whole, %s instructions\n", text_count(count, trailer->end_icount));
	else
		printf(": no damage, but the recording was cut off after instruction %s\n",
		       text_count(count, log_reader_last_icount(reader)));
}

static int check(struct log_reader *reader, const char *path, bool quiet)
{
	struct log_error error = {0};
	int err = log_reader_verify(reader, &error);

	if (!err && log_reader_damage(reader)) {
		error = *log_reader_damage(reader);
		err = error.code;
	}
	if (err) {
		message_log_error(path, &error, NULL);
		return recording_file_status(&error);
	}
	if (!quiet)
		print_result(reader, path);
	return STATUS_OK;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct check_options values = {0};
	struct operands operands;
	struct log_reader *reader;

	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	if (parsed != OPTIONS_OK)
		return parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	int status = recording_file_open(operands.item[0], &reader);
	if (status)
		return status;
	status = check(reader, operands.item[0], values.quiet);
	log_reader_close(reader);
	return status;
}

const struct command command_check = {
	.name = "check",
	.operands = "FILE",
	.summary = "Validate a recording without running it",
	.details = "Reads every chunk and compares its checksum. Exit status 0: no damage; 4: "
		   "damaged,\n"
		   "with the byte offset.",
	.tables = {&option_table},
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
