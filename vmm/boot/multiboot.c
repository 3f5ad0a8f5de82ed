/*
 * Multiboot 1 kernels (Multiboot Specification 0.6.96): a header in the first 8 KiB of the file, an
 * ELF image or the header's own address fields, a 32-bit entry with EAX the magic and EBX the boot
 * information.
 */
#include <errno.h>
#include <string.h>

#include "vmm/boot/elf_image.h"
#include "vmm/boot/entry.h"
#include "vmm/boot/loader.h"
#include "vmm/devices/layout.h"

#define SEARCH_BYTES 8192u
#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u
#define LOADER_NAME  "reprise"

/* Header flags: what the kernel requires. Video modes are a wish that a machine without VGA
 * ignores. */
#define HEADER_PAGE_ALIGN  0x1u
#define HEADER_MEMORY_INFO 0x2u
#define HEADER_VIDEO       0x4u
#define HEADER_REQUIRED    0xffffu
#define HEADER_ADDRESSES   0x10000u

#define INFO_MEMORY      0x001u
#define INFO_COMMAND     0x004u
#define INFO_MODULES     0x008u
#define INFO_MEMORY_MAP  0x040u
#define INFO_LOADER_NAME 0x200u

struct multiboot_header {
	uint32_t magic, flags, checksum;
	/* With HEADER_ADDRESSES: */
	uint32_t header_gpa, load_gpa, load_end_gpa, bss_end_gpa, entry_gpa;
};
#define HEADER_BYTES_MIN 12u

struct multiboot_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB */
	uint32_t boot_device;
	uint32_t command_line;
	uint32_t n_modules, modules;
	uint32_t symbols[4];
	uint32_t map_bytes, map;
	uint32_t drives_bytes, drives;
	uint32_t config_table;
	uint32_t loader_name;
	uint32_t apm_table;
	uint32_t vbe[12];
};

struct multiboot_module {
	uint32_t start, end;
	uint32_t text;
	uint32_t reserved;
};

struct multiboot_map_entry {
	uint32_t size; /* of what follows */
	uint64_t gpa, bytes;
	uint32_t type;
} __attribute__((packed));

#define MULTIBOOT_MAX_MODULES 64

/* Finds the header; what of it lies past the file's end is 0. */
static bool find_header(const uint8_t *file, size_t bytes, struct multiboot_header *ret_header,
			size_t *ret_offset)
{
	size_t search = bytes < SEARCH_BYTES ? bytes : SEARCH_BYTES;

	for (size_t at = 0; at + HEADER_BYTES_MIN <= search; at += 4) {
		struct multiboot_header header = {0};
		size_t n = bytes - at < sizeof(header) ? bytes - at : sizeof(header);

		memcpy(&header, file + at, n);
		if (header.magic == HEADER_MAGIC &&
		    header.magic + header.flags + header.checksum == 0) {
			*ret_header = header;
			*ret_offset = at;
			return true;
		}
	}
	return false;
}

bool multiboot_recognize(const uint8_t *kernel, size_t bytes)
{
	struct multiboot_header header;
	size_t offset;

	return find_header(kernel, bytes, &header, &offset);
}

/* ---- loading ---- */

/* Section 3.1.3: the file's bytes from load_gpa's on; ends 0 mean the file's end and no bss. */
static int load_by_addresses(struct loader *loader, const struct multiboot_header *header,
			     size_t offset, uint32_t *ret_entry)
{
	const struct boot_config *config = loader->config;
	uint64_t before = (uint64_t)header->header_gpa - header->load_gpa;
	uint64_t start, bytes, memory_bytes;
	int err;

	if (header->load_gpa > header->header_gpa || before > offset)
		return loader_fail(loader, -EINVAL,
				   "multiboot: the load address does not fit the header's");
	start = offset - before;
	bytes = header->load_end_gpa ? (uint64_t)header->load_end_gpa - header->load_gpa
				     : config->kernel_bytes - start;
	if (header->load_end_gpa && header->load_end_gpa < header->load_gpa)
		return loader_fail(loader, -EINVAL, "multiboot: the load end is below the start");
	if (bytes > config->kernel_bytes - start)
		return loader_fail(loader, -EINVAL, "multiboot: the image is truncated");
	memory_bytes = bytes;
	if (header->bss_end_gpa > header->load_gpa + bytes)
		memory_bytes = header->bss_end_gpa - header->load_gpa;
	err = loader_put_segment(loader, header->load_gpa, config->kernel + start, bytes,
				 memory_bytes);
	*ret_entry = header->entry_gpa;
	return err;
}

static int load_elf(struct loader *loader, uint32_t *ret_entry)
{
	const struct boot_config *config = loader->config;
	struct elf_image elf;
	const char *problem;
	int err = elf_image_parse(config->kernel, config->kernel_bytes, &elf, &problem);

	if (err)
		return loader_fail(loader, err, "multiboot: %s", problem);
	err = elf_image_load(&elf, loader);
	if (err)
		return err;
	if (elf.entry > UINT32_MAX)
		return loader_fail(loader, -EINVAL, "multiboot: the entry 0x%jx is above 4 GiB",
				   (uintmax_t)elf.entry);
	*ret_entry = (uint32_t)elf.entry;
	return 0;
}

static int load_kernel(struct loader *loader, uint32_t *ret_entry)
{
	const struct boot_config *config = loader->config;
	struct multiboot_header header;
	size_t offset;
	uint32_t unknown;

	if (!find_header(config->kernel, config->kernel_bytes, &header, &offset))
		return loader_fail(loader, -EINVAL, "multiboot: no header");
	unknown = header.flags & HEADER_REQUIRED &
		  ~(HEADER_PAGE_ALIGN | HEADER_MEMORY_INFO | HEADER_VIDEO);
	if (unknown)
		return loader_fail(loader, -EINVAL,
				   "multiboot: the kernel requires unknown features 0x%x", unknown);
	if (header.flags & HEADER_ADDRESSES)
		return load_by_addresses(loader, &header, offset, ret_entry);
	return load_elf(loader, ret_entry);
}

/* ---- boot information ---- */

/* Modules follow the kernel, page aligned, as boot loaders do. */
static int put_module(struct loader *loader, const uint8_t *data, size_t bytes, const char *text,
		      struct multiboot_module *ret_module)
{
	uint64_t after =
		loader->kernel_end > LAYOUT_HIGH_RAM_GPA ? loader->kernel_end : LAYOUT_HIGH_RAM_GPA;
	uint64_t gpa = (after + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES, text_gpa;
	int err = 0;

	if (gpa > loader->low_ram_end || bytes > loader->low_ram_end - gpa)
		return loader_fail(loader, -ENOMEM,
				   "no room for a module of %zu bytes; give the guest more memory",
				   bytes);
	err = loader_put_segment(loader, gpa, data, bytes, bytes);
	if (err == 0)
		err = loader_put_string(loader, text, &text_gpa);
	if (err)
		return err;
	*ret_module = (struct multiboot_module){
		.start = (uint32_t)gpa, .end = (uint32_t)(gpa + bytes), .text = (uint32_t)text_gpa};
	return 0;
}

static int put_modules(struct loader *loader, struct multiboot_info *info)
{
	const struct boot_config *config = loader->config;
	struct multiboot_module module[MULTIBOOT_MAX_MODULES];
	uint64_t gpa;
	unsigned n = 0;
	int err = 0;

	if (config->n_modules >= MULTIBOOT_MAX_MODULES)
		return loader_fail(loader, -EINVAL, "more than %u modules",
				   MULTIBOOT_MAX_MODULES - 1);
	if (config->initrd && config->initrd_bytes)
		err = put_module(loader, config->initrd, config->initrd_bytes, NULL, &module[n++]);
	for (unsigned i = 0; i < config->n_modules && err == 0; i++)
		err = put_module(loader, config->modules[i].data, config->modules[i].bytes,
				 config->modules[i].command_line, &module[n++]);
	if (err || n == 0)
		return err;
	err = loader_put(loader, module, n * sizeof(module[0]), 4, &gpa);
	info->flags |= INFO_MODULES;
	info->n_modules = n;
	info->modules = (uint32_t)gpa;
	return err;
}

static int put_memory_map(struct loader *loader, struct multiboot_info *info)
{
	struct map_entry map[MAP_MAX_ENTRIES];
	struct multiboot_map_entry entry[MAP_MAX_ENTRIES];
	unsigned n = loader_memory_map(loader, map);
	uint64_t gpa;
	int err;

	for (unsigned i = 0; i < n; i++)
		entry[i] = (struct multiboot_map_entry){.size = sizeof(entry[0]) - 4,
							.gpa = map[i].gpa,
							.bytes = map[i].bytes,
							.type = map[i].type};
	err = loader_put(loader, entry, n * sizeof(entry[0]), 4, &gpa);
	if (err)
		return err;
	info->flags |= INFO_MEMORY_MAP | INFO_MEMORY;
	info->map_bytes = (uint32_t)(n * sizeof(entry[0]));
	info->map = (uint32_t)gpa;
	info->mem_lower = LAYOUT_LOW_RAM_END / 1024;
	info->mem_upper = (uint32_t)((loader->low_ram_end - LAYOUT_HIGH_RAM_GPA) / 1024);
	return 0;
}

static int put_strings(struct loader *loader, struct multiboot_info *info)
{
	uint64_t command_line, name;
	int err = loader_put_string(loader, loader->config->command_line, &command_line);

	if (err == 0)
		err = loader_put_string(loader, LOADER_NAME, &name);
	if (err)
		return err;
	info->flags |= INFO_COMMAND | INFO_LOADER_NAME;
	info->command_line = (uint32_t)command_line;
	info->loader_name = (uint32_t)name;
	return 0;
}

int multiboot_load(struct loader *loader)
{
	struct multiboot_info info = {0};
	uint32_t entry;
	uint64_t gpa;
	int err = load_kernel(loader, &entry);

	if (err == 0 && !memory_is_ram(loader->machine->memory, entry, 1))
		err = loader_fail(loader, -EINVAL, "multiboot: the entry 0x%x is not in RAM",
				  entry);
	if (err == 0)
		err = put_modules(loader, &info);
	if (err == 0)
		err = put_memory_map(loader, &info);
	if (err == 0)
		err = put_strings(loader, &info);
	if (err == 0)
		err = loader_put(loader, &info, sizeof(info), 8, &gpa);
	return err ? err : entry_32(loader, entry, LOADER_MAGIC, (uint32_t)gpa);
}
