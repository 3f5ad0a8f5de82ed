/* What decides on hits while the machine runs. */
#ifndef REPRISE_GDBSTUB_RUN_H
#define REPRISE_GDBSTUB_RUN_H

#include "gdbstub/state.h"

/* timeline_config.counts: whether one of gdb's points has a condition that holds; ctx is the stub.
 */
bool run_hit_counts(void *ctx, const struct timeline_hit *hit);

/* Hands the points to the timeline as they are mapped here. Returns 0 or -ENOMEM. */
int run_arm(struct gdbstub *stub);

#endif
