/*
 * A 16550A serial port (TL16C550 data sheet). Transmission takes no time: the transmitter is empty
 * again at once.
 */
#ifndef REPRISE_VMM_DEVICES_UART16550_H
#define REPRISE_VMM_DEVICES_UART16550_H

#include "vmm/devices/device.h"

#define UART16550_PORTS 8

struct Reprise__UartState;
struct uart16550;

/*
 * The back end is copied; its functions may be NULL: nothing is connected. irq is driven while an
 * enabled interrupt is pending and OUT2 is set. Returns 0 or -ENOMEM.
 */
int uart16550_create(const struct char_backend *backend, struct irq_line irq,
		     struct timer_queue *timers, struct uart16550 **ret_uart);
void uart16550_destroy(struct uart16550 *uart);
void uart16550_reset(struct uart16550 *uart);

/* UART16550_PORTS registers of one byte. */
extern const struct window_ops uart16550_window_ops;

/*
 * Moves bytes that have arrived into the receiver, as far as it has room; none in loopback. Whether
 * the guest listens yet is the back end's concern.
 */
void uart16550_poll_input(struct uart16550 *uart);

/* The message borrows from the device until its next change. */
void uart16550_save(const struct uart16550 *uart, struct Reprise__UartState *ret_state);
/* Returns 0, or -EINVAL for an impossible state. The interrupt line is not driven: see irq_router.
 */
int uart16550_restore(struct uart16550 *uart, const struct Reprise__UartState *state);

#endif
