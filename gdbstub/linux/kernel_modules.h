/* The modules that a guest's kernel has loaded where the machine stands: their symbols and unwind
 * tables, copied out of guest memory, of which nothing is trusted. */
#ifndef REPRISE_GDBSTUB_LINUX_KERNEL_MODULES_H
#define REPRISE_GDBSTUB_LINUX_KERNEL_MODULES_H

#include "gdbstub/linux/buffer.h"
#include "gdbstub/linux/kernel.h"

#define MODULE_NAME_BYTES 64 /* with its zero */

struct module_symbol {
	uint64_t address, bytes;
	uint32_t name; /* where it begins in kernel_modules.names */
	char type;     /* as nm prints it */
};

struct kernel_module {
	char name[MODULE_NAME_BYTES];
	uint64_t text, text_end, end; /* code, then data */
	struct orc orc;
	uint32_t symbol, n_symbols; /* in kernel_modules.symbol */
};

struct kernel_modules {
	struct kernel_module *module;
	uint32_t n;
	struct module_symbol *symbol;
	uint32_t n_symbols;
	struct buffer names;
};

/* Returns 0, with no modules when they cannot be found, or -ENOMEM. */
int kernel_modules_read(const struct machine *machine, const struct kernel *kernel,
			struct kernel_modules *ret_modules);
void kernel_modules_finish(struct kernel_modules *modules);

#endif
