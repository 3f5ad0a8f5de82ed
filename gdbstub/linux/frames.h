/* Call-frame information (DWARF 5 6.4) made from a kernel's ORC tables. */
#ifndef REPRISE_GDBSTUB_LINUX_FRAMES_H
#define REPRISE_GDBSTUB_LINUX_FRAMES_H

#include "gdbstub/linux/buffer.h"
#include "gdbstub/linux/kernel.h"
#include "gdbstub/linux/kernel_modules.h"

/*
 * Appends a .debug_frame section. As in ORC, only RSP, RBP and RIP of callers are known; behind a
 * struct pt_regs all registers are.
 */
void frames_encode(const struct kernel *kernel, const struct kernel_modules *modules,
		   struct buffer *section);

#endif
