#include <errno.h>
#include <stdlib.h>

#include "bench/work/work.h"

#define WORDS ((UINT64_C(64) << 20) / sizeof(uint64_t))

/* Knuth's 64-bit linear congruential step (TAOCP 2, 3.3.4). */
static uint64_t next_random(uint64_t state)
{
	return state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

/* 64 MiB that count from 0, or NULL. */
static uint64_t *make_words(void)
{
	uint64_t *words = malloc(WORDS * sizeof(*words));

	for (uint64_t i = 0; words && i < WORDS; i++)
		words[i] = i;
	return words;
}

/* A turn: one word anywhere in 64 MiB is read, changed and written; what is read decides where
 * next. */
int work_integer_memory(uint64_t n, uint64_t *ret_result)
{
	uint64_t *words = make_words();
	uint64_t state = 1;

	if (!words)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t *word = &words[(state >> 32) % WORDS];
		*word = (*word ^ state) + i;
		state = next_random(state ^ *word);
	}
	free(words);
	*ret_result = state;
	return 0;
}

/* A turn: the next word of 64 MiB is read, changed and written; from the end it begins anew. The
 * processor knows where next, and what is computed does not wait for memory. */
int work_integer_order(uint64_t n, uint64_t *ret_result)
{
	uint64_t *words = make_words();
	uint64_t state = 1;

	if (!words)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t *word = &words[i % WORDS];
		state = next_random(state ^ *word);
		*word += state >> 32;
	}
	free(words);
	*ret_result = state;
	return 0;
}

typedef uint32_t words4 __attribute__((vector_size(16)));

/* Marsaglia's xorshift (2003) of n times four words. */
static words4 mix(words4 *fours, uint64_t n, words4 sum)
{
	for (uint64_t i = 0; i < n; i++) {
		words4 x = fours[i] + sum;
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		fours[i] = x;
		sum += x;
	}
	return sum;
}

/* A turn: the next four words of 32 bits, of 64 MiB, are read, mixed with what came before and
 * written, by SSE2; from the end it begins anew. */
int work_integer_vector(uint64_t n, uint64_t *ret_result)
{
	uint64_t *words = make_words();
	words4 *fours = (words4 *)words, sum = {1, 2, 3, 4};

	if (!words)
		return -ENOMEM;
	for (; n > WORDS / 2; n -= WORDS / 2)
		sum = mix(fours, WORDS / 2, sum);
	sum = mix(fours, n, sum);
	free(words);
	*ret_result = ((uint64_t)(sum[0] ^ sum[1]) << 32) | (sum[2] ^ sum[3]);
	return 0;
}

/* registers.S: n turns of exactly 8 instructions. */
uint64_t work_registers_loop(uint64_t n);

/* A turn: 8 instructions that touch no memory. */
int work_integer_registers(uint64_t n, uint64_t *ret_result)
{
	*ret_result = n ? work_registers_loop(n) : 0;
	return 0;
}
