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
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tools/guest/agent.h"
#include "tools/engine.h"
#include "tools/evidence.h"
#include "tools/guest_command.h"
#include "tools/guest_environment.h"
#include "tools/guest_image.h"
#include "tools/guest_results.h"
#include "tools/guest_secrets.h"
#include "tools/interrupt.h"
#include "tools/kernel.h"
#include "tools/message.h"
#include "tools/modules.h"
#include "tools/recording.h"
#include "tools/rootfs.h"
#include "tools/scratch_disk.h"
#include "tools/terminal.h"
#include "tools/text.h"
#include "tools/warm_state.h"
#include "vmm/cpu/system/system.h"
#include "vmm/devices/channel.h"

/* The kernel's tests of its own cryptography would be half of the boot. */
#define COMMAND_LINE_VERBOSE "console=ttyS0 cryptomgr.notests"
#define COMMAND_LINE         COMMAND_LINE_VERBOSE " quiet"
#define SCRATCH_DEVICE       "/dev/vda"
#define SCRATCH_BYTES        (UINT64_C(16) << 30)
#define CONSOLE_TAIL_BYTES   2000 /* of the kernel's console, shown when the guest failed */

struct run_options {
	struct recording_options recording;
	struct option_list environment, allow, deny, results;
	bool clean_environment, cold;
	struct option_number scratch_bytes;
	const char *rootfs, *modules;
};

#define FIELD(member) offsetof(struct run_options, member)

static const struct option options[] = {
	{.name = "env",
	 .kind = OPTION_LIST,
	 .offset = FIELD(environment),
	 .argument = "NAME[=VALUE]",
	 .help = "Set a variable for the command; may be given again"},
	{.name = "clean-env",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(clean_environment),
	 .help = "Of the host's environment, pass only PATH, HOME, LANG, LC_ALL, TERM, TZ"},
	{.name = "result",
	 .kind = OPTION_LIST,
	 .offset = FIELD(results),
	 .argument = "PATH",
	 .help = "Copy this back to the host at the end; may be given again"},
	{.name = "allow",
	 .kind = OPTION_LIST,
	 .offset = FIELD(allow),
	 .argument = "PATH",
	 .help = "Let the guest read this, although it is where secrets are kept"},
	{.name = "deny",
	 .kind = OPTION_LIST,
	 .offset = FIELD(deny),
	 .argument = "PATH",
	 .help = "Keep this from the guest; may be given again"},
	{.name = "rootfs",
	 .kind = OPTION_STRING,
	 .offset = FIELD(rootfs),
	 .argument = "DIR|TAR",
	 .help = "The guest's / instead of the host's, as of a container image"},
	{.name = "scratch",
	 .kind = OPTION_SIZE,
	 .offset = FIELD(scratch_bytes),
	 .argument = "SIZE",
	 .max = UINT64_C(1) << 43,
	 .help = "Disk space for what the command writes (default: 16G); 0: guest RAM"},
	{.name = "cold",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(cold),
	 .help = "Boot the guest anew, and record the boot"},
	{.name = "modules",
	 .kind = OPTION_STRING,
	 .offset = FIELD(modules),
	 .argument = "DIR",
	 .help = "The kernel's modules (default: " MODULES_DIRECTORY "/RELEASE)"},
};

static const struct option_table option_table = {
	.title = "Guest",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

/* What a run is made of, beside the recording. */
struct run {
	const struct run_options *values;
	char *const *argv;
	struct recording recording;
	struct guest_secrets secrets;
	struct guest_environment environment;
	struct evidence evidence;
	struct terminal *terminal; /* NULL: stdin is none */
	uint8_t *initrd, *plan;
	char *rootfs;     /* NULL: the host's */
	char *saved_path; /* of the booted guest that this one starts as; NULL: it boots */
	int console_fd, results_fd, scratch_fd;
	char scratch_path[32];
	char program[PATH_MAX], directory[PATH_MAX];
};

/* ---- the guest ---- */

static int make_image(struct run *run)
{
	struct boot_config *boot = &run->recording.config.boot;

	char *beside = kernel_modules_beside(run->recording.kernel_path);
	int status = guest_image_make(run->recording.kernel.data, run->recording.kernel.n,
				      run->values->modules ? run->values->modules : beside,
				      &run->initrd, &boot->initrd_bytes);
	free(beside);
	boot->initrd = run->initrd;
	return status;
}

/* Which of our descriptors are a terminal. Of one that is not ours to read, none is. */
static unsigned terminal_bits(const struct run *run)
{
	unsigned bits = 0;

	for (int fd = 0; fd < 3; fd++)
		if (fd == STDIN_FILENO ? run->terminal != NULL : isatty(fd))
			bits |= 1u << fd;
	return bits;
}

/* A guest that boots gets it from its clock chip. */
static int64_t start_time_ns(const struct run *run)
{
	const struct recorder_config *config = &run->recording.config;
	struct timespec now;

	if (!run->saved_path)
		return 0;
	if (config->epoch_s >= 0 || config->clock == RECORDER_CLOCK_VIRTUAL)
		return (int64_t)recorder_epoch_s(config) * 1000000000;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int make_plan(struct run *run)
{
	const struct run_options *values = run->values;
	const struct guest_command command = {
		.argv = run->argv,
		.program = run->program,
		.directory = values->rootfs ? "/" : NULL,
		.environment = run->environment.given,
		.results = &values->results,
		.terminal = terminal_bits(run),
		.time_ns = start_time_ns(run),
		.scratch = run->scratch_fd >= 0 ? SCRATCH_DEVICE : NULL,
	};
	size_t n;

	int status = guest_command_plan(&command, &run->plan, &n);

	run->recording.config.plan = run->plan;
	run->recording.config.plan_bytes = status ? 0 : (uint32_t)n;
	return status;
}

static int share_files(struct run *run)
{
	struct recorder_config *config = &run->recording.config;
	int status = guest_secrets_find(&run->values->deny, &run->values->allow, &run->secrets);

	if (!status && run->values->rootfs)
		status = rootfs_find(run->values->rootfs, !run->values->recording.quiet,
				     &run->rootfs);
	config->files_root = run->rootfs ? run->rootfs : "/";
	config->files_tag = AGENT_FILES_TAG;
	config->files_denied = (const char *const *)run->secrets.path;
	config->n_files_denied = run->secrets.n;
	return status;
}

/* Without the program that makes file systems, what the command writes stays in guest RAM. */
static int add_scratch_disk(struct run *run)
{
	struct recorder_config *config = &run->recording.config;
	uint64_t bytes = run->values->scratch_bytes.value;
	int error = bytes ? scratch_disk_open(bytes & ~(uint64_t)4095, &run->scratch_fd) : -ENOENT;

	if (error == -ENOENT) {
		if (bytes && run->values->recording.verbose)
			message("no mkfs.ext4: what the command writes is kept in guest RAM");
		return STATUS_OK;
	}
	if (error) {
		message("run: a scratch disk of %llu MiB: %s; see --scratch",
			(unsigned long long)bytes >> 20, strerror(-error));
		return STATUS_FAILED;
	}
	snprintf(run->scratch_path, sizeof(run->scratch_path), "/proc/self/fd/%d", run->scratch_fd);
	config->disks[0] = (struct recorder_disk){run->scratch_path, BLOCK_FILE_SCRATCH};
	config->n_disks = 1;
	return STATUS_OK;
}

/* Each file that the guest has open is open here too. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* ---- the host's side ---- */

static void connect_streams(struct run *run)
{
	struct recorder_config *config = &run->recording.config;

	config->channel = true;
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
	struct recorder_config *config = &run->recording.config;
	bool verbose = run->values->recording.verbose;

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
	if (run->scratch_fd >= 0)
		close(run->scratch_fd);
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

	if (run->values->recording.quiet)
		return;
	if (result->notes & CHANNEL_NOTE_NETWORK &&
	    (result->exit_status || run->values->recording.verbose || isatty(STDERR_FILENO)))
		message("run: the command wanted to reach another machine; the guest has no "
			"network but loopback");
	if (result->exit_status == STATUS_SIGNAL_BASE + SIGILL ||
	    (crash && crash->signal == SIGILL))
		message("run: SIGILL%s%s: the guest's processor is an %s, whatever the host's is; "
			"build for that",
			crash && crash->instruction[0] ? " at " : "",
			crash ? crash->instruction : "", cpu_model_name);
	if (crash && (run->values->recording.verbose || isatty(STDERR_FILENO)))
		tell_crash(crash, run->recording.output_path);
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

/* The status of a guest whose command did not end. */
static int tell_failure(const struct run *run, const struct recorder_result *result)
{
	message("run: the guest ended before the command did: %s", result->end_reason);
	if (*interrupt_flag())
		return STATUS_SIGNAL_BASE + *interrupt_flag();
	show_console_tail(run->console_fd);
	return STATUS_FAILED;
}

/* Returns the command's exit status. */
static int record(struct run *run)
{
	const struct recording_options *values = &run->values->recording;
	struct recorder_result result = {0};

	interrupt_install();
	int status = recording_run(&run->recording, values->quiet, &result);
	terminal_close(run->terminal);
	run->terminal = NULL;
	if (result.saved_failed && !unlink(run->saved_path))
		message("run: it was removed from the cache; run the command again");
	if (status)
		return status;
	tell(&run->recording, &result, values);
	tell_limits(run, &result);
	if (values->verbose)
		engine_print_uses(result.uses, result.n_uses);
	if (run->results_fd >= 0)
		status = guest_results_unpack(run->results_fd, &run->values->results);
	if (!result.has_exit_status)
		return tell_failure(run, &result);
	return status ? status : result.exit_status & 0xff;
}

static int start_warm(struct run *run)
{
	const struct recording_options *values = &run->values->recording;
	bool tell = !values->quiet && (values->verbose || isatty(STDERR_FILENO));
	int status = warm_state_find(&run->recording, tell, &run->saved_path);

	run->recording.config.saved_path = run->saved_path;
	return status;
}

/* In other files than the host's the guest looks for the command itself. */
static int find_program(struct run *run)
{
	const char *name = run->argv[0];

	if (!run->values->rootfs)
		return guest_command_find(name, run->program);
	if (snprintf(run->program, sizeof(run->program), "%s", name) < (int)sizeof(run->program))
		return STATUS_OK;
	message("run: the command's name is too long");
	return STATUS_NOT_FOUND;
}

/* What the file says of the run. */
static int describe(struct run *run)
{
	struct recorder_config *config = &run->recording.config;

	if (guest_environment_init(&run->environment, &run->values->environment,
				   run->values->clean_environment)) {
		message("run: no memory for the environment");
		return STATUS_FAILED;
	}
	config->command = (const char *const *)run->argv;
	config->environment = (const char *const *)run->environment.shown;
	config->withheld = (const char *const *)run->environment.withheld;
	if (run->values->rootfs)
		config->directory = "/";
	else if (getcwd(run->directory, sizeof(run->directory)))
		config->directory = run->directory;
	evidence_prepare(&run->evidence, config, run->values->recording.quiet);
	return STATUS_OK;
}

static int prepare(struct run *run)
{
	bool shown = run->values->cold && run->values->recording.verbose;
	int status = find_program(run);

	if (!status)
		status = recording_init(&run->recording, "run", &run->values->recording,
					shown ? COMMAND_LINE_VERBOSE : COMMAND_LINE);
	if (!status)
		status = make_image(run);
	if (!status)
		status = share_files(run);
	if (!status)
		status = add_scratch_disk(run);
	if (!status)
		status = open_own_streams(run);
	if (status)
		return status;
	if (!run->values->cold)
		status = start_warm(run);
	if (status)
		return status;
	status = describe(run);
	if (status)
		return status;
	connect_streams(run);
	status = make_plan(run);
	raise_file_limit();
	return status;
}

static int run_guest(struct run *run)
{
	int status = prepare(run);

	if (status)
		return status;
	if (run->values->recording.verbose)
		message("kernel %s, recording to %s", run->recording.kernel_path,
			run->recording.output_path);
	return record(run);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct run_options values = {0};
	struct run run = {.values = &values, .console_fd = -1, .results_fd = -1, .scratch_fd = -1};
	struct operands operands;

	recording_options_init(&values.recording);
	values.scratch_bytes.value = SCRATCH_BYTES;
	enum options_result parsed = options_parse(command, argc, argv, &values, &operands);
	if (parsed != OPTIONS_OK)
		return parsed == OPTIONS_DONE ? STATUS_OK : STATUS_USAGE;
	run.argv = operands.item;
	int status = run_guest(&run);
	terminal_close(run.terminal);
	close_own_streams(&run);
	guest_secrets_finish(&run.secrets);
	guest_environment_finish(&run.environment);
	evidence_finish(&run.evidence);
	free(run.initrd);
	free(run.plan);
	free(run.saved_path);
	free(run.rootfs);
	recording_finish(&run.recording);
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
	.tables = {&option_table, &recording_option_table},
	.takes_command = true,
	.min_operands = 1,
	.max_operands = INT_MAX,
	.run = run,
};
