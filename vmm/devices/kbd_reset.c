/*
 * Commands are carried out at once. A byte for the keyboard or the mouse gets no answer but a
 * time-out, so that a driver finds neither. A20 is always on.
 */
#include "vmm/devices/kbd_reset.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/devices/devices.pb-c.h"

#define STATUS_OUTPUT   0x01 /* a byte waits at the data port */
#define STATUS_SYSTEM   0x04 /* self-test passed */
#define STATUS_UNLOCKED 0x10
#define STATUS_TIMEOUT  0x40

enum kbd_command {
	COMMAND_READ_BYTE = 0x20,
	COMMAND_WRITE_BYTE = 0x60,
	COMMAND_DISABLE_MOUSE = 0xa7,
	COMMAND_ENABLE_MOUSE = 0xa8,
	COMMAND_TEST_MOUSE = 0xa9,
	COMMAND_SELF_TEST = 0xaa,
	COMMAND_TEST_KEYBOARD = 0xab,
	COMMAND_DISABLE_KEYBOARD = 0xad,
	COMMAND_ENABLE_KEYBOARD = 0xae,
	COMMAND_READ_OUTPUT = 0xd0,
	COMMAND_WRITE_OUTPUT = 0xd1,
	COMMAND_PULSE = 0xf0, /* to 0xff: a clear bit n pulses output n */
};

#define SELF_TEST_PASSED   0x55
#define TEST_NO_KEYBOARD   0x01 /* clock line stuck low */
#define BYTE_KEYBOARD_OFF  0x10
#define BYTE_MOUSE_OFF     0x20
#define OUTPUT_NOT_RESET   0x01
#define OUTPUT_A20         0x02
#define PORT_A_RESET       0x01
#define PORT_A_A20         0x02
#define RESET_CONTROL_KEPT 0x0e
#define RESET_CONTROL_CPU  0x04

struct kbd_reset {
	void (*reset)(void *ctx);
	void *ctx;
	uint8_t command_byte, output_port;
	uint8_t pending_command; /* whose parameter the next data byte is, or 0 */
	bool has_output;
	uint8_t output;
	bool timed_out;
	uint8_t port_a, reset_control;
};

static void answer(struct kbd_reset *kbd, uint8_t byte)
{
	kbd->output = byte;
	kbd->has_output = true;
}

static uint64_t command_read(void *device, uint64_t offset, unsigned size)
{
	const struct kbd_reset *kbd = device;
	return STATUS_SYSTEM | STATUS_UNLOCKED | (kbd->has_output ? STATUS_OUTPUT : 0) |
	       (kbd->timed_out ? STATUS_TIMEOUT : 0);
}

static void command_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct kbd_reset *kbd = device;
	uint8_t command = value;
	kbd->pending_command = 0;
	kbd->timed_out = false;
	switch (command) {
	case COMMAND_READ_BYTE:
		answer(kbd, kbd->command_byte);
		break;
	case COMMAND_SELF_TEST:
		answer(kbd, SELF_TEST_PASSED);
		break;
	case COMMAND_TEST_KEYBOARD:
	case COMMAND_TEST_MOUSE:
		answer(kbd, TEST_NO_KEYBOARD);
		break;
	case COMMAND_DISABLE_KEYBOARD:
		kbd->command_byte |= BYTE_KEYBOARD_OFF;
		break;
	case COMMAND_ENABLE_KEYBOARD:
		kbd->command_byte &= ~BYTE_KEYBOARD_OFF;
		break;
	case COMMAND_DISABLE_MOUSE:
		kbd->command_byte |= BYTE_MOUSE_OFF;
		break;
	case COMMAND_ENABLE_MOUSE:
		kbd->command_byte &= ~BYTE_MOUSE_OFF;
		break;
	case COMMAND_READ_OUTPUT:
		answer(kbd, kbd->output_port | OUTPUT_A20 | OUTPUT_NOT_RESET);
		break;
	case COMMAND_PULSE ... 0xff:
		if (!(command & OUTPUT_NOT_RESET))
			kbd->reset(kbd->ctx);
		break;
	default:
		kbd->pending_command = command; /* with a parameter, or one we do not know */
		break;
	}
}

static uint64_t data_read(void *device, uint64_t offset, unsigned size)
{
	struct kbd_reset *kbd = device;
	kbd->has_output = false;
	kbd->timed_out = false;
	return kbd->output;
}

static void data_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct kbd_reset *kbd = device;
	uint8_t command = kbd->pending_command;
	kbd->pending_command = 0;
	kbd->timed_out = false;
	if (command == COMMAND_WRITE_BYTE) {
		kbd->command_byte = value;
	} else if (command == COMMAND_WRITE_OUTPUT) {
		kbd->output_port = value;
		if (!(value & OUTPUT_NOT_RESET))
			kbd->reset(kbd->ctx);
	} else {
		kbd->timed_out = true;
	}
}

static uint64_t port_a_read(void *device, uint64_t offset, unsigned size)
{
	const struct kbd_reset *kbd = device;
	return kbd->port_a | PORT_A_A20;
}

static void port_a_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct kbd_reset *kbd = device;
	bool rises = value & ~kbd->port_a & PORT_A_RESET;
	kbd->port_a = value & (PORT_A_RESET | PORT_A_A20);
	if (rises)
		kbd->reset(kbd->ctx);
}

static uint64_t reset_control_read(void *device, uint64_t offset, unsigned size)
{
	const struct kbd_reset *kbd = device;
	return kbd->reset_control;
}

/* Soft and hard reset, with or without a power cycle, are the same to this machine. */
static void reset_control_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct kbd_reset *kbd = device;
	bool rises = value & ~kbd->reset_control & RESET_CONTROL_CPU;
	kbd->reset_control = value & RESET_CONTROL_KEPT;
	if (rises)
		kbd->reset(kbd->ctx);
}

const struct window_ops kbd_data_ops = {.read = data_read, .write = data_write};
const struct window_ops kbd_command_ops = {.read = command_read, .write = command_write};
const struct window_ops kbd_port_a_ops = {.read = port_a_read, .write = port_a_write};
const struct window_ops kbd_reset_control_ops = {
	.read = reset_control_read,
	.write = reset_control_write,
};

void kbd_reset_reset(struct kbd_reset *kbd)
{
	*kbd = (struct kbd_reset){
		.reset = kbd->reset,
		.ctx = kbd->ctx,
		.command_byte = BYTE_KEYBOARD_OFF | BYTE_MOUSE_OFF | STATUS_SYSTEM,
		.output_port = OUTPUT_A20 | OUTPUT_NOT_RESET,
	};
}

int kbd_reset_create(void (*reset)(void *ctx), void *ctx, struct kbd_reset **ret_kbd)
{
	struct kbd_reset *kbd = calloc(1, sizeof(*kbd));
	if (!kbd)
		return -ENOMEM;
	kbd->reset = reset;
	kbd->ctx = ctx;
	kbd_reset_reset(kbd);
	*ret_kbd = kbd;
	return 0;
}

void kbd_reset_destroy(struct kbd_reset *kbd)
{
	free(kbd);
}

void kbd_reset_save(const struct kbd_reset *kbd, Reprise__KbdState *ret_state)
{
	reprise__kbd_state__init(ret_state);
	ret_state->command_byte = kbd->command_byte;
	ret_state->output_port = kbd->output_port;
	ret_state->pending_command = kbd->pending_command;
	ret_state->has_output = kbd->has_output;
	ret_state->output = kbd->output;
	ret_state->timed_out = kbd->timed_out;
	ret_state->port_a = kbd->port_a;
	ret_state->reset_control = kbd->reset_control;
}

int kbd_reset_restore(struct kbd_reset *kbd, const Reprise__KbdState *state)
{
	if (state->command_byte > 0xff || state->output_port > 0xff ||
	    state->pending_command > 0xff || state->output > 0xff ||
	    (state->port_a & ~(PORT_A_RESET | PORT_A_A20)) ||
	    (state->reset_control & ~RESET_CONTROL_KEPT))
		return -EINVAL;
	kbd->command_byte = state->command_byte;
	kbd->output_port = state->output_port;
	kbd->pending_command = state->pending_command;
	kbd->has_output = state->has_output;
	kbd->output = state->output;
	kbd->timed_out = state->timed_out;
	kbd->port_a = state->port_a;
	kbd->reset_control = state->reset_control;
	return 0;
}
