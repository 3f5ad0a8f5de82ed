#include "recorder/random.h"

#include <string.h>
#include <sys/random.h>

static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t value, unsigned n)
{
	return value << n | value >> (64 - n);
}

static uint64_t xoshiro256(uint64_t state[4])
{
	uint64_t result = rotate_left(state[1] * 5, 7) * 9;
	uint64_t t = state[1] << 17;

	state[2] ^= state[0];
	state[3] ^= state[1];
	state[1] ^= state[2];
	state[0] ^= state[3];
	state[2] ^= t;
	state[3] = rotate_left(state[3], 45);
	return result;
}

void random_source_init(struct random_source *source, bool seeded, uint64_t seed)
{
	*source = (struct random_source){.seeded = seeded};
	for (int i = 0; i < 4; i++)
		source->state[i] = splitmix64(&seed);
}

/* The host's bytes come in pools: one system call for many RDRANDs. */
static void fill_from_host(struct random_source *source, uint8_t *bytes, size_t n)
{
	while (n) {
		size_t piece;

		if (!source->n_pool) {
			ssize_t got = getrandom(source->pool, sizeof(source->pool), 0);
			if (got <= 0)
				continue; /* a signal came before the pool was ready */
			source->n_pool = (size_t)got;
		}
		piece = n < source->n_pool ? n : source->n_pool;
		source->n_pool -= piece;
		memcpy(bytes, source->pool + source->n_pool, piece);
		bytes += piece;
		n -= piece;
	}
}

void random_source_fill(void *ctx, void *buffer, size_t n)
{
	struct random_source *source = ctx;
	uint8_t *bytes = buffer;

	if (!source->seeded) {
		fill_from_host(source, bytes, n);
		return;
	}
	while (n) {
		uint64_t word = xoshiro256(source->state);
		size_t piece = n < sizeof(word) ? n : sizeof(word);

		memcpy(bytes, &word, piece);
		bytes += piece;
		n -= piece;
	}
}
