/* What a guest of `reprise run` sends back: files for the places that the user named. */
#ifndef REPRISE_TOOLS_GUEST_RESULTS_H
#define REPRISE_TOOLS_GUEST_RESULTS_H

#include "tools/options.h"

/* Whether each path ends in a name. Returns STATUS_OK, or STATUS_USAGE after a line was printed. */
int guest_results_check(const struct option_list *paths);

/*
 * Unpacks the results at fd (tools/guest/agent.h), which is a regular file, from its start. Only
 * the paths that the user named, and what lies below them, are written; a guest is not trusted.
 * What cannot be written is told, and the rest is unpacked. recording: a file that is left as it
 * is, wherever it lies. Returns STATUS_OK, or STATUS_FAILED after a line was printed.
 */
int guest_results_unpack(int fd, const struct option_list *paths, const char *recording);

#endif
