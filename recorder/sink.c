#include "recorder/sink.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

void output_sink_init(struct output_sink *sink, int fd)
{
	sink->fd = fd;
	sink->n = 0;
}

/* One write. Returns the bytes taken, 0 to try again, -1 when the descriptor is of no more use. */
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
	return errno == EINTR ? 0 : -1;
}

void output_sink_flush(struct output_sink *sink)
{
	size_t done = 0;

	while (sink->fd >= 0 && done < sink->n) {
		ssize_t taken = write_some(sink->fd, sink->buffer + done, sink->n - done);

		if (taken < 0) /* a closed console does not end the recording */
			sink->fd = -1;
		else
			done += (size_t)taken;
	}
	sink->n = 0;
}

void output_sink_write(void *ctx, const uint8_t *data, size_t n)
{
	struct output_sink *sink = ctx;

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
