/*
 * Warm start: the state of a guest that has booted and waits for its plan, kept in a cache, so that
 * `reprise run` need not boot each time. A state is a function of the kernel, the initial RAM file
 * system, the command line, the machine and this tool: it is made with the virtual clock and a seed
 * of its own, the same on every host. Its variants, numbered from 0, have other seeds: the kernel's
 * objects lie elsewhere in memory.
 */
#ifndef REPRISE_TOOLS_WARM_STATE_H
#define REPRISE_TOOLS_WARM_STATE_H

#include "tools/recording.h"

/* As many states are kept at least, so that several can be used in turn. */
#define WARM_STATE_VARIANTS 8

/* The time that a guest with so much memory has for its boot at most, and where its clock stands at
 * most in a state. */
uint64_t warm_state_limit_ns(uint64_t ram_bytes);

/*
 * The file with the state for this recording, booting a guest to make it when the cache has none.
 * *ret_path is the caller's to free; NULL when there can be no cache, or it has no room, and a line
 * was printed when that is told; the scratch disk may then hold anything. Returns STATUS_OK, or
 * another status after a line was printed. The first signal (interrupt.h) ends it in good order.
 */
int warm_state_find(const struct recording *recording, unsigned variant, bool tell,
		    char **ret_path);

#endif
