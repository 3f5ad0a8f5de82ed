/*
 * reprise run: a host command in a guest of its own, recorded. Output and exit status are the
 * command's; what reprise itself has to say goes to stderr only when that is asked for, when it is
 * a terminal, or when something failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/engine.h"
#include "tools/evidence.h"
#include "tools/guest_results.h"
#include "tools/guest_run.h"
#include "tools/interrupt.h"
#include "tools/message.h"
#include "tools/terminal.h"
#include "tools/text.h"
#include "vmm/cpu/system/system.h"
#include "vmm/devices/channel.h"

#define CONSOLE_TAIL_BYTES 2000 /* of the kernel's console, shown when the guest failed */

struct run_options {
	struct guest_options guest;
	struct option_list results;
	bool cold;
};

#define FIELD(member) offsetof(struct run_options, member)

static const struct option options[] = {
	{.name = "result",
	 .kind = OPTION_LIST,
	 .offset = FIELD(results),
	 .argument = "PATH",
	 .help = "Copy this back to the host at the end; may be given again"},
	{.name = "cold",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(cold),
	 .help = "Boot the guest anew, and record the boot"},
};

static const struct option_table option_table = {
	.title = "Run",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

/* What a run is made of, beside the guest and its recording. */
struct run {
	const struct run_options *values;
	struct guest_run guest;
	struct evidence evidence;
	struct terminal *terminal; /* NULL: stdin is none */
	int console_fd, results_fd;
	char *output_directory;         /* NULL: the recording cannot be made there */
	const char *recording_names[2]; /* the recording's in it, ended by NULL */
};

/* Which of our descriptors are a terminal. Of one that is not ours to read, none is. */
static unsigned terminal_bits(const struct run *run)
{
	unsigned bits = 0;

	for (int fd = 0; fd < 3; fd++)
		if (fd == STDIN_FILENO ? run->terminal != NULL : isatty(fd))
			bits |= 1u << fd;
	return bits;
}

/* ---- the host's side ---- */

static void connect_streams(struct run *run)
{
	struct recorder_config *config = &run->guest.recording.config;

	config->channel_in_fd = STDIN_FILENO;
	config->channel_out_fd = STDOUT_FILENO;
	config->channel_err_fd = STDERR_FILENO;
	int err = terminal_open(STDIN_FILENO, &run->terminal);
	if (!err) {
		config->channel_in_fd = terminal_input_fd(run->terminal);
		config->channel_in_interactive = true;
		config->resized = terminal_resized;
		config->resized_ctx = run->terminal;
	} else if (err != -ENOTTY) {
		/* A terminal that is not ours to read. */
		config->channel_in_fd = -1;
	}
}

static int open_own_streams(struct run *run)
{
	struct recorder_config *config = &run->guest.recording.config;
	bool verbose = run->values->guest.recording.verbose;

	run->console_fd = verbose ? STDERR_FILENO : memfd_create("console", MFD_CLOEXEC);
	if (run->console_fd < 0) {
		message("run: no room for the guest's console: %s", strerror(errno));
		return STATUS_FAILED;
	}
	config->console_out_fd = run->console_fd;
	run->results_fd = -1;
	if (run->values->results.n)
		run->results_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (run->values->results.n && run->results_fd < 0) {
		message("run: no room for the results: %s", strerror(errno));
		return STATUS_FAILED;
	}
	config->channel_results_fd = run->results_fd;
	return STATUS_OK;
}

static void close_own_streams(struct run *run)
{
	if (run->console_fd >= 0 && run->console_fd != STDERR_FILENO)
		close(run->console_fd);
	if (run->results_fd >= 0)
		close(run->results_fd);
}

/* Shows the end of what the guest's kernel said; fd is a file, or stderr, which has shown it all.
 */
static void show_console_tail(int fd)
{
	char text[CONSOLE_TAIL_BYTES + 1], *line, *rest = text;

	off_t bytes = lseek(fd, 0, SEEK_END);
	if (fd == STDERR_FILENO || bytes <= 0)
		return;
	off_t from = bytes > CONSOLE_TAIL_BYTES ? bytes - CONSOLE_TAIL_BYTES : 0;
	ssize_t n = pread(fd, text, CONSOLE_TAIL_BYTES, from);
	text[n < 0 ? 0 : n] = 0;
	while ((line = strsep(&rest, "\r\n"))) {
		if (*line)
			message("guest: %s", line);
	}
}

static void tell_crash(const Reprise__CrashedProcess *crash, const char *path)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		return;
	evidence_print_crash(out, crash);
	if (!fclose(out))
		message("run: %s; reprise info %s has the backtrace", text, path);
	free(text);
}

/* What the user of another machine than this guest would not expect. */
static void tell_limits(const struct run *run, const struct recorder_result *result)
{
	const Reprise__Evidence *found = run->evidence.found;
	const Reprise__CrashedProcess *crash = found ? found->crash : NULL;

	if (run->values->guest.recording.quiet)
		return;
	if (result->notes & CHANNEL_NOTE_NETWORK &&
	    (result->exit_status || run->values->guest.recording.verbose || isatty(STDERR_FILENO)))
		message("run: the command wanted to reach another machine; the guest has no "
			"network but loopback");
	if (result->exit_status == STATUS_SIGNAL_BASE + SIGILL ||
	    (crash && crash->signal == SIGILL))
		message("run: SIGILL%s%s: the guest's processor is an %s, whatever the host's is; "
			"build for that",
			crash && crash->instruction[0] ? " at " : "",
			crash ? crash->instruction : "", cpu_model_name);
	if (crash && (run->values->guest.recording.verbose || isatty(STDERR_FILENO)))
		tell_crash(crash, run->guest.recording.output_path);
}

static void tell(const struct recording *recording, const struct recorder_result *result,
		 const struct recording_options *values)
{
	if (values->quiet)
		return;
	if (values->verbose || isatty(STDERR_FILENO))
		recording_print_summary(recording, result);
	else if (recording->output_was_chosen)
		message("recorded in %s", recording->output_path);
}

static int tell_lost_output(const struct run *run, const struct recorder_result *result)
{
	const struct recording *recording = &run->guest.recording;
	int out = recording_tell_lost_stream(recording, "run", "standard output",
					     result->channel_out_error);
	int err = recording_tell_lost_stream(recording, "run", "standard error",
					     result->channel_err_error);

	return out ? out : err;
}

/* The status of a guest whose command did not end. */
static int tell_failure(const struct run *run, const struct recorder_result *result)
{
	message("run: the guest ended before the command did: %s", result->end_reason);
	if (*interrupt_flag())
		return STATUS_SIGNAL_BASE + *interrupt_flag();
	show_console_tail(run->console_fd);
	return STATUS_FAILED;
}

/* Returns the command's exit status, or STATUS_FAILED where that is 0 and something was lost. */
static int record(struct run *run)
{
	const struct recording_options *values = &run->values->guest.recording;
	struct recorder_result result = {0};

	int status = recording_run(&run->guest.recording, values->quiet, &result);
	terminal_close(run->terminal);
	run->terminal = NULL;
	if (result.saved_failed && !unlink(run->guest.saved_path))
		message("run: it was removed from the cache; run the command again");
	if (status)
		return status;
	tell(&run->guest.recording, &result, values);
	tell_limits(run, &result);
	if (values->verbose)
		engine_print_uses(result.uses, result.n_uses);
	status = tell_lost_output(run, &result);
	if (run->results_fd >= 0 && guest_results_unpack(run->results_fd, &run->values->results,
							 run->guest.recording.output_path))
		status = STATUS_FAILED;
	if (!result.has_exit_status)
		return tell_failure(run, &result);
	result.exit_status &= 0xff;
	return result.exit_status ? result.exit_status : status;
}

static int prepare(struct run *run, char *const *argv)
{
	const struct run_options *values = run->values;
	const struct recording_options *recording = &values->guest.recording;
	bool tell = !recording->quiet && (recording->verbose || isatty(STDERR_FILENO));
	struct guest_plan plan = {.environment = &values->guest.environment,
				  .results = &values->results};
	int status = guest_run_init(&run->guest, "run", &values->guest, argv,
				    guest_run_command_line(!(values->cold && recording->verbose)));

	if (!status)
		status = open_own_streams(run);
	interrupt_install();
	if (!status)
		status = values->cold ? guest_run_cold(&run->guest)
				      : guest_run_warm(&run->guest, 0, tell);
	if (status)
		return status;
	connect_streams(run);
	evidence_prepare(&run->evidence, &run->guest.recording.config, recording->quiet);
	plan.terminal = terminal_bits(run);
	return guest_run_plan(&run->guest, &plan);
}

/* A command that reads all files here would read the recording, which grows by what it reads. */
static void hide_recording(struct run *run)
{
	struct recording *recording = &run->guest.recording;
	const char *slash = strrchr(recording->output_path, '/');

	run->output_directory = recording_find_directory(recording);
	run->recording_names[0] = slash ? slash + 1 : recording->output_path;
	recording->config.files_hidden_in = run->output_directory;
	recording->config.files_hidden_names = run->recording_names;
}

static int run_guest(struct run *run, char *const *argv)
{
	int status = prepare(run, argv);

	if (status)
		return status;
	recording_take_name(&run->guest.recording);
	hide_recording(run);
	if (run->values->guest.recording.verbose)
		message("kernel %s, recording to %s", run->guest.recording.kernel_path,
			run->guest.recording.output_path);
	return record(run);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct run_options values = {0};
	struct run run = {.values = &values, .console_fd = -1, .results_fd = -1};
	struct operands operands;

	guest_options_init(&values.guest);
	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	if (parsed != OPTIONS_OK)
		return parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	int status = guest_results_check(&values.results);
	if (!status)
		status = guest_run_check_epoch(command->name, &values.guest, values.cold);
	if (!status)
		status = run_guest(&run, operands.item);
	terminal_close(run.terminal);
	close_own_streams(&run);
	evidence_finish(&run.evidence);
	guest_run_finish(&run.guest);
	free(run.output_directory);
	return status;
}

const struct command command_run = {
	.name = "run",
	.operands = "-- COMMAND…",
	.summary = "Run a host command in a guest and record it",
	.details = "The guest sees the host's files, read-only and with a layer of its own above\n"
		   "for what it writes; the same directory, user, environment and terminal. Files\n"
		   "and variables where secrets are kept are left out: --allow, --env. Output and\n"
		   "exit status are the command's; 128+N when signal N killed it, 127 when it is\n"
		   "not found, 126 when it cannot be executed, 125 when reprise itself failed.",
	.tables = {&option_table, &guest_option_table, &recording_option_table},
	.takes_command = true,
	.min_operands = 1,
	.max_operands = INT_MAX,
	.run = run,
};
