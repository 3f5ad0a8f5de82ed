#include "tests/roundtrip/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/roundtrip/twice.h"

#define GUEST_RAM_BYTES (UINT64_C(32) << 20)

static const struct engine_ops *default_engine;
static const char *guest_folder;
static char work_folder[64];

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(99);
}

void harness_init(int argc, char **argv)
{
	if (argc < 2) {
		errno = EINVAL;
		die("usage: test FOLDER-OF-GUESTS");
	}
	default_engine = harness_engine();
	guest_folder = argv[1];
	snprintf(work_folder, sizeof(work_folder), "/tmp/reprise-roundtrip-XXXXXX");
	if (!mkdtemp(work_folder))
		die(work_folder);
}

void harness_finish(void)
{
	char command[sizeof(work_folder) + 16];

	snprintf(command, sizeof(command), "rm -rf %s", work_folder);
	if (system(command))
		printf("# %s is left behind\n", work_folder);
}

void harness_path(const char *name, char path[HARNESS_PATH_BYTES])
{
	snprintf(path, HARNESS_PATH_BYTES, "%s/%s", work_folder, name);
}

static uint8_t *read_guest(const char *name, size_t *ret_bytes)
{
	char path[PATH_MAX];
	struct stat info;
	uint8_t *bytes;
	int fd;

	snprintf(path, sizeof(path), "%s/%s.elf", guest_folder, name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &info) < 0)
		die(path);
	bytes = malloc((size_t)info.st_size);
	if (!bytes || read(fd, bytes, (size_t)info.st_size) != info.st_size)
		die(path);
	close(fd);
	*ret_bytes = (size_t)info.st_size;
	return bytes;
}

/* A pipe that holds text, with its writing end closed; -1 for no text. */
static int pipe_with(const char *text)
{
	int ends[2];

	if (!text)
		return -1;
	if (pipe(ends) < 0 || write(ends[1], text, strlen(text)) != (ssize_t)strlen(text))
		die("pipe");
	close(ends[1]);
	return ends[0];
}

/* Reads the guest's console from a file after the run: no thread is needed beside the recorder's.
 */
static void read_console(int fd, struct console_text *console)
{
	ssize_t n = pread(fd, console->text, sizeof(console->text) - 1, 0);

	console->n = n > 0 ? (size_t)n : 0;
	console->text[console->n] = '\0';
}

static int open_console(void)
{
	char path[HARNESS_PATH_BYTES];
	int fd;

	harness_path("console", path);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		die(path);
	return fd;
}

void harness_record(const struct recording_request *request, const char *name,
		    struct recording *ret)
{
	size_t kernel_bytes;
	uint8_t *kernel = read_guest(request->guest, &kernel_bytes);
	struct recorder_config config = {
		.output_path = ret->path,
		.n_vcpus = request->n_vcpus ? request->n_vcpus : 1,
		.ram_bytes = GUEST_RAM_BYTES,
		.engine = request->engine ? request->engine : default_engine,
		.clock = request->clock,
		.virtual_ps_per_instruction = 1000,
		.epoch_s = -1,
		.seeded = request->seeded,
		.seed = request->seed,
		.limit_icount = request->limit_icount,
		.reset_on_shutdown = request->reset_on_shutdown,
		.boot = {.kernel = kernel, .kernel_bytes = kernel_bytes, .command_line = ""},
		.kernel_path = request->guest,
		.virtio_console = request->virtio_console,
		.console_in_fd = pipe_with(request->input),
		.console_out_fd = open_console(),
		.interrupted = request->interrupted,
		.channel = request->channel,
		.channel_in_fd = -1,
		.channel_out_fd = -1,
		.channel_err_fd = -1,
		.channel_results_fd = -1,
		.plan = (const uint8_t *)request->plan,
		.plan_bytes = request->plan ? (uint32_t)strlen(request->plan) : 0,
		.save_path = request->save,
		.saved_path = request->saved,
	};

	if (request->disk) {
		config.disks[0].path = request->disk;
		config.n_disks = 1;
	}
	memset(ret, 0, sizeof(*ret));
	harness_path(name, ret->path);
	ret->code = recorder_run(&config, &ret->result, &ret->error);
	read_console(config.console_out_fd, &ret->console);
	close(config.console_out_fd);
	if (config.console_in_fd >= 0)
		close(config.console_in_fd);
	free(kernel);
}

/* Every stream of these guests is shown on stdout. */
static void take_output(void *ctx, unsigned stream, const uint8_t *data, size_t n)
{
	struct console_text *console = ctx;
	size_t room = sizeof(console->text) - 1 - console->n;

	if (n > room)
		n = room;
	memcpy(console->text + console->n, data, n);
	console->n += n;
	console->text[console->n] = '\0';
}

void harness_replay(const char *path, uint64_t icount, struct replaying *ret)
{
	harness_replay_by(default_engine, path, icount, ret);
}

void harness_replay_by(const struct engine_ops *engine, const char *path, uint64_t icount,
		       struct replaying *ret)
{
	const struct replayer_config config = {
		.engine = engine,
		.stream_output = take_output,
		.stream_ctx = &ret->console,
	};
	struct log_reader *reader;
	struct replayer *replayer;

	memset(ret, 0, sizeof(*ret));
	ret->status = REPLAY_FAILED;
	if (log_reader_open(path, &reader, &ret->error) < 0)
		return;
	if (replayer_create(reader, &config, &replayer, &ret->error) == 0) {
		ret->status = replayer_run_until(replayer, icount);
		ret->icount = replayer_machine(replayer)->icount;
		ret->digests_checked = replayer_digests_checked(replayer);
		ret->divergence = *replayer_divergence(replayer);
		ret->error = *replayer_error(replayer);
		machine_digest(replayer_machine(replayer), &ret->digest);
		ret->n_uses = replayer_engine_uses(replayer, ret->uses);
		replayer_destroy(replayer);
	}
	log_reader_close(reader);
}

bool harness_engine_ran(const struct engine_use *uses, unsigned n)
{
	uint64_t instructions = 0, unexpected = 0;

	if (default_engine == &interp_engine_ops)
		return true;
	for (unsigned i = 0; i < n; i++) {
		unexpected += uses[i].unexpected;
		if (!strcmp(uses[i].name, default_engine->name))
			instructions = uses[i].instructions;
	}
	return instructions && !unexpected;
}

/* Keeps what failed; while nothing did, the last comparison. */
static void keep_report(void *ctx, bool good, const char *text)
{
	char *report = ctx;
	size_t n = strlen(report);

	if (good && report[0] != '!')
		snprintf(report, HARNESS_REPORT_BYTES, "%s", text);
	else if (!good && report[0] == '!')
		snprintf(report + n, HARNESS_REPORT_BYTES - n, "; %s", text);
	else if (!good)
		snprintf(report, HARNESS_REPORT_BYTES, "! %s", text);
}

bool harness_replay_twice(const char *path, char report[HARNESS_REPORT_BYTES])
{
	static uint64_t seed;
	const struct twice_request request = {
		.path = path,
		.engine = default_engine,
		.n_stops = 20,
		.n_saves = 10,
		.seed = ++seed,
		.console_fd = -1,
		.report = keep_report,
		.ctx = report,
	};

	report[0] = '\0';
	return twice_replay(&request);
}
