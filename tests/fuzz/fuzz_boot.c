/*
 * Fuzz target for the loaders. An input: a byte of options, then the kernel's file. Whatever the
 * file, boot_load() returns, and a failure has a message of one line.
 */
#include <stdlib.h>

#include "tests/fuzz/input.h"
#include "tests/unit/boot_fixture.h"

#define RAM_BYTES    (UINT64_C(4) << 20)
#define INITRD_BYTES 5000u

enum {
	OPTION_INITRD = 1,
	OPTION_ACPI = 2,
	OPTION_COMMAND_LINE = 4,
	OPTION_MODULES = 8,
	OPTION_LITTLE_RAM = 16,
};

static const uint8_t filler[INITRD_BYTES];

static struct boot_config make_config(unsigned options, const uint8_t *kernel, size_t bytes)
{
	static const struct boot_module modules[] = {
		{.data = filler, .bytes = 100, .command_line = "first"},
		{.data = filler, .bytes = 0},
	};
	struct boot_config config = {.kernel = kernel, .kernel_bytes = bytes};

	if (options & OPTION_INITRD) {
		config.initrd = filler;
		config.initrd_bytes = sizeof(filler);
	}
	if (options & OPTION_ACPI) {
		config.acpi = filler;
		config.acpi_bytes = 600;
	}
	if (options & OPTION_COMMAND_LINE)
		config.command_line = "console=ttyS0 quiet";
	if (options & OPTION_MODULES) {
		config.modules = modules;
		config.n_modules = sizeof(modules) / sizeof(modules[0]);
	}
	return config;
}

/* A loaded kernel starts in RAM, in a state that can be saved and restored. */
static void judge(struct machine *machine)
{
	size_t n = machine_state_bytes(machine);
	uint8_t *state = malloc(n);

	if (!state)
		abort();
	machine_state_encode(machine, state);
	if (machine_state_decode(machine, state, n) != 0)
		abort();
	free(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input input = {data, n};
	unsigned options = (unsigned)input_number(&input, 1);
	/* Exactly as long as the file, so that a read past its end is seen. */
	uint8_t *kernel = malloc(input.n ? input.n : 1);

	if (!kernel)
		abort();
	memcpy(kernel, input.data, input.n);
	struct boot_config config = make_config(options, kernel, input.n);
	struct machine *machine =
		fixture_machine(options & OPTION_LITTLE_RAM ? UINT64_C(4) * PAGE_BYTES : RAM_BYTES);
	struct boot_error error = {{0}};
	enum boot_kind kind = BOOT_UNSPECIFIED;
	int err = boot_load(machine, &config, &kind, &error);
	if (err == 0 ? kind == BOOT_UNSPECIFIED : !is_message(&error))
		abort();
	if (err == 0)
		judge(machine);
	machine_destroy(machine);
	free(kernel);
	return 0;
}
