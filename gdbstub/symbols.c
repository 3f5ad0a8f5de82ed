/* The guest's kernel as the stub knows it. */
#include <inttypes.h>
#include <string.h>

#include "gdbstub/state.h"

/* Where a boot protocol's parameters lie (docs/booting.md), and the mark in them (Linux
 * Documentation/arch/x86/boot.rst: "header"). */
#define PARAMETERS_GPA     0x90000u
#define PARAMETERS_END_GPA 0xa0000u
#define PARAMETERS_MARK    0x202u

#define FIRST_LOOK_ICOUNT (UINT64_C(1) << 26)

const struct kernel *gdbstub_kernel(struct gdbstub *stub)
{
	if (!stub->kernel && kernel_find(stub_machine(stub), &stub->kernel))
		stub->kernel = NULL;
	return stub->kernel;
}

void symbols_find_guest(struct gdbstub *stub)
{
	const struct kernel *kernel = stub->guest || stub->process ? NULL : gdbstub_kernel(stub);
	struct reply error = {0};

	if (kernel && linux_guest_create(stub_machine(stub), kernel, &stub->guest, &error))
		stub->guest = NULL;
	reply_finish(&error);
}

/* Whether a Linux kernel was started, that may yet have to unpack itself. */
static bool is_linux_started(const struct machine *machine)
{
	uint8_t mark[4];

	for (uint64_t gpa = PARAMETERS_GPA; gpa < PARAMETERS_END_GPA; gpa += PAGE_BYTES) {
		memory_read(machine->memory, gpa + PARAMETERS_MARK, mark, sizeof(mark));
		if (!memcmp(mark, "HdrS", sizeof(mark)))
			return true;
	}
	return false;
}

const struct kernel *gdbstub_kernel_ahead(struct gdbstub *stub)
{
	uint64_t here = timeline_position(stub->timeline);

	if (gdbstub_kernel(stub) || !is_linux_started(stub_machine(stub)))
		return stub->kernel;
	for (uint64_t there = FIRST_LOOK_ICOUNT; there >> 40 == 0; there *= 2) {
		if (there <= here)
			continue;
		stub->interrupted = 0;
		if (timeline_seek(stub->timeline, there) != TIMELINE_ARRIVED ||
		    gdbstub_kernel(stub))
			break;
	}
	gdbstub_kernel(stub);
	timeline_seek(stub->timeline, here);
	return stub->kernel;
}

/* Linux sets the table up at the start of each CPU; before, the first CPU uses the image's own
 * variables. */
bool symbols_per_cpu(struct gdbstub *stub, uint32_t vcpu, uint64_t offset, uint64_t *ret_address)
{
	const struct kernel *kernel = gdbstub_kernel(stub);
	uint64_t table, base = 0;

	if (!kernel || !kernel_symbol(kernel, "__per_cpu_offset", &table))
		return false;
	if (target_read(stub, vcpu + 1, table + vcpu * sizeof(base), &base, sizeof(base)) !=
	    sizeof(base))
		return false;
	if (!base && (vcpu || !kernel_symbol(kernel, "__per_cpu_load", &base)))
		return false;
	*ret_address = base + offset;
	return true;
}
