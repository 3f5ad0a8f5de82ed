/*
 * The first process of a guest of `reprise run`. It reads what to run from AGENT_PLAN, runs it with
 * pipes for stdin, stdout and stderr, and carries their bytes over the channel's ports; then it
 * reports how the command ended, which ends the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/guest/agent.h"
#include "vmm/devices/channel.h"
#include "vmm/devices/layout.h"

/* How often stdin's ports are looked at: at once after input, then less and less often. */
#define STDIN_WAIT_MIN_MS 1
#define STDIN_WAIT_MAX_MS 32

/* What a pipe holds at most (pipe(7)). */
#define PIPE_BYTES 65536

struct plan {
	char *text;
	char *directory;
	char *program;
	char *argv[AGENT_MAX_STRINGS + 1];
	char *environment[AGENT_MAX_STRINGS + 1];
	unsigned n_argv, n_environment;
};

/* The agent's ends of the command's pipes; -1: closed. */
struct streams {
	int in, out, err;
	int wait_ms;
	uint8_t input[255]; /* read from the channel, not yet taken by the command */
	size_t input_at, input_end;
};

static void put_channel(unsigned offset, const void *data, size_t n)
{
	uint16_t port = (uint16_t)(LAYOUT_CHANNEL_PORT + offset);

	__asm__ volatile("rep outsb" : "+S"(data), "+c"(n) : "d"(port) : "memory");
}

static uint8_t get_channel(unsigned offset)
{
	return inb((uint16_t)(LAYOUT_CHANNEL_PORT + offset));
}

/* Ends the guest; does not return. */
__attribute__((noreturn)) static void end(unsigned offset, uint8_t value)
{
	put_channel(offset, &value, 1);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

__attribute__((noreturn)) static void fail(const char *what, int error)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "reprise: in the guest: %s: %s\n", what,
			 strerror(error));

	put_channel(CHANNEL_STDERR, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
	end(CHANNEL_EXIT, AGENT_STATUS_FAILED);
}

/* ---- the plan ---- */

static char *read_plan_file(size_t *ret_n)
{
	struct stat st;
	int fd = open(AGENT_PLAN, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		fail(AGENT_PLAN, errno);
	char *text = malloc((size_t)st.st_size + 1);
	if (!text)
		fail(AGENT_PLAN, ENOMEM);
	ssize_t n = read(fd, text, (size_t)st.st_size);
	if (n != st.st_size)
		fail(AGENT_PLAN, n < 0 ? errno : EIO);
	text[n] = 0;
	close(fd);
	*ret_n = (size_t)n;
	return text;
}

static void add_string(char *list[], unsigned *n, char *string)
{
	if (*n == AGENT_MAX_STRINGS)
		fail(AGENT_PLAN, E2BIG);
	list[(*n)++] = string;
}

/* The plan is a row of strings, each with a letter in front that says what it is. */
static void read_plan(struct plan *plan)
{
	size_t n;

	plan->text = read_plan_file(&n);
	for (char *at = plan->text; at < plan->text + n; at += strlen(at) + 1) {
		switch (*at) {
		case AGENT_DIRECTORY:
			plan->directory = at + 1;
			break;
		case AGENT_PROGRAM:
			plan->program = at + 1;
			break;
		case AGENT_ARGUMENT:
			add_string(plan->argv, &plan->n_argv, at + 1);
			break;
		case AGENT_ENVIRONMENT:
			add_string(plan->environment, &plan->n_environment, at + 1);
			break;
		default:
			fail(AGENT_PLAN, EINVAL);
		}
	}
	if (!plan->directory || !plan->program || !plan->n_argv)
		fail(AGENT_PLAN, EINVAL);
}

/* ---- the guest's file systems ---- */

static const struct mount_point {
	const char *type, *path, *options;
	mode_t mode;
	bool optional; /* the kernel may be built without it */
} mount_points[] = {
	{.type = "proc", .path = "/proc", .mode = 0555},
	{.type = "sysfs", .path = "/sys", .mode = 0555},
	{.type = "devtmpfs", .path = "/dev", .mode = 0755},
	{.type = "devpts", .path = "/dev/pts", .mode = 0755, .optional = true},
	{.type = "tmpfs",
	 .path = "/dev/shm",
	 .options = "mode=1777",
	 .mode = 01777,
	 .optional = true},
	{.type = "tmpfs", .path = "/run", .options = "mode=0755", .mode = 0755, .optional = true},
};

static void mount_all(void)
{
	umask(0);
	for (size_t i = 0; i < sizeof(mount_points) / sizeof(mount_points[0]); i++) {
		const struct mount_point *point = &mount_points[i];
		mkdir(point->path, point->mode);
		if (mount(point->type, point->path, point->type, MS_NOSUID, point->options) &&
		    !point->optional)
			fail(point->path, errno);
	}
	mkdir("/tmp", 01777);
	if (symlink("/proc/self/fd", "/dev/fd") && errno != EEXIST)
		fail("/dev/fd", errno);
	umask(022);
}

/* ---- the command ---- */

__attribute__((noreturn)) static void execute(const struct plan *plan, const int fds[3])
{
	const char *failed = plan->directory;

	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	setsid();
	if (!chdir(plan->directory)) {
		failed = plan->program;
		execve(plan->program, plan->argv, plan->environment);
	}
	int error = errno;
	fprintf(stderr, "reprise: in the guest: %s: %s\n", failed, strerror(error));
	_exit(error == ENOENT ? AGENT_STATUS_NOT_FOUND : AGENT_STATUS_NOT_EXECUTABLE);
}

static pid_t start(const struct plan *plan, struct streams *streams)
{
	int in[2], out[2], err[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		fail("pipe", errno);
	pid_t pid = fork();
	if (pid < 0)
		fail("fork", errno);
	if (!pid)
		execute(plan, (const int[]){in[0], out[1], err[1]});
	close(in[0]);
	close(out[1]);
	close(err[1]);
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	*streams = (struct streams){
		.in = in[1], .out = out[0], .err = err[0], .wait_ms = STDIN_WAIT_MIN_MS};
	return pid;
}

static void close_stream(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * Carries over what the pipe holds now and closes it at its end. One read takes it all; more could
 * starve the other streams when the command never stops writing.
 */
static void forward_output(int *fd, unsigned offset)
{
	static char buffer[PIPE_BYTES];

	if (*fd < 0)
		return;
	ssize_t n = read(*fd, buffer, sizeof(buffer));
	if (n > 0)
		put_channel(offset, buffer, (size_t)n);
	else if (!n || (errno != EAGAIN && errno != EINTR))
		close_stream(fd);
}

static void fetch_input(struct streams *streams)
{
	size_t n = get_channel(CHANNEL_AVAILABLE);

	for (size_t i = 0; i < n; i++)
		streams->input[i] = get_channel(CHANNEL_STDIN);
	streams->input_at = 0;
	streams->input_end = n;
	if (n)
		streams->wait_ms = STDIN_WAIT_MIN_MS;
	else if (get_channel(CHANNEL_STATUS) & CHANNEL_STATUS_END)
		close_stream(&streams->in);
	else if (streams->wait_ms < STDIN_WAIT_MAX_MS)
		streams->wait_ms *= 2;
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

static void on_child(int number)
{
	(void)number;
}

/* Reaps what has ended. True when the command is among it. */
static bool command_ended(pid_t command, int *ret_status)
{
	bool ended = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == command) {
			*ret_status = status;
			ended = true;
		}
	}
	return ended;
}

/* Waits until there is output, room for input that waits, an ended child, or time to look at stdin.
 */
static void wait_for_work(const struct streams *streams, const sigset_t *unblocked)
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

/* Carries bytes until the command has ended. Returns its wait status. */
static int serve(pid_t command, struct streams *streams, const sigset_t *unblocked)
{
	int status = 0;

	forward_input(streams);
	while (!command_ended(command, &status)) {
		wait_for_work(streams, unblocked);
		forward_output(&streams->out, CHANNEL_STDOUT);
		forward_output(&streams->err, CHANNEL_STDERR);
		forward_input(streams);
	}
	/* What the command wrote last; processes that it left behind are not waited for. */
	forward_output(&streams->out, CHANNEL_STDOUT);
	forward_output(&streams->err, CHANNEL_STDERR);
	return status;
}

/* The pipes must not become 0, 1 or 2, whatever the kernel opened for its first process. */
static void hold_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
}

int main(void)
{
	static struct plan plan;
	struct streams streams;
	sigset_t child, unblocked;

	if (ioperm(LAYOUT_CHANNEL_PORT, CHANNEL_PORTS, 1) ||
	    get_channel(CHANNEL_ID) != CHANNEL_ID_VALUE) {
		fputs("reprise: this init runs in a guest of `reprise run` only\n", stderr);
		return AGENT_STATUS_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, on_child);
	mount_all();
	hold_standard_fds();
	read_plan(&plan);
	pid_t command = start(&plan, &streams);
	/* Blocked except inside ppoll(), so that no end of a child is missed. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &unblocked);
	int status = serve(command, &streams, &unblocked);
	if (WIFSIGNALED(status))
		end(CHANNEL_EXIT_SIGNAL, (uint8_t)WTERMSIG(status));
	end(CHANNEL_EXIT, (uint8_t)WEXITSTATUS(status));
}
