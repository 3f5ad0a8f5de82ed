#include "tools/debug_session.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tools/command.h"
#include "tools/engine.h"
#include "tools/interrupt.h"
#include "tools/message.h"
#include "tools/progress.h"
#include "tools/recording_file.h"
#include "tools/text.h"

#define FIELD(member) offsetof(struct debug_options, member)

static const struct option session_options[] = {
	{.name = "at",
	 .kind = OPTION_STRING,
	 .offset = FIELD(at),
	 .argument = "start|end|crash|N",
	 .help = "Where to begin: an end, the crash, an instruction count (default: end)"},
	{.name = "process",
	 .kind = OPTION_STRING,
	 .offset = FIELD(process),
	 .argument = "NAME|PID",
	 .help = "Debug this process, as if the kernel and the others were not there"},
	{.name = "sysroot",
	 .kind = OPTION_STRING,
	 .offset = FIELD(sysroot),
	 .argument = "DIR",
	 .help = "Where the process's files are on this host"},
	{.name = "checkpoint-memory",
	 .kind = OPTION_SIZE,
	 .offset = FIELD(checkpoint_memory),
	 .argument = "SIZE",
	 .help = "What checkpoints may take (default: 1G)",
	 .min = 1 << 20},
	{ENGINE_OPTION, .offset = FIELD(engine)},
	{.name = "quiet",
	 .letter = 'q',
	 .kind = OPTION_FLAG,
	 .offset = FIELD(quiet),
	 .help = "No progress"},
};

const struct option_table debug_option_table = {
	.title = "Debugging",
	.options = session_options,
	.n = sizeof(session_options) / sizeof(session_options[0]),
};

static void show_progress(void *ctx, uint64_t icount, uint64_t end_icount)
{
	char count[TEXT_NUMBER_BYTES], end[TEXT_NUMBER_BYTES];

	progress_show("replaying: %s of %s instructions", text_count(count, icount),
		      text_count(end, end_icount));
}

struct place {
	bool at_crash;
	uint64_t icount; /* otherwise */
};

/* Where debugging begins. Returns false after a line was printed. */
static bool parse_place(const char *command, const char *at, struct place *ret)
{
	*ret = (struct place){.icount = UINT64_MAX};
	if (!at || !strcmp(at, "end"))
		return true;
	if (!strcmp(at, "start"))
		ret->icount = 0;
	else if (!strcmp(at, "crash"))
		ret->at_crash = true;
	else if (options_parse_number(at, &ret->icount)) {
		message("%s: --at takes start, end, crash or an instruction count, not '%s'",
			command, at);
		return false;
	}
	return true;
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

/* Where there is no crash to go to, the end is as good as any place. */
static int go_to_crash(struct gdbstub *stub, const char *path)
{
	struct timeline *timeline = gdbstub_timeline(stub);
	struct crash crash;
	int error = gdbstub_go_to_crash(stub, &crash);

	if (!error) {
		message("%s: %s, at instruction %" PRIu64, path, crash.what, crash.icount);
		return STATUS_OK;
	}
	if (error == -ENOENT)
		message("%s: %s; begins at its end", path, crash.what);
	else if (error == -EIO)
		message("%s: %s; begins before that", path, timeline_error(timeline));
	else
		return STATUS_FAILED;
	timeline_seek(timeline, error == -EIO ? timeline_position(timeline) : UINT64_MAX);
	return STATUS_OK;
}

static int go_to_count(struct gdbstub *stub, const char *path, uint64_t icount)
{
	struct timeline *timeline = gdbstub_timeline(stub);

	if (timeline_seek(timeline, icount) ==
	    TIMELINE_FAILED) /* what lies before can be debugged */
		message("%s: %s; it can be debugged up to there", path, timeline_error(timeline));
	return STATUS_OK;
}

static int go_to_place(struct gdbstub *stub, const char *path, const struct place *place,
		       bool quiet)
{
	bool shown = progress_wanted(quiet);
	int status;

	if (shown)
		gdbstub_set_progress(stub, show_progress, NULL);
	status = place->at_crash ? go_to_crash(stub, path) : go_to_count(stub, path, place->icount);
	gdbstub_set_progress(stub, NULL, NULL);
	if (shown)
		progress_clear();
	return status;
}

int debug_session_open(const char *command, const char *path, const struct debug_options *options,
		       struct gdbstub **ret_stub)
{
	struct log_error error = {0};
	const struct gdbstub_config config = {
		.engine = engine_choose(command, options->engine, options->quiet),
		.checkpoint_bytes = options->checkpoint_memory.value,
		.quit = interrupt_flag(),
	};
	struct place place;

	if (!config.engine || !parse_place(command, options->at, &place))
		return STATUS_USAGE;
	if (gdbstub_create(path, &config, ret_stub, &error)) {
		message_log_error(path, &error, NULL);
		return recording_file_status(&error);
	}
	engine_print_instead(timeline_engine_instead(gdbstub_timeline(*ret_stub)), options->quiet);
	int status = choose_process(*ret_stub, path, options);

	return status ? status : go_to_place(*ret_stub, path, &place, options->quiet);
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
