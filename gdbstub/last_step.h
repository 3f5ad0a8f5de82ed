/* Which vCPU made which step, by the log. */
#ifndef REPRISE_GDBSTUB_LAST_STEP_H
#define REPRISE_GDBSTUB_LAST_STEP_H

#include "gdbstub/state.h"

/*
 * Finds the last step that a vCPU made before a position. *ret_icount: of the state in front of it.
 * Returns false when there is none, or the log cannot be read. The timeline may have been moved to
 * its start.
 */
bool last_step_find(struct gdbstub *stub, uint32_t vcpu, uint64_t position, uint64_t *ret_icount);

#endif
