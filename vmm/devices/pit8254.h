/*
 * The 8254 interval timer of a PC and port 0x61, which gates its channel 2 and shows its output
 * (Intel 8254 data sheet). A new count takes effect at once in every mode.
 */
#ifndef REPRISE_VMM_DEVICES_PIT8254_H
#define REPRISE_VMM_DEVICES_PIT8254_H

#include "vmm/devices/device.h"

#define PIT8254_PORTS 4
#define PIT8254_HZ    UINT64_C(1193182)

struct Reprise__PitState;
struct Reprise__PitChannelState;
struct pit8254;

/* irq follows channel 0's output. Returns 0 or -ENOMEM. */
int pit8254_create(struct irq_line irq, struct timer_queue *timers, struct pit8254 **ret_pit);
void pit8254_destroy(struct pit8254 *pit);
void pit8254_reset(struct pit8254 *pit);

extern const struct window_ops pit8254_window_ops; /* PIT8254_PORTS bytes */
extern const struct window_ops pit8254_port_b_ops; /* 1 byte */

/* The message borrows from *ret_channels, three of them. */
void pit8254_save(const struct pit8254 *pit, struct Reprise__PitState *ret_state,
		  struct Reprise__PitChannelState *ret_channels);
/* Returns 0, or -EINVAL for an impossible state. The interrupt line is not driven. */
int pit8254_restore(struct pit8254 *pit, const struct Reprise__PitState *state);

#endif
