/*
 * Checkpoints: states a replay can be brought back to at small cost.
 *
 *     0          a              b                    c
 *     |==========|==============|====================|------> machine
 *     all pages  pages written  pages written        pages written since c:
 *                since 0        since a, before b    memory_change()
 *
 * The first checkpoint holds every page that is not zero (or, when that would take too much of the
 * budget, leaves them to the file's initial RAM), each later one a copy of the pages written since
 * its predecessor. The machine always descends from one of them, its *base*. A page's
 * content at a checkpoint is that of the newest copy at or before it. To go from one to another
 * only the pages written since the base and those that stand between the two have to be looked at.
 */
#ifndef REPRISE_REPLAYER_CHECKPOINTS_H
#define REPRISE_REPLAYER_CHECKPOINTS_H

#include "replayer/state.h"

struct checkpoints;

/*
 * Makes the first checkpoint of where the replayer stands; memory_keep_changes() was called when
 * RAM was as in the file. bytes: what they may take in all. Beyond that they are packed, and then
 * some go, mostly such as stand dense far from where the machine is; the first stays in any case.
 * Returns 0 or -ENOMEM.
 */
int checkpoints_create(struct replayer *replayer, uint64_t bytes, struct checkpoints **ret);
void checkpoints_destroy(struct checkpoints *checkpoints);

/*
 * Makes a checkpoint of where the last run ended, unless there is one; it becomes the base. The run
 * must have ended with REPLAY_AT_ICOUNT. Without memory or room for it nothing is made.
 */
void checkpoints_add(struct checkpoints *checkpoints);

/* Brings the replayer to the newest checkpoint at or before icount. Returns 0, or a negative errno
 * with replayer->error set. */
int checkpoints_restore(struct checkpoints *checkpoints, uint64_t icount);

/* Where the newest checkpoint at or before icount stands. */
uint64_t checkpoints_before(const struct checkpoints *checkpoints, uint64_t icount);
/* Where the oldest checkpoint after icount stands; UINT64_MAX: there is none. */
uint64_t checkpoints_after(const struct checkpoints *checkpoints, uint64_t icount);

/* How many there are, and what they take. */
void checkpoints_size(const struct checkpoints *checkpoints, unsigned *ret_n, uint64_t *ret_bytes);

#endif
