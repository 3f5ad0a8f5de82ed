/*
 * The look at the host from time to time: its clock, what the user wants, the terminal. Each look
 * ends what an engine has under way, so they come as rarely as they may. Under the host clock that
 * is every millisecond, and up to four while the guest's speed does not change, so that its time
 * is predicted well; under the virtual clock nothing that happens here reaches the guest, and they
 * keep a distance in host time.
 */
#include "recorder/state.h"

#define SLICE_MIN_NS UINT64_C(1000000)
#define SLICE_MAX_NS UINT64_C(4000000)

/* Under the virtual clock, in instructions: what slow engines need some milliseconds for, and fast
 * ones. */
#define VIRTUAL_SLICE_MIN UINT64_C(1000000)
#define VIRTUAL_SLICE_MAX UINT64_C(64000000)
#define VIRTUAL_SLICE_NS  UINT64_C(10000000)

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

static uint64_t within(uint64_t value, uint64_t low, uint64_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* Instructions to the next look. ratio: the guest's speed at the last. */
static uint64_t host_slice(struct recorder *recorder, uint64_t ratio)
{
	uint64_t now = recorder->clock.ratio;
	bool steady = now < ratio + ratio / 8 && ratio < now + now / 8;

	recorder->slice_ns =
		within(steady ? 2 * recorder->slice_ns : 0, SLICE_MIN_NS, SLICE_MAX_NS);
	return guest_clock_instructions(&recorder->clock, recorder->slice_ns);
}

/*
 * The same after ran instructions in took_ns: twice or half of what it was if the whole of that
 * took much less or more than it should.
 */
static uint64_t virtual_slice(struct recorder *recorder, uint64_t ran, uint64_t took_ns)
{
	uint64_t slice = recorder->slice_icount;

	if (took_ns < VIRTUAL_SLICE_NS / 2 && ran >= slice)
		slice *= 2;
	else if (took_ns > VIRTUAL_SLICE_NS * 2)
		slice /= 2;
	recorder->slice_icount = within(slice, VIRTUAL_SLICE_MIN, VIRTUAL_SLICE_MAX);
	return recorder->slice_icount;
}

enum boundary_result recorder_upkeep(struct recorder *recorder)
{
	uint64_t icount = recorder->machine->icount, ran = icount - recorder->looked_icount;
	uint64_t ratio = recorder->clock.ratio, before_ns = recorder->looked_host_ns, slice;

	if (icount < recorder->upkeep_icount)
		return BOUNDARY_GO;
	recorder->looked_icount = icount;
	recorder->looked_host_ns = world_now_ns();
	if (recorder_sync_clock(recorder, recorder->looked_host_ns) != BOUNDARY_GO)
		return BOUNDARY_FAILED;
	slice = recorder->clock.follows_host
			? host_slice(recorder, ratio)
			: virtual_slice(recorder, ran, recorder->looked_host_ns - before_ns);
	recorder->upkeep_icount = icount + slice;
	if (recorder_stop_requested(recorder))
		return recorder_end(recorder, "interrupted");
	poll_watched(recorder);
	poll_size(recorder);
	world_flush(&recorder->world);
	report_progress(recorder);
	return BOUNDARY_GO;
}
