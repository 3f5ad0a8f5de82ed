#include "recorder/source.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* How long one wait for the host lasts before stop() is asked again. */
#define WAIT_MS 100

/* What comes when there was enough of slowness. */
#define QUICK_PERIOD_NS UINT64_C(1000000)

void input_source_init(struct input_source *source, const struct input_source_config *config)
{
	source->config = *config;
	source->ended = config->fd < 0;
	source->held = false;
	source->starved = false;
	source->due_ns = config->period_ns;
	source->n_pieces = 0;
	source->first = source->n = 0;
}

void input_source_hold(struct input_source *source, bool held, uint64_t now_ns)
{
	if (source->held && !held && source->due_ns < now_ns + source->config.settle_ns)
		source->due_ns = now_ns + source->config.settle_ns;
	source->held = held;
}

bool input_source_filled(const struct input_source *source)
{
	return source->first < source->n;
}

bool input_source_alive(const struct input_source *source)
{
	return !source->ended && !source->held && !input_source_filled(source);
}

bool input_source_watched(const struct input_source *source)
{
	return input_source_alive(source) && (source->config.interactive || source->starved);
}

uint64_t input_source_due(const struct input_source *source)
{
	if (!input_source_alive(source) || input_source_watched(source))
		return UINT64_MAX;
	return source->due_ns;
}

/* Waits up to timeout_ms for something to read. */
static bool readable(const struct input_source *source, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = source->config.fd, .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) > 0;
}

static void read_piece(struct input_source *source, uint64_t now_ns)
{
	ssize_t got = read(source->config.fd, source->data, source->config.piece_bytes);

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (got <= 0) {
		source->ended = true;
		return;
	}
	source->first = 0;
	source->n = (uint32_t)got;
	if (++source->n_pieces == source->config.slow_pieces) {
		source->config.piece_bytes = SOURCE_PIECE_MAX;
		source->config.period_ns = QUICK_PERIOD_NS;
	}
	source->due_ns = now_ns + source->config.period_ns;
}

/* Takes what is there now, if anything. */
static void fetch_now(struct input_source *source, uint64_t now_ns)
{
	source->starved = !readable(source, 0);
	if (!source->starved)
		read_piece(source, now_ns);
}

void input_source_fetch_watched(struct input_source *source, uint64_t now_ns)
{
	if (input_source_watched(source))
		fetch_now(source, now_ns);
}

void input_source_fetch_due(struct input_source *source, uint64_t now_ns, bool (*stop)(void *ctx),
			    void *ctx)
{
	if (input_source_due(source) > now_ns)
		return;
	if (!source->config.waits) {
		fetch_now(source, now_ns);
		return;
	}
	while (input_source_alive(source) && !stop(ctx))
		if (readable(source, WAIT_MS))
			read_piece(source, now_ns);
}

size_t input_source_read(void *ctx, uint8_t *data, size_t n)
{
	struct input_source *source = ctx;
	size_t available = source->n - source->first;

	if (n > available)
		n = available;
	memcpy(data, source->data + source->first, n);
	source->first += (uint32_t)n;
	return n;
}

bool input_source_ended(void *ctx)
{
	const struct input_source *source = ctx;

	return source->ended && !input_source_filled(source);
}
