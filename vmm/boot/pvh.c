/*
 * ELF kernels with a PVH entry (Xen, docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h):
 * the note XEN_ELFNOTE_PHYS32_ENTRY holds the physical address of a 32-bit entry point; EBX points
 * to start information, version 1.
 */
#include <errno.h>
#include <string.h>

#include "vmm/boot/elf_image.h"
#include "vmm/boot/entry.h"
#include "vmm/boot/loader.h"
#include "vmm/devices/layout.h"

#define NOTE_NAME         "Xen"
#define NOTE_PHYS32_ENTRY 18

#define START_MAGIC   0x336ec578u
#define START_VERSION 1

struct pvh_start_info {
	uint32_t magic, version, flags;
	uint32_t n_modules;
	uint64_t modules_gpa;
	uint64_t command_line_gpa;
	uint64_t rsdp_gpa;
	uint64_t memory_map_gpa;
	uint32_t n_memory_map;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t gpa, bytes;
	uint64_t command_line_gpa;
	uint64_t reserved;
};

struct pvh_map_entry {
	uint64_t gpa, bytes;
	uint32_t type, reserved;
};

#define PVH_MAX_MODULES 64

/*
 * An ELF file that cannot be read is taken for a PVH kernel too, for the message, unless it might
 * be a multiboot image that brings its own addresses.
 */
bool pvh_recognize(const uint8_t *kernel, size_t bytes)
{
	struct elf_image elf;
	const char *problem;
	uint64_t entry;

	if (!elf_image_recognize(kernel, bytes))
		return false;
	if (elf_image_parse(kernel, bytes, &elf, &problem) != 0)
		return !multiboot_recognize(kernel, bytes);
	return elf_image_note(&elf, NOTE_NAME, NOTE_PHYS32_ENTRY, &entry);
}

static int put_module(struct loader *loader, const uint8_t *data, size_t bytes, const char *text,
		      struct pvh_module *ret_module)
{
	int err = loader_put_high(loader, data, bytes, LAYOUT_RAM_HOLE_GPA, &ret_module->gpa);

	ret_module->bytes = bytes;
	return err ? err : loader_put_string(loader, text, &ret_module->command_line_gpa);
}

/* The initrd, where there is one, is the first module. */
static int put_modules(struct loader *loader, struct pvh_start_info *info)
{
	const struct boot_config *config = loader->config;
	struct pvh_module module[PVH_MAX_MODULES] = {0};
	uint32_t n = 0;
	int err = 0;

	if (config->n_modules >= PVH_MAX_MODULES)
		return loader_fail(loader, -EINVAL, "more than %u modules", PVH_MAX_MODULES - 1);
	if (config->initrd && config->initrd_bytes)
		err = put_module(loader, config->initrd, config->initrd_bytes, NULL, &module[n++]);
	for (unsigned i = 0; i < config->n_modules && err == 0; i++)
		err = put_module(loader, config->modules[i].data, config->modules[i].bytes,
				 config->modules[i].command_line, &module[n++]);
	info->n_modules = n;
	if (err || n == 0)
		return err;
	return loader_put(loader, module, n * sizeof(module[0]), 8, &info->modules_gpa);
}

static int put_memory_map(struct loader *loader, struct pvh_start_info *info)
{
	struct map_entry map[MAP_MAX_ENTRIES];
	struct pvh_map_entry entry[MAP_MAX_ENTRIES];
	unsigned n = loader_memory_map(loader, map);

	for (unsigned i = 0; i < n; i++)
		entry[i] = (struct pvh_map_entry){
			.gpa = map[i].gpa, .bytes = map[i].bytes, .type = map[i].type};
	info->n_memory_map = n;
	return loader_put(loader, entry, n * sizeof(entry[0]), 8, &info->memory_map_gpa);
}

static int put_start_info(struct loader *loader, uint64_t *ret_gpa)
{
	struct pvh_start_info info = {.magic = START_MAGIC, .version = START_VERSION};
	int err = put_modules(loader, &info);

	if (loader->config->acpi_bytes)
		info.rsdp_gpa = LAYOUT_ACPI_GPA;
	if (err == 0)
		err = put_memory_map(loader, &info);
	if (err == 0)
		err = loader_put_string(loader, loader->config->command_line,
					&info.command_line_gpa);
	return err ? err : loader_put(loader, &info, sizeof(info), 8, ret_gpa);
}

int pvh_load(struct loader *loader)
{
	const struct boot_config *config = loader->config;
	struct elf_image elf;
	const char *problem;
	uint64_t entry = 0, info;
	int err = elf_image_parse(config->kernel, config->kernel_bytes, &elf, &problem);

	if (err)
		return loader_fail(loader, err, "kernel: %s", problem);
	elf_image_note(&elf, NOTE_NAME, NOTE_PHYS32_ENTRY, &entry);
	if (entry > UINT32_MAX || !memory_is_ram(loader->machine->memory, entry, 1))
		return loader_fail(loader, -EINVAL, "the PVH entry 0x%jx is not in RAM",
				   (uintmax_t)entry);
	err = elf_image_load(&elf, loader);
	if (err == 0)
		err = put_start_info(loader, &info);
	return err ? err : entry_32(loader, (uint32_t)entry, 0, (uint32_t)info);
}
