/* Files that the command leaves and the host wants back. */
#ifndef REPRISE_TOOLS_GUEST_RESULTS_H
#define REPRISE_TOOLS_GUEST_RESULTS_H

#include "tools/guest/plan.h"

/*
 * Sends the plan's results, found from its directory, as agent.h says; directories with all that is
 * in them. Paths are as in the plan. What does not exist, and what is no file, directory or link,
 * is left out.
 */
void results_send(const struct plan *plan);

#endif
