/*
 * The first process of a guest of `reprise run`. It prepares the kernel, says that it is ready,
 * reads from the channel what to run, runs it on the host's files, carries its streams over the
 * channel, and reports how it ended, which ends the guest.
 */
#include "tools/guest/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/guest/notes.h"
#include "tools/guest/plan.h"
#include "tools/guest/ports.h"
#include "tools/guest/results.h"
#include "tools/guest/streams.h"
#include "tools/guest/system.h"
#include "vmm/devices/channel.h"

/* The kernel's MAX_ARG_STRLEN is twice that. */
#define PADDING_BYTES 65536

/* ---- the command ---- */

/* Before the user changes: what only root may raise. Limits that cannot be set stay. */
static void set_limits(const struct plan *plan)
{
	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (plan->has_limit[i])
			setrlimit((__rlimit_resource_t)i, &plan->limit[i]);
}

static int become_user(const struct plan *plan)
{
	if (setgroups(plan->n_groups, plan->groups) ||
	    setresgid(plan->group, plan->group, plan->group) ||
	    setresuid(plan->user, plan->user, plan->user))
		return -1;
	return 0;
}

/*
 * The environment's strings and the pointers to them lie where the stack begins: variables of the
 * right lengths move the rest of it. What is too short for a name is left out.
 */
static void move_stack(struct plan *plan)
{
	static const char name[] = "REPRISE_PADDING_%zu=";
	size_t left = plan->stack_moved, least = sizeof(name) + sizeof(char *);

	for (size_t i = 0, n; left > least; i++, left -= n) {
		n = left < PADDING_BYTES ? left : PADDING_BYTES;
		size_t length = n - sizeof(char *) - 1;
		char *string = malloc(length + 1);
		if (!string)
			return;
		memset(string, 'x', length);
		string[length] = 0;
		string[snprintf(string, length, name, i)] = 'x';
		plan_list_add(&plan->environment, string);
	}
}

/* A name without a slash is looked for along the command's PATH. A script without a first line that
 * names its interpreter is the shell's. */
static void execute_program(struct plan *plan)
{
	move_stack(plan);
	environ = plan->environment.item;
	personality(plan->personality);
	execvp(plan->program, plan->arguments.item);
}

__attribute__((noreturn)) static void execute(struct plan *plan, const struct stream_ends *ends)
{
	const char *failed = "the user";

	streams_become_standard(ends);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	umask(plan->umask);
	set_limits(plan);
	if (!become_user(plan)) {
		failed = plan->directory;
		if (!chdir(plan->directory)) {
			failed = plan->program;
			execute_program(plan);
		}
	}
	int error = errno;
	fprintf(stderr, "reprise: in the guest: %s: %s\n", failed, strerror(error));
	_exit(error == ENOENT ? AGENT_STATUS_NOT_FOUND : AGENT_STATUS_NOT_EXECUTABLE);
}

static pid_t start(struct plan *plan, struct streams *streams)
{
	struct stream_ends ends;

	streams_open(streams, plan, &ends);
	pid_t pid = fork();
	if (pid < 0)
		agent_fail("fork", errno);
	if (!pid)
		execute(plan, &ends);
	streams_close_ends(&ends);
	return pid;
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

/* Carries bytes until the command has ended. Returns its wait status. */
static int serve(pid_t command, struct streams *streams, const sigset_t *unblocked)
{
	int status = 0;

	streams_forward(streams);
	while (!command_ended(command, &status)) {
		streams_wait(streams, unblocked);
		streams_forward(streams);
	}
	streams_drain(streams);
	return status;
}

/* ---- */

/* The pipes must not become 0, 1 or 2, whatever the kernel opened for its first process. */
static void hold_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
}

/* A guest that is saved is saved between these two. Returns the time-stamp counter there. */
static uint64_t be_ready(void)
{
	uint64_t tsc;

	system_make_small();
	tsc = system_tsc();
	ports_put(CHANNEL_READY, "", 1);
	return tsc;
}

int main(void)
{
	static struct plan plan;
	struct streams streams;
	sigset_t child, unblocked;

	if (ports_open()) {
		fputs("reprise: this init runs in a guest of `reprise run` only\n", stderr);
		return AGENT_STATUS_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, on_child);
	system_prepare();
	hold_standard_fds();
	notes_begin();
	uint64_t tsc_when_ready = be_ready();
	plan_read(&plan);
	system_enter(&plan, tsc_when_ready);
	pid_t command = start(&plan, &streams);
	/* Blocked except inside ppoll(), so that no end of a child is missed. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &unblocked);
	int status = serve(command, &streams, &unblocked);
	results_send(&plan);
	notes_send();
	if (WIFSIGNALED(status))
		agent_end(CHANNEL_EXIT_SIGNAL, (uint8_t)WTERMSIG(status));
	agent_end(CHANNEL_EXIT, (uint8_t)WEXITSTATUS(status));
}
