#include "replayer/output.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct output {
	uint8_t *data;
	uint64_t *icount; /* of each byte; ascending */
	size_t n, max;
	uint64_t seen; /* steps before this are complete */
};

struct output *output_create(void)
{
	return calloc(1, sizeof(struct output));
}

void output_destroy(struct output *output)
{
	if (!output)
		return;
	free(output->data);
	free(output->icount);
	free(output);
}

static bool grow(struct output *output, size_t n)
{
	size_t max = output->max ? output->max : 4096;

	while (max < output->n + n)
		max *= 2;
	if (max == output->max)
		return true;
	uint8_t *data = realloc(output->data, max);
	if (data)
		output->data = data;
	uint64_t *icount = realloc(output->icount, max * sizeof(*icount));
	if (icount)
		output->icount = icount;
	if (!data || !icount)
		return false;
	output->max = max;
	return true;
}

void output_add(struct output *output, uint64_t icount, const uint8_t *data, size_t n)
{
	if (icount < output->seen || !grow(output, n))
		return;
	memcpy(output->data + output->n, data, n);
	for (size_t i = 0; i < n; i++)
		output->icount[output->n + i] = icount;
	output->n += n;
}

void output_seen(struct output *output, uint64_t icount)
{
	if (icount > output->seen)
		output->seen = icount;
}

const uint8_t *output_before(const struct output *output, uint64_t icount, size_t *ret_n)
{
	size_t low = 0, high = output->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (output->icount[middle] < icount)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_n = low;
	return output->data;
}

uint64_t output_icount(const struct output *output, size_t n)
{
	return output->icount[n];
}
