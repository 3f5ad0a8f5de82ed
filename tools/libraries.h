/* The shared libraries of an ELF file, as the host's dynamic linker finds them. */
#ifndef REPRISE_TOOLS_LIBRARIES_H
#define REPRISE_TOOLS_LIBRARIES_H

/*
 * Runs ldd on the file and calls fn with the absolute path of each library and of the dynamic
 * linker. None for a static file. Returns 0, fn's first non-zero value, or a negative errno when
 * ldd cannot be run.
 */
int libraries_each(const char *path, int (*fn)(void *ctx, const char *library), void *ctx);

/* The path in a line of ldd's output, cut out of it in place; NULL when it names no file. */
char *libraries_parse_line(char *line);

#endif
