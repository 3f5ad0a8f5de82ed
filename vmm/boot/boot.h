/*
 * Loaders: put a kernel, its initrd and its parameters into RAM and set the first vCPU's registers
 * so that it starts. Kinds are told apart by content: Linux bzImage (64-bit protocol), ELF with a
 * PVH note (vmlinux), ELF with a multiboot 1 header.
 */
#ifndef REPRISE_VMM_BOOT_BOOT_H
#define REPRISE_VMM_BOOT_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/machine.h"

enum boot_kind { BOOT_UNSPECIFIED, BOOT_BZIMAGE, BOOT_PVH, BOOT_MULTIBOOT };

struct boot_module {
	const uint8_t *data;
	size_t bytes;
	const char *command_line;
};

struct boot_config {
	const uint8_t *kernel; /* the file's bytes; not trusted */
	size_t kernel_bytes;
	const uint8_t *initrd; /* NULL when there is none; multiboot: the first module */
	size_t initrd_bytes;
	const struct boot_module *modules; /* further multiboot modules */
	unsigned n_modules;
	const char *command_line;
	const uint8_t *acpi; /* tables to place at LAYOUT_ACPI_GPA, RSDP first */
	size_t acpi_bytes;
};

struct boot_error {
	char text[160]; /* what is wrong with which file, without a newline */
};

/*
 * Loads into the machine's cleared RAM and sets vCPU 0. Returns 0; -EINVAL with *ret_error filled
 * in for a kernel that cannot be loaded; -ENOMEM when it does not fit into the guest's RAM.
 */
int boot_load(struct machine *machine, const struct boot_config *config, enum boot_kind *ret_kind,
	      struct boot_error *ret_error);

#endif
