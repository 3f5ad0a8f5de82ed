/* reprise replay: runs a recording again, shows its console, checks every digest on the way. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "replayer/replayer.h"
#include "tools/console.h"
#include "tools/engine.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/message.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/recording_file.h"
#include "tools/text.h"

struct replay_options {
	struct option_number until;
	unsigned engine;
	bool json, raw, verbose, quiet;
};

#define FIELD(member) offsetof(struct replay_options, member)

static const struct option options[] = {
	{.name = "until",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(until),
	 .argument = "N",
	 .help = "Stop at this instruction count"},
	{ENGINE_OPTION, .offset = FIELD(engine)},
	{.name = "json",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(json),
	 .help = "Tell the outcome as one JSON object, the last line on stderr"},
	{.name = "raw",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(raw),
	 .help = "Pass control sequences of the guest's to a terminal"},
	{.name = "verbose",
	 .letter = 'v',
	 .kind = OPTION_FLAG,
	 .offset = FIELD(verbose),
	 .help = "Show the other serial streams too, on stderr"},
	{.name = "quiet",
	 .letter = 'q',
	 .kind = OPTION_FLAG,
	 .offset = FIELD(quiet),
	 .help = "No console, no summary; errors only"},
};

static const struct option_table option_table = {
	.title = "Options",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

static const char *const status_names[] = {
	[REPLAY_AT_ICOUNT] = "icount",        [REPLAY_AT_END] = "end",
	[REPLAY_DIVERGED] = "diverged",       [REPLAY_DAMAGED] = "damaged",
	[REPLAY_INTERRUPTED] = "interrupted", [REPLAY_FAILED] = "failed",
};

/* One replay, from the open file to its outcome. */
struct replay {
	const char *path;
	const struct replay_options *options;
	struct log_reader *reader;
	struct console *console;
	struct replayer *replayer;
	struct progress progress;
	enum replay_status outcome;
	int exit_status;
};

static void show_progress(void *ctx, uint64_t icount, uint64_t end_icount)
{
	char count[TEXT_NUMBER_BYTES], end[TEXT_NUMBER_BYTES];

	if (progress_due(ctx))
		progress_show("replaying: %s of %s instructions", text_count(count, icount),
			      text_count(end, end_icount));
}

static int create_replayer(struct replay *replay, const struct engine_ops *engine)
{
	struct log_error error = {0};
	struct replayer_config config = {
		.engine = engine,
		.stream_output = replay->options->quiet ? NULL : console_output,
		.stream_ctx = replay->console,
		.interrupted = interrupt_flag(),
		.progress = progress_wanted(replay->options->quiet) ? show_progress : NULL,
		.progress_ctx = &replay->progress,
	};

	if (!replayer_create(replay->reader, &config, &replay->replayer, &error)) {
		engine_print_instead(replayer_engine_instead(replay->replayer),
				     replay->options->quiet);
		return STATUS_OK;
	}
	message_log_error(replay->path, &error, NULL);
	return recording_file_status(&error);
}

/* ---- the outcome ---- */

static uint64_t current_icount(const struct replay *replay)
{
	return replayer_machine(replay->replayer)->icount;
}

/* What stops the file from being read further: met by the replay, or found when it was opened. */
static const struct log_error *find_damage(const struct replay *replay)
{
	if (replay->outcome == REPLAY_DAMAGED || replay->outcome == REPLAY_FAILED)
		return replayer_error(replay->replayer);
	return replay->outcome == REPLAY_AT_END ? log_reader_damage(replay->reader) : NULL;
}

static int choose_exit_status(const struct replay *replay)
{
	int status = STATUS_OK;

	switch (replay->outcome) {
	case REPLAY_AT_ICOUNT:
		return STATUS_OK;
	case REPLAY_DIVERGED:
		return STATUS_DIVERGED;
	case REPLAY_DAMAGED:
		return STATUS_BAD_FILE;
	case REPLAY_INTERRUPTED:
		return STATUS_SIGNAL_BASE + *interrupt_flag();
	case REPLAY_FAILED:
		return recording_file_status(replayer_error(replay->replayer));
	case REPLAY_AT_END:
		break;
	}
	if (find_damage(replay))
		return STATUS_BAD_FILE;
	if (console_error(replay->console) == -EPIPE)
		return STATUS_SIGNAL_BASE + SIGPIPE;
	if (console_error(replay->console))
		return STATUS_FAILED;
	if (log_reader_header(replay->reader)->is_run &&
	    !recording_file_exit_status(replay->reader, &status))
		return STATUS_FAILED;
	return status;
}

static void tell_divergence(const struct replay *replay)
{
	const struct divergence *d = replayer_divergence(replay->replayer);

	message("%s: the replay differs from the recording between instruction %" PRIu64
		" and %" PRIu64 ": %s",
		replay->path, d->proven_icount, d->icount, d->what);
}

static void tell_damage(const struct replay *replay, const struct log_error *damage)
{
	char hint[96];

	snprintf(hint, sizeof(hint), "replayed up to instruction %" PRIu64, current_icount(replay));
	message_log_error(replay->path, damage, hint);
}

/* What is said even with --quiet. */
static void tell_errors(const struct replay *replay)
{
	const struct log_error *damage = find_damage(replay);
	int error = console_error(replay->console);

	if (replay->outcome == REPLAY_DIVERGED)
		tell_divergence(replay);
	if (damage)
		tell_damage(replay, damage);
	if (error && error != -EPIPE) /* a reader that has gone needs no more */
		message("the console's output cannot be written: %s", strerror(-error));
}

static const char *end_reason(const struct replay *replay)
{
	const Reprise__Trailer *trailer = log_reader_trailer(replay->reader);

	if (replay->outcome == REPLAY_INTERRUPTED)
		return "interrupted";
	if (replay->outcome == REPLAY_AT_ICOUNT)
		return "stopped";
	return trailer ? trailer->end_reason : "the recording was cut off here";
}

static void tell_summary(const struct replay *replay)
{
	char count[TEXT_NUMBER_BYTES], digests[TEXT_NUMBER_BYTES];

	message("%s after %s instructions; %s digests equal", end_reason(replay),
		text_count(count, current_icount(replay)),
		text_count(digests, replayer_digests_checked(replay->replayer)));
}

/* Why the status that follows is not the command's. */
static void tell_no_status(const struct replay *replay)
{
	int status;

	if (replay->outcome == REPLAY_AT_END && !find_damage(replay) &&
	    log_reader_header(replay->reader)->is_run &&
	    !recording_file_exit_status(replay->reader, &status))
		message("the guest ended before the command did: %s", end_reason(replay));
}

static void tell_json(const struct replay *replay)
{
	const struct log_error *damage = find_damage(replay);
	struct json json;

	json_init(&json, stderr);
	json_begin_object(&json, NULL);
	json_string(&json, "status", status_names[replay->outcome]);
	json_string(&json, "reason", end_reason(replay));
	json_number(&json, "icount", current_icount(replay));
	json_number(&json, "digests_checked", replayer_digests_checked(replay->replayer));
	json_bool(&json, "complete", log_reader_trailer(replay->reader));
	json_number(&json, "exit_status", (uint64_t)replay->exit_status);
	if (replay->outcome == REPLAY_DIVERGED) {
		const struct divergence *d = replayer_divergence(replay->replayer);
		json_begin_object(&json, "divergence");
		json_number(&json, "proven_icount", d->proven_icount);
		json_number(&json, "icount", d->icount);
		json_string(&json, "what", d->what);
		json_end_object(&json);
	}
	if (damage) {
		json_begin_object(&json, "damage");
		json_number(&json, "offset", damage->offset);
		json_string(&json, "what", damage->text);
		json_end_object(&json);
	}
	json_end_object(&json);
	json_end_line(&json);
}

/* The summary of a `run` would mix with the command's stderr: it is for people only. */
static bool wants_summary(const struct replay *replay)
{
	if (replay->options->quiet)
		return false;
	return !log_reader_header(replay->reader)->is_run || replay->options->verbose ||
	       isatty(STDERR_FILENO);
}

static void tell(const struct replay *replay)
{
	if (replay->options->json) {
		tell_json(replay);
		return;
	}
	if (wants_summary(replay))
		tell_summary(replay);
	tell_errors(replay);
}

static void tell_uses(const struct replay *replay)
{
	struct engine_use uses[ENGINE_MAX_USES];

	engine_print_uses(uses, replayer_engine_uses(replay->replayer, uses));
}

/* ---- the command ---- */

static int replay_open_file(struct replay *replay, const struct engine_ops *engine)
{
	const struct replay_options *values = replay->options;

	if (console_create(log_reader_header(replay->reader), values->verbose, values->raw,
			   &replay->console))
		return STATUS_FAILED;
	int status = create_replayer(replay, engine);
	if (status)
		return status;
	interrupt_install();
	replay->outcome = replayer_run_until(
		replay->replayer, values->until.given ? values->until.value : UINT64_MAX);
	if (progress_wanted(values->quiet))
		progress_clear();
	replay->exit_status = choose_exit_status(replay);
	tell_no_status(replay);
	if (values->verbose)
		tell_uses(replay);
	/* The last line with --json. */
	tell(replay);
	return replay->exit_status;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct replay_options values = {0};
	struct operands operands;

	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	if (parsed != OPTIONS_OK)
		return parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	const struct engine_ops *engine = engine_choose(command->name, values.engine, values.quiet);
	if (!engine)
		return STATUS_USAGE;
	struct replay replay = {.path = operands.item[0], .options = &values};
	int status = recording_file_open(replay.path, &replay.reader);
	if (status)
		return status;
	status = replay_open_file(&replay, engine);
	replayer_destroy(replay.replayer);
	console_destroy(replay.console);
	log_reader_close(replay.reader);
	return status;
}

const struct command command_replay = {
	.name = "replay",
	.operands = "FILE",
	.summary = "Run a recording again, console on stdout, and verify it",
	.details =
		"Every digest in the file is compared. Exit status 3: the replay differs, and "
		"where;\n"
		"4: the file is damaged, after what is complete was replayed. The replay of a run\n"
		"gives the command's exit status. On a terminal the guest's control sequences "
		"other\n"
		"than colours are left out, unless --raw.",
	.tables = {&option_table},
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
