/* One delivery of an interrupt or exception through the IDT or the real-mode vector table. */
#ifndef REPRISE_VMM_CPU_SYSTEM_DELIVERY_H
#define REPRISE_VMM_CPU_SYSTEM_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/cpu.h"

struct delivery {
	uint8_t vector;
	bool has_error;
	uint32_t error;
	bool software;   /* INT n, INT3, INTO: the gate's DPL is checked, error codes have EXT clear
			  */
	uint64_t rip;    /* to return to */
	uint64_t rflags; /* image to push */
};

/*
 * Enters the handler (SDM 3A 6.11 to 6.14): on true next_rip and everything else are those of the
 * handler, the shadow is over, and cpu_update_mode() is due. On false a fault or a crossing is
 * recorded and nothing has changed (but see task_switch()).
 */
bool delivery_run(struct cpu *cpu, const struct delivery *delivery);

#endif
