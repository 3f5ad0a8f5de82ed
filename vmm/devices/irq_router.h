/*
 * The wires from devices to the interrupt controllers. A line is high while any of the devices on
 * it drives it. Lines 0 to 15 reach both the 8259 pair and the I/O APIC (line 0 its pin 2), higher
 * ones the I/O APIC only.
 */
#ifndef REPRISE_VMM_DEVICES_IRQ_ROUTER_H
#define REPRISE_VMM_DEVICES_IRQ_ROUTER_H

#include "vmm/devices/device.h"

#define IRQ_ROUTER_LINES 24

struct pic8259;
struct ioapic;

/* Embedded in the platform; no field is anyone else's. */
struct irq_router {
	struct pic8259 *pic;
	struct ioapic *ioapic;
	uint32_t sources[IRQ_ROUTER_LINES]; /* bit n: the line's n-th device drives it */
	uint8_t n_sources[IRQ_ROUTER_LINES];
};

/* The controllers are borrowed. */
void irq_router_init(struct irq_router *router, struct pic8259 *pic, struct ioapic *ioapic);

/* A wire for one more device on a line (at most 32 each). */
struct irq_line irq_router_connect(struct irq_router *router, unsigned line);

/*
 * Sets what drives the lines, for restoring; the controllers are not told. Returns 0, or -EINVAL
 * when n is not IRQ_ROUTER_LINES or a device is named that does not exist.
 */
int irq_router_restore(struct irq_router *router, const uint32_t *sources, unsigned n);

#endif
