/* See channel.h for the registers. Input is buffered so that a guest can read it in one REP INSB.
 */
#include "vmm/devices/device.h"
#include "vmm/devices/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/devices.pb-c.h"

#define INPUT_BYTES 4096
#define SIZE_BYTES  4

struct channel {
	struct channel_config config;
	uint8_t input[INPUT_BYTES];
	uint32_t first, end; /* the bytes of input that wait: [first, end) */
	uint32_t plan_at;    /* bytes of the plan that were read */
	uint8_t size[SIZE_BYTES];
	uint32_t size_at; /* the next of them; SIZE_BYTES: all were read */
	uint8_t notes;
	bool ready;
	bool exited;
	int status;
};

static bool input_ended(const struct channel *channel)
{
	const struct char_backend *in = &channel->config.stream[0];
	if (channel->first != channel->end)
		return false;
	return !in->read || (in->ended && in->ended(in->ctx));
}

static uint8_t read_status(const struct channel *channel)
{
	return (channel->first != channel->end ? CHANNEL_STATUS_READY : 0) |
	       (input_ended(channel) ? CHANNEL_STATUS_END : 0) |
	       (channel->size_at < SIZE_BYTES ? CHANNEL_STATUS_SIZE : 0);
}

static uint8_t read_plan(struct channel *channel)
{
	const struct channel_config *config = &channel->config;
	return channel->plan_at < config->plan_bytes ? config->plan[channel->plan_at++] : 0;
}

static uint64_t channel_read(void *device, uint64_t offset, unsigned size)
{
	struct channel *channel = device;
	uint32_t waiting = channel->end - channel->first;
	switch (offset) {
	case CHANNEL_ID:
		return CHANNEL_ID_VALUE;
	case CHANNEL_AVAILABLE:
		return waiting < 255 ? waiting : 255;
	case CHANNEL_STATUS:
		return read_status(channel);
	case CHANNEL_STDIN:
		return waiting ? channel->input[channel->first++] : 0;
	case CHANNEL_SIZE:
		return channel->size_at < SIZE_BYTES ? channel->size[channel->size_at++] : 0;
	case CHANNEL_PLAN:
		return read_plan(channel);
	default:
		return 0xff;
	}
}

static void write_stream(struct channel *channel, unsigned n, uint8_t byte)
{
	const struct char_backend *stream = &channel->config.stream[n];
	if (stream->write)
		stream->write(stream->ctx, &byte, 1);
}

/* The first exit counts. */
static void exit_with(struct channel *channel, int status)
{
	if (channel->exited)
		return;
	channel->exited = true;
	channel->status = status;
	if (channel->config.exited)
		channel->config.exited(channel->config.ctx);
}

static void channel_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct channel *channel = device;
	switch (offset) {
	case CHANNEL_NOTE:
		channel->notes |= value;
		break;
	case CHANNEL_STDOUT:
		write_stream(channel, 1, value);
		break;
	case CHANNEL_STDERR:
		write_stream(channel, 2, value);
		break;
	case CHANNEL_EXIT:
		exit_with(channel, value & 0xff);
		break;
	case CHANNEL_EXIT_SIGNAL:
		exit_with(channel, CHANNEL_SIGNAL_BASE + (value & 0x7f));
		break;
	case CHANNEL_RESULTS:
		write_stream(channel, 3, value);
		break;
	case CHANNEL_READY:
		channel->ready = true;
		channel->plan_at = 0;
		break;
	}
}

const struct window_ops channel_window_ops = {
	.read = channel_read,
	.write = channel_write,
};

void channel_poll_input(struct channel *channel)
{
	const struct char_backend *in = &channel->config.stream[0];
	if (!in->read)
		return;
	if (channel->first == channel->end)
		channel->first = channel->end = 0;
	if (channel->end < INPUT_BYTES)
		channel->end += in->read(in->ctx, channel->input + channel->end,
					 INPUT_BYTES - channel->end);
}

bool channel_exited(const struct channel *channel, int *ret_status)
{
	if (channel->exited)
		*ret_status = channel->status;
	return channel->exited;
}

uint8_t channel_notes(const struct channel *channel)
{
	return channel->notes;
}

void channel_resize(struct channel *channel, uint16_t rows, uint16_t columns)
{
	const uint8_t size[SIZE_BYTES] = {rows & 0xff, rows >> 8, columns & 0xff, columns >> 8};

	memcpy(channel->size, size, sizeof(size));
	channel->size_at = 0;
}

bool channel_ready(const struct channel *channel)
{
	return channel->ready;
}

void channel_reset(struct channel *channel)
{
	/* Input that waits is the host's and not lost. */
	channel->plan_at = 0;
	channel->notes = 0;
	channel->ready = false;
	channel->exited = false;
	channel->status = 0;
}

int channel_create(const struct channel_config *config, struct channel **ret_channel)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	if (!channel)
		return -ENOMEM;
	channel->config = *config;
	channel->size_at = SIZE_BYTES;
	*ret_channel = channel;
	return 0;
}

void channel_destroy(struct channel *channel)
{
	free(channel);
}

void channel_save(const struct channel *channel, Reprise__ChannelState *ret_state)
{
	reprise__channel_state__init(ret_state);
	ret_state->input = (ProtobufCBinaryData){channel->end - channel->first,
						 (uint8_t *)channel->input + channel->first};
	ret_state->exited = channel->exited;
	ret_state->status = channel->status;
	ret_state->plan_at = channel->plan_at;
	ret_state->ready = channel->ready;
	ret_state->notes = channel->notes;
	ret_state->size = (ProtobufCBinaryData){SIZE_BYTES, (uint8_t *)channel->size};
	ret_state->size_left = SIZE_BYTES - channel->size_at;
}

int channel_restore(struct channel *channel, const Reprise__ChannelState *state)
{
	if (state->input.len > INPUT_BYTES || state->status < 0 || state->status > 0xff ||
	    (state->status && !state->exited) || state->notes > 0xff ||
	    state->size.len != SIZE_BYTES || state->size_left > SIZE_BYTES)
		return -EINVAL;
	memcpy(channel->size, state->size.data, SIZE_BYTES);
	channel->size_at = SIZE_BYTES - state->size_left;
	channel->notes = (uint8_t)state->notes;
	if (state->input.len)
		memcpy(channel->input, state->input.data, state->input.len);
	channel->first = 0;
	channel->end = state->input.len;
	channel->plan_at = state->plan_at;
	channel->ready = state->ready;
	channel->exited = state->exited;
	channel->status = state->status;
	return 0;
}
