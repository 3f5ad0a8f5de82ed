/* An ELF file for debuggers made from what is known of a guest's kernel and of its modules. */
#ifndef REPRISE_GDBSTUB_LINUX_DEBUG_ELF_H
#define REPRISE_GDBSTUB_LINUX_DEBUG_ELF_H

#include "gdbstub/linux/kernel_modules.h"

/*
 * Writes the file: symbols with their sizes, call-frame information, types. Its sections have no
 * content but the debugging ones: code and data are the guest's. Per-CPU variables are thread-local
 * ones, whose addresses the server tells. Returns 0 or a negative errno; fd stays open.
 */
int debug_elf_write(const struct kernel *kernel, const struct kernel_modules *modules, int fd);

#endif
