#include "tools/debug_session.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/message.h"
#include "tools/progress.h"
#include "tools/recording.h"
#include "tools/recording_file.h"
#include "tools/text.h"

static void show_progress(void *ctx, uint64_t icount, uint64_t end_icount)
{
	char count[TEXT_NUMBER_BYTES], end[TEXT_NUMBER_BYTES];

	progress_show("replaying: %s of %s instructions", text_count(count, icount),
		      text_count(end, end_icount));
}

/* Where debugging begins. Returns false after a line was printed. */
static bool find_place(struct gdbstub *stub, const char *command, const char *at,
		       uint64_t *ret_icount)
{
	static const char *const names[] = {
		[GDBSTUB_START] = "start", [GDBSTUB_LAST] = "end", [GDBSTUB_CRASH] = "crash"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(at ? at : "end", names[i]) != 0)
			continue;
		if (!gdbstub_find_place(stub, (enum gdbstub_place)i, ret_icount))
			return true;
		message("%s: no signal ended the process; with --process NAME, try --at end",
			command);
		return false;
	}
	return !options_parse_number(at, ret_icount);
}

/* Checks --at as far as that needs no recording. */
static bool check_place(const char *command, const char *at)
{
	uint64_t icount;

	if (!at || !strcmp(at, "start") || !strcmp(at, "end") || !strcmp(at, "crash") ||
	    !options_parse_number(at, &icount))
		return true;
	message("%s: --at takes start, end, crash or an instruction count, not '%s'", command, at);
	return false;
}

static int choose_process(struct gdbstub *stub, const char *path,
			  const struct debug_options *options)
{
	char error[GDBSTUB_ERROR_BYTES];
	bool shown = progress_wanted(options->quiet);

	if (!options->process)
		return STATUS_OK;
	if (shown)
		gdbstub_set_progress(stub, show_progress, NULL);
	int code = gdbstub_choose_process(stub, options->process, options->sysroot, error);
	gdbstub_set_progress(stub, NULL, NULL);
	if (shown)
		progress_clear();
	if (code)
		message("%s: %s", path, error);
	return code ? STATUS_FAILED : STATUS_OK;
}

static int go_to_place(struct gdbstub *stub, const char *path, uint64_t icount, bool quiet)
{
	struct timeline *timeline = gdbstub_timeline(stub);
	bool shown = progress_wanted(quiet);

	if (shown)
		gdbstub_set_progress(stub, show_progress, NULL);
	enum timeline_status status = timeline_seek(timeline, icount);
	gdbstub_set_progress(stub, NULL, NULL);
	if (shown)
		progress_clear();
	if (status != TIMELINE_FAILED)
		return STATUS_OK;
	/* What lies before can be debugged all the same. */
	message("%s: %s; it can be debugged up to there", path, timeline_error(timeline));
	return STATUS_OK;
}

int debug_session_open(const char *command, const char *path, const struct debug_options *options,
		       struct gdbstub **ret_stub)
{
	struct log_error error = {0};
	const struct gdbstub_config config = {
		.engine = engine_choose(command, options->engine),
		.checkpoint_bytes = options->checkpoint_memory.value,
		.quit = interrupt_flag(),
	};
	uint64_t icount;

	if (!config.engine || !check_place(command, options->at))
		return STATUS_USAGE;
	if (gdbstub_create(path, &config, ret_stub, &error)) {
		message_log_error(path, &error, NULL);
		return recording_file_status(&error);
	}
	int status = choose_process(*ret_stub, path, options);
	if (!status && !find_place(*ret_stub, command, options->at, &icount))
		status = STATUS_USAGE;
	return status ? status : go_to_place(*ret_stub, path, icount, options->quiet);
}

int debug_session_listen(const char *address, bool anywhere)
{
	int fd = gdbstub_listen(address, anywhere);

	if (fd == -EINVAL)
		message("%s: not an address; try a path for a socket, or 127.0.0.1:1234", address);
	else if (fd == -EPERM)
		message("%s: other machines could connect and nothing would ask them who they are; "
			"--anywhere allows it",
			address);
	else if (fd < 0)
		message("%s: cannot listen: %s", address, strerror(-fd));
	return fd < 0 ? -1 : fd;
}
