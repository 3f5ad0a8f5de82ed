/* A machine to boot into, and ways to look at its memory. */
#ifndef REPRISE_TESTS_UNIT_BOOT_FIXTURE_H
#define REPRISE_TESTS_UNIT_BOOT_FIXTURE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"
#include "vmm/boot/boot.h"
#include "vmm/devices/layout.h"

/* RAM below 640 KiB, ROM up to 1 MiB, RAM from there on. */
static inline struct machine *fixture_machine(uint64_t high_ram_bytes)
{
	struct machine_config config = {
		.n_vcpus = 2,
		.cpu_model = "x86-64-v2",
		.n_regions = 3,
		.regions =
			{
				{.kind = REGION_RAM, .gpa = 0, .bytes = LAYOUT_LOW_RAM_END},
				{.kind = REGION_ROM,
				 .gpa = LAYOUT_BIOS_GPA,
				 .bytes = LAYOUT_BIOS_BYTES},
				{.kind = REGION_RAM,
				 .gpa = LAYOUT_HIGH_RAM_GPA,
				 .bytes = high_ram_bytes},
			},
	};
	struct machine *machine;

	if (machine_create(&config, &machine) != 0)
		abort();
	return machine;
}

static inline uint64_t guest_le(const struct machine *machine, uint64_t gpa, unsigned n)
{
	uint64_t value = 0;

	memory_read(machine->memory, gpa, &value, n);
	return value;
}

static inline bool guest_has(const struct machine *machine, uint64_t gpa, const void *data,
			     size_t n)
{
	uint8_t *copy = malloc(n + 1);
	bool equal;

	if (!copy)
		abort();
	memory_read(machine->memory, gpa, copy, n);
	equal = memcmp(copy, data, n) == 0;
	free(copy);
	return equal;
}

/* Loads into a new machine; destroys it unless ret_machine asks for it. */
static inline int fixture_load(const struct boot_config *config, uint64_t high_ram_bytes,
			       enum boot_kind *ret_kind, struct boot_error *ret_error,
			       struct machine **ret_machine)
{
	struct machine *machine = fixture_machine(high_ram_bytes);
	int err;

	*ret_kind = BOOT_UNSPECIFIED;
	ret_error->text[0] = 0;
	err = boot_load(machine, config, ret_kind, ret_error);
	if (ret_machine)
		*ret_machine = machine;
	else
		machine_destroy(machine);
	return err;
}

/* A one-line message, without control characters. */
static inline bool is_message(const struct boot_error *error)
{
	size_t n = strnlen(error->text, sizeof(error->text));

	if (n == 0 || n == sizeof(error->text))
		return false;
	for (size_t i = 0; i < n; i++)
		if (error->text[i] < ' ')
			return false;
	return true;
}

#endif
