#include "gdbstub/gdbstub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "gdbstub/hits.h"
#include "gdbstub/process.h"
#include "gdbstub/remote_files.h"

void stub_look_for_interrupt(struct gdbstub *stub)
{
	if (stub->quit && *stub->quit)
		stub->interrupted = 1;
	if (stub->connection && connection_interrupted(stub->connection))
		stub->interrupted = 1;
}

/* Called while something runs. */
static void look_for_interrupt(void *ctx, uint64_t icount, uint64_t end_icount)
{
	struct gdbstub *stub = ctx;

	stub_look_for_interrupt(stub);
	if (stub->progress)
		stub->progress(stub->progress_ctx, icount, end_icount);
}

void gdbstub_set_progress(struct gdbstub *stub,
			  void (*progress)(void *ctx, uint64_t icount, uint64_t end_icount),
			  void *ctx)
{
	stub->progress = progress;
	stub->progress_ctx = ctx;
}

static int open_parts(struct gdbstub *stub, const char *path, const struct gdbstub_config *config,
		      struct log_error *ret_error)
{
	const struct timeline_config timeline_config = {
		.engine = config->engine,
		.checkpoint_bytes = config->checkpoint_bytes,
		.interrupted = &stub->interrupted,
		.progress = look_for_interrupt,
		.progress_ctx = stub,
		.counts = hits_count,
		.moved = hits_moved,
		.counts_ctx = stub,
	};
	int error = log_reader_open(path, &stub->reader, ret_error);

	if (!error)
		error = log_reader_open(path, &stub->events, ret_error);
	if (!error)
		error = timeline_create(stub->reader, &timeline_config, &stub->timeline, ret_error);
	return error;
}

int gdbstub_create(const char *path, const struct gdbstub_config *config, struct gdbstub **ret_stub,
		   struct log_error *ret_error)
{
	struct gdbstub *stub = calloc(1, sizeof(*stub));
	int error;

	if (!stub) {
		*ret_error = (struct log_error){.code = -ENOMEM, .text = "no memory"};
		return -ENOMEM;
	}
	stub->quit = config->quit;
	stub->view = &machine_view;
	error = open_parts(stub, path, config, ret_error);
	if (error) {
		gdbstub_destroy(stub);
		return error;
	}
	*ret_stub = stub;
	return 0;
}

void gdbstub_destroy(struct gdbstub *stub)
{
	if (!stub)
		return;
	file_packets_close_all(stub);
	process_destroy(stub->process);
	remote_files_destroy(stub->files);
	linux_guest_destroy(stub->guest);
	kernel_destroy(stub->kernel);
	timeline_destroy(stub->timeline);
	if (stub->events)
		log_reader_close(stub->events);
	if (stub->reader)
		log_reader_close(stub->reader);
	points_clear(&stub->points);
	watches_finish(&stub->watches);
	reply_finish(&stub->reply);
	reply_finish(&stub->stop);
	free(stub);
}

static int choose(struct gdbstub *stub, const char *process, const char *sysroot,
		  char error[GDBSTUB_ERROR_BYTES])
{
	const struct remote_files_config files = {
		.reader = stub->events,
		.sysroot = sysroot,
		.build_id = process_build_id,
		.load_cached = process_load_cached,
		.ctx = stub,
	};
	struct reply text = {0};
	int code = process_open(stub, process, &text);

	if (!code && !(stub->files = remote_files_create(&files)))
		code = -ENOMEM;
	snprintf(error, GDBSTUB_ERROR_BYTES, "%.*s", (int)text.n, text.n ? text.data : "no memory");
	reply_finish(&text);
	return code;
}

int gdbstub_choose_process(struct gdbstub *stub, const char *process, const char *sysroot,
			   char error[GDBSTUB_ERROR_BYTES])
{
	return choose(stub, process, sysroot, error);
}

int gdbstub_choose_crashed(struct gdbstub *stub, char error[GDBSTUB_ERROR_BYTES])
{
	return choose(stub, NULL, NULL, error);
}

void gdbstub_process(const struct gdbstub *stub, struct gdbstub_process *ret_process)
{
	const struct process *process = stub->process;

	*ret_process = (struct gdbstub_process){
		.name = process->name,
		.path = process->path,
		.pid = process->pid,
		.tid = process->last_tid,
		.signal = process->signal,
		.icount = process->last_icount,
	};
}

struct thread_list {
	void (*fn)(void *ctx, uint32_t tid, const char *name);
	void *ctx;
};

static void pass_thread(void *ctx, const struct view_thread *thread)
{
	const struct thread_list *list = ctx;

	list->fn(list->ctx, thread->number, thread->name);
}

void gdbstub_each_thread(const struct gdbstub *stub,
			 void (*fn)(void *ctx, uint32_t tid, const char *name), void *ctx)
{
	struct thread_list list = {fn, ctx};

	stub->view->each_thread(stub, pass_thread, &list);
}

bool gdbstub_instruction(struct gdbstub *stub, uint32_t tid, char text[GDBSTUB_INSTRUCTION_BYTES])
{
	uint64_t pc = target_thread_pc(stub, tid);
	uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
	size_t n = target_read(stub, tid, pc, bytes, sizeof(bytes));
	ZydisDisassembledInstruction found;

	if (!ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, pc, bytes, n, &found)))
		return false;
	snprintf(text, GDBSTUB_INSTRUCTION_BYTES, "%s (%s)", found.text,
		 ZydisISAExtGetString(found.info.meta.isa_ext));
	return true;
}

struct timeline *gdbstub_timeline(struct gdbstub *stub)
{
	return stub->timeline;
}

int gdbstub_go_to_crash(struct gdbstub *stub, struct crash *ret_crash)
{
	const struct process *process = stub->process;

	if (!process)
		return crash_go_to(stub->timeline, stub->events, ret_crash);
	snprintf(ret_crash->what, sizeof(ret_crash->what), "no signal ended the process");
	if (!process->signal)
		return -ENOENT;
	ret_crash->icount = process->last_icount;
	snprintf(ret_crash->what, sizeof(ret_crash->what), "signal %u ended the process",
		 process->signal);
	return timeline_seek(stub->timeline, process->last_icount) == TIMELINE_FAILED ? -EIO : 0;
}

/* A connection starts with nothing of the one before. */
static void reset(struct gdbstub *stub)
{
	points_clear(&stub->points);
	watches_finish(&stub->watches);
	run_forget_stop(stub);
	stub->tells_breaks = false;
	file_packets_close_all(stub);
	stub->physical = false;
	stub->refused = false;
	stub->interrupted = 0;
	stub->done = false;
	stub->killed = false;
}

enum gdbstub_end gdbstub_serve(struct gdbstub *stub, int fd)
{
	const char *packet;
	size_t n;

	reset(stub);
	stub->connection = connection_create(fd, stub->quit);
	while (stub->connection && !stub->done &&
	       (packet = connection_receive(stub->connection, &n)))
		if (packets_handle(stub, packet, n))
			connection_send(stub->connection, stub->reply.data, stub->reply.n);
	connection_destroy(stub->connection);
	stub->connection = NULL;
	return stub->killed ? GDBSTUB_KILLED : GDBSTUB_DETACHED;
}
