/* The command's stdin, stdout and stderr: pipes or a terminal of the guest's, carried over the
 * channel. */
#ifndef REPRISE_TOOLS_GUEST_STREAMS_H
#define REPRISE_TOOLS_GUEST_STREAMS_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/guest/plan.h"

/* The agent's ends; -1: closed. */
struct streams {
	int in, out, err;
	int terminal; /* a master side that can be asked and told its size; -1: no terminal */
	int wait_ms;
	uint8_t input[255]; /* read from the channel, not yet taken by the command */
	size_t input_at, input_end;
};

/* The command's ends. */
struct stream_ends {
	int fd[3];
	int terminal; /* its slave side; -1: none */
};

/* Makes both sides; ends the guest when that fails. */
void streams_open(struct streams *streams, const struct plan *plan, struct stream_ends *ret_ends);

/* In the agent, once the command has its ends. */
void streams_close_ends(const struct stream_ends *ends);

/* In the command's process: its ends become 0, 1 and 2, a terminal of its own its controlling one.
 */
void streams_become_standard(const struct stream_ends *ends);

/* Waits until there is something to carry, or a signal of those that unblocked lets through. */
void streams_wait(const struct streams *streams, const sigset_t *unblocked);

/* Carries what there is, without waiting. */
void streams_forward(struct streams *streams);

/* Carries what the command wrote last; processes that it left behind are not waited for. */
void streams_drain(struct streams *streams);

#endif
