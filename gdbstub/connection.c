#include "gdbstub/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (4 * CONNECTION_PACKET_MAX)
#define INTERRUPT    3
#define QUIT_POLL_MS 200 /* a signal that comes right before a wait is seen after this */

struct connection {
	int fd;
	const volatile sig_atomic_t *quit;
	bool acks, closed;
	size_t first, end; /* unread bytes of buffer */
	uint8_t buffer[BUFFER_BYTES];
	size_t n_packet;
	char packet[CONNECTION_PACKET_MAX + 1];
	uint8_t out[2 * CONNECTION_PACKET_MAX + 8];
};

struct connection *connection_create(int fd, const volatile sig_atomic_t *quit)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return NULL;
	connection->fd = fd;
	connection->quit = quit;
	connection->acks = true;
	return connection;
}

void connection_destroy(struct connection *connection)
{
	if (!connection)
		return;
	close(connection->fd);
	free(connection);
}

void connection_stop_acks(struct connection *connection)
{
	connection->acks = false;
}

/* ---- bytes ---- */

/* Waits until there is something to read. Returns false when it is time to quit. */
static bool wait_for_input(struct connection *connection)
{
	struct pollfd poll_fd = {.fd = connection->fd, .events = POLLIN};

	do {
		if (connection->quit && *connection->quit)
			return false;
	} while (poll(&poll_fd, 1, QUIT_POLL_MS) <= 0);
	return true;
}

/* Reads what there is, behind what is unread. Returns false when nothing came. */
static bool fill(struct connection *connection, bool wait)
{
	struct pollfd poll_fd = {.fd = connection->fd, .events = POLLIN};

	if (connection->first) {
		memmove(connection->buffer, connection->buffer + connection->first,
			connection->end - connection->first);
		connection->end -= connection->first;
		connection->first = 0;
	}
	if (connection->closed || connection->end == BUFFER_BYTES)
		return false;
	if (wait && !wait_for_input(connection)) {
		connection->closed = true;
		return false;
	}
	if (!wait && poll(&poll_fd, 1, 0) <= 0)
		return false;
	ssize_t n = read(connection->fd, connection->buffer + connection->end,
			 BUFFER_BYTES - connection->end);
	if (n <= 0) {
		connection->closed = true;
		return false;
	}
	connection->end += (size_t)n;
	return true;
}

/* The next byte, or -1 when the other side is gone. */
static int get(struct connection *connection)
{
	if (connection->first == connection->end && !fill(connection, true))
		return -1;
	return connection->buffer[connection->first++];
}

static void put(struct connection *connection, const uint8_t *data, size_t n)
{
	while (n && !connection->closed) {
		ssize_t done = send(connection->fd, data, n, MSG_NOSIGNAL);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			connection->closed = true;
			return;
		}
		data += done;
		n -= (size_t)done;
	}
}

bool connection_interrupted(struct connection *connection)
{
	if (connection->quit && *connection->quit)
		return true;
	/* It may have come together with the packet that lets things run. */
	fill(connection, false);
	return connection->closed || memchr(connection->buffer + connection->first, INTERRUPT,
					    connection->end - connection->first);
}

/* ---- packets ---- */

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads a packet's content up to its '#'. Returns false when the stream ends; one that is too long
 * is cut, and its sum does not fit. */
static bool read_content(struct connection *connection, uint8_t *ret_sum)
{
	uint8_t sum = 0;
	bool escaped = false;
	int c;

	connection->n_packet = 0;
	while ((c = get(connection)) != '#') {
		if (c < 0)
			return false;
		if (c == '$' && !escaped) { /* begun anew */
			connection->n_packet = 0;
			sum = 0;
			continue;
		}
		sum = (uint8_t)(sum + c);
		if (c == '}' && !escaped) {
			escaped = true;
			continue;
		}
		if (connection->n_packet < CONNECTION_PACKET_MAX)
			connection->packet[connection->n_packet++] = (char)(escaped ? c ^ 0x20 : c);
		else
			sum = (uint8_t)(sum + 1);
		escaped = false;
	}
	connection->packet[connection->n_packet] = '\0';
	*ret_sum = sum;
	return true;
}

static void acknowledge(struct connection *connection, bool good)
{
	if (connection->acks)
		put(connection, (const uint8_t *)(good ? "+" : "-"), 1);
}

const char *connection_receive(struct connection *connection, size_t *ret_n)
{
	for (;;) {
		uint8_t sum;
		int c = get(connection);
		if (c < 0)
			return NULL;
		if (c != '$') /* acknowledgements, ^C while nothing runs */
			continue;
		if (!read_content(connection, &sum))
			return NULL;
		int high = hex_digit(get(connection)), low = hex_digit(get(connection));
		bool good = high >= 0 && low >= 0 && (high << 4 | low) == sum;
		acknowledge(connection, good);
		if (good || !connection->acks) {
			*ret_n = connection->n_packet;
			return connection->packet;
		}
	}
}

void connection_send(struct connection *connection, const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = data;
	uint8_t *out = connection->out;
	size_t used = 0;
	uint8_t sum = 0;

	if (n > CONNECTION_PACKET_MAX)
		n = CONNECTION_PACKET_MAX;
	out[used++] = '$';
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = in[i];
		if (byte == '$' || byte == '#' || byte == '}' || byte == '*') {
			out[used++] = '}';
			sum = (uint8_t)(sum + '}');
			byte ^= 0x20;
		}
		out[used++] = byte;
		sum = (uint8_t)(sum + byte);
	}
	out[used++] = '#';
	out[used++] = (uint8_t)digits[sum >> 4];
	out[used++] = (uint8_t)digits[sum & 15];
	put(connection, out, used);
}
