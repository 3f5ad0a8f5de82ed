/* The state in which a kernel is entered. */
#ifndef REPRISE_VMM_BOOT_ENTRY_H
#define REPRISE_VMM_BOOT_ENTRY_H

#include <stdint.h>

#include "vmm/boot/loader.h"

/*
 * 64-bit mode with the first 4 GiB mapped to themselves, CS 0x10 and data segments 0x18 (Linux
 * 64-bit boot protocol). Page tables and GDT go to the boot area. Returns 0 or -EINVAL: it is full,
 * or rip lies outside RAM.
 */
int entry_64(struct loader *loader, uint64_t rip, uint64_t rsi);

/*
 * 32-bit protected mode without paging, flat segments (PVH, multiboot 1). The GDT goes to the boot
 * area. Returns 0 or -EINVAL: it is full.
 */
int entry_32(struct loader *loader, uint32_t eip, uint32_t eax, uint32_t ebx);

/* MTRRs as firmware leaves them, on all vCPUs: memory is write-back, the hole below 4 GiB uncached.
 */
void entry_set_mtrrs(struct machine *machine);

#endif
