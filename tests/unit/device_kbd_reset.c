/* The keyboard controller that finds no keyboard, and the three ways to reset. */
#include "tests/unit/device_fixture.h"

#include "vmm/devices/kbd_reset.h"

static struct kbd_reset *kbd;
static unsigned resets;

static void reset(void *ctx)
{
	resets++;
}

static void command(uint8_t value)
{
	kbd_command_ops.write(kbd, 0, 1, value);
}

static uint8_t status(void)
{
	return kbd_command_ops.read(kbd, 0, 1);
}

static void data(uint8_t value)
{
	kbd_data_ops.write(kbd, 0, 1, value);
}

static uint8_t data_in(void)
{
	return kbd_data_ops.read(kbd, 0, 1);
}

static void test_commands(void)
{
	static const struct {
		uint8_t command, answer;
		const char *what;
	} rows[] = {
		{0xaa, 0x55, "self-test passes"},
		{0xab, 0x01, "there is no keyboard"},
		{0xa9, 0x01, "there is no mouse"},
		{0xd0, 0x03, "output port: A20 on, not in reset"},
	};
	is_equal(status() & 0x23, 0, "idle: nothing waits, commands are taken");
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		command(rows[i].command);
		is_equal(status() & 1, 1, "an answer waits");
		is_equal(data_in(), rows[i].answer, rows[i].what);
		is_equal(status() & 1, 0, "taken");
	}
	command(0x60);
	data(0x45);
	command(0x20);
	is_equal(data_in(), 0x45, "command byte");
	data(0xff);
	is_equal(status() & 0x41, 0x40, "a byte for the keyboard times out");
}

static void test_resets(void)
{
	command(0xff);
	is_equal(resets, 0, "pulsing no line is nothing");
	command(0xfe);
	is_equal(resets, 1, "command 0xfe resets");
	command(0xd1);
	data(0xdf);
	is_equal(resets, 1, "A20 through the output port does not");
	command(0xd1);
	data(0xde);
	is_equal(resets, 2, "clearing output bit 0 does");
	is_equal(kbd_port_a_ops.read(kbd, 0, 1), 0x02, "port 0x92: A20 is on");
	kbd_port_a_ops.write(kbd, 0, 1, 0x02);
	is_equal(resets, 2, "writing it back is harmless");
	kbd_port_a_ops.write(kbd, 0, 1, 0x03);
	is_equal(resets, 3, "port 0x92 bit 0");
	kbd_reset_control_ops.write(kbd, 0, 1, 0x02);
	is_equal(resets, 3, "port 0xcf9: the kind of reset");
	kbd_reset_control_ops.write(kbd, 0, 1, 0x06);
	is_equal(resets, 4, "then the reset");
}

int main(void)
{
	kbd_reset_create(reset, NULL, &kbd);
	test_commands();
	test_resets();
	kbd_reset_destroy(kbd);
	return tap_done();
}
