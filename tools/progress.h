/* Progress of long work: one line on stderr that is rewritten, when stderr is a terminal. */
#ifndef REPRISE_TOOLS_PROGRESS_H
#define REPRISE_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* False when stderr is no terminal, or when stdout is one: there the guest's console is shown. */
bool progress_wanted(bool quiet);

/* When the line was last shown. Starts as all zero. */
struct progress {
	uint64_t shown_ns;
};

/* True ten times a second at most; then the line is to be shown. */
bool progress_due(struct progress *progress);

/* Shows the text in place of the one before. */
__attribute__((format(printf, 1, 2))) void progress_show(const char *format, ...);

/* Takes the line away. */
void progress_clear(void);

#endif
