/*
 * The pair of 8259A interrupt controllers of a PC with their edge/level control registers (Intel
 * 8259A data sheet). The slave's output is the master's input 2.
 */
#ifndef REPRISE_VMM_DEVICES_PIC8259_H
#define REPRISE_VMM_DEVICES_PIC8259_H

#include "vmm/devices/device.h"

#define PIC8259_PINS  16
#define PIC8259_PORTS 2 /* of each chip, and of the ELCR pair */

struct Reprise__PicState;
struct pic8259;

/* output is the master's INTR. Returns 0 or -ENOMEM. */
int pic8259_create(struct irq_line output, struct pic8259 **ret_pic);
void pic8259_destroy(struct pic8259 *pic);
/* The levels at the pins stay as they are. */
void pic8259_reset(struct pic8259 *pic);

extern const struct window_ops pic8259_master_ops, pic8259_slave_ops, pic8259_elcr_ops;

/* A pin's level; pin 2 is the cascade and has none. As irq_line.set. */
void pic8259_set_pin(void *pic, unsigned pin, bool level);

/* The vector that pic8259_acknowledge would give, or -1 when INTR is not asserted. */
int pic8259_pending(const struct pic8259 *pic);

/*
 * The processor's interrupt acknowledge cycles: returns the vector, which is now in service.
 * Without a request that is the spurious one of input 7, and nothing is in service.
 */
int pic8259_acknowledge(struct pic8259 *pic);

/* The message borrows from *ret_chips, two of them, master first. */
struct Reprise__PicChipState;
void pic8259_save(const struct pic8259 *pic, struct Reprise__PicState *ret_state,
		  struct Reprise__PicChipState *ret_chips);
/* Returns 0, or -EINVAL for an impossible state. The output is not driven. */
int pic8259_restore(struct pic8259 *pic, const struct Reprise__PicState *state);

#endif
