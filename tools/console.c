#include "tools/console.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/filter.h"

#define PIECE_BYTES 4096

struct route {
	int fd; /* -1: not shown */
	bool filtered;
	struct filter filter;
};

struct console {
	struct route *routes;
	unsigned n_routes;
	int error;
};

static void init_route(struct route *route, const Reprise__Stream *stream, bool all, bool raw)
{
	route->fd = -1;
	if (stream->host_fd == STDOUT_FILENO || stream->host_fd == STDERR_FILENO)
		route->fd = (int)stream->host_fd;
	else if (all)
		route->fd = STDERR_FILENO;
	route->filtered = !raw && route->fd >= 0 && isatty(route->fd);
	filter_init(&route->filter);
}

int console_create(const Reprise__Header *header, bool all, bool raw, struct console **ret_console)
{
	struct console *console = calloc(1, sizeof(*console));

	if (!console)
		return -ENOMEM;
	console->n_routes = (unsigned)header->n_streams;
	console->routes = calloc(header->n_streams + 1, sizeof(*console->routes));
	if (!console->routes) {
		console_destroy(console);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < console->n_routes; i++)
		init_route(&console->routes[i], header->streams[i], all, raw);
	*ret_console = console;
	return 0;
}

void console_destroy(struct console *console)
{
	if (!console)
		return;
	free(console->routes);
	free(console);
}

static void write_all(struct console *console, int fd, const uint8_t *data, size_t n)
{
	while (n && !console->error) {
		ssize_t done = write(fd, data, n);
		if (done < 0 && errno != EINTR)
			console->error = -errno;
		if (done > 0) {
			data += done;
			n -= (size_t)done;
		}
	}
}

static void write_filtered(struct console *console, struct route *route, const uint8_t *data,
			   size_t n)
{
	uint8_t out[PIECE_BYTES + FILTER_PENDING_MAX];

	for (size_t at = 0; at < n; at += PIECE_BYTES) {
		size_t piece = n - at < PIECE_BYTES ? n - at : PIECE_BYTES;
		write_all(console, route->fd, out,
			  filter_apply(&route->filter, data + at, piece, out));
	}
}

void console_output(void *ctx, unsigned stream, const uint8_t *data, size_t n)
{
	struct console *console = ctx;

	if (stream >= console->n_routes || console->routes[stream].fd < 0)
		return;
	if (console->routes[stream].filtered)
		write_filtered(console, &console->routes[stream], data, n);
	else
		write_all(console, console->routes[stream].fd, data, n);
}

int console_error(const struct console *console)
{
	return console->error;
}
