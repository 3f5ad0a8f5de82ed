#include "gdbstub/gdbstub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/run.h"
#include "gdbstub/state.h"

/* Called while something runs: gdb may want to stop it, or be gone. */
static void look_for_interrupt(void *ctx, uint64_t icount, uint64_t end_icount)
{
	struct gdbstub *stub = ctx;

	if (stub->quit && *stub->quit)
		stub->interrupted = 1;
	if (stub->connection && connection_interrupted(stub->connection))
		stub->interrupted = 1;
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
		.counts = run_hit_counts,
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
	kernel_destroy(stub->kernel);
	timeline_destroy(stub->timeline);
	if (stub->events)
		log_reader_close(stub->events);
	if (stub->reader)
		log_reader_close(stub->reader);
	points_clear(&stub->points);
	reply_finish(&stub->reply);
	reply_finish(&stub->stop);
	free(stub);
}

struct timeline *gdbstub_timeline(struct gdbstub *stub)
{
	return stub->timeline;
}

/* A connection starts with nothing of the one before. */
static void reset(struct gdbstub *stub)
{
	points_clear(&stub->points);
	memset(stub->known, 0, sizeof(stub->known));
	run_forget_stop(stub);
	stub->g_vcpu = stub_machine(stub)->current;
	stub->tells_breaks = false;
	stub->physical = false;
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
