/* What depmod(8) would write: for kernels that were unpacked and not installed. */
#ifndef REPRISE_TOOLS_MODULE_DEPENDENCIES_H
#define REPRISE_TOOLS_MODULE_DEPENDENCIES_H

#include "tools/modules.h"

/* True when a module file's path (up to a space, a colon or its end) is that of the module: its
 * name up to ".ko", with - and _ the same. */
bool module_is_named(const char *path, size_t n, const char *name);

/*
 * The lines of modules.dep for the wanted modules that lie in directory; others are left out.
 * *ret_text is the caller's to free. Returns 0 or a negative errno.
 */
int module_dependencies_make(const char *directory, const struct module_wanted *wanted, unsigned n,
			     char **ret_text);

#endif
