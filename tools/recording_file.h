/* What every command that reads a recording does first and last. */
#ifndef REPRISE_TOOLS_RECORDING_FILE_H
#define REPRISE_TOOLS_RECORDING_FILE_H

#include <stdbool.h>

#include "log-format/log.h"

/* Opens the file. Returns STATUS_OK, or another exit status after a line was printed. */
int recording_file_open(const char *path, struct log_reader **ret_reader);

/* The exit status for an error of the log library: STATUS_BAD_FILE for damage, else STATUS_FAILED.
 */
int recording_file_status(const struct log_error *error);

/* True when the recording ended in good order and the command's exit status is known. */
bool recording_file_exit_status(const struct log_reader *reader, int *ret_status);

/*
 * Calls fn with each path on the host that the guest of a `run` read; none in other recordings.
 * Returns STATUS_OK, or STATUS_BAD_FILE or STATUS_FAILED after a line was printed.
 */
int recording_file_each_host_path(const char *file, struct log_reader *reader,
				  void (*fn)(void *ctx, const char *path), void *ctx);

#endif
