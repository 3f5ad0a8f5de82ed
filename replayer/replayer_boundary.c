/*
 * The boundary answered from the log. Every event must find the machine at exactly its icount and
 * in a state that can take it, every question must be the one that was recorded: whatever does not
 * fit is a divergence and is not applied.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "replayer/state.h"

/*
 * The longest run without looking at config.interrupted and showing output, in instructions: for
 * an engine that does not tell how long it takes, and at most; and in an engine's own time. Where
 * it ends changes nothing that is replayed.
 */
#define SLICE_INSTRUCTIONS     UINT64_C(2000000)
#define SLICE_MAX_INSTRUCTIONS UINT64_C(128000000)
#define SLICE_NS               UINT64_C(10000000)

__attribute__((format(printf, 3, 4))) static enum boundary_result diverge(
	struct replayer *replayer, const struct machine *machine, const char *format, ...)
{
	struct divergence *divergence = &replayer->divergence;
	va_list args;

	va_start(args, format);
	vsnprintf(divergence->what, sizeof(divergence->what), format, args);
	va_end(args);
	divergence->icount = machine->icount;
	replayer->status = REPLAY_DIVERGED;
	return BOUNDARY_DIVERGED;
}

static enum boundary_result stop(struct replayer *replayer, enum replay_status status)
{
	replayer->status = status;
	return status == REPLAY_DAMAGED || status == REPLAY_FAILED ? BOUNDARY_FAILED : BOUNDARY_END;
}

/* Reads ahead by one event. Returns false when the file is damaged here. */
static bool peek(struct replayer *replayer)
{
	int found;

	if (replayer->has_next || replayer->log_ended)
		return true;
	replayer->next_position = log_reader_position(replayer->reader);
	found = log_reader_next(replayer->reader, &replayer->next, &replayer->error);
	replayer->has_next = found > 0;
	replayer->log_ended = found == 0;
	return found >= 0;
}

/* ---- events ---- */

static enum boundary_result check_digest(struct replayer *replayer, struct machine *machine)
{
	struct digest digest;

	machine_digest(machine, &digest);
	if (!divergence_check_digest(&replayer->next.digest, &digest, &replayer->divergence)) {
		replayer->divergence.icount = machine->icount;
		replayer->status = REPLAY_DIVERGED;
		return BOUNDARY_DIVERGED;
	}
	replayer->divergence.proven_icount = machine->icount;
	replayer->n_digests++;
	return BOUNDARY_GO;
}

/* RAM and vCPUs return to the file's initial state; the reader goes on where it was. */
static enum boundary_result reload(struct replayer *replayer, struct machine *machine)
{
	struct log_position position = log_reader_position(replayer->reader);

	if (replayer_load_initial(replayer) < 0 ||
	    log_reader_set_position(replayer->reader, position, &replayer->error) < 0)
		return stop(replayer, REPLAY_DAMAGED);
	replay_streams_reset(replayer->streams);
	replayer->engine->ops->flush(replayer->engine);
	return BOUNDARY_GO;
}

/* The event that was read ahead names bytes of a stream. */
static enum boundary_result take_output(struct replayer *replayer, const struct machine *machine)
{
	const struct event *event = &replayer->next;

	if (!replay_streams_take(replayer->streams, event, machine->memory))
		return diverge(replayer, machine, "output for stream %u, which is not in memory",
			       event->output.stream);
	if (replayer->config.stream_exact)
		replay_streams_flush(replayer->streams);
	return BOUNDARY_GO;
}

/* Lets the debugger decide on a hit. */
static bool wants_stop(struct replayer *replayer, enum replay_hit hit, uint64_t icount)
{
	const struct replayer_config *config = &replayer->config;

	return config->hit && config->hit(config->hit_ctx, hit, icount);
}

/* The run is to end at a count: once the rest of what belongs to that state is applied. */
static void stop_at(struct replayer *replayer, uint64_t icount)
{
	replayer->stopping = true;
	if (replayer->target_icount > icount)
		replayer->target_icount = icount;
}

/*
 * An event was applied: it may have written to watched memory; a delivery is a step of the vCPU.
 * What reloads RAM at a count comes behind the state there, and is first seen in that of the next.
 */
static void notice_watch_hit(struct replayer *replayer, struct machine *machine, uint8_t kind)
{
	uint64_t behind = machine->icount + (kind == EVENT_RESET);
	bool device = kind == EVENT_MEMORY || kind == EVENT_RESET;

	if (!memory_watch_hit(machine->memory, NULL))
		return;
	if (wants_stop(replayer, device ? REPLAY_WATCH_DEVICE : REPLAY_WATCH_STEP, behind - 1))
		stop_at(replayer, behind);
	memory_clear_watch_hit(machine->memory);
}

/* Applies the event that was read ahead. */
static enum boundary_result apply_next(struct replayer *replayer, struct machine *machine)
{
	const struct event *event = &replayer->next;
	const char *misfit = machine_event_misfit(machine, event);
	char text[DIVERGENCE_TEXT_BYTES];
	enum boundary_result result = BOUNDARY_GO;

	if (misfit) {
		divergence_describe_event(event, text, sizeof(text));
		return diverge(replayer, machine, "the recorded %s cannot be taken here: %s", text,
			       misfit);
	}
	if (event->kind == EVENT_DIGEST)
		result = check_digest(replayer, machine);
	else if (machine_apply_event(machine, event) < 0)
		result = diverge(replayer, machine, "an event of kind %u is refused", event->kind);
	else if (event->kind == EVENT_RESET)
		result = reload(replayer, machine);
	else if (event->kind == EVENT_OUTPUT)
		result = take_output(replayer, machine);
	replayer->has_next = false;
	notice_watch_hit(replayer, machine, event->kind);
	return result;
}

/* True for the events that are part of "the state at N"; the others come after it. Devices put out
 * and write in one go. */
static bool belongs_to_state(uint8_t kind)
{
	return kind == EVENT_MEMORY || kind == EVENT_CLOCK || kind == EVENT_DIGEST ||
	       kind == EVENT_OUTPUT;
}

/* Applies all that is due now, short of passing the count that run_until asks for. */
static enum boundary_result apply_due(struct replayer *replayer, struct machine *machine)
{
	enum boundary_result result = BOUNDARY_GO;
	char text[DIVERGENCE_TEXT_BYTES];

	while (result == BOUNDARY_GO) {
		if (!peek(replayer))
			return stop(replayer, REPLAY_DAMAGED);
		if (!replayer->has_next || replayer->next.icount > machine->icount)
			return BOUNDARY_GO;
		if (replayer->next.icount < machine->icount) {
			divergence_describe_event(&replayer->next, text, sizeof(text));
			return diverge(replayer, machine,
				       "recorded at %" PRIu64 " and not asked for: %s",
				       replayer->next.icount, text);
		}
		if (replayer->next.kind == EVENT_INPUT)
			return BOUNDARY_GO;
		if (machine->icount >= replayer->target_icount &&
		    !belongs_to_state(replayer->next.kind))
			return BOUNDARY_GO;
		result = apply_next(replayer, machine);
	}
	return result;
}

/* How far the machine may run before the next event has to be looked at. */
static uint64_t next_stop(const struct replayer *replayer, const struct machine *machine)
{
	uint64_t until = replayer->end_icount;

	if (replayer->has_next) /* an input is asked for by the instruction that starts there */
		until = replayer->next.icount + (replayer->next.kind == EVENT_INPUT);
	if (until > replayer->target_icount)
		until = replayer->target_icount;
	return until < replayer->upkeep_icount ? until : replayer->upkeep_icount;
}

/* How far to the next look: twice as far as the last if the engine was quick about it, or half. */
static uint64_t next_slice(struct replayer *replayer)
{
	struct engine_use uses[ENGINE_MAX_USES];
	uint64_t slice = replayer->slice_icount, ns = 0, took_ns;

	for (unsigned n = replayer_engine_uses(replayer, uses); n-- > 0;)
		ns += uses[n].ns;
	took_ns = ns - replayer->upkeep_engine_ns;
	replayer->upkeep_engine_ns = ns;
	if (!replayer->upkeep_icount) /* a run begins */
		slice = 0;
	else if (took_ns && took_ns < SLICE_NS / 2)
		slice *= 2;
	else if (!took_ns || took_ns > 2 * SLICE_NS)
		slice /= 2;
	if (slice < SLICE_INSTRUCTIONS)
		slice = SLICE_INSTRUCTIONS;
	if (slice > SLICE_MAX_INSTRUCTIONS)
		slice = SLICE_MAX_INSTRUCTIONS;
	replayer->slice_icount = slice;
	return slice;
}

/* Shows what there is to show. Returns false when the user wants to stop. */
static bool upkeep(struct replayer *replayer, const struct machine *machine)
{
	const struct replayer_config *config = &replayer->config;

	if (machine->icount < replayer->upkeep_icount)
		return true;
	replayer->upkeep_icount = machine->icount + next_slice(replayer);
	replay_streams_flush(replayer->streams);
	if (config->progress)
		config->progress(config->progress_ctx, machine->icount, replayer->end_icount);
	return !config->interrupted || !*config->interrupted;
}

static enum boundary_result replay_events(void *ctx, struct machine *machine,
					  struct boundary_plan *ret_plan)
{
	struct replayer *replayer = ctx;
	enum boundary_result result = apply_due(replayer, machine);

	if (result != BOUNDARY_GO)
		return result;
	if (!replayer->has_next && machine->icount >= replayer->end_icount)
		return stop(replayer, REPLAY_AT_END);
	if (machine->icount >= replayer->target_icount)
		return stop(replayer, replayer->stopping ? REPLAY_INTERRUPTED : REPLAY_AT_ICOUNT);
	if (machine_current(machine)->activity != ACTIVITY_RUNNING)
		return diverge(replayer, machine, "the guest stands still, the recording goes on");
	/* One step more, so that what is left is the state of a count whatever was applied here. */
	if (!replayer->stopping && !upkeep(replayer, machine)) {
		replayer->stopping = true;
		replayer->target_icount = machine->icount + 1;
	}
	ret_plan->until_icount = next_stop(replayer, machine);
	return BOUNDARY_GO;
}

/* ---- crossings ---- */

/* The question is not the one that was recorded. */
static enum boundary_result wrong_question(struct replayer *replayer, const struct machine *machine,
					   const struct crossing_request *request)
{
	char asked[DIVERGENCE_TEXT_BYTES], recorded[DIVERGENCE_TEXT_BYTES];

	divergence_describe_crossing(request->kind, request->size, request->address, asked,
				     sizeof(asked));
	if (!replayer->has_next)
		return diverge(replayer, machine, "the guest makes a %s, the recording has ended",
			       asked);
	divergence_describe_event(&replayer->next, recorded, sizeof(recorded));
	return diverge(replayer, machine, "the guest makes a %s; recorded next, at %" PRIu64 ": %s",
		       asked, replayer->next.icount, recorded);
}

static enum boundary_result replay_input(void *ctx, const struct machine *machine,
					 const struct crossing_request *request,
					 uint64_t *ret_value)
{
	struct replayer *replayer = ctx;
	const struct event *next = &replayer->next;

	if (!peek(replayer))
		return stop(replayer, REPLAY_DAMAGED);
	if (!replayer->has_next || next->kind != EVENT_INPUT || next->icount != machine->icount ||
	    next->input.kind != request->kind || next->input.size != request->size ||
	    next->input.address != request->address)
		return wrong_question(replayer, machine, request);
	*ret_value = next->input.value;
	replayer->has_next = false;
	return BOUNDARY_GO;
}

static enum boundary_result replay_output(void *ctx, const struct machine *machine,
					  const struct crossing_request *request)
{
	struct replayer *replayer = ctx;

	replay_streams_write(replayer->streams, request);
	if (replayer->config.stream_exact)
		replay_streams_flush(replayer->streams);
	return BOUNDARY_GO;
}

static enum boundary_result replay_stopped(void *ctx, const struct machine *machine, bool watch)
{
	struct replayer *replayer = ctx;

	if (!wants_stop(replayer, watch ? REPLAY_WATCH_STEP : REPLAY_BREAKPOINT,
			machine->icount - watch))
		return BOUNDARY_GO;
	stop_at(replayer, machine->icount);
	return watch ? BOUNDARY_GO : stop(replayer, REPLAY_INTERRUPTED);
}

const struct boundary_ops replayer_boundary_ops = {
	.events = replay_events,
	.input = replay_input,
	.output = replay_output,
	.stopped = replay_stopped,
};
