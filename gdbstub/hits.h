/* Which of gdb's points a hit is about, and whether one of its conditions holds. */
#ifndef REPRISE_GDBSTUB_HITS_H
#define REPRISE_GDBSTUB_HITS_H

#include "gdbstub/state.h"

/* timeline_config.counts and .moved; ctx is the stub. */
bool hits_count(void *ctx, const struct timeline_hit *hit);
void hits_moved(void *ctx);

/* Whether a breakpoint at pc has a condition that holds for the thread; stub->met then says it. */
bool hits_breakpoint(struct gdbstub *stub, uint32_t thread, uint64_t pc);

/* The same for the watched accesses of the step just made. Where mappings are followed, what was
 * watched may have got another place; a content that this changes is a hit too, and with removes
 * also that it has none any more. */
bool hits_watch(struct gdbstub *stub, uint32_t thread, bool removes);

/* Hands the points to the timeline, the watchpoints as they are mapped here, and n further linear
 * addresses. Returns 0 or -ENOMEM. */
int hits_arm(struct gdbstub *stub, const uint64_t *further, unsigned n);

/* Whether gdb has a breakpoint there. */
bool hits_has_breakpoint(const struct gdbstub *stub, uint64_t pc);

#endif
