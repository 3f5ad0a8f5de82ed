/*
 * Whether the guest listens on its first serial port, seen from its register accesses. Bytes sent
 * before that would be lost when the driver clears the FIFO, so piped input is held until then. A
 * guest listens when it has enabled the receive interrupt, or when it polls the line status
 * register without sending.
 */
#ifndef REPRISE_RECORDER_CONSOLE_GATE_H
#define REPRISE_RECORDER_CONSOLE_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/boundary.h"

struct console_gate {
	uint8_t lcr;
	bool interrupts;     /* the receive interrupt is enabled */
	uint32_t idle_polls; /* status reads since anything else */
};

/* Looks at a crossing, whatever it is; open afterwards: console_gate_is_open(). */
void console_gate_observe(struct console_gate *gate, const struct crossing_request *request);

bool console_gate_is_open(const struct console_gate *gate);

#endif
