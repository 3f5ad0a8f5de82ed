/* The machine clock: time as a function of the instruction count between two clock events. */
#include "vmm/machine.h"

uint64_t machine_clock_now(const struct machine *machine)
{
	const struct machine_clock *clock = &machine->clock;
	uint64_t instructions = machine->icount - clock->base_icount;

	return clock->base + (uint64_t)(((unsigned __int128)instructions * clock->ratio) >> 32);
}
