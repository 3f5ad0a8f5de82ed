#include "replayer/timeline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replayer/checkpoints.h"
#include "replayer/output.h"
#include "vmm/cpu/exec.h"
#include "vmm/mmu/mmu.h"

/* Between checkpoints on the first way through, and the shortest distance that is worth another on
 * the way to a position behind. */
#define SPACING_ICOUNT UINT64_C(10000000)
#define DENSE_ICOUNT   UINT64_C(20000)

/* Of the way that a search back has covered, the next interval's share. */
#define LONG_WAY_PART 8

/* What is done with hits while the machine runs. */
enum hit_mode {
	HITS_IGNORED,
	HITS_STOP, /* the first that counts ends the run */
	HITS_LAST, /* the last that counts is remembered */
};

struct timeline {
	struct timeline_config config;
	struct replayer *replayer;
	struct checkpoints *checkpoints;
	struct output *console[TIMELINE_CONSOLES];
	uint32_t shown_streams; /* bits */
	uint64_t start_icount, end_icount;
	uint64_t explored; /* the machine has been here at least once */

	bool interruptible, counts_all;
	volatile sig_atomic_t stop; /* the user wants to stop, and may */
	enum hit_mode mode;
	uint64_t skipped_icount; /* a breakpoint of this vCPU at this count does not count */
	uint32_t skipped_vcpu;
	bool has_hit;
	struct timeline_hit hit;
	/* The machine is in the state of its count. At a breakpoint it need not be: a switch of
	 * vCPUs at the same count may lie behind it. */
	bool settled;

	uint64_t *breakpoint;
	unsigned n_breakpoints;
	struct memory_watch *watch;
	unsigned n_watches;
	char error[512];
};

/* ---- what the replayer calls ---- */

/* Between two iterations of a repeated string instruction: it was met before the first. */
static bool is_inside_repeat(const struct machine *machine)
{
	const struct cpu *cpu = &machine->vcpu[machine->current];
	uint8_t code[INSN_MAX_BYTES] = {0};
	struct insn insn;

	if (!(cpu->rflags_rest & FLAG_RF))
		return false;
	mmu_peek_read(cpu, cpu_linear_rip(cpu), code, sizeof(code)); /* as many as there are */
	return insn_decode(code, sizeof(code), cpu->mode, &insn) == INSN_OK &&
	       (insn_row(insn.mnemonic)->flags & ROW_REP) &&
	       (insn.prefixes & (PREFIX_REP | PREFIX_REPNE));
}

static bool breakpoint_counts(const struct timeline *timeline, const struct timeline_hit *hit)
{
	if (hit->icount == timeline->skipped_icount && hit->vcpu == timeline->skipped_vcpu)
		return false;
	return !is_inside_repeat(timeline_machine(timeline));
}

static bool on_hit(void *ctx, enum replay_hit kind, uint64_t icount)
{
	struct timeline *timeline = ctx;
	const struct machine *machine = timeline_machine(timeline);
	const bool watch = kind != REPLAY_BREAKPOINT;
	struct timeline_hit hit = {.watch = watch,
				   .device = kind == REPLAY_WATCH_DEVICE,
				   .icount = icount,
				   .vcpu = machine->current};

	if (timeline->mode == HITS_IGNORED)
		return false;
	if (timeline->mode == HITS_STOP && timeline->has_hit)
		return true;
	if (!watch && !breakpoint_counts(timeline, &hit))
		return false;
	if (watch)
		memory_watch_hit(machine->memory, &hit.access);
	if (!timeline->counts_all && timeline->config.counts &&
	    !timeline->config.counts(timeline->config.counts_ctx, &hit))
		return false;
	timeline->has_hit = true;
	timeline->hit = hit;
	return timeline->mode == HITS_STOP;
}

static void on_output(void *ctx, unsigned stream, const uint8_t *data, size_t n)
{
	struct timeline *timeline = ctx;

	const uint64_t icount = timeline_machine(timeline)->icount;

	if (!stream)
		output_add(timeline->console[TIMELINE_SERIAL], icount, data, n);
	if (timeline->shown_streams >> stream & 1)
		output_add(timeline->console[TIMELINE_SHOWN], icount, data, n);
}

static void on_progress(void *ctx, uint64_t icount, uint64_t end_icount)
{
	struct timeline *timeline = ctx;
	const struct timeline_config *config = &timeline->config;

	if (config->progress)
		config->progress(config->progress_ctx, icount, end_icount);
	timeline->stop = timeline->interruptible && config->interrupted && *config->interrupted;
}

/* ---- life ---- */

/* The replayer has checked that there are no more of them than bits. */
static uint32_t shown_streams(const Reprise__Header *header)
{
	uint32_t shown = 0;

	for (size_t i = 0; i < header->n_streams; i++)
		if (header->streams[i]->host_fd)
			shown |= UINT32_C(1) << i;
	return shown;
}

static int create_parts(struct timeline *timeline, struct log_reader *reader,
			struct log_error *ret_error)
{
	const struct timeline_config *config = &timeline->config;
	const struct replayer_config replayer_config = {
		.engine = config->engine,
		.stream_output = on_output,
		.stream_ctx = timeline,
		.stream_exact = true,
		.interrupted = &timeline->stop,
		.progress = on_progress,
		.progress_ctx = timeline,
		.hit = on_hit,
		.hit_ctx = timeline,
	};
	int error = replayer_create(reader, &replayer_config, &timeline->replayer, ret_error);

	if (error)
		return error;
	*ret_error = (struct log_error){.code = -ENOMEM};
	snprintf(ret_error->text, sizeof(ret_error->text), "no memory for checkpoints");
	if (memory_keep_changes(timeline_machine(timeline)->memory))
		return -ENOMEM;
	for (unsigned i = 0; i < TIMELINE_CONSOLES; i++)
		if (!(timeline->console[i] = output_create()))
			return -ENOMEM;
	timeline->shown_streams = shown_streams(log_reader_header(reader));
	timeline->start_icount = timeline_position(timeline);
	timeline->explored = timeline->start_icount;
	timeline->end_icount = replayer_end_icount(timeline->replayer);
	/* The state at the start has the events of that count behind it. */
	if (replayer_run_until(timeline->replayer, timeline->start_icount) == REPLAY_DAMAGED) {
		*ret_error = *replayer_error(timeline->replayer);
		return ret_error->code;
	}
	return checkpoints_create(timeline->replayer,
				  config->checkpoint_bytes ? config->checkpoint_bytes
							   : TIMELINE_DEFAULT_BYTES,
				  &timeline->checkpoints);
}

int timeline_create(struct log_reader *reader, const struct timeline_config *config,
		    struct timeline **ret_timeline, struct log_error *ret_error)
{
	struct timeline *timeline = calloc(1, sizeof(*timeline));
	int error;

	if (!timeline) {
		*ret_error = (struct log_error){.code = -ENOMEM, .text = "no memory for a replay"};
		return -ENOMEM;
	}
	timeline->config = *config;
	error = create_parts(timeline, reader, ret_error);
	if (error) {
		timeline_destroy(timeline);
		return error;
	}
	*ret_error = (struct log_error){0};
	*ret_timeline = timeline;
	return 0;
}

void timeline_destroy(struct timeline *timeline)
{
	if (!timeline)
		return;
	checkpoints_destroy(timeline->checkpoints);
	replayer_destroy(timeline->replayer);
	for (unsigned i = 0; i < TIMELINE_CONSOLES; i++)
		output_destroy(timeline->console[i]);
	free(timeline->breakpoint);
	free(timeline->watch);
	free(timeline);
}

/* ---- what is asked ---- */

int timeline_engine_instead(const struct timeline *timeline)
{
	return replayer_engine_instead(timeline->replayer);
}

struct machine *timeline_machine(const struct timeline *timeline)
{
	return replayer_machine(timeline->replayer);
}

uint64_t timeline_position(const struct timeline *timeline)
{
	return timeline_machine(timeline)->icount;
}

uint64_t timeline_start(const struct timeline *timeline)
{
	return timeline->start_icount;
}

uint64_t timeline_end(const struct timeline *timeline)
{
	return timeline->end_icount;
}

void timeline_limit(struct timeline *timeline, uint64_t first, uint64_t last)
{
	timeline->start_icount = first;
	timeline->end_icount = last;
}

const struct timeline_hit *timeline_hit(const struct timeline *timeline)
{
	return &timeline->hit;
}

void timeline_count_all(struct timeline *timeline, bool all)
{
	timeline->counts_all = all;
}

const char *timeline_error(const struct timeline *timeline)
{
	return timeline->error;
}

const uint8_t *timeline_console(const struct timeline *timeline, enum timeline_console which,
				size_t *ret_n)
{
	return output_before(timeline->console[which], timeline_position(timeline), ret_n);
}

uint64_t timeline_console_icount(const struct timeline *timeline, size_t n)
{
	return output_icount(timeline->console[TIMELINE_SERIAL], n);
}

void timeline_checkpoint_size(const struct timeline *timeline, unsigned *ret_n, uint64_t *ret_bytes)
{
	checkpoints_size(timeline->checkpoints, ret_n, ret_bytes);
}

/* ---- breakpoints and watchpoints ---- */

int timeline_set_breakpoints(struct timeline *timeline, const uint64_t *linear, unsigned n)
{
	uint64_t *copy;
	int error;

	if (n == timeline->n_breakpoints &&
	    (!n || !memcmp(timeline->breakpoint, linear, n * sizeof(*linear))))
		return 0;
	copy = calloc((size_t)n + 1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		copy[i] = linear[i];
	error = replayer_set_breakpoints(timeline->replayer, copy, n);
	if (error) {
		free(copy);
		return error;
	}
	free(timeline->breakpoint);
	timeline->breakpoint = copy;
	timeline->n_breakpoints = n;
	return 0;
}

static bool same_watches(const struct timeline *timeline, const struct memory_watch *watches,
			 unsigned n)
{
	if (n != timeline->n_watches)
		return false;
	for (unsigned i = 0; i < n; i++) {
		const struct memory_watch *a = &timeline->watch[i], *b = &watches[i];
		if (a->gpa != b->gpa || a->bytes != b->bytes || a->reads != b->reads ||
		    a->writes != b->writes)
			return false;
	}
	return true;
}

int timeline_set_watches(struct timeline *timeline, const struct memory_watch *watches, unsigned n)
{
	struct memory_watch *copy;
	int error;

	if (same_watches(timeline, watches, n))
		return 0;
	copy = calloc((size_t)n + 1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		copy[i] = watches[i];
	error = replayer_set_watches(timeline->replayer, copy, n);
	if (error) {
		free(copy);
		return error;
	}
	free(timeline->watch);
	timeline->watch = copy;
	timeline->n_watches = n;
	return 0;
}

/* ---- moving ---- */

static enum timeline_status fail(struct timeline *timeline, const char *what)
{
	snprintf(timeline->error, sizeof(timeline->error), "%s", what);
	return TIMELINE_FAILED;
}

static enum timeline_status tell_divergence(struct timeline *timeline)
{
	const struct divergence *divergence = replayer_divergence(timeline->replayer);

	snprintf(timeline->error, sizeof(timeline->error),
		 "the replay differs from the recording between instruction %" PRIu64
		 " and %" PRIu64 ": %s",
		 divergence->proven_icount, divergence->icount, divergence->what);
	return TIMELINE_FAILED;
}

static enum timeline_status translate(struct timeline *timeline, enum replay_status status)
{
	switch (status) {
	case REPLAY_AT_ICOUNT:
	case REPLAY_AT_END:
		return TIMELINE_ARRIVED;
	case REPLAY_INTERRUPTED:
		return TIMELINE_INTERRUPTED;
	case REPLAY_DIVERGED:
		return tell_divergence(timeline);
	case REPLAY_DAMAGED:
	case REPLAY_FAILED:
		break;
	}
	return fail(timeline, replayer_error(timeline->replayer)->text);
}

/* Runs to a position ahead; ends earlier at a hit when hits stop. */
static enum timeline_status run(struct timeline *timeline, uint64_t icount)
{
	enum timeline_status status =
		translate(timeline, replayer_run_until(timeline->replayer, icount));
	uint64_t position = timeline_position(timeline);

	if (position > timeline->explored)
		timeline->explored = position;
	for (unsigned i = 0; i < TIMELINE_CONSOLES; i++)
		output_seen(timeline->console[i], position);
	timeline->settled = status == TIMELINE_ARRIVED;
	if (timeline->mode == HITS_STOP && timeline->has_hit && status != TIMELINE_FAILED)
		return TIMELINE_HIT;
	return status;
}

/* Where to pause next on the way to a position: at a checkpoint, or to make one. */
static uint64_t next_pause(const struct timeline *timeline, uint64_t goal, bool dense)
{
	uint64_t position = timeline_position(timeline);
	uint64_t after = checkpoints_after(timeline->checkpoints, position);
	uint64_t fresh = checkpoints_before(timeline->checkpoints, position) + SPACING_ICOUNT;

	if (dense && goal - position > SPACING_ICOUNT)
		goal -= SPACING_ICOUNT;
	else if (dense && goal - position > DENSE_ICOUNT)
		goal -= (goal - position) / 2;
	if (fresh > timeline->explored && fresh > position && fresh < goal)
		goal = fresh;
	return after < goal ? after : goal;
}

/*
 * Runs to a position ahead, from checkpoint to checkpoint, and makes them on new ground. dense: the
 * position is known to be where somebody wants to look around.
 */
static enum timeline_status advance(struct timeline *timeline, uint64_t goal, bool dense)
{
	enum timeline_status status = TIMELINE_ARRIVED;

	if (timeline_position(timeline) == goal)
		return run(timeline, goal);
	while (status == TIMELINE_ARRIVED && timeline_position(timeline) < goal) {
		uint64_t pause = next_pause(timeline, goal, dense);
		status = run(timeline, pause);
		if (status == TIMELINE_ARRIVED && pause < goal)
			checkpoints_add(timeline->checkpoints);
		if (timeline_position(timeline) < pause)
			break;
	}
	return status;
}

static enum timeline_status restore(struct timeline *timeline, uint64_t icount)
{
	if (checkpoints_restore(timeline->checkpoints, icount))
		return fail(timeline, replayer_error(timeline->replayer)->text);
	return TIMELINE_ARRIVED;
}

static void begin(struct timeline *timeline, enum hit_mode mode)
{
	const struct timeline_hit *hit = &timeline->hit;
	uint64_t position = timeline_position(timeline);
	bool at_hit = timeline->has_hit && !hit->watch && hit->icount == position;

	timeline->mode = mode;
	timeline->interruptible = true;
	timeline->has_hit = false;
	timeline->skipped_icount = position;
	timeline->skipped_vcpu = at_hit ? hit->vcpu : timeline_machine(timeline)->current;
}

/* A restored state is needed to get there. */
static bool must_restore(const struct timeline *timeline, uint64_t icount)
{
	uint64_t position = timeline_position(timeline);

	return icount < position || (icount == position && !timeline->settled) ||
	       checkpoints_before(timeline->checkpoints, icount) > position;
}

static enum timeline_status go_to(struct timeline *timeline, uint64_t icount, bool interruptible)
{
	timeline->mode = HITS_IGNORED;
	timeline->interruptible = interruptible;
	if (must_restore(timeline, icount)) {
		enum timeline_status status = restore(timeline, icount);
		if (status != TIMELINE_ARRIVED)
			return status;
	}
	return advance(timeline, icount, true);
}

enum timeline_status timeline_seek(struct timeline *timeline, uint64_t icount)
{
	enum timeline_status at_end = TIMELINE_ARRIVED;

	if (icount < timeline->start_icount) {
		icount = timeline->start_icount;
		at_end = TIMELINE_START;
	} else if (icount > timeline->end_icount) {
		icount = timeline->end_icount;
		at_end = TIMELINE_END;
	}
	timeline->has_hit = false;
	enum timeline_status status = go_to(timeline, icount, true);
	return status == TIMELINE_ARRIVED ? at_end : status;
}

enum timeline_status timeline_step(struct timeline *timeline)
{
	uint64_t position = timeline_position(timeline);

	if (position >= timeline->end_icount)
		return TIMELINE_END;
	begin(timeline, HITS_STOP);
	return advance(timeline, position + 1, false);
}

enum timeline_status timeline_continue(struct timeline *timeline)
{
	if (timeline_position(timeline) >= timeline->end_icount)
		return TIMELINE_END;
	begin(timeline, HITS_STOP);
	enum timeline_status status = advance(timeline, timeline->end_icount, false);
	return status == TIMELINE_ARRIVED ? TIMELINE_END : status;
}

void timeline_checkpoint(struct timeline *timeline)
{
	uint64_t position = timeline_position(timeline);

	/* A breakpoint may have stopped behind a switch of vCPUs at this count. */
	if (go_to(timeline, position, false) == TIMELINE_ARRIVED)
		checkpoints_add(timeline->checkpoints);
}

/* ---- searching back ---- */

/* To the hit that the search has found. */
static enum timeline_status go_to_hit(struct timeline *timeline)
{
	const struct timeline_hit hit = timeline->hit;
	enum timeline_status status = go_to(timeline, hit.icount, false);

	timeline->hit = hit;
	return status == TIMELINE_ARRIVED ? TIMELINE_HIT : status;
}

/*
 * Runs the interval from the checkpoint at or before first to limit, remembering its last hit.
 * Returns HIT when there is one at or behind first; the machine is then at limit.
 */
static enum timeline_status search(struct timeline *timeline, uint64_t first, uint64_t limit)
{
	enum timeline_status status = restore(timeline, first);

	begin(timeline, HITS_LAST);
	timeline->skipped_icount = UINT64_MAX;
	if (timeline->config.moved)
		timeline->config.moved(timeline->config.counts_ctx);
	if (status == TIMELINE_ARRIVED)
		status = run(timeline, limit);
	if (status == TIMELINE_ARRIVED && timeline->has_hit && timeline->hit.icount >= first)
		return TIMELINE_HIT;
	return status;
}

enum timeline_status timeline_step_back(struct timeline *timeline)
{
	uint64_t position = timeline_position(timeline);

	if (position <= timeline->start_icount)
		return TIMELINE_START;
	if (timeline->n_watches) {
		enum timeline_status status = search(timeline, position - 1, position);
		if (status == TIMELINE_HIT && timeline->hit.watch)
			return go_to_hit(timeline);
		if (status == TIMELINE_FAILED)
			return status;
	}
	timeline->has_hit = false;
	return go_to(timeline, position - 1, false);
}

/*
 * Where the interval before limit is best begun: at a checkpoint, further and further back, so that
 * what lies near is found soon, neither dense checkpoints nor a long way cost a restore each, and
 * what is run before a hit in the last interval is little of the whole way.
 */
static uint64_t interval_start(const struct timeline *timeline, uint64_t limit, uint64_t covered)
{
	const uint64_t start = timeline->start_icount;
	uint64_t length = covered < SPACING_ICOUNT ? covered + 1 : SPACING_ICOUNT;
	uint64_t first = start;

	if (length < covered / LONG_WAY_PART)
		length = covered / LONG_WAY_PART;
	if (limit - start > length)
		first = checkpoints_before(timeline->checkpoints, limit - length);
	return first > start ? first : start;
}

enum timeline_status timeline_continue_back(struct timeline *timeline)
{
	const uint64_t position = timeline_position(timeline);
	uint64_t limit = position;

	if (limit <= timeline->start_icount)
		return TIMELINE_START;
	while (limit > timeline->start_icount) {
		uint64_t first = interval_start(timeline, limit, position - limit);
		enum timeline_status status = search(timeline, first, limit);

		if (status == TIMELINE_HIT)
			return go_to_hit(timeline);
		if (status == TIMELINE_INTERRUPTED) {
			go_to(timeline, limit, false);
			return status;
		}
		if (status != TIMELINE_ARRIVED)
			return status;
		limit = first;
	}
	go_to(timeline, timeline->start_icount, false);
	return TIMELINE_START;
}
