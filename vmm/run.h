/* The run loop: one engine, one machine, one boundary. The only place where crossings are
 * completed. */
#ifndef REPRISE_VMM_RUN_H
#define REPRISE_VMM_RUN_H

#include "vmm/boundary.h"
#include "vmm/engine.h"

/*
 * Runs until the boundary ends the run. Returns BOUNDARY_END, BOUNDARY_DIVERGED or BOUNDARY_FAILED
 * as the boundary's functions gave it.
 */
enum boundary_result run_machine(struct engine *engine, const struct boundary *boundary);

#endif
