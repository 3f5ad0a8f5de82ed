/* The command of `reprise run` and `reprise hunt`: found on the host, and described to the agent in
 * its guest. */
#ifndef REPRISE_TOOLS_GUEST_COMMAND_H
#define REPRISE_TOOLS_GUEST_COMMAND_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "tools/options.h"

/* Where the command's memory lies. */
struct command_layout {
	bool fixed;           /* where it lies without address space randomisation */
	uint32_t stack_moved; /* bytes by which the stack begins lower */
};

struct guest_command {
	char *const *argv;        /* NULL-terminated */
	const char *program;      /* what is executed; without a slash the guest looks for it */
	const char *directory;    /* where it starts; NULL: where we are */
	char *const *environment; /* NAME=VALUE; NULL-terminated */
	const struct option_list *results; /* paths that go back to the host */
	unsigned terminal;                 /* AGENT_TERMINAL_ bits */
	struct command_layout layout;
	struct rlimit open_files; /* before we raised our own; all zeros: as it is now */
	int64_t time_ns;          /* since 1970 when it starts; 0: the guest's own */
};

/*
 * Finds the host's program that name means, as an absolute path; command is reprise's own, for
 * messages. Returns STATUS_OK, or STATUS_NOT_FOUND, STATUS_NOT_EXECUTABLE or STATUS_FAILED after a
 * line was printed.
 */
int guest_command_find(const char *command, const char *name, char program[PATH_MAX]);

/*
 * Makes the plan (tools/guest/agent.h), its length in front; the caller frees it. Returns
 * STATUS_OK, or STATUS_FAILED after a line was printed.
 */
int guest_command_plan(const struct guest_command *command, uint8_t **ret_plan, size_t *ret_n);

#endif
