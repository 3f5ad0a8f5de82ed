/*
 * A replay that can be moved along in both directions: what a debugger holds.
 *
 * A position is an instruction count; the state there is that of replayer_run_until(). Going back
 * means restoring a checkpoint and running forward again. On the first way through, checkpoints are
 * made at even distances; on the way to a position behind, ever denser ones in front of it, so that
 * the next step back is short.
 */
#ifndef REPRISE_REPLAYER_TIMELINE_H
#define REPRISE_REPLAYER_TIMELINE_H

#include "replayer/replayer.h"

#define TIMELINE_DEFAULT_BYTES (UINT64_C(1) << 30)

/* Where a breakpoint or watchpoint was met. */
struct timeline_hit {
	bool watch;
	bool device;     /* watchpoints: a device wrote, or a reset; no instruction did */
	uint64_t icount; /* breakpoint: of the state before its instruction; watchpoint: before the
			    step that made the access */
	uint32_t vcpu;
	struct memory_watch_access access; /* watchpoints */
};

struct timeline_config {
	const struct engine_ops *engine;
	uint64_t checkpoint_bytes; /* 0: TIMELINE_DEFAULT_BYTES */
	/* Looked at some hundred times a second while something runs; non-zero ends it. */
	const volatile sig_atomic_t *interrupted;
	/* Called as often; may raise *interrupted. Optional. */
	void (*progress)(void *ctx, uint64_t icount, uint64_t end_icount);
	void *progress_ctx;
	/* Whether a hit counts; the machine is as at the hit (a watchpoint: behind the access) and
	 * must not be changed. Optional: every one does. */
	bool (*counts)(void *ctx, const struct timeline_hit *hit);
	/* A search has gone back and begins at another position: watches that depend on the state
	 * may be set anew. Here and in counts timeline_set_watches() may be called. Optional. */
	void (*moved)(void *ctx);
	void *counts_ctx;
};

enum timeline_status {
	TIMELINE_ARRIVED,     /* at the position asked for */
	TIMELINE_HIT,         /* at a hit: timeline_hit() */
	TIMELINE_START,       /* nothing lies before */
	TIMELINE_END,         /* nothing lies behind */
	TIMELINE_INTERRUPTED, /* config.interrupted */
	TIMELINE_FAILED,      /* timeline_error(); the position is where it failed */
};

struct timeline;

/* The reader stays the caller's and must outlive the timeline, which is at its first position.
 * Returns 0 or a negative errno with *ret_error set. */
int timeline_create(struct log_reader *reader, const struct timeline_config *config,
		    struct timeline **ret_timeline, struct log_error *ret_error);
void timeline_destroy(struct timeline *timeline);

/* As replayer_engine_instead(). */
int timeline_engine_instead(const struct timeline *timeline);

/* What is changed through it is undone by the next movement; nobody should. */
struct machine *timeline_machine(const struct timeline *timeline);
uint64_t timeline_position(const struct timeline *timeline);
uint64_t timeline_start(const struct timeline *timeline);
uint64_t timeline_end(const struct timeline *timeline);

/* From now on nothing before first and nothing behind last is gone to; both are positions of the
 * recording, which are the limits in the beginning. */
void timeline_limit(struct timeline *timeline, uint64_t first, uint64_t last);

/* Goes to a position, beyond the ends no further than them. Hits do not count. ARRIVED, START, END,
 * INTERRUPTED (somewhere on the way) or FAILED. */
enum timeline_status timeline_seek(struct timeline *timeline, uint64_t icount);

/* One step; a watchpoint that is met in it is told. At an end: START or END, nothing moves. */
enum timeline_status timeline_step(struct timeline *timeline);
enum timeline_status timeline_step_back(struct timeline *timeline);

/* On to the next hit behind the position, or back to the last before it. A breakpoint on the
 * position itself does not count; interrupted on the way back, it stops where all behind is known
 * to be without a hit. */
enum timeline_status timeline_continue(struct timeline *timeline);
enum timeline_status timeline_continue_back(struct timeline *timeline);

/* From now on every hit counts, whatever config.counts says; or that decides again. */
void timeline_count_all(struct timeline *timeline, bool all);

/* The hit that the last movement ended at. */
const struct timeline_hit *timeline_hit(const struct timeline *timeline);

/* Both replace the set. Linear addresses in whatever address space; guest-physical ranges. Return 0
 * or -ENOMEM (the old set then stands). Cheap when nothing changes. */
int timeline_set_breakpoints(struct timeline *timeline, const uint64_t *linear, unsigned n);
int timeline_set_watches(struct timeline *timeline, const struct memory_watch *watches, unsigned n);

/* Makes a checkpoint here. */
void timeline_checkpoint(struct timeline *timeline);
void timeline_checkpoint_size(const struct timeline *timeline, unsigned *ret_n,
			      uint64_t *ret_bytes);

enum timeline_console {
	TIMELINE_SERIAL, /* stream 0 */
	TIMELINE_SHOWN,  /* all streams that a replay sends to stdout or stderr, as they came */
	TIMELINE_CONSOLES
};

/* What the guest has written before the position. The bytes stay valid until the next movement. */
const uint8_t *timeline_console(const struct timeline *timeline, enum timeline_console which,
				size_t *ret_n);
/* The count of the state before the step that wrote byte n of the first. */
uint64_t timeline_console_icount(const struct timeline *timeline, size_t n);

/* Why the last movement FAILED, for one line; never NULL. */
const char *timeline_error(const struct timeline *timeline);

#endif
