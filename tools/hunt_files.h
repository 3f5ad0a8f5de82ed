/* Summaries of a hunt for other programs; docs/hunt.md describes them. */
#ifndef REPRISE_TOOLS_HUNT_FILES_H
#define REPRISE_TOOLS_HUNT_FILES_H

#include <stdio.h>

#include "tools/hunt.h"

void hunt_files_json(const struct hunt *hunt, FILE *out);
void hunt_files_junit(const struct hunt *hunt, FILE *out);

/* Makes a file that is to be written at the end now, so that it is there for every run alike, and a
 * path that cannot be written is told at once. Returns as hunt_files_write(). */
int hunt_files_prepare(const char *path);

/* Writes one of them to a file; "-" is stdout. Returns STATUS_OK, or STATUS_FAILED after a line was
 * printed. */
int hunt_files_write(const struct hunt *hunt, const char *path,
		     void (*put)(const struct hunt *hunt, FILE *out));

#endif
