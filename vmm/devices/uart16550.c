/*
 * The interrupt line is a function of the registers (update_irq): it falls when a handler has
 * removed every cause and rises with the next one. A cause that is renewed while the line is high
 * pulls it low first, so that an edge-triggered controller sees it.
 */
#include "vmm/devices/uart16550.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/devices.pb-c.h"
#include "vmm/devices/timer_queue.h"

#define FIFO_BYTES 16
#define CLOCK_HZ   UINT64_C(1843200)

enum uart_register {
	REG_DATA, /* receiver, transmitter, divisor low */
	REG_IER,  /* or divisor high */
	REG_IIR,  /* FIFO control when written */
	REG_LCR,
	REG_MCR,
	REG_LSR,
	REG_MSR,
	REG_SCRATCH,
};

#define IER_RECEIVED    0x01
#define IER_TRANSMITTED 0x02
#define IER_LINE        0x04
#define IER_MODEM       0x08
#define IER_ALL         0x0f

#define IIR_MODEM       0x00
#define IIR_NONE        0x01
#define IIR_TRANSMITTED 0x02
#define IIR_RECEIVED    0x04
#define IIR_LINE        0x06
#define IIR_TIMEOUT     0x0c
#define IIR_FIFO        0xc0

#define FCR_ENABLE        0x01
#define FCR_CLEAR_RECEIVE 0x02
#define FCR_KEPT          0xc9 /* trigger level, DMA mode, enable */

#define LCR_DLAB 0x80

#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_ALL  0x1f

#define LSR_READY       0x01
#define LSR_OVERRUN     0x02
#define LSR_ERRORS      0x1e
#define LSR_TRANSMITTED 0x60 /* holding register and shift register empty */

#define MSR_DELTAS    0x0f
#define MSR_RING      0x40
#define MSR_CONNECTED 0xb0 /* carrier, data set ready, clear to send */

struct uart16550 {
	struct char_backend backend;
	struct irq_line irq;
	struct timer timeout; /* characters have waited below the trigger level */

	uint8_t ier, lcr, mcr, msr, scratch, fcr;
	uint8_t line_errors;
	uint16_t divisor;
	uint8_t fifo[FIFO_BYTES]; /* oldest first; one byte of it without FIFO mode */
	uint8_t n_fifo;
	bool transmit_pending, timeout_pending;
};

static bool fifo_mode(const struct uart16550 *uart)
{
	return uart->fcr & FCR_ENABLE;
}

static unsigned capacity(const struct uart16550 *uart)
{
	return fifo_mode(uart) ? FIFO_BYTES : 1;
}

static unsigned trigger_level(const struct uart16550 *uart)
{
	static const uint8_t levels[4] = {1, 4, 8, 14};
	return fifo_mode(uart) ? levels[uart->fcr >> 6] : 1;
}

static uint8_t line_status(const struct uart16550 *uart)
{
	return (uart->n_fifo ? LSR_READY : 0) | uart->line_errors | LSR_TRANSMITTED;
}

/* The pending interrupt of highest priority, as IIR codes it. */
static uint8_t interrupt_id(const struct uart16550 *uart)
{
	if ((uart->ier & IER_LINE) && uart->line_errors)
		return IIR_LINE;
	if ((uart->ier & IER_RECEIVED) && uart->n_fifo >= trigger_level(uart))
		return IIR_RECEIVED;
	if ((uart->ier & IER_RECEIVED) && uart->timeout_pending)
		return IIR_TIMEOUT;
	if ((uart->ier & IER_TRANSMITTED) && uart->transmit_pending)
		return IIR_TRANSMITTED;
	if ((uart->ier & IER_MODEM) && (uart->msr & MSR_DELTAS))
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_irq(struct uart16550 *uart)
{
	/* The modem control outputs, OUT2 among them, are inactive in loopback. */
	bool enabled = (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
	irq_line_set(&uart->irq, enabled && interrupt_id(uart) != IIR_NONE);
}

/* Four character times: start bit, data bits, parity, stop bits. */
static uint64_t timeout_ns(const struct uart16550 *uart)
{
	uint64_t bits = 1 + 5 + (uart->lcr & 3) + (uart->lcr >> 3 & 1) + 1 + (uart->lcr >> 2 & 1);
	uint64_t divisor = uart->divisor ? uart->divisor : 65536;
	return 4 * bits * divisor * 16 * UINT64_C(1000000000) / CLOCK_HZ;
}

/* Every arrival and every read starts the timeout anew. */
static void restart_timeout(struct uart16550 *uart)
{
	uart->timeout_pending = false;
	if (fifo_mode(uart) && uart->n_fifo)
		timer_arm(&uart->timeout, timer_queue_now(uart->timeout.queue) + timeout_ns(uart));
	else
		timer_disarm(&uart->timeout);
}

static void timeout_expired(void *device, uint64_t now_ns)
{
	struct uart16550 *uart = device;
	uart->timeout_pending = uart->n_fifo > 0;
	update_irq(uart);
}

static void receive(struct uart16550 *uart, uint8_t byte)
{
	if (uart->n_fifo == capacity(uart)) {
		uart->line_errors |= LSR_OVERRUN;
		if (!fifo_mode(uart))
			uart->fifo[0] = byte;
	} else {
		uart->fifo[uart->n_fifo++] = byte;
	}
	restart_timeout(uart);
}

static void clear_receiver(struct uart16550 *uart)
{
	uart->n_fifo = 0;
	restart_timeout(uart);
}

static uint8_t read_data(struct uart16550 *uart)
{
	if (!uart->n_fifo)
		return 0;
	uint8_t byte = uart->fifo[0];
	memmove(uart->fifo, uart->fifo + 1, --uart->n_fifo);
	restart_timeout(uart);
	update_irq(uart);
	return byte;
}

static void write_data(struct uart16550 *uart, uint8_t byte)
{
	uart->transmit_pending = false;
	update_irq(uart);
	if (uart->mcr & MCR_LOOP)
		receive(uart, byte);
	else if (uart->backend.write)
		uart->backend.write(uart->backend.ctx, &byte, 1);
	uart->transmit_pending = true;
	update_irq(uart);
}

static void write_ier(struct uart16550 *uart, uint8_t value)
{
	/* Enabling the transmitter's interrupt while it is empty raises it. */
	if (value & ~uart->ier & IER_TRANSMITTED)
		uart->transmit_pending = true;
	uart->ier = value & IER_ALL;
	update_irq(uart);
}

static uint8_t read_iir(struct uart16550 *uart)
{
	uint8_t id = interrupt_id(uart);
	if (id == IIR_TRANSMITTED) {
		uart->transmit_pending = false;
		update_irq(uart);
	}
	return id | (fifo_mode(uart) ? IIR_FIFO : 0);
}

static void write_fcr(struct uart16550 *uart, uint8_t value)
{
	bool toggled = (value ^ uart->fcr) & FCR_ENABLE;
	if (toggled || ((value & FCR_ENABLE) && (value & FCR_CLEAR_RECEIVE)))
		clear_receiver(uart);
	/* The other bits are written only together with the enable bit. */
	uart->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
	update_irq(uart);
}

/* The modem's signals: in loopback, our own outputs. */
static uint8_t modem_signals(const struct uart16550 *uart)
{
	if (!(uart->mcr & MCR_LOOP))
		return MSR_CONNECTED;
	return (uart->mcr & MCR_RTS ? 0x10 : 0) | (uart->mcr & MCR_DTR ? 0x20 : 0) |
	       (uart->mcr & MCR_OUT1 ? 0x40 : 0) | (uart->mcr & MCR_OUT2 ? 0x80 : 0);
}

static void write_mcr(struct uart16550 *uart, uint8_t value)
{
	uart->mcr = value & MCR_ALL;
	uint8_t signals = modem_signals(uart);
	uint8_t changed = signals ^ (uart->msr & ~MSR_DELTAS);
	if (signals & MSR_RING)
		changed &= ~MSR_RING; /* only the trailing edge of ring is reported */
	uart->msr = signals | (uart->msr & MSR_DELTAS) | changed >> 4;
	update_irq(uart);
}

static uint8_t read_lsr(struct uart16550 *uart)
{
	uint8_t value = line_status(uart);
	uart->line_errors = 0;
	update_irq(uart);
	return value;
}

static uint8_t read_msr(struct uart16550 *uart)
{
	uint8_t value = uart->msr;
	uart->msr &= ~MSR_DELTAS;
	update_irq(uart);
	return value;
}

static uint64_t uart16550_read(void *device, uint64_t offset, unsigned size)
{
	struct uart16550 *uart = device;
	bool dlab = uart->lcr & LCR_DLAB;
	switch ((enum uart_register)offset) {
	case REG_DATA:
		return dlab ? uart->divisor & 0xff : read_data(uart);
	case REG_IER:
		return dlab ? uart->divisor >> 8 : uart->ier;
	case REG_IIR:
		return read_iir(uart);
	case REG_LCR:
		return uart->lcr;
	case REG_MCR:
		return uart->mcr;
	case REG_LSR:
		return read_lsr(uart);
	case REG_MSR:
		return read_msr(uart);
	case REG_SCRATCH:
		return uart->scratch;
	}
	return 0xff;
}

static void uart16550_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct uart16550 *uart = device;
	bool dlab = uart->lcr & LCR_DLAB;
	uint8_t byte = value;
	switch ((enum uart_register)offset) {
	case REG_DATA:
		if (dlab)
			uart->divisor = (uart->divisor & 0xff00) | byte;
		else
			write_data(uart, byte);
		break;
	case REG_IER:
		if (dlab)
			uart->divisor = (uart->divisor & 0xff) | byte << 8;
		else
			write_ier(uart, byte);
		break;
	case REG_IIR:
		write_fcr(uart, byte);
		break;
	case REG_LCR:
		uart->lcr = byte;
		break;
	case REG_MCR:
		write_mcr(uart, byte);
		break;
	case REG_SCRATCH:
		uart->scratch = byte;
		break;
	case REG_LSR:
	case REG_MSR:
		break;
	}
}

const struct window_ops uart16550_window_ops = {
	.read = uart16550_read,
	.write = uart16550_write,
};

void uart16550_poll_input(struct uart16550 *uart)
{
	if (!uart->backend.read || uart->n_fifo >= capacity(uart) || (uart->mcr & MCR_LOOP))
		return;
	size_t n = uart->backend.read(uart->backend.ctx, uart->fifo + uart->n_fifo,
				      capacity(uart) - uart->n_fifo);
	if (!n)
		return;
	uart->n_fifo += n;
	restart_timeout(uart);
	update_irq(uart);
}

void uart16550_reset(struct uart16550 *uart)
{
	uart->ier = uart->lcr = uart->mcr = uart->fcr = 0;
	uart->scratch = uart->line_errors = 0;
	uart->msr = MSR_CONNECTED;
	uart->divisor = 12; /* 9600 baud, as firmware leaves it */
	uart->transmit_pending = false;
	clear_receiver(uart);
	update_irq(uart);
}

int uart16550_create(const struct char_backend *backend, struct irq_line irq,
		     struct timer_queue *timers, struct uart16550 **ret_uart)
{
	struct uart16550 *uart = calloc(1, sizeof(*uart));
	if (!uart)
		return -ENOMEM;
	uart->backend = *backend;
	uart->irq = irq;
	timer_init(&uart->timeout, timers, timeout_expired, uart);
	uart16550_reset(uart);
	*ret_uart = uart;
	return 0;
}

void uart16550_destroy(struct uart16550 *uart)
{
	if (!uart)
		return;
	timer_disarm(&uart->timeout);
	free(uart);
}

void uart16550_save(const struct uart16550 *uart, Reprise__UartState *ret_state)
{
	reprise__uart_state__init(ret_state);
	ret_state->interrupt_enable = uart->ier;
	ret_state->line_control = uart->lcr;
	ret_state->modem_control = uart->mcr;
	ret_state->line_errors = uart->line_errors;
	ret_state->modem_status = uart->msr;
	ret_state->scratch = uart->scratch;
	ret_state->divisor = uart->divisor;
	ret_state->fifo_control = uart->fcr;
	ret_state->fifo = (ProtobufCBinaryData){uart->n_fifo, (uint8_t *)uart->fifo};
	ret_state->transmit_pending = uart->transmit_pending;
	ret_state->timeout_pending = uart->timeout_pending;
	ret_state->timeout_deadline = uart->timeout.deadline_ns;
}

static bool state_possible(const Reprise__UartState *state)
{
	return state->interrupt_enable <= IER_ALL && state->line_control <= 0xff &&
	       state->modem_control <= MCR_ALL && !(state->line_errors & ~LSR_ERRORS) &&
	       state->modem_status <= 0xff && state->scratch <= 0xff && state->divisor <= 0xffff &&
	       !(state->fifo_control & ~FCR_KEPT) &&
	       (!state->fifo_control || (state->fifo_control & FCR_ENABLE)) &&
	       state->fifo.len <= (state->fifo_control & FCR_ENABLE ? FIFO_BYTES : 1);
}

int uart16550_restore(struct uart16550 *uart, const Reprise__UartState *state)
{
	if (!state_possible(state))
		return -EINVAL;
	uart->ier = state->interrupt_enable;
	uart->lcr = state->line_control;
	uart->mcr = state->modem_control;
	uart->line_errors = state->line_errors;
	uart->msr = state->modem_status;
	uart->scratch = state->scratch;
	uart->divisor = state->divisor;
	uart->fcr = state->fifo_control;
	uart->n_fifo = state->fifo.len;
	if (state->fifo.len)
		memcpy(uart->fifo, state->fifo.data, state->fifo.len);
	uart->transmit_pending = state->transmit_pending;
	uart->timeout_pending = state->timeout_pending;
	timer_arm(&uart->timeout, state->timeout_deadline);
	return 0;
}
