/* One run, in a process of its own, and the judgement on it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gdbstub/crash.h"
#include "recorder/random.h"
#include "tools/evidence.h"
#include "tools/hunt.h"

/* A run begins anywhere between two ticks of its kernel's clock. */
#define START_DELAY_NS UINT64_C(10000000)
#define START_SALT     UINT64_C(0x7374617274)

#define NS_PER_S UINT64_C(1000000000)

#define PLACE_BYTES 96 /* two and a word fit into an outcome's where */

struct judgement {
	const struct hunt *hunt;
	int output_fd, console_fd;
	struct hunt_outcome *outcome;
};

static const char *const failure_names[] = {
	[HUNT_PASSED] = "passed", [HUNT_EXIT] = "exit",       [HUNT_SIGNAL] = "signal",
	[HUNT_OUTPUT] = "output", [HUNT_TIMEOUT] = "timeout", [HUNT_KERNEL] = "kernel",
	[HUNT_GUEST] = "guest",   [HUNT_BROKEN] = "broken",
};

const char *hunt_failure_name(enum hunt_failure failure)
{
	return failure_names[failure];
}

/* ---- what the run has said ---- */

/* The whole of a file as a string, which the caller frees; zero bytes become spaces. NULL: no
 * memory, or nothing there. */
static char *read_text(int fd)
{
	struct stat st;

	if (fstat(fd, &st) || st.st_size <= 0)
		return NULL;
	size_t n = (size_t)st.st_size, done = 0;
	char *text = malloc(n + 1);
	while (text && done < n) {
		ssize_t got = pread(fd, text + done, n - done, (off_t)done);
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	if (!text)
		return NULL;
	for (size_t i = 0; i < done; i++)
		if (!text[i])
			text[i] = ' ';
	text[done] = '\0';
	return text;
}

static bool find_kernel_report(int fd, char what[], size_t n)
{
	char *text = read_text(fd), *rest = text, *line;
	bool found = false;

	while (!found && (line = strsep(&rest, "\r\n"))) {
		found = crash_is_report(line);
		if (found)
			snprintf(what, n, "the guest's kernel reports: %s", line);
	}
	free(text);
	return found;
}

/* The line in which the expression matches. */
static bool find_output(const struct hunt *hunt, int fd, char what[], size_t n)
{
	char *text = hunt->has_regex ? read_text(fd) : NULL;
	regmatch_t match;
	bool found = text && !regexec(&hunt->fail_if, text, 1, &match, 0);

	if (found) {
		char *line = text + match.rm_so;
		while (line > text && line[-1] != '\n')
			line--;
		snprintf(what, n, "output: %.*s", (int)strcspn(line, "\n"), line);
	}
	free(text);
	return found;
}

static void copy_tail(int fd, char tail[HUNT_TAIL_BYTES])
{
	off_t bytes = lseek(fd, 0, SEEK_END);
	off_t from = bytes > HUNT_TAIL_BYTES - 1 ? bytes - (HUNT_TAIL_BYTES - 1) : 0;
	ssize_t n = pread(fd, tail, HUNT_TAIL_BYTES - 1, from);
	char *first = tail;

	tail[n < 0 ? 0 : n] = '\0';
	if (from) /* from the first whole line on */
		first = strchr(tail, '\n') ? strchr(tail, '\n') + 1 : tail;
	memmove(tail, first, strlen(first) + 1);
}

/* ---- the judgement ---- */

static enum hunt_failure judge_status(int status, char what[], size_t n)
{
	int number = status - STATUS_SIGNAL_BASE;
	const char *name = number > 0 && number < NSIG ? sigabbrev_np(number) : NULL;

	if (!status)
		return HUNT_PASSED;
	if (!name) {
		snprintf(what, n, "exit status %d", status);
		return HUNT_EXIT;
	}
	snprintf(what, n, "signal %d (SIG%s)", number, name);
	return HUNT_SIGNAL;
}

/* A guest that ended without its command's status. */
static enum hunt_failure judge_end(const struct judgement *judgement, const char *reason,
				   char what[], size_t n)
{
	if (!strcmp(reason, "timeout")) {
		snprintf(what, n, "timeout: it did not end within %" PRIu64 " s of its time",
			 judgement->hunt->values->timeout_s.value);
		return HUNT_TIMEOUT;
	}
	if (!strcmp(reason, "limit") || !strcmp(reason, "interrupted"))
		return HUNT_PASSED;
	snprintf(what, n, "the guest ended before the command did: %s", reason);
	return HUNT_GUEST;
}

/* recorder_config.keep */
static bool judge(void *ctx, const struct recorder_result *result)
{
	const struct judgement *judgement = ctx;
	struct hunt_outcome *outcome = judgement->outcome;
	enum hunt_failure failure = HUNT_PASSED;
	const size_t n = sizeof(outcome->what);

	outcome->exit_status = result->has_exit_status ? result->exit_status : -1;
	if (find_kernel_report(judgement->console_fd, outcome->what, n))
		failure = HUNT_KERNEL;
	else if (!result->has_exit_status)
		failure = judge_end(judgement, result->end_reason, outcome->what, n);
	else
		failure = judge_status(result->exit_status, outcome->what, n);
	if (failure == HUNT_PASSED &&
	    find_output(judgement->hunt, judgement->output_fd, outcome->what, n))
		failure = HUNT_OUTPUT;
	outcome->failure = (uint8_t)failure;
	if (failure != HUNT_PASSED)
		copy_tail(judgement->output_fd, outcome->tail);
	return failure != HUNT_PASSED;
}

/* ---- where it died ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "look at race.c:32", or as much of it as is known: the same wherever the file was loaded. */
static void print_frame(const Reprise__TraceFrame *frame, char *place, size_t n)
{
	if (frame->function[0] && frame->source_line)
		snprintf(place, n, "%.40s at %.40s:%" PRIu32, frame->function,
			 base_name(frame->source_file), frame->source_line);
	else
		snprintf(place, n, "%.40s in %.40s+0x%" PRIx64,
			 frame->function[0] ? frame->function : "?", base_name(frame->module),
			 frame->module_offset);
}

/* The innermost frame, and the first in the program itself. */
static void take_crash(const Reprise__CrashedProcess *crash, struct hunt_outcome *outcome)
{
	char inner[PLACE_BYTES], own[PLACE_BYTES];

	snprintf(outcome->process, sizeof(outcome->process), "%s", crash->name);
	if (!crash->n_threads || !crash->threads[0]->n_frames)
		return;
	Reprise__TraceFrame *const *frames = crash->threads[0]->frames;
	print_frame(frames[0], inner, sizeof(inner));
	snprintf(outcome->where, sizeof(outcome->where), "%s", inner);
	for (size_t i = 0; i < crash->threads[0]->n_frames; i++) {
		if (strcmp(frames[i]->module, crash->executable) != 0)
			continue;
		print_frame(frames[i], own, sizeof(own));
		if (i)
			snprintf(outcome->where, sizeof(outcome->where), "%s, from %s", inner, own);
		break;
	}
}

/* ---- the run ---- */

static int break_off(struct hunt_outcome *outcome, const char *what, int error)
{
	outcome->failure = HUNT_BROKEN;
	snprintf(outcome->what, sizeof(outcome->what), "%s: %s", what, strerror(error));
	return -1;
}

/* Every run reads standard input from its beginning, where that is a file; else it is empty. */
static int open_input(void)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st) || !S_ISREG(st.st_mode))
		return -1;
	return open("/proc/self/fd/0", O_RDONLY | O_CLOEXEC);
}

static int open_streams(struct judgement *judgement, struct recorder_config *config)
{
	FILE *output = tmpfile();

	if (!output)
		return break_off(judgement->outcome, "no room for the command's output", errno);
	judgement->output_fd = fileno(output);
	judgement->console_fd = memfd_create("console", MFD_CLOEXEC);
	if (judgement->console_fd < 0)
		return break_off(judgement->outcome, "no room for the guest's console", errno);
	config->channel_out_fd = config->channel_err_fd = judgement->output_fd;
	config->console_out_fd = judgement->console_fd;
	config->channel_in_fd = open_input();
	return 0;
}

static uint64_t start_delay_ns(uint64_t seed)
{
	struct random_source random;
	uint64_t value;

	random_source_init(&random, true, seed ^ START_SALT);
	random_source_fill(&random, &value, sizeof(value));
	return value % START_DELAY_NS;
}

static int make_plan(struct hunt *hunt, uint64_t seed)
{
	struct hunt_chaos chaos;

	hunt_chaos_plan(hunt, seed, &chaos);
	const struct guest_plan plan = {.environment = &chaos.environment,
					.results = &(const struct option_list){.n = 0},
					.layout = chaos.layout,
					.time_ns = chaos.time_ns};
	return guest_run_plan(&hunt->guest, &plan);
}

/* Of recordings, and of what becomes one. */
static const char *const recording_extensions[] = {".rpz", ".part", NULL};

static void configure(const struct hunt *hunt, uint64_t seed, const char *path,
		      struct judgement *judgement, struct recorder_config *config)
{
	*config = hunt->guest.recording.config;
	config->output_path = path;
	config->sync = false;
	config->seeded = true;
	config->seed = seed;
	config->chaos = (struct chaos_config){.strategies = hunt->strategies, .seed = seed};
	config->start_delay_ns = start_delay_ns(seed);
	config->limit_ns = hunt->values->timeout_s.value * NS_PER_S;
	config->image = hunt->image;
	config->interrupted = NULL;
	config->files_steady = true;
	config->files_hidden_in = hunt->output_directory;
	config->files_hidden_names = recording_extensions;
	config->keep = judge;
	config->keep_ctx = judgement;
	/* Nobody waits for what runs write to be on the disk, or wants it there. */
	if (config->n_disks)
		config->disks[0].mode = BLOCK_FILE_OVERLAY;
}

void hunt_run(struct hunt *hunt, uint64_t seed, const char *path, struct hunt_outcome *ret)
{
	struct judgement judgement = {.hunt = hunt, .outcome = ret};
	struct recorder_config config;
	struct recorder_result result = {0};
	struct log_error error = {0};
	struct evidence evidence = {0};

	*ret = (struct hunt_outcome){.seed = seed, .failure = HUNT_BROKEN, .exit_status = -1};
	if (make_plan(hunt, seed)) {
		break_off(ret, "the command's plan", EINVAL);
		return;
	}
	configure(hunt, seed, path, &judgement, &config);
	if (open_streams(&judgement, &config))
		return;
	evidence_prepare(&evidence, &config, true);
	if (recorder_run(&config, &result, &error)) {
		ret->failure = HUNT_BROKEN;
		snprintf(ret->what, sizeof(ret->what), "%.150s", error.text);
	}
	ret->icount = result.icount;
	ret->guest_ns = result.guest_ns;
	ret->file_bytes = result.file_bytes;
	ret->engine_instead = result.engine_instead;
	if (ret->failure == HUNT_PASSED || ret->failure == HUNT_BROKEN)
		unlink(path);
	else if (evidence.found && evidence.found->crash)
		take_crash(evidence.found->crash, ret);
	evidence_finish(&evidence);
}
