/*
 * The replayer: machine + log. It has no devices, no disk, no network, no clock.
 */
#ifndef REPRISE_REPLAYER_REPLAYER_H
#define REPRISE_REPLAYER_REPLAYER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log-format/log.h"
#include "vmm/engine.h"

/* How a replay differed from its recording: the state last proven equal, and what differs first. */
struct divergence {
	uint64_t proven_icount; /* digests were equal here */
	uint64_t icount;        /* found here */
	char what[256];         /* "memory digest: recorded 0x…, replayed 0x…" */
};

struct replayer;

/* What the machine met. */
enum replay_hit {
	REPLAY_BREAKPOINT,   /* the next instruction has one */
	REPLAY_WATCH_STEP,   /* a step accessed watched memory: memory_watch_hit() says what */
	REPLAY_WATCH_DEVICE, /* a device wrote to it, or a reset did */
};

struct replayer_config {
	const struct engine_ops *engine;
	/* Output bytes of stream n (header order), as the guest writes them. Optional. */
	void (*stream_output)(void *ctx, unsigned stream, const uint8_t *data, size_t n);
	void *stream_ctx;
	bool stream_exact; /* bytes are handed on at the instruction that wrote them */
	const volatile sig_atomic_t *interrupted;
	void (*progress)(void *ctx, uint64_t icount, uint64_t end_icount);
	void *progress_ctx;
	/*
	 * icount is that of the state before the instruction, or before the step that made the
	 * access. Returns true to end the run: at a breakpoint before its instruction; at a
	 * watchpoint at the count of the state that first has the access behind it. Must not change
	 * the machine. Optional.
	 */
	bool (*hit)(void *ctx, enum replay_hit hit, uint64_t icount);
	void *hit_ctx;
};

enum replay_status {
	REPLAY_AT_ICOUNT, /* the icount asked for is reached */
	REPLAY_AT_END,    /* the log's end: recorded end, or where the file was cut off */
	REPLAY_DIVERGED,
	REPLAY_DAMAGED,     /* the file cannot be read further; *error */
	REPLAY_INTERRUPTED, /* by config.interrupted or config.hit; the state is that of its icount
			     */
	REPLAY_FAILED,      /* no memory and the like; *error */
};

/* The reader stays the caller's and must outlive the replayer. Returns 0 or a negative errno with
 * *ret_error set; the machine is at its first instruction. */
int replayer_create(struct log_reader *reader, const struct replayer_config *config,
		    struct replayer **ret_replayer, struct log_error *ret_error);
void replayer_destroy(struct replayer *replayer);

/* Runs forward to exactly icount (UINT64_MAX: to the end): the state after the memory and clock
 * events at that count and before a delivery. */
enum replay_status replayer_run_until(struct replayer *replayer, uint64_t icount);

/* Linear addresses, in whatever address space. Returns 0 or -ENOMEM (the old set then stands). */
int replayer_set_breakpoints(struct replayer *replayer, const uint64_t *linear, unsigned n);
int replayer_set_watches(struct replayer *replayer, const struct memory_watch *watches, unsigned n);

struct machine *replayer_machine(struct replayer *replayer);
/* Nothing is recorded beyond. */
uint64_t replayer_end_icount(const struct replayer *replayer);
const struct divergence *replayer_divergence(const struct replayer *replayer);
const struct log_error *replayer_error(const struct replayer *replayer);
/* What the engine's parts did so far; returns how many. */
unsigned replayer_engine_uses(const struct replayer *replayer,
			      struct engine_use ret_uses[ENGINE_MAX_USES]);

/* As in struct engine: not 0 when another engine runs than the one that was asked for. */
int replayer_engine_instead(const struct replayer *replayer);

uint64_t replayer_digests_checked(const struct replayer *replayer);

/* The whole state of a replay between two instructions: vCPUs, RAM, place in the log. */
struct replayer_snapshot;

/*
 * Saves where the last replayer_run_until() ended with REPLAY_AT_ICOUNT or REPLAY_AT_END. The
 * snapshot is the caller's and holds a copy of all RAM that is not zero. Returns 0 or -ENOMEM.
 */
int replayer_save(const struct replayer *replayer, struct replayer_snapshot **ret_snapshot);

/*
 * Brings a replayer of the same file, this one or another, to the snapshot. Returns 0, or a
 * negative errno with replayer_error() set; the replayer can then only be destroyed.
 */
int replayer_restore(struct replayer *replayer, const struct replayer_snapshot *snapshot);
/* Accepts NULL. */
void replayer_snapshot_destroy(struct replayer_snapshot *snapshot);

#endif
