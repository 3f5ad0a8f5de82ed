/* Debugging information (DWARF 5) made from a kernel's types and symbols. */
#ifndef REPRISE_GDBSTUB_LINUX_DEBUG_INFO_H
#define REPRISE_GDBSTUB_LINUX_DEBUG_INFO_H

#include "gdbstub/linux/buffer.h"
#include "gdbstub/linux/kernel.h"

struct debug_info {
	struct buffer info, abbrev, loclists;
	/* .debug_str is btf_strings(): offsets of names are the same. */
};

/*
 * One unit with all types, each function that has a prototype with its addresses and parameters,
 * and the variables whose types are known: the per-CPU ones (as thread-local variables) and those
 * of variables.h. Returns 0, -ENOENT when the kernel has no types, or -ENOMEM.
 */
int debug_info_encode(const struct kernel *kernel, struct debug_info *ret_info);
void debug_info_finish(struct debug_info *info);

#endif
