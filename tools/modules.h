/* The kernel modules that a guest of `reprise run` needs, from the directory of its kernel. */
#ifndef REPRISE_TOOLS_MODULES_H
#define REPRISE_TOOLS_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODULES_DIRECTORY "/lib/modules"
#define MODULE_BYTES_MAX  (64u << 20) /* of one, unpacked */
#define MODULES_MAX       64          /* that are needed in all */

/* What is wanted: name as in lsmod, and what for. */
struct module_wanted {
	const char *name, *purpose;
};

/*
 * The release of a bzImage ("6.1.0-56-cloud-amd64"), or NULL when it is of another kind. The caller
 * frees it.
 */
char *modules_kernel_release(const uint8_t *kernel, size_t n);

/* Called with each module in an order in which they can be inserted, unpacked. Returns 0 to go on.
 */
typedef int modules_fn(void *ctx, const char *name, const uint8_t *data, size_t n);

/*
 * Finds the wanted modules and those that they need in directory (which holds modules.dep and
 * modules.builtin), and calls fn for each that is not part of the kernel. Returns 0, fn's value, or
 * a negative errno with *ret_problem set to what failed, one line that the caller frees.
 */
int modules_each(const char *directory, const struct module_wanted *wanted, unsigned n,
		 modules_fn *fn, void *ctx, char **ret_problem);

#endif
