/* What the fuzz targets share: the entry point that libFuzzer and driver.c call, and taking an
 * input apart from its front. */
#ifndef REPRISE_TESTS_FUZZ_INPUT_H
#define REPRISE_TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Runs one input; always returns 0. Must leave nothing behind. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct input {
	const uint8_t *data;
	size_t n; /* left */
};

/* The next bytes as a number, little-endian; what is missing at the end is 0. */
static inline uint64_t input_number(struct input *input, unsigned bytes)
{
	uint64_t value = 0;
	size_t n = bytes < input->n ? bytes : input->n;

	for (size_t i = 0; i < n; i++)
		value |= (uint64_t)input->data[i] << (8 * i);
	input->data += n;
	input->n -= n;
	return value;
}

/*
 * Changes bytes of a good state: a count, then for each change an offset (2 bytes, modulo n) and a
 * byte that is XORed there. So a fuzzer starts from what is accepted, not from noise.
 */
static inline void input_change(struct input *input, uint8_t *state, size_t n)
{
	unsigned changes = (unsigned)input_number(input, 1);

	for (unsigned i = 0; i < changes && input->n >= 3 && n; i++) {
		size_t at = input_number(input, 2) % n;
		state[at] ^= (uint8_t)input_number(input, 1);
	}
}

#endif
