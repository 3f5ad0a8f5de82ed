/* reprise record: boots any kernel with its serial console on the terminal. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/engine.h"
#include "tools/interrupt.h"
#include "tools/message.h"
#include "tools/recording.h"
#include "tools/terminal.h"

/* The guest's console is its first serial port; what the user appends comes later and wins. */
#define COMMAND_LINE "console=ttyS0"

struct record_options {
	struct recording_options recording;
	const char *initrd;
	struct option_list disks;
	bool disk_write;
	unsigned console;
};

enum console { CONSOLE_SERIAL, CONSOLE_VIRTIO };

static const char *const console_names[] = {
	[CONSOLE_SERIAL] = "serial", [CONSOLE_VIRTIO] = "virtio", NULL};

#define FIELD(member) offsetof(struct record_options, member)

static const struct option options[] = {
	{.name = "initrd",
	 .kind = OPTION_STRING,
	 .offset = FIELD(initrd),
	 .argument = "FILE",
	 .help = "Initial RAM disk; for multiboot the first module"},
	{.name = "disk",
	 .kind = OPTION_LIST,
	 .offset = FIELD(disks),
	 .argument = "FILE",
	 .help = "Raw disk image, a virtio disk of the guest; may be given again"},
	{.name = "disk-write",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(disk_write),
	 .help = "Let the guest's writes change the disk images (default: in memory)"},
	{.name = "console",
	 .kind = OPTION_CHOICE,
	 .offset = FIELD(console),
	 .argument = "serial|virtio",
	 .choices = console_names,
	 .help = "What stdin is to the guest: ttyS0 (default), or hvc0 beside it"},
};

static const struct option_table option_table = {
	.title = "Guest",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

static int read_initrd(struct recording *recording, const char *path, struct file_bytes *initrd)
{
	if (!path)
		return STATUS_OK;
	int err = file_bytes_read(path, initrd);
	if (err) {
		message("initrd %s: %s", path, strerror(-err));
		return STATUS_FAILED;
	}
	recording->config.boot.initrd = initrd->data;
	recording->config.boot.initrd_bytes = initrd->n;
	return STATUS_OK;
}

static int add_disks(struct recorder_config *config, const struct record_options *values)
{
	const unsigned max = sizeof(config->disks) / sizeof(config->disks[0]);

	if (values->disks.n > max) {
		message("record: --disk: given more than %u times", max);
		return STATUS_USAGE;
	}
	for (unsigned i = 0; i < values->disks.n; i++) {
		const char *path = values->disks.item[i];
		if (access(path, values->disk_write ? R_OK | W_OK : R_OK)) {
			message("disk %s: %s", path, strerror(errno));
			return STATUS_FAILED;
		}
		config->disks[i] = (struct recorder_disk){
			path, values->disk_write ? BLOCK_FILE_WRITE_BACK : BLOCK_FILE_OVERLAY};
	}
	config->n_disks = values->disks.n;
	return STATUS_OK;
}

/* Records with stdin and stdout as the console. */
static int record(struct recording *recording, bool quiet, struct recorder_result *ret_result)
{
	struct terminal *terminal = NULL;

	interrupt_install();
	recording->config.console_out_fd = STDOUT_FILENO;
	recording->config.console_in_fd = STDIN_FILENO;
	int err = terminal_open(STDIN_FILENO, &terminal);
	if (!err) {
		recording->config.console_in_fd = terminal_input_fd(terminal);
		recording->config.console_in_interactive = true;
		if (!quiet)
			message("Ctrl-A x quits");
	} else if (err != -ENOTTY) {
		/* A terminal that is not ours to read. */
		recording->config.console_in_fd = -1;
	}
	int status = recording_run(recording, quiet, ret_result);
	terminal_close(terminal);
	return status;
}

static int prepare_and_record(struct recording *recording, const struct record_options *values,
			      struct file_bytes *initrd)
{
	struct recorder_result result = {0};
	bool quiet = values->recording.quiet;

	int status = recording_init(recording, "record", &values->recording, COMMAND_LINE);
	if (!status)
		status = read_initrd(recording, values->initrd, initrd);
	if (!status)
		status = add_disks(&recording->config, values);
	recording->config.virtio_console = values->console == CONSOLE_VIRTIO;
	if (status)
		return status;
	if (!quiet && recording->kernel_was_chosen)
		message("kernel %s", recording->kernel_path);
	recording_take_name(recording);
	if (!quiet && recording->output_was_chosen)
		message("recording to %s", recording->output_path);
	if (values->recording.verbose)
		message("kernel command line: %s", recording->command_line);
	status = record(recording, quiet, &result);
	if (!status && !quiet)
		recording_print_summary(recording, &result);
	if (values->recording.verbose)
		engine_print_uses(result.uses, result.n_uses);
	if (!status && values->recording.verbose && result.unknown_msrs)
		message("%llu accesses to MSRs that the machine does not have",
			(unsigned long long)result.unknown_msrs);
	return status ? status
		      : recording_tell_lost_stream(recording, "record", "standard output",
						   result.console_out_error);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct record_options values = {0};
	struct recording recording = {0};
	struct file_bytes initrd = {0};
	struct operands operands;

	recording_options_init(&values.recording);
	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	if (parsed != OPTIONS_OK)
		return parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	int status = prepare_and_record(&recording, &values, &initrd);
	file_bytes_finish(&initrd);
	recording_finish(&recording);
	return status;
}

const struct command command_record = {
	.name = "record",
	.operands = "",
	.summary = "Boot a kernel, record it, console on the terminal",
	.details = "The guest's first serial port is on stdin and stdout; Ctrl-A x quits on a "
		   "terminal.\n"
		   "With --console virtio stdin goes to /dev/hvc0, and stdout has both.\n"
		   "The kernel's command line is \"" COMMAND_LINE "\" and what --append adds.",
	.tables = {&option_table, &recording_option_table},
	.run = run,
};
