#include "recorder/sink.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

size_t output_tail_read(const struct output_tail *tail, uint8_t ret_data[OUTPUT_TAIL_BYTES])
{
	size_t n = tail->n < OUTPUT_TAIL_BYTES ? (size_t)tail->n : OUTPUT_TAIL_BYTES;

	for (size_t i = 0; i < n; i++)
		ret_data[i] = tail->data[(tail->n - n + i) % OUTPUT_TAIL_BYTES];
	return n;
}

static void add_to_tail(struct output_tail *tail, const uint8_t *data, size_t n)
{
	for (size_t i = n < OUTPUT_TAIL_BYTES ? 0 : n - OUTPUT_TAIL_BYTES; i < n; i++)
		tail->data[(tail->n + i) % OUTPUT_TAIL_BYTES] = data[i];
	tail->n += n;
}

void output_sink_init(struct output_sink *sink, int fd, struct output_tail *tail)
{
	sink->fd = fd;
	sink->error = 0;
	sink->tail = tail;
	sink->n = 0;
}

/* One write. Returns the bytes taken, 0 to try again, or a negative errno when the descriptor is of
 * no more use. */
static ssize_t write_some(int fd, const uint8_t *data, size_t n)
{
	ssize_t taken = write(fd, data, n);

	if (taken >= 0)
		return taken;
	if (errno == EAGAIN) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
		poll(&poll_fd, 1, 100);
		return 0;
	}
	return errno == EINTR ? 0 : -errno;
}

void output_sink_flush(struct output_sink *sink)
{
	size_t done = 0;

	while (sink->fd >= 0 && done < sink->n) {
		ssize_t taken = write_some(sink->fd, sink->buffer + done, sink->n - done);

		if (taken < 0) { /* a closed console does not end the recording */
			sink->fd = -1;
			sink->error = (int)taken;
		} else {
			done += (size_t)taken;
		}
	}
	sink->n = 0;
}

void output_sink_write(void *ctx, const uint8_t *data, size_t n)
{
	struct output_sink *sink = ctx;

	if (sink->tail)
		add_to_tail(sink->tail, data, n);
	while (n) {
		size_t room = SINK_BUFFER_BYTES - sink->n;
		size_t piece = n < room ? n : room;

		memcpy(sink->buffer + sink->n, data, piece);
		sink->n += piece;
		data += piece;
		n -= piece;
		if (sink->n == SINK_BUFFER_BYTES)
			output_sink_flush(sink);
	}
}
