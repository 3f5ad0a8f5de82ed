/*
 * Backtraces of the process that the process view shows, without a debugger: by the call frame
 * information of its programs and libraries, and by frame pointers where there is none (libdwfl).
 */
#ifndef REPRISE_GDBSTUB_BACKTRACE_H
#define REPRISE_GDBSTUB_BACKTRACE_H

#include "gdbstub/gdbstub.h"

struct backtrace;

struct backtrace_frame {
	uint64_t pc;
	const char *module;     /* path in the guest of what is mapped there; "": not known */
	uint64_t module_offset; /* of pc, in that file */
	const char *function;   /* NULL: not known; so the other two */
	uint64_t function_offset;
	const char *source_file;
	int source_line;
};

/* Returns false to end it. Strings stay valid until it returns. */
typedef bool backtrace_fn(void *ctx, const struct backtrace_frame *frame);

/*
 * Of where the process stands now; to be destroyed before it moves. Only after
 * gdbstub_choose_process() or gdbstub_choose_crashed(). NULL: no memory.
 */
struct backtrace *backtrace_create(struct gdbstub *stub);
/* Accepts NULL. */
void backtrace_destroy(struct backtrace *backtrace);

/* Calls fn with the frames of a thread, the innermost first; none where it cannot be told. */
void backtrace_each_frame(struct backtrace *backtrace, uint32_t tid, backtrace_fn *fn, void *ctx);

#endif
