/*
 * What a person wants to know of a `run` before replaying it, found when its command has ended: the
 * last output, and of a crash the process, the signal and backtraces, for which the recording is
 * replayed once. It goes into the file as the attachment LOG_ATTACHMENT_EVIDENCE.
 */
#ifndef REPRISE_TOOLS_EVIDENCE_H
#define REPRISE_TOOLS_EVIDENCE_H

#include <stdbool.h>
#include <stdio.h>

#include "log-format/log.h"
#include "recorder/recorder.h"

struct evidence {
	const struct engine_ops *engine; /* that replays */
	bool quiet;                      /* no progress */
	Reprise__Evidence *found;        /* NULL: the command has not ended */
};

/* Has the recorder collect it; the struct must outlive the recording. */
void evidence_prepare(struct evidence *evidence, struct recorder_config *config, bool quiet);
void evidence_finish(struct evidence *evidence);

/* "SIGSEGV", or "signal 70". Returns buffer or a constant. */
const char *evidence_signal_name(unsigned number, char buffer[32]);

/* For one line: "test (process 12) was ended by SIGSEGV in f at t.c:5". Strings are escaped. */
void evidence_print_crash(FILE *out, const Reprise__CrashedProcess *crash);

/* Reads a file's evidence; *ret_evidence NULL: it has none. It is to be freed with
 * reprise__evidence__free_unpacked(). Returns 0 or a negative errno with *ret_error. */
int evidence_read(struct log_reader *reader, Reprise__Evidence **ret_evidence,
		  struct log_error *ret_error);

#endif
