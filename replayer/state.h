/* The replayer's inside, shared by its files. */
#ifndef REPRISE_REPLAYER_STATE_H
#define REPRISE_REPLAYER_STATE_H

#include "replayer/divergence.h"
#include "replayer/replayer.h"
#include "replayer/streams.h"
#include "vmm/boundary.h"
#include "vmm/machine.h"

struct replayer {
	struct replayer_config config;
	struct log_reader *reader;
	struct machine *machine;
	struct engine *engine;
	struct replay_streams *streams;

	/* The log's next event, while has_next; its memory data is the reader's. */
	struct event next;
	bool has_next;
	struct log_position next_position; /* of next, for reading it again */
	bool log_ended;                    /* nothing follows what was read */

	uint64_t end_icount;       /* nothing is recorded beyond */
	uint64_t target_icount;    /* of the run_until in progress */
	uint64_t upkeep_icount;    /* output, progress and the user are looked at from here on */
	uint64_t slice_icount;     /* from one such look to the next */
	uint64_t upkeep_engine_ns; /* the engine's time at the last */
	bool stopping;             /* the run ends at target_icount because it was asked to */
	enum replay_status status; /* why the boundary ended the run */

	uint64_t n_digests;
	struct divergence divergence;
	struct log_error error;
};

/* The boundary that is answered from the log; ctx is a struct replayer. */
extern const struct boundary_ops replayer_boundary_ops;

/*
 * Loads what a reset starts from: initial RAM and vCPUs of the file. RAM must be cleared. The
 * machine's icount, clock and output digest stay as they are. Returns 0 or a negative errno with
 * replayer->error set. The reader's position is lost.
 */
int replayer_load_initial(struct replayer *replayer);

#endif
