/*
 * The look at the host from time to time: its clock, what the user wants, the terminal. Under the
 * host clock this is every millisecond; under the virtual clock nothing that happens here reaches
 * the guest.
 */
#include "recorder/state.h"

#define SLICE_NS             UINT64_C(1000000)
#define VIRTUAL_SLICE        UINT64_C(1000000) /* instructions */
#define POLL_INTERVAL_NS     UINT64_C(4000000)
#define PROGRESS_INTERVAL_NS UINT64_C(100000000)

bool recorder_stop_requested(void *ctx)
{
	const struct recorder_config *config = ((struct recorder *)ctx)->config;

	if (config->interrupted && *config->interrupted)
		return true;
	return config->quit_requested && config->quit_requested(config->quit_ctx);
}

enum boundary_result recorder_sync_clock(struct recorder *recorder, uint64_t host_ns)
{
	struct event event;

	recorder->host_ns = host_ns;
	if (!guest_clock_sync(&recorder->clock, recorder->machine, host_ns, &event))
		return BOUNDARY_GO;
	return recorder_emit(recorder, &event);
}

static void report_progress(struct recorder *recorder)
{
	const struct recorder_config *config = recorder->config;
	uint64_t file_bytes, event_bytes;

	if (!config->progress || recorder->host_ns < recorder->progress_host_ns)
		return;
	recorder->progress_host_ns = recorder->host_ns + PROGRESS_INTERVAL_NS;
	log_writer_sizes(recorder->writer, &file_bytes, &event_bytes);
	config->progress(config->progress_ctx, recorder->machine->icount,
			 machine_clock_now(recorder->machine), file_bytes);
}

/* Input of a descriptor that gives bytes when they come. */
static void poll_watched(struct recorder *recorder)
{
	if (recorder->host_ns < recorder->poll_host_ns)
		return;
	recorder->poll_host_ns = recorder->host_ns + POLL_INTERVAL_NS;
	world_fetch_watched(&recorder->world, machine_clock_now(recorder->machine));
}

static void poll_size(struct recorder *recorder)
{
	const struct recorder_config *config = recorder->config;
	uint16_t rows, columns;

	if (config->resized && config->resized(config->resized_ctx, &rows, &columns))
		platform_channel_resize(recorder->platform, rows, columns);
}

enum boundary_result recorder_upkeep(struct recorder *recorder)
{
	uint64_t slice = VIRTUAL_SLICE;

	if (recorder->machine->icount < recorder->upkeep_icount)
		return BOUNDARY_GO;
	if (recorder_sync_clock(recorder, world_now_ns()) != BOUNDARY_GO)
		return BOUNDARY_FAILED;
	if (recorder->clock.follows_host)
		slice = guest_clock_instructions(&recorder->clock, SLICE_NS);
	recorder->upkeep_icount = recorder->machine->icount + slice;
	if (recorder_stop_requested(recorder))
		return recorder_end(recorder, "interrupted");
	poll_watched(recorder);
	poll_size(recorder);
	world_flush(&recorder->world);
	report_progress(recorder);
	return BOUNDARY_GO;
}
