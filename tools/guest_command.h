/* The command of `reprise run`: found on the host, and described to the agent in its guest. */
#ifndef REPRISE_TOOLS_GUEST_COMMAND_H
#define REPRISE_TOOLS_GUEST_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/options.h"

struct guest_command {
	char *const *argv; /* NULL-terminated */
	bool elsewhere;    /* the guest's files are not the host's: it looks for the command itself */
	const char *directory;                 /* where it starts; NULL: where we are */
	const struct option_list *environment; /* NAME=VALUE, or NAME to take it from the host */
	bool clean_environment; /* of the host's environment, only what any program needs */
	const struct option_list *results; /* paths that go back to the host */
	unsigned terminal;                 /* AGENT_TERMINAL_ bits */
	int64_t time_ns;                   /* since 1970 when it starts; 0: the guest's own */
	const char *scratch;               /* the guest's disk for what it writes; NULL: RAM */
};

/*
 * Makes the plan (tools/guest/agent.h), its length in front; the caller frees it. Returns STATUS_OK,
 * STATUS_NOT_FOUND, STATUS_NOT_EXECUTABLE or STATUS_FAILED; a line was printed for all but the
 * first.
 */
int guest_command_plan(const struct guest_command *command, uint8_t **ret_plan, size_t *ret_n);

#endif
