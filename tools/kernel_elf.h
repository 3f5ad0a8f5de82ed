/* Symbol files of a recorded guest's kernel: made from the recording, or a vmlinux that the user
 * has. */
#ifndef REPRISE_TOOLS_KERNEL_ELF_H
#define REPRISE_TOOLS_KERNEL_ELF_H

#include <stdint.h>

#include "gdbstub/gdbstub.h"

/* Writes the ELF file that is made from the kernel and from the modules that are loaded where the
 * stub stands, replacing what is there. Returns STATUS_OK, or another exit status after a line was
 * printed. */
int kernel_elf_write(struct gdbstub *stub, const struct kernel *kernel, const char *path);

/*
 * By how much the recorded kernel lies above where the vmlinux is linked. Says so in a line when
 * that is another kernel. Returns STATUS_OK, or another exit status after a line was printed.
 */
int kernel_elf_offset(struct gdbstub *stub, const char *vmlinux, uint64_t *ret_offset);

#endif
