/*
 * Random bytes for the guest: the host's, or those of a generator seeded by the user (xoshiro256**,
 * Blackman and Vigna 2018, its state filled by splitmix64). The seeded bytes are predictable by
 * whoever knows the seed; that is what they are for.
 */
#ifndef REPRISE_RECORDER_RANDOM_H
#define REPRISE_RECORDER_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random_source {
	bool seeded;
	uint64_t state[4]; /* the generator's, when seeded */
	uint8_t pool[256]; /* bytes from the host not yet used */
	size_t n_pool;
};

void random_source_init(struct random_source *source, bool seeded, uint64_t seed);

/* Fills buffer with n bytes; source is a struct random_source (struct random_backend.fill). */
void random_source_fill(void *source, void *buffer, size_t n);

#endif
