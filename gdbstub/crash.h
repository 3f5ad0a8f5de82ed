/*
 * Where a recording's guest came to grief, as far as the recording tells:
 *
 *  - the guest's kernel reported an exception of its own (an oops): the instruction that raised it;
 *  - its kernel panicked otherwise: the first instruction of panic(), or, when the kernel's symbols
 *    cannot be found, where the report reached the console;
 *  - the command of `reprise run` died by a signal: the last instruction that its process executed
 *    in user mode before: the one that faulted, or the system call that it was in;
 *  - the machine shut down by a triple fault: the step that did.
 *
 * The first of these that there is counts.
 */
#ifndef REPRISE_GDBSTUB_CRASH_H
#define REPRISE_GDBSTUB_CRASH_H

#include <stdbool.h>

#include "log-format/log.h"
#include "replayer/timeline.h"

struct crash {
	uint64_t icount;
	char what[160]; /* for one line */
};

/* True for a line of the console, with time stamps or without, that begins a kernel's report of an
 * error of its own. */
bool crash_is_report(const char *line);

/*
 * Searches, and goes there. The timeline's breakpoints and watchpoints are lost. Events are read
 * with a reader of the same file that is free for this. Returns 0; -ENOENT: there is no crash;
 * -EINTR; -ENOMEM; or -EIO with timeline_error(). Then the position is anywhere.
 */
int crash_go_to(struct timeline *timeline, struct log_reader *events, struct crash *ret_crash);

#endif
