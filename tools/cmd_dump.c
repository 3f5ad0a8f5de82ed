/* reprise dump: the events of a recording, one a line. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/event_text.h"
#include "tools/message.h"
#include "tools/options.h"
#include "tools/recording_file.h"

struct dump_options {
	struct option_number from, until;
	bool json, data;
};

#define FIELD(member) offsetof(struct dump_options, member)

static const struct option options[] = {
	{.name = "from",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(from),
	 .argument = "N",
	 .help = "Begin at this instruction count"},
	{.name = "until",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(until),
	 .argument = "N",
	 .help = "End behind this instruction count"},
	{.name = "data",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(data),
	 .help = "Show the bytes of memory events, not only their hash"},
	{.name = "json",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(json),
	 .help = "Print one JSON object a line"},
};

static const struct option_table option_table = {
	.title = "Options",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

static void print_event(const struct event *event, const struct dump_options *values)
{
	struct json json;

	if (!values->json) {
		event_text_print(stdout, event, values->data);
		return;
	}
	json_init(&json, stdout);
	json_begin_object(&json, NULL);
	event_text_json(&json, event, values->data);
	json_end_object(&json);
	json_end_line(&json);
}

static int dump(struct log_reader *reader, const char *path, const struct dump_options *values)
{
	uint64_t until = values->until.given ? values->until.value : UINT64_MAX;
	struct log_error error = {0};
	struct event event;
	int result = 0;

	if (values->from.given)
		result = log_reader_seek(reader, values->from.value, &error);
	while (result >= 0 && !ferror(stdout)) {
		result = log_reader_next(reader, &event, &error);
		if (result <= 0 || event.icount > until)
			break;
		print_event(&event, values);
	}
	/* Damage that ends the file is told behind what could be read. */
	if (!result && log_reader_damage(reader)) {
		error = *log_reader_damage(reader);
		result = error.code;
	}
	if (result >= 0)
		return STATUS_OK;
	fflush(stdout);
	message_log_error(path, &error, NULL);
	return recording_file_status(&error);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct dump_options values = {0};
	struct operands operands;
	struct log_reader *reader;

	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	if (parsed != OPTIONS_OK)
		return parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	int status = recording_file_open(operands.item[0], &reader);
	if (status)
		return status;
	status = dump(reader, operands.item[0], &values);
	log_reader_close(reader);
	return status;
}

const struct command command_dump = {
	.name = "dump",
	.operands = "FILE",
	.summary = "Print a recording's events",
	.tables = {&option_table},
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
