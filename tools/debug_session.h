/* What `reprise serve` and `reprise gdb` share: the server, brought to where debugging begins. */
#ifndef REPRISE_TOOLS_DEBUG_SESSION_H
#define REPRISE_TOOLS_DEBUG_SESSION_H

#include "gdbstub/gdbstub.h"
#include "tools/options.h"

struct debug_options {
	const char *at;      /* "start", "end", "crash" or an instruction count; NULL: the end */
	const char *process; /* a name or number: the process view; NULL: the machine view */
	const char *sysroot; /* where its files are on this host; NULL: nowhere */
	struct option_number checkpoint_memory;
	unsigned engine;
	bool quiet;
};

/* For commands whose option structs begin with a struct debug_options. */
extern const struct option_table debug_option_table;

/*
 * Opens the recording and goes to where debugging begins, with progress on stderr. Returns
 * STATUS_OK, or another exit status after a line was printed.
 */
int debug_session_open(const char *command, const char *path, const struct debug_options *options,
		       struct gdbstub **ret_stub);

/* Listens. Returns a file descriptor, or -1 after a line was printed. */
int debug_session_listen(const char *address, bool anywhere);

#endif
