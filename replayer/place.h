/* A replay's state but for RAM: vCPUs, place in the log, output streams. */
#ifndef REPRISE_REPLAYER_PLACE_H
#define REPRISE_REPLAYER_PLACE_H

#include "replayer/state.h"

struct place {
	struct log_position position; /* of the first event not yet applied */
	uint64_t proven_icount;
	struct replay_streams *streams;
	uint8_t *state; /* machine_state_encode */
	size_t state_bytes;
};

/* Returns 0 or -ENOMEM; *ret_place can be finished in both cases. */
int place_save(const struct replayer *replayer, struct place *ret_place);

/*
 * Goes back to the place; RAM is the caller's business. Returns 0 or a negative errno with
 * replayer->error set.
 */
int place_restore(struct replayer *replayer, const struct place *place);

void place_finish(struct place *place);

#endif
