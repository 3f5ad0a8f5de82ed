/* A kernel for hosts where none can be read, from the distribution's packages. */
#ifndef REPRISE_TOOLS_KERNEL_FETCH_H
#define REPRISE_TOOLS_KERNEL_FETCH_H

#include <limits.h>
#include <stdbool.h>

/*
 * The newest kernel in the cache, downloaded by the distribution's own client and unpacked there
 * when the cache has none; its modules lie beside it (kernel_modules_beside()). tell: say so before
 * that. *ret_path is the caller's to free. Returns 0, or a negative errno after a line was printed.
 */
int kernel_fetch(bool tell, char **ret_path);

#endif
