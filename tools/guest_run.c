#include "tools/guest_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tools/file_limit.h"
#include "tools/guest/agent.h"
#include "tools/guest_command.h"
#include "tools/guest_image.h"
#include "tools/interrupt.h"
#include "tools/kernel.h"
#include "tools/message.h"
#include "tools/modules.h"
#include "tools/rootfs.h"
#include "tools/scratch_disk.h"
#include "tools/warm_disk.h"
#include "tools/warm_state.h"

/* The kernel's tests of its own cryptography would be half of the boot. One that gives up resets
 * its machine, which ends the run. */
#define COMMAND_LINE  "console=ttyS0 cryptomgr.notests panic=-1"
#define SCRATCH_BYTES (UINT64_C(16) << 30)

#define NS_PER_S UINT64_C(1000000000)

#define FIELD(member) offsetof(struct guest_options, member)

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
	{.name = "modules",
	 .kind = OPTION_STRING,
	 .offset = FIELD(modules),
	 .argument = "DIR",
	 .help = "The kernel's modules (default: " MODULES_DIRECTORY "/RELEASE)"},
};

const struct option_table guest_option_table = {
	.title = "Guest",
	.options = options,
	.n = sizeof(options) / sizeof(options[0]),
};

void guest_options_init(struct guest_options *values)
{
	recording_options_init(&values->recording);
	values->scratch_bytes.value = SCRATCH_BYTES;
}

const char *guest_run_command_line(bool quiet)
{
	return quiet ? COMMAND_LINE " quiet" : COMMAND_LINE;
}

/* ---- the guest ---- */

static int make_image(struct guest_run *run)
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

static int share_files(struct guest_run *run)
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

static void tell_no_scratch_disk(const char *command, uint64_t bytes, int error)
{
	const unsigned long long mib = bytes >> 20;
	char limit[FILE_LIMIT_HINT_BYTES];

	if (file_limit_hint(error, limit))
		message("%s: a scratch disk of %llu MiB: %s; raise that, or try --scratch %lluM",
			command, mib, limit, (unsigned long long)file_limit() >> 20);
	else
		message("%s: a scratch disk of %llu MiB: %s; see --scratch", command, mib,
			strerror(-error));
}

/* Without the program that makes file systems, what the command writes stays in guest RAM. */
static int add_scratch_disk(struct guest_run *run)
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
		tell_no_scratch_disk(run->command, bytes, error);
		return STATUS_FAILED;
	}
	snprintf(run->scratch_path, sizeof(run->scratch_path), "/proc/self/fd/%d", run->scratch_fd);
	config->disks[0] = (struct recorder_disk){run->scratch_path, BLOCK_FILE_SCRATCH};
	config->n_disks = 1;
	return STATUS_OK;
}

/* Each file that the guest has open is open here too. */
static void raise_file_limit(struct guest_run *run)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	run->open_files = limit;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* In other files than the host's the guest looks for the command itself. */
static int find_program(struct guest_run *run)
{
	const char *name = run->argv[0];

	if (!run->values->rootfs)
		return guest_command_find(run->command, name, run->program);
	if (snprintf(run->program, sizeof(run->program), "%s", name) < (int)sizeof(run->program))
		return STATUS_OK;
	message("%s: the command's name is too long", run->command);
	return STATUS_NOT_FOUND;
}

static void describe(struct guest_run *run)
{
	struct recorder_config *config = &run->recording.config;

	config->command = (const char *const *)run->argv;
	config->channel = true;
	config->channel_results_fd = -1;
	if (run->values->rootfs)
		config->directory = "/";
	else if (getcwd(run->directory, sizeof(run->directory)))
		config->directory = run->directory;
}

/*
 * Linux takes no date before its boot, as the time since then tells, and none so late that a signed
 * number of nanoseconds would overflow within thirty years (timekeeping.c,
 * timespec64_valid_settod).
 */
int guest_run_check_epoch(const char *command, const struct guest_options *values, bool cold)
{
	const struct option_number *epoch = &values->recording.epoch;
	const uint64_t max = INT64_MAX / NS_PER_S - 30 * UINT64_C(365) * 86400 - 1;
	uint64_t min = 0;

	if (!cold)
		min = warm_state_limit_ns(values->recording.ram_bytes.value) / NS_PER_S + 1;
	if (!epoch->given || (epoch->value >= min && epoch->value <= max))
		return STATUS_OK;
	message("%s: --epoch: %" PRIu64 " is out of range, %" PRIu64 " to %" PRIu64 "%s", command,
		epoch->value, min, max, cold ? "" : " in a guest that has booted before");
	return STATUS_USAGE;
}

int guest_run_init(struct guest_run *run, const char *command, const struct guest_options *values,
		   char *const *argv, const char *command_line)
{
	*run = (struct guest_run){
		.command = command, .values = values, .argv = argv, .scratch_fd = -1};
	int status = find_program(run);

	if (!status)
		status = recording_init(&run->recording, command, &values->recording, command_line);
	if (!status)
		status = make_image(run);
	if (!status)
		status = share_files(run);
	if (!status)
		status = add_scratch_disk(run);
	describe(run);
	raise_file_limit(run);
	return status;
}

void guest_run_finish(struct guest_run *run)
{
	if (run->scratch_fd >= 0)
		close(run->scratch_fd);
	guest_secrets_finish(&run->secrets);
	guest_environment_finish(&run->environment);
	free(run->rootfs);
	free(run->initrd);
	free(run->plan);
	free(run->saved_path);
	recording_finish(&run->recording);
}

int guest_run_cold(struct guest_run *run)
{
	int error = warm_disk_format(&run->recording.config, 0);

	if (error && *interrupt_flag()) /* ^C is for what makes the file system, too */
		return STATUS_SIGNAL_BASE + *interrupt_flag();
	if (error)
		message("%s: the scratch disk: %s; see --scratch", run->command, strerror(-error));
	return error ? STATUS_FAILED : STATUS_OK;
}

/* Each state has a disk of its own; runs that started from another may still read theirs. */
static int renew_scratch_disk(struct guest_run *run)
{
	if (run->scratch_fd < 0)
		return STATUS_OK;
	close(run->scratch_fd);
	run->scratch_fd = -1;
	return add_scratch_disk(run);
}

int guest_run_warm(struct guest_run *run, unsigned variant, bool tell)
{
	int status = run->saved_path ? renew_scratch_disk(run) : STATUS_OK;

	free(run->saved_path);
	run->saved_path = NULL;
	if (!status)
		status = warm_state_find(&run->recording, variant, tell, &run->saved_path);
	run->recording.config.saved_path = run->saved_path;
	if (status || run->saved_path)
		return status;
	/* A guest whose state could not be kept has written to this one. */
	status = renew_scratch_disk(run);
	return status ? status : guest_run_cold(run);
}

/* ---- the plan ---- */

/* A guest that boots gets it from its clock chip. */
static int64_t start_time_ns(const struct guest_run *run, int64_t wanted_ns)
{
	const struct recorder_config *config = &run->recording.config;
	struct timespec now;

	if (!run->saved_path || wanted_ns)
		return run->saved_path ? wanted_ns : 0;
	if (config->epoch_s >= 0 || config->clock == RECORDER_CLOCK_VIRTUAL)
		return (int64_t)recorder_epoch_s(config) * 1000000000;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int choose_environment(struct guest_run *run, const struct option_list *added)
{
	struct recorder_config *config = &run->recording.config;

	guest_environment_finish(&run->environment);
	run->environment = (struct guest_environment){0};
	if (guest_environment_init(&run->environment, added, run->values->clean_environment)) {
		message("%s: no memory for the environment", run->command);
		return STATUS_FAILED;
	}
	config->environment = (const char *const *)run->environment.shown;
	config->withheld = (const char *const *)run->environment.withheld;
	return STATUS_OK;
}

int guest_run_plan(struct guest_run *run, const struct guest_plan *plan)
{
	const struct guest_options *values = run->values;
	int status = choose_environment(run, plan->environment);
	if (status)
		return status;
	const struct guest_command command = {
		.argv = run->argv,
		.program = run->program,
		.directory = values->rootfs ? "/" : NULL,
		.environment = run->environment.given,
		.results = plan->results,
		.terminal = plan->terminal,
		.layout = plan->layout,
		.open_files = run->open_files,
		.time_ns = start_time_ns(run, plan->time_ns),
	};
	size_t n = 0;

	free(run->plan);
	run->plan = NULL;
	status = guest_command_plan(&command, &run->plan, &n);
	run->recording.config.plan = run->plan;
	run->recording.config.plan_bytes = status ? 0 : (uint32_t)n;
	return status;
}
