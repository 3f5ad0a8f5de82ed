/*
 * The Linux kernel that a guest runs: its symbols, types and unwind tables, found in guest memory.
 *
 * Everything is copied out, so it stays valid at every position of the recording. Nothing in guest
 * memory is trusted: whatever lies there, looking for it ends soon and takes little memory.
 */
#ifndef REPRISE_GDBSTUB_LINUX_KERNEL_H
#define REPRISE_GDBSTUB_LINUX_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "gdbstub/linux/btf.h"
#include "gdbstub/linux/kallsyms.h"
#include "gdbstub/linux/orc.h"
#include "vmm/machine.h"

struct kernel;

/*
 * Looks for a kernel in the state that the machine is in: around what IA32_LSTAR and the IDT point
 * to, else in all RAM (before the first page tables, a kernel that the loader has unpacked lies
 * there already). Returns 0, -ENOENT when there is none or -ENOMEM.
 */
int kernel_find(const struct machine *machine, struct kernel **ret_kernel);
/* Accepts NULL. */
void kernel_destroy(struct kernel *kernel);

/* The address of the first symbol of that name. */
bool kernel_symbol(const struct kernel *kernel, const char *name, uint64_t *ret_address);
/* The symbol that an address inside the kernel's image belongs to; NULL: none. */
const char *kernel_symbol_at(const struct kernel *kernel, uint64_t address, uint64_t *ret_offset);

/* "Linux version 6.1.0-…", one line, printable ASCII. */
const char *kernel_banner(const struct kernel *kernel);
/* Linear addresses of _text and behind _end. */
void kernel_extent(const struct kernel *kernel, uint64_t *ret_start, uint64_t *ret_end);
const struct kallsyms *kernel_symbols(const struct kernel *kernel);
/* NULL: it has none, or none that hold together. */
const struct btf *kernel_btf(const struct kernel *kernel);
const struct orc *kernel_orc(const struct kernel *kernel);

/* ---- what symbols stand for ---- */

/* Linear addresses of the code that stays, up to _etext. */
void kernel_text(const struct kernel *kernel, uint64_t *ret_start, uint64_t *ret_end);
/* Bytes up to the next symbol; 0: not known, as of what is outside the image and no per-CPU
 * variable. */
uint64_t kernel_symbol_bytes(const struct kernel *kernel, const struct kallsyms_symbol *symbol);
/* Of a function: how far from its start all registers but RSP and RBP are as its caller left them;
 * the instruction there has not run. At least 1. */
uint32_t kernel_entry_bytes(const struct kernel *kernel, const struct kallsyms_symbol *symbol);
bool kernel_is_per_cpu(const struct kernel *kernel, const struct kallsyms_symbol *symbol);
/* Offsets of per-CPU variables: [start, end); false: it has none. */
bool kernel_per_cpu(const struct kernel *kernel, uint64_t *ret_start, uint64_t *ret_end);

#endif
