/*
 * What `record` and `run` share: their options, the inputs that these name, the recorder's
 * configuration, and how a recording's end is told.
 */
#ifndef REPRISE_TOOLS_RECORDING_H
#define REPRISE_TOOLS_RECORDING_H

#include <stdbool.h>

#include "recorder/recorder.h"
#include "tools/file_bytes.h"
#include "tools/options.h"

/* The first member of the structs that the commands' options are parsed into. */
struct recording_options {
	const char *output;
	const char *kernel, *boot;
	const char *append;
	struct option_number ram_bytes, n_vcpus;
	unsigned clock; /* enum recorder_clock */
	struct option_list attach;
	bool attach_programs;
	struct option_number virtual_rate, epoch, seed, until;
	unsigned engine; /* index into engine_names */
	bool sync, verbose, quiet;
};

extern const struct option_table recording_option_table;

/* Before the options are parsed. */
void recording_options_init(struct recording_options *options);

struct recording {
	struct recorder_config config;
	struct file_bytes kernel;
	char *kernel_path, *output_path;
	char *command_line;
	bool kernel_was_chosen, output_was_chosen; /* by us, not by the user */
	bool output_was_taken;
};

/*
 * Reads the kernel and fills in config from the options. command_line: the kernel's, to which
 * --append is added. Returns STATUS_OK, or another exit status when a line was printed; then too
 * the recording is to be finished.
 */
int recording_init(struct recording *recording, const char *command,
		   const struct recording_options *options, const char *command_line);
void recording_finish(struct recording *recording);

/* The path without links of the directory that the recording goes to, which the caller frees; NULL
 * and errno where there is none. */
char *recording_find_directory(const struct recording *recording);

/*
 * Before it is told to anybody: a name that we have chosen is made ours by an empty file, since
 * others may choose in the same second. recording_finish() removes that if nothing has replaced it.
 */
void recording_take_name(struct recording *recording);

/* Runs the recorder, with progress on stderr where that is a terminal of its own. Returns STATUS_OK
 * or STATUS_FAILED after a line was printed. */
int recording_run(struct recording *recording, bool quiet, struct recorder_result *ret_result);

/*
 * What the guest put out to a stream of the host's ("standard output") and could not be written
 * there; error is what the recorder's result tells of it. Returns STATUS_OK, also where the reader
 * has gone, or STATUS_FAILED after a line was printed.
 */
int recording_tell_lost_stream(const struct recording *recording, const char *command,
			       const char *stream, int error);

/* One line on stderr: instructions, time, bytes, the file and how to replay it. */
void recording_print_summary(const struct recording *recording,
			     const struct recorder_result *result);

#endif
