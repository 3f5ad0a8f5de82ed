#include "tools/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "log-format/quiet_thread.h"
#include "tools/interrupt.h"

enum { ESCAPE_KEY = 'A' & 0x1f };

struct terminal {
	int fd;
	int input[2]; /* the thread writes [1], the guest reads [0] */
	int stop[2];  /* closing [1] ends the thread */
	struct termios normal;
	struct winsize size;
	pthread_t thread;
	bool raw, has_thread;
};

/* Carries keys over, without the escape key's sequences. Returns false at the user's wish to quit.
 */
static bool forward_keys(const struct terminal *terminal, const uint8_t *keys, size_t n,
			 bool *escaped)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t key = keys[i];
		if (*escaped) {
			*escaped = false;
			if (key == 'x' || key == 'X' || key == ('X' & 0x1f))
				return false;
			if (key == 'a' || key == 'A')
				key = ESCAPE_KEY;
		} else if (key == ESCAPE_KEY) {
			*escaped = true;
			continue;
		}
		/* The pipe is non-blocking: a guest that does not read loses keys, as from a UART.
		 */
		if (write(terminal->input[1], &key, 1) < 0 && errno != EAGAIN && errno != EINTR)
			return true;
	}
	return true;
}

static void *pump(void *ctx)
{
	struct terminal *terminal = ctx;
	struct pollfd polled[2] = {
		{.fd = terminal->fd, .events = POLLIN},
		{.fd = terminal->stop[0], .events = POLLIN},
	};
	bool escaped = false;

	for (;;) {
		uint8_t keys[64];
		if (poll(polled, 2, -1) < 0 && errno != EINTR)
			break;
		if (polled[1].revents)
			return NULL;
		if (!polled[0].revents)
			continue;
		ssize_t n = read(terminal->fd, keys, sizeof(keys));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (!forward_keys(terminal, keys, (size_t)n, &escaped)) {
			interrupt_request();
			break;
		}
	}
	/* The guest sees the end of input. */
	close(terminal->input[1]);
	terminal->input[1] = -1;
	return NULL;
}

static int start_thread(struct terminal *terminal)
{
	int error = quiet_thread_start(&terminal->thread, pump, terminal);

	terminal->has_thread = !error;
	return error;
}

static int make_raw(struct terminal *terminal)
{
	struct termios raw;

	if (tcgetpgrp(terminal->fd) != getpgrp())
		return -EIO;
	if (tcgetattr(terminal->fd, &terminal->normal))
		return -errno;
	raw = terminal->normal;
	cfmakeraw(&raw);
	/* Messages of ours and of other programs keep their line ends. */
	raw.c_oflag |= OPOST;
	interrupt_guard_terminal(terminal->fd, &terminal->normal, &raw);
	terminal->raw = true;
	return tcsetattr(terminal->fd, TCSANOW, &raw) ? -errno : 0;
}

static int open_terminal(struct terminal *terminal)
{
	if (pipe2(terminal->input, O_CLOEXEC | O_NONBLOCK) || pipe2(terminal->stop, O_CLOEXEC))
		return -errno;
	int err = make_raw(terminal);
	return err ? err : start_thread(terminal);
}

int terminal_open(int fd, struct terminal **ret_terminal)
{
	if (!isatty(fd))
		return -ENOTTY;
	struct terminal *terminal = malloc(sizeof(*terminal));
	if (!terminal)
		return -ENOMEM;
	*terminal = (struct terminal){.fd = fd, .input = {-1, -1}, .stop = {-1, -1}};
	ioctl(fd, TIOCGWINSZ, &terminal->size);
	int err = open_terminal(terminal);
	if (err) {
		terminal_close(terminal);
		return err;
	}
	*ret_terminal = terminal;
	return 0;
}

int terminal_input_fd(const struct terminal *terminal)
{
	return terminal->input[0];
}

bool terminal_resized(void *ctx, uint16_t *ret_rows, uint16_t *ret_columns)
{
	struct terminal *terminal = ctx;
	struct winsize size;

	if (ioctl(terminal->fd, TIOCGWINSZ, &size) ||
	    (size.ws_row == terminal->size.ws_row && size.ws_col == terminal->size.ws_col))
		return false;
	terminal->size = size;
	*ret_rows = size.ws_row;
	*ret_columns = size.ws_col;
	return true;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void terminal_close(struct terminal *terminal)
{
	if (!terminal)
		return;
	close_fd(terminal->stop[1]);
	if (terminal->has_thread)
		pthread_join(terminal->thread, NULL);
	if (terminal->raw) {
		tcsetattr(terminal->fd, TCSANOW, &terminal->normal);
		interrupt_release_terminal();
	}
	close_fd(terminal->stop[0]);
	close_fd(terminal->input[0]);
	close_fd(terminal->input[1]);
	free(terminal);
}
