#include "vmm/boot/loader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/devices/layout.h"

int loader_fail(const struct loader *loader, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(loader->error->text, sizeof(loader->error->text), format, args);
	va_end(args);
	return code;
}

int loader_init(struct loader *loader, struct machine *machine, const struct boot_config *config,
		struct boot_error *error)
{
	const struct memory_region *high = memory_find_region(machine->memory, LAYOUT_HIGH_RAM_GPA);

	*loader = (struct loader){
		.machine = machine,
		.config = config,
		.error = error,
		.area_gpa = BOOT_AREA_GPA,
	};
	if (!memory_is_ram(machine->memory, BOOT_AREA_GPA, BOOT_AREA_END - BOOT_AREA_GPA) ||
	    !high || high->kind != REGION_RAM)
		return loader_fail(loader, -EINVAL, "the machine has too little RAM to boot");
	loader->low_ram_end = high->gpa + high->bytes;
	return 0;
}

int loader_put(struct loader *loader, const void *data, size_t n, size_t align, uint64_t *ret_gpa)
{
	uint64_t gpa = (loader->area_gpa + align - 1) / align * align;

	if (gpa > BOOT_AREA_END || n > BOOT_AREA_END - gpa)
		return loader_fail(loader, -EINVAL,
				   "command lines and boot tables need more than %u KiB",
				   (BOOT_AREA_END - BOOT_AREA_GPA) / 1024);
	memory_load(loader->machine->memory, gpa, data, n);
	loader->area_gpa = gpa + n;
	*ret_gpa = gpa;
	return 0;
}

int loader_put_string(struct loader *loader, const char *text, uint64_t *ret_gpa)
{
	if (!text)
		text = "";
	return loader_put(loader, text, strlen(text) + 1, 1, ret_gpa);
}

int loader_put_segment(struct loader *loader, uint64_t gpa, const void *data, uint64_t n,
		       uint64_t memory_bytes)
{
	if (memory_bytes < n || gpa > UINT64_MAX - memory_bytes)
		return loader_fail(loader, -EINVAL,
				   "kernel segment at 0x%jx has an impossible size",
				   (uintmax_t)gpa);
	if (memory_bytes == 0)
		return 0;
	if (gpa < BOOT_AREA_END && gpa + memory_bytes > BOOT_AREA_GPA)
		return loader_fail(loader, -EINVAL,
				   "kernel segment at 0x%jx overlaps the boot tables at 0x%x",
				   (uintmax_t)gpa, BOOT_AREA_GPA);
	if (!memory_is_ram(loader->machine->memory, gpa, memory_bytes))
		return loader_fail(loader, -ENOMEM,
				   "kernel needs 0x%jx bytes at 0x%jx, where the guest has no RAM",
				   (uintmax_t)memory_bytes, (uintmax_t)gpa);
	memory_load(loader->machine->memory, gpa, data, n);
	if (gpa + memory_bytes > loader->kernel_end)
		loader->kernel_end = gpa + memory_bytes;
	return 0;
}

int loader_put_high(struct loader *loader, const void *data, size_t n, uint64_t limit_gpa,
		    uint64_t *ret_gpa)
{
	uint64_t top = loader->high_end ? loader->high_end : loader->low_ram_end;
	uint64_t bottom = LAYOUT_HIGH_RAM_GPA, gpa;

	if (loader->kernel_end > bottom)
		bottom = loader->kernel_end;
	if (top > limit_gpa)
		top = limit_gpa;
	gpa = n <= top ? (top - n) / PAGE_BYTES * PAGE_BYTES : 0;
	if (gpa < bottom)
		return loader_fail(loader, -ENOMEM,
				   "no room for %zu bytes of initrd or module beside the kernel; "
				   "give the guest more memory",
				   n);
	memory_load(loader->machine->memory, gpa, data, n);
	loader->high_end = gpa;
	*ret_gpa = gpa;
	return 0;
}

static void add_entry(struct map_entry *map, unsigned *n, uint64_t gpa, uint64_t end, uint32_t type)
{
	if (end > gpa)
		map[(*n)++] = (struct map_entry){.gpa = gpa, .bytes = end - gpa, .type = type};
}

/* A ROM region is reserved, but for the ACPI tables' pages. */
static void add_rom(const struct loader *loader, struct map_entry *map, unsigned *n,
		    const struct memory_region *region)
{
	uint64_t pages = (loader->config->acpi_bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	uint64_t acpi = LAYOUT_ACPI_GPA, acpi_end = acpi + pages * PAGE_BYTES;
	uint64_t end = region->gpa + region->bytes;

	if (acpi < region->gpa || acpi_end > end) {
		add_entry(map, n, region->gpa, end, MAP_RESERVED);
		return;
	}
	add_entry(map, n, region->gpa, acpi, MAP_RESERVED);
	add_entry(map, n, acpi, acpi_end, MAP_ACPI);
	add_entry(map, n, acpi_end, end, MAP_RESERVED);
}

unsigned loader_memory_map(const struct loader *loader, struct map_entry map[MAP_MAX_ENTRIES])
{
	const struct machine_config *config = &loader->machine->config;
	unsigned n = 0;

	for (uint32_t i = 0; i < config->n_regions && n + 3 <= MAP_MAX_ENTRIES; i++) {
		const struct memory_region *region = &config->regions[i];

		if (region->kind == REGION_RAM)
			add_entry(map, &n, region->gpa, region->gpa + region->bytes, MAP_RAM);
		else if (region->kind == REGION_ROM)
			add_rom(loader, map, &n, region);
	}
	return n;
}
