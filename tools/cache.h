/* The directory in which booted guests and fetched kernels are kept. */
#ifndef REPRISE_TOOLS_CACHE_H
#define REPRISE_TOOLS_CACHE_H

#include <limits.h>

/* Room that is left behind the directory's name for names in it. */
#define CACHE_NAME_MAX 90

/* Its path (XDG Base Directory Specification); it is made when it is missing. Returns 0 or a
 * negative errno. */
int cache_directory(char directory[PATH_MAX]);

#endif
