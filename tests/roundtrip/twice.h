/*
 * Replays a recording again and again and compares: straight, with stops at random counts; with the
 * machine saved at some of them and restored into a new replayer of a newly opened file; and by
 * seeks of a timeline, forwards and backwards (moves.h). At each stop the digests must be equal, at
 * the end all output too. The recording may be one that was cut short, in or between chunks.
 */
#ifndef REPRISE_TESTS_ROUNDTRIP_TWICE_H
#define REPRISE_TESTS_ROUNDTRIP_TWICE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/engine.h"

struct twice_request {
	const char *path;
	const struct engine_ops *engine;
	const struct engine_ops *second; /* of the replay with saves; NULL: the same */
	const struct engine_ops *seeks;  /* of the seeks; NULL: the first */
	unsigned n_stops, n_saves;       /* besides the end; n_saves <= n_stops, both at least 1 */
	uint64_t seed;
	int console_fd; /* where the first stream's bytes go; -1: nowhere */
	/* Called once for each comparison, and for what stands in its way. */
	void (*report)(void *ctx, bool good, const char *text);
	void *ctx;
};

/* True when everything was equal. */
bool twice_replay(const struct twice_request *request);

#endif
