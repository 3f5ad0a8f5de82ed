/*
 * A keyboard controller without a keyboard (Intel 8042), and the PC's other ways to reset: port
 * 0x92 and port 0xcf9.
 */
#ifndef REPRISE_VMM_DEVICES_KBD_RESET_H
#define REPRISE_VMM_DEVICES_KBD_RESET_H

#include "vmm/devices/device.h"

struct Reprise__KbdState;
struct kbd_reset;

/* reset is called when the guest asks for one, inside a register write. Returns 0 or -ENOMEM. */
int kbd_reset_create(void (*reset)(void *ctx), void *ctx, struct kbd_reset **ret_kbd);
void kbd_reset_destroy(struct kbd_reset *kbd);
void kbd_reset_reset(struct kbd_reset *kbd);

/* One byte each: ports 0x60, 0x64, 0x92, 0xcf9. */
extern const struct window_ops kbd_data_ops, kbd_command_ops, kbd_port_a_ops, kbd_reset_control_ops;

void kbd_reset_save(const struct kbd_reset *kbd, struct Reprise__KbdState *ret_state);
/* Returns 0, or -EINVAL for an impossible state. */
int kbd_reset_restore(struct kbd_reset *kbd, const struct Reprise__KbdState *state);

#endif
