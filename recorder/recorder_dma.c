/* What devices read and write in guest RAM: each write is an event at the present count. */
#include <assert.h>
#include <errno.h>

#include "recorder/state.h"

static int dma_read(void *ctx, uint64_t gpa, void *buffer, uint32_t n)
{
	struct recorder *recorder = ctx;

	if (!memory_is_ram(recorder->machine->memory, gpa, n))
		return -EFAULT;
	memory_read(recorder->machine->memory, gpa, buffer, n);
	return 0;
}

static int dma_write(void *ctx, uint64_t gpa, const void *data, uint32_t n)
{
	struct recorder *recorder = ctx;
	const uint8_t *bytes = data;

	assert(!recorder->machine->crossing.n_answers); /* devices write between instructions */
	if (!memory_is_ram(recorder->machine->memory, gpa, n))
		return -EFAULT;
	while (n) {
		uint32_t piece = n < EVENT_MEMORY_MAX ? n : EVENT_MEMORY_MAX;
		struct event event = {
			.kind = EVENT_MEMORY,
			.memory = {.gpa = gpa, .bytes = piece, .data = bytes},
		};

		if (recorder_emit(recorder, &event) != BOUNDARY_GO)
			return -EIO;
		gpa += piece;
		bytes += piece;
		n -= piece;
	}
	return 0;
}

/* The console's bytes are not logged: replay finds them in RAM. */
static int dma_shown(void *ctx, uint64_t gpa, uint32_t n)
{
	struct recorder *recorder = ctx;

	while (n) {
		uint32_t piece = n < EVENT_MEMORY_MAX ? n : EVENT_MEMORY_MAX;
		struct event event = {
			.kind = EVENT_OUTPUT,
			.output = {.gpa = gpa, .bytes = piece, .stream = RECORDER_STREAM_HVC},
		};

		if (recorder_emit(recorder, &event) != BOUNDARY_GO)
			return -EIO;
		gpa += piece;
		n -= piece;
	}
	return 0;
}

struct dma recorder_dma(struct recorder *recorder)
{
	return (struct dma){
		.read = dma_read, .write = dma_write, .shown = dma_shown, .ctx = recorder};
}
