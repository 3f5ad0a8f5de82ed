/* The I/O APIC: 24 pins, version 0x11 (Intel 82093AA data sheet). */
#ifndef REPRISE_VMM_DEVICES_IOAPIC_H
#define REPRISE_VMM_DEVICES_IOAPIC_H

#include "vmm/devices/apic_bus.h"
#include "vmm/devices/device.h"

#define IOAPIC_PINS         24
#define IOAPIC_WINDOW_BYTES 0x1000u

struct Reprise__IoapicState;
struct ioapic;

/* bus is borrowed. Returns 0 or -ENOMEM. */
int ioapic_create(struct apic_bus *bus, struct ioapic **ret_ioapic);
void ioapic_destroy(struct ioapic *ioapic);
/* The levels at the pins stay as they are. */
void ioapic_reset(struct ioapic *ioapic);

extern const struct window_ops ioapic_window_ops; /* IOAPIC_WINDOW_BYTES */

/* A pin's level. As irq_line.set. */
void ioapic_set_pin(void *ioapic, unsigned pin, bool level);

/* As apic_bus.end_of_interrupt. */
void ioapic_end_of_interrupt(void *ioapic, uint8_t vector);

/* The message borrows from the device until its next change. */
void ioapic_save(const struct ioapic *ioapic, struct Reprise__IoapicState *ret_state);
/* Returns 0, or -EINVAL for an impossible state. Delivers nothing. */
int ioapic_restore(struct ioapic *ioapic, const struct Reprise__IoapicState *state);

#endif
