#include "tools/guest/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/guest/agent.h"
#include "tools/guest/ports.h"
#include "vmm/devices/channel.h"

/* How often stdin's ports are looked at: at once after input, then less and less often. */
#define STDIN_WAIT_MIN_MS 1
#define STDIN_WAIT_MAX_MS 32

/* What a pipe holds at most (pipe(7)). */
#define PIPE_BYTES 65536

/* ---- making them ---- */

static void open_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		agent_fail("pipe", errno);
	*ret_read = fds[0];
	*ret_write = fds[1];
}

static int open_terminal(const struct plan *plan, int *ret_slave)
{
	const struct winsize size = {.ws_row = plan->rows, .ws_col = plan->columns};
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0 || grantpt(master) || unlockpt(master))
		agent_fail("a terminal", errno);
	*ret_slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*ret_slave < 0)
		agent_fail("a terminal", errno);
	if (plan->rows && plan->columns)
		ioctl(master, TIOCSWINSZ, &size);
	if (fchown(*ret_slave, plan->user, (gid_t)-1))
		agent_fail("a terminal", errno);
	return master;
}

/* A terminal has one stream of output, which belongs to stdout if that is one, else to stderr. */
static void use_terminal(struct streams *streams, const struct plan *plan, int master)
{
	if (plan->terminal & AGENT_TERMINAL_IN)
		streams->in = fcntl(master, F_DUPFD_CLOEXEC, 3);
	streams->terminal = fcntl(master, F_DUPFD_CLOEXEC, 3);
	if (plan->terminal & AGENT_TERMINAL_OUT) {
		streams->out = master;
	} else if (plan->terminal & AGENT_TERMINAL_ERR) {
		streams->err = master;
	} else {
		close(master);
	}
}

void streams_open(struct streams *streams, const struct plan *plan, struct stream_ends *ret_ends)
{
	*streams = (struct streams){
		.in = -1, .out = -1, .err = -1, .terminal = -1, .wait_ms = STDIN_WAIT_MIN_MS};
	ret_ends->terminal = -1;
	if (plan->terminal)
		use_terminal(streams, plan, open_terminal(plan, &ret_ends->terminal));
	for (int i = 0; i < 3; i++)
		ret_ends->fd[i] = ret_ends->terminal;
	if (!(plan->terminal & AGENT_TERMINAL_IN))
		open_pipe(&ret_ends->fd[0], &streams->in);
	if (!(plan->terminal & AGENT_TERMINAL_OUT))
		open_pipe(&streams->out, &ret_ends->fd[1]);
	if (!(plan->terminal & AGENT_TERMINAL_ERR))
		open_pipe(&streams->err, &ret_ends->fd[2]);
	const int ours[] = {streams->in, streams->out, streams->err};
	for (int i = 0; i < 3; i++)
		if (ours[i] >= 0)
			fcntl(ours[i], F_SETFL, O_NONBLOCK);
}

void streams_close_ends(const struct stream_ends *ends)
{
	for (int i = 0; i < 3; i++)
		if (ends->fd[i] != ends->terminal)
			close(ends->fd[i]);
	if (ends->terminal >= 0)
		close(ends->terminal);
}

void streams_become_standard(const struct stream_ends *ends)
{
	setsid();
	if (ends->terminal >= 0)
		ioctl(ends->terminal, TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		dup2(ends->fd[i], i);
}

/* ---- carrying ---- */

static void close_stream(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * Carries over what the pipe holds now and closes it at its end. One read takes it all; more could
 * starve the other streams when the command never stops writing. Returns false when nothing was
 * there.
 */
static bool forward_output(int *fd, unsigned offset)
{
	static char buffer[PIPE_BYTES];

	if (*fd < 0)
		return false;
	ssize_t n = read(*fd, buffer, sizeof(buffer));
	if (n > 0)
		ports_put(offset, buffer, (size_t)n);
	else if (!n || (errno != EAGAIN && errno != EINTR))
		close_stream(fd);
	return n > 0;
}

/* The command is told by a SIGWINCH, as by any terminal. */
static void fetch_size(const struct streams *streams)
{
	uint8_t size[4];

	if (streams->terminal < 0)
		return;
	ports_get_many(CHANNEL_SIZE, size, sizeof(size));
	ioctl(streams->terminal, TIOCSWINSZ,
	      &(struct winsize){.ws_row = (unsigned short)(size[0] | size[1] << 8),
				.ws_col = (unsigned short)(size[2] | size[3] << 8)});
}

static void fetch_input(struct streams *streams)
{
	size_t n = ports_get(CHANNEL_AVAILABLE);
	uint8_t status = n ? 0 : ports_get(CHANNEL_STATUS);

	ports_get_many(CHANNEL_STDIN, streams->input, n);
	streams->input_at = 0;
	streams->input_end = n;
	if (n)
		streams->wait_ms = STDIN_WAIT_MIN_MS;
	else if (status & CHANNEL_STATUS_END)
		close_stream(&streams->in);
	else if (streams->wait_ms < STDIN_WAIT_MAX_MS)
		streams->wait_ms *= 2;
	if (status & CHANNEL_STATUS_SIZE)
		fetch_size(streams);
}

/* Carries over what stdin has and the pipe takes; closes it at the end or when nobody reads it. */
static void forward_input(struct streams *streams)
{
	while (streams->in >= 0) {
		if (streams->input_at == streams->input_end)
			fetch_input(streams);
		if (streams->input_at == streams->input_end)
			return;
		ssize_t n = write(streams->in, streams->input + streams->input_at,
				  streams->input_end - streams->input_at);
		if (n > 0)
			streams->input_at += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			close_stream(&streams->in);
		else
			return;
	}
}

void streams_wait(const struct streams *streams, const sigset_t *unblocked)
{
	bool full = streams->input_at < streams->input_end;
	struct timespec wait = {.tv_nsec = streams->wait_ms * 1000000L};
	struct pollfd polled[3] = {
		{.fd = streams->out, .events = POLLIN},
		{.fd = streams->err, .events = POLLIN},
		{.fd = full ? streams->in : -1, .events = POLLOUT},
	};

	ppoll(polled, 3, streams->in >= 0 && !full ? &wait : NULL, unblocked);
}

void streams_forward(struct streams *streams)
{
	forward_output(&streams->out, CHANNEL_STDOUT);
	forward_output(&streams->err, CHANNEL_STDERR);
	forward_input(streams);
}

void streams_drain(struct streams *streams)
{
	/* A terminal gives what it holds in several pieces, a pipe in one. */
	for (int i = 0; i < 16 && forward_output(&streams->out, CHANNEL_STDOUT); i++)
		;
	for (int i = 0; i < 16 && forward_output(&streams->err, CHANNEL_STDERR); i++)
		;
}
