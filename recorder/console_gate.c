#include "recorder/console_gate.h"

#include "vmm/devices/layout.h"

/* Registers and bits of a 16550 (PC16550D data sheet, table 2). */
#define UART_DATA     0
#define UART_IER      1
#define UART_LCR      3
#define UART_LSR      5
#define UART_PORTS    8
#define UART_IER_RDA  0x01
#define UART_LCR_DLAB 0x80

/* A sender reads the status once a byte; nobody reads it this often who does not wait for input. */
#define POLLS_OF_A_LISTENER 64

void console_gate_observe(struct console_gate *gate, const struct crossing_request *request)
{
	uint64_t offset = request->address - LAYOUT_UART0_PORT;

	if (request->kind == CROSSING_PORT_READ && offset == UART_LSR) {
		if (gate->idle_polls < POLLS_OF_A_LISTENER)
			gate->idle_polls++;
		return;
	}
	if (request->kind != CROSSING_PORT_WRITE || offset >= UART_PORTS)
		return;
	if (offset == UART_LCR)
		gate->lcr = (uint8_t)request->value;
	if (offset == UART_IER && !(gate->lcr & UART_LCR_DLAB))
		gate->interrupts = request->value & UART_IER_RDA;
	/* A listener that echoes stays one; one that sets the port up anew does not. */
	if (offset != UART_DATA || gate->idle_polls < POLLS_OF_A_LISTENER)
		gate->idle_polls = 0;
}

bool console_gate_is_open(const struct console_gate *gate)
{
	return gate->interrupts || gate->idle_polls >= POLLS_OF_A_LISTENER;
}
