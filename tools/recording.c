#include "tools/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/engine.h"
#include "tools/file_limit.h"
#include "tools/interrupt.h"
#include "tools/kernel.h"
#include "tools/kernel_fetch.h"
#include "tools/message.h"
#include "tools/progress.h"
#include "tools/text.h"

#define MIB                (UINT64_C(1) << 20)
#define DEFAULT_RAM_BYTES  (512 * MIB)
#define DEFAULT_RATE       1000 /* ns per 1000 instructions */
#define OUTPUT_NAMES_TRIED 100

/* The last second of the year 9999: the clock chip has four digits. */
#define CLOCK_CHIP_MAX_S UINT64_C(253402300799)

static const char *const clock_names[] = {
	[RECORDER_CLOCK_HOST] = "host", [RECORDER_CLOCK_VIRTUAL] = "virtual", NULL};

#define FIELD(member) offsetof(struct recording_options, member)

static const struct option options[] = {
	{.name = "output",
	 .letter = 'o',
	 .kind = OPTION_STRING,
	 .offset = FIELD(output),
	 .argument = "FILE",
	 .help = "The recording (default: reprise-DATE-TIME.rpz, hunt: hunt-SEED.rpz)"},
	{.name = "kernel",
	 .kind = OPTION_STRING,
	 .offset = FIELD(kernel),
	 .argument = "FILE",
	 .help = "Kernel to boot (default: the newest " KERNEL_DIRECTORY "/vmlinuz-*)"},
	{.name = "boot",
	 .kind = OPTION_STRING,
	 .offset = FIELD(boot),
	 .argument = "DIR",
	 .help = "Where a kernel is looked for (default: " KERNEL_DIRECTORY ")"},
	{.name = "append",
	 .kind = OPTION_STRING,
	 .offset = FIELD(append),
	 .argument = "TEXT",
	 .help = "Added to the kernel's command line"},
	{.name = "mem",
	 .kind = OPTION_SIZE,
	 .offset = FIELD(ram_bytes),
	 .argument = "SIZE",
	 .min = 8 * MIB,
	 .max = MEMORY_MAX_BYTES / 2,
	 .help = "Guest RAM (default: 512M)"},
	{.name = "cpus",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(n_vcpus),
	 .argument = "N",
	 .min = 1,
	 .max = MACHINE_MAX_VCPUS,
	 .help = "Virtual CPUs (default: 1)"},
	{.name = "clock",
	 .kind = OPTION_CHOICE,
	 .offset = FIELD(clock),
	 .argument = "host|virtual",
	 .choices = clock_names,
	 .help = "What guest time follows (default: host; hunt: virtual)"},
	{.name = "virtual-rate",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(virtual_rate),
	 .argument = "NS",
	 .min = 1,
	 .max = 1000000,
	 .help = "Virtual clock: ns for 1000 instructions (default: 1000)"},
	{.name = "epoch",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(epoch),
	 .argument = "SECONDS",
	 .max = CLOCK_CHIP_MAX_S,
	 .help = "The guest's date at the start, since 1970 UTC"},
	{.name = "seed",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(seed),
	 .argument = "N",
	 .help = "Random numbers from a generator with this seed"},
	{ENGINE_OPTION, .offset = FIELD(engine)},
	{.name = "until",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(until),
	 .argument = "N",
	 .min = 1,
	 .help = "End the recording at this instruction count"},
	{.name = "attach",
	 .kind = OPTION_LIST,
	 .offset = FIELD(attach),
	 .argument = "FILE",
	 .help = "Add this program or library for debugging; may be given again"},
	{.name = "attachments",
	 .kind = OPTION_FLAG,
	 .negatable = true,
	 .offset = FIELD(attach_programs),
	 .help = "Add the host's programs that the guest has opened (default)"},
	{.name = "sync",
	 .kind = OPTION_FLAG,
	 .negatable = true,
	 .offset = FIELD(sync),
	 .help = "Write the file through to the disk about every second (default)"},
	{.name = "verbose",
	 .letter = 'v',
	 .kind = OPTION_FLAG,
	 .offset = FIELD(verbose),
	 .help = "Say more about what happens"},
	{.name = "quiet",
	 .letter = 'q',
	 .kind = OPTION_FLAG,
	 .offset = FIELD(quiet),
	 .help = "Say nothing but errors"},
};

const struct option_table recording_option_table = {
	.title = "Recording",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

void recording_options_init(struct recording_options *values)
{
	*values = (struct recording_options){
		.ram_bytes.value = DEFAULT_RAM_BYTES,
		.n_vcpus.value = 1,
		.clock = RECORDER_CLOCK_HOST,
		.virtual_rate.value = DEFAULT_RATE,
		.sync = true,
		.attach_programs = true,
	};
}

/* ---- inputs ---- */

static int choose_kernel(struct recording *recording, const struct recording_options *values)
{
	const char *boot = values->boot ? values->boot : KERNEL_DIRECTORY;
	int err = kernel_find_newest(boot, &recording->kernel_path);

	if (err == -EACCES || err == -ENOENT)
		err = kernel_fetch(!values->quiet, &recording->kernel_path);
	else if (err)
		message("%s: %s; name a kernel with --kernel", boot, strerror(-err));
	recording->kernel_was_chosen = !err;
	return err ? STATUS_FAILED : STATUS_OK;
}

static int read_kernel(struct recording *recording, const struct recording_options *values)
{
	if (!values->kernel) {
		int status = choose_kernel(recording, values);
		if (status)
			return status;
	} else {
		recording->kernel_path = strdup(values->kernel);
	}
	if (!recording->kernel_path)
		return STATUS_FAILED;
	int err = file_bytes_map(recording->kernel_path, &recording->kernel);
	if (err) {
		message("kernel %s: %s; name a bzImage, vmlinux or multiboot file with --kernel",
			recording->kernel_path, strerror(-err));
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

/* A name in the current directory that is not taken. */
static char *make_output_name(void)
{
	char stamp[32], *path = NULL;
	time_t now = time(NULL);
	struct tm local;

	localtime_r(&now, &local);
	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &local);
	for (unsigned i = 1; i <= OUTPUT_NAMES_TRIED; i++) {
		char suffix[16] = "";
		if (i > 1)
			snprintf(suffix, sizeof(suffix), "-%u", i);
		if (asprintf(&path, "reprise-%s%s.rpz", stamp, suffix) < 0)
			return NULL;
		if (access(path, F_OK))
			return path;
		free(path);
	}
	return NULL;
}

static int choose_output(struct recording *recording, const char *path)
{
	recording->output_was_chosen = !path;
	recording->output_path = path ? strdup(path) : make_output_name();
	if (recording->output_path)
		return STATUS_OK;
	message("no free name for the recording in this directory; name one with -o");
	return STATUS_FAILED;
}

static bool choose_another_name(struct recording *recording)
{
	char *path = make_output_name();

	if (!path)
		return false;
	free(recording->output_path);
	recording->output_path = path;
	recording->config.output_path = path;
	return true;
}

static int make_command_line(struct recording *recording, const char *base, const char *append)
{
	int n = append ? asprintf(&recording->command_line, "%s %s", base, append)
		       : asprintf(&recording->command_line, "%s", base);

	if (n < 0)
		recording->command_line = NULL;
	return n < 0 ? STATUS_FAILED : STATUS_OK;
}

static void fill_config(struct recording *recording, const struct recording_options *values,
			const struct engine_ops *engine)
{
	recording->config = (struct recorder_config){
		.output_path = recording->output_path,
		.sync = values->sync,
		.n_vcpus = (uint32_t)values->n_vcpus.value,
		/* Whole pages, and nothing that a user could call odd. */
		.ram_bytes = (values->ram_bytes.value + MIB - 1) & ~(MIB - 1),
		.engine = engine,
		.clock = (enum recorder_clock)values->clock,
		/* ns for 1000 instructions are ps for one. */
		.virtual_ps_per_instruction = values->virtual_rate.value,
		.epoch_s = values->epoch.given ? (int64_t)values->epoch.value : -1,
		.seeded = values->seed.given,
		.seed = values->seed.value,
		.limit_icount = values->until.value,
		.boot = {.kernel = recording->kernel.data,
			 .kernel_bytes = recording->kernel.n,
			 .command_line = recording->command_line},
		.kernel_path = recording->kernel_path,
		.attached = values->attach.item,
		.n_attached = values->attach.n,
		.attach_programs = values->attach_programs,
		.console_in_fd = -1,
		.console_out_fd = -1,
		.channel_in_fd = -1,
		.channel_out_fd = -1,
		.channel_err_fd = -1,
		.interrupted = interrupt_flag(),
	};
}

int recording_init(struct recording *recording, const char *command,
		   const struct recording_options *values, const char *command_line)
{
	*recording = (struct recording){0};
	const struct engine_ops *engine = engine_choose(command, values->engine, values->quiet);
	if (!engine)
		return STATUS_USAGE;
	int status = options_check_files("attach", &values->attach, R_OK);
	if (!status)
		status = read_kernel(recording, values);
	if (!status)
		status = choose_output(recording, values->output);
	if (!status)
		status = make_command_line(recording, command_line, values->append);
	if (!status)
		fill_config(recording, values, engine);
	return status;
}

char *recording_find_directory(const struct recording *recording)
{
	const char *path = recording->output_path, *slash = strrchr(path, '/');
	char *directory = slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup(".");
	char *found = directory ? realpath(directory, NULL) : NULL;

	free(directory);
	return found;
}

void recording_take_name(struct recording *recording)
{
	int fd = -1;

	if (!recording->output_was_chosen)
		return;
	do {
		fd = open(recording->output_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	} while (fd < 0 && errno == EEXIST && choose_another_name(recording));
	/* Why it cannot be made is told when the recording is written. */
	recording->output_was_taken = fd >= 0;
	if (fd >= 0)
		close(fd);
}

static void give_name_back(const struct recording *recording)
{
	struct stat st;

	if (recording->output_was_taken && !stat(recording->output_path, &st) && !st.st_size)
		unlink(recording->output_path);
}

void recording_finish(struct recording *recording)
{
	give_name_back(recording);
	file_bytes_finish(&recording->kernel);
	free(recording->kernel_path);
	free(recording->output_path);
	free(recording->command_line);
}

/* ---- running ---- */

static void show_progress(void *ctx, uint64_t icount, uint64_t guest_ns, uint64_t log_bytes)
{
	char count[TEXT_NUMBER_BYTES], seconds[TEXT_NUMBER_BYTES], bytes[TEXT_NUMBER_BYTES];

	(void)ctx;
	progress_show("recording: %s instructions, guest time %s, log %s",
		      text_count(count, icount), text_seconds(seconds, guest_ns),
		      text_bytes(bytes, log_bytes));
}

static void report_file_error(const struct recording *recording, const struct log_error *error)
{
	const char *hint = "name another place with -o",
		   *replays = "what was written until then replays";
	char limit[FILE_LIMIT_HINT_BYTES], both[2 * FILE_LIMIT_HINT_BYTES];

	if (error->code == -ENOSPC || error->code == -EDQUOT || error->code == -EFBIG)
		hint = replays;
	if (file_limit_hint(error->code, limit)) {
		snprintf(both, sizeof(both), "%s; %s", limit, replays);
		hint = both;
	}
	message_log_error(recording->output_path, error, hint);
}

static void report_guest_error(const struct recording *recording, const struct log_error *error)
{
	char limit[FILE_LIMIT_HINT_BYTES];
	const char *hint = file_limit_hint(error->code, limit);

	if (error->code == -ENOMEM)
		message("%s (--mem is %u MiB)", error->text,
			(unsigned)(recording->config.ram_bytes / MIB));
	else
		message("%s%s%s%s", error->text, hint ? " (" : "", hint ? hint : "",
			hint ? ")" : "");
}

int recording_run(struct recording *recording, bool quiet, struct recorder_result *ret_result)
{
	struct log_error error = {0};
	bool show = progress_wanted(quiet);

	if (show)
		recording->config.progress = show_progress;
	int err = recorder_run(&recording->config, ret_result, &error);
	if (show)
		progress_clear();
	engine_print_instead(ret_result->engine_instead, quiet);
	if (err) {
		if (ret_result->file_failed)
			report_file_error(recording, &error);
		else
			report_guest_error(recording, &error);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

/* A reader that has gone needs no more; it is told by a signal where it matters. */
int recording_tell_lost_stream(const struct recording *recording, const char *command,
			       const char *stream, int error)
{
	if (!error || error == -EPIPE)
		return STATUS_OK;
	message("%s: %s: %s; the recording has it all: reprise replay %s", command, stream,
		strerror(-error), recording->output_path);
	return STATUS_FAILED;
}

void recording_print_summary(const struct recording *recording,
			     const struct recorder_result *result)
{
	char count[TEXT_NUMBER_BYTES], seconds[TEXT_NUMBER_BYTES];
	char events[TEXT_NUMBER_BYTES], file[TEXT_NUMBER_BYTES];

	message("%s after %s instructions, %s of guest time; log %s of %s; replay it with: reprise "
		"replay %s",
		result->end_reason, text_count(count, result->icount),
		text_seconds(seconds, result->guest_ns), text_bytes(events, result->event_bytes),
		text_bytes(file, result->file_bytes), recording->output_path);
}
