#include "vmm/boot/boot.h"

#include <errno.h>
#include <string.h>

#include "vmm/boot/entry.h"
#include "vmm/boot/loader.h"
#include "vmm/devices/layout.h"

struct kind_row {
	enum boot_kind kind;
	bool (*recognize)(const uint8_t *kernel, size_t bytes);
	int (*load)(struct loader *loader);
};

/* In this order: an ELF file may have both a PVH note and a multiboot header. */
static const struct kind_row kinds[] = {
	{.kind = BOOT_BZIMAGE, .recognize = bzimage_recognize, .load = bzimage_load},
	{.kind = BOOT_PVH, .recognize = pvh_recognize, .load = pvh_load},
	{.kind = BOOT_MULTIBOOT, .recognize = multiboot_recognize, .load = multiboot_load},
};

static const struct kind_row *find_kind(const struct boot_config *config)
{
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].recognize(config->kernel, config->kernel_bytes))
			return &kinds[i];
	return NULL;
}

static int put_acpi(struct loader *loader)
{
	const struct boot_config *config = loader->config;

	if (config->acpi_bytes > LAYOUT_BIOS_GPA + LAYOUT_BIOS_BYTES - LAYOUT_ACPI_GPA)
		return loader_fail(loader, -EINVAL, "the ACPI tables are too large");
	if (config->acpi_bytes)
		memory_load(loader->machine->memory, LAYOUT_ACPI_GPA, config->acpi,
			    config->acpi_bytes);
	return 0;
}

int boot_load(struct machine *machine, const struct boot_config *config, enum boot_kind *ret_kind,
	      struct boot_error *ret_error)
{
	const struct kind_row *row = find_kind(config);
	struct loader loader;
	int err = loader_init(&loader, machine, config, ret_error);

	if (err)
		return err;
	if (!row)
		return loader_fail(
			&loader, -EINVAL,
			"kernel is neither a bzImage nor an ELF file with a PVH note nor "
			"a multiboot image");
	err = put_acpi(&loader);
	if (err == 0)
		err = row->load(&loader);
	if (err)
		return err;
	entry_set_mtrrs(machine);
	*ret_kind = row->kind;
	return 0;
}
