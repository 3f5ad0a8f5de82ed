/*
 * reprise run: a host command in a guest of its own, recorded. Output and exit status are the
 * command's; what reprise itself has to say goes to stderr only when that is asked for, when it is
 * a terminal, or when something failed.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/guest_command.h"
#include "tools/interrupt.h"
#include "tools/message.h"
#include "tools/recording.h"
#include "tools/text.h"

/* The kernel's tests of its own cryptography would be half of the boot. */
#define COMMAND_LINE_VERBOSE "console=ttyS0 cryptomgr.notests"
#define COMMAND_LINE         COMMAND_LINE_VERBOSE " quiet"
#define CONSOLE_TAIL_BYTES   2000 /* of the kernel's console, shown when the guest failed */

struct run_options {
	struct recording_options recording;
	struct option_list files, environment;
	bool clean_environment;
};

#define FIELD(member) offsetof(struct run_options, member)

static const struct option options[] = {
	{.name = "file",
	 .kind = OPTION_LIST,
	 .offset = FIELD(files),
	 .argument = "PATH",
	 .help = "Also give the guest this file or directory; may be given again"},
	{.name = "env",
	 .kind = OPTION_LIST,
	 .offset = FIELD(environment),
	 .argument = "NAME[=VALUE]",
	 .help = "Set a variable for the command; may be given again"},
	{.name = "clean-env",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(clean_environment),
	 .help = "Of the host's environment, pass only PATH, HOME, LANG, LC_ALL, TERM, TZ"},
};

static const struct option_table option_table = {
	.title = "Guest",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

static int pack_guest(const struct run_options *values, char *const *argv,
		      struct recording *recording, uint8_t **ret_initrd)
{
	const struct guest_command command = {
		.argv = argv,
		.files = values->files.item,
		.n_files = values->files.n,
		.environment = values->environment.item,
		.n_environment = values->environment.n,
		.clean_environment = values->clean_environment,
	};
	size_t n;
	int status = guest_command_pack(&command, ret_initrd, &n);

	if (!status) {
		recording->config.boot.initrd = *ret_initrd;
		recording->config.boot.initrd_bytes = n;
	}
	return status;
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

/* Returns the command's exit status. */
static int record(struct recording *recording, const struct recording_options *values,
		  int console_fd)
{
	struct recorder_result result = {0};

	recording->config.console_out_fd = console_fd;
	recording->config.channel = true;
	recording->config.channel_in_fd = STDIN_FILENO;
	recording->config.channel_out_fd = STDOUT_FILENO;
	recording->config.channel_err_fd = STDERR_FILENO;
	interrupt_install();
	int status = recording_run(recording, values->quiet, &result);
	if (status)
		return status;
	tell(recording, &result, values);
	if (result.has_exit_status)
		return result.exit_status & 0xff;
	message("run: the guest ended before the command did: %s", result.end_reason);
	if (!*interrupt_flag())
		show_console_tail(console_fd);
	return *interrupt_flag() ? STATUS_SIGNAL_BASE + *interrupt_flag() : STATUS_FAILED;
}

static int run_guest(const struct run_options *values, char *const *argv,
		     struct recording *recording, uint8_t **ret_initrd)
{
	bool verbose = values->recording.verbose;
	int status = recording_init(recording, "run", &values->recording,
				    verbose ? COMMAND_LINE_VERBOSE : COMMAND_LINE);

	if (!status)
		status = pack_guest(values, argv, recording, ret_initrd);
	if (status)
		return status;
	recording->config.command = (const char *const *)argv;
	if (verbose)
		message("kernel %s, recording to %s", recording->kernel_path,
			recording->output_path);
	int console_fd = verbose ? STDERR_FILENO : memfd_create("console", MFD_CLOEXEC);
	if (console_fd < 0) {
		message("run: no room for the guest's console: %s", strerror(errno));
		return STATUS_FAILED;
	}
	status = record(recording, &values->recording, console_fd);
	if (console_fd != STDERR_FILENO)
		close(console_fd);
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct run_options values = {0};
	struct recording recording = {0};
	struct operands operands;
	uint8_t *initrd = NULL;

	recording_options_init(&values.recording);
	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	if (parsed != OPTIONS_OK)
		return parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	int status = run_guest(&values, operands.item, &recording, &initrd);
	free(initrd);
	recording_finish(&recording);
	return status;
}

const struct command command_run = {
	.name = "run",
	.operands = "-- COMMAND…",
	.summary = "Run a host command in a guest and record it",
	.details =
		"The guest has the command, its libraries or interpreter, /bin/sh, the regular "
		"files\n"
		"that arguments name, and what --file adds, at their paths on the host. Output "
		"and\n"
		"exit status are the command's; 128+N when signal N killed it, 127 when it is not\n"
		"found, 126 when it cannot be executed, 125 when reprise itself failed. The "
		"recording\n"
		"holds the environment: --clean-env leaves secrets out.",
	.tables = {&option_table, &recording_option_table},
	.takes_command = true,
	.min_operands = 1,
	.max_operands = INT_MAX,
	.run = run,
};
