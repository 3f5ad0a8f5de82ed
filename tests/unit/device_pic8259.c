/* The 8259 pair: priorities, nesting, cascading, edges and levels, spurious interrupts, polling. */
#include "tests/unit/device_fixture.h"

#include "vmm/devices/pic8259.h"

static struct pic8259 *pic;
static struct wire intr;

static void master(unsigned offset, uint8_t value)
{
	pic8259_master_ops.write(pic, offset, 1, value);
}

static void slave(unsigned offset, uint8_t value)
{
	pic8259_slave_ops.write(pic, offset, 1, value);
}

static uint8_t master_in(unsigned offset)
{
	return pic8259_master_ops.read(pic, offset, 1);
}

static uint8_t slave_in(unsigned offset)
{
	return pic8259_slave_ops.read(pic, offset, 1);
}

/* As Linux's init_8259A(); icw4 of the master. */
static void set_up(uint8_t icw4)
{
	for (unsigned pin = 0; pin < PIC8259_PINS; pin++)
		pic8259_set_pin(pic, pin, false);
	pic8259_reset(pic);
	master(0, 0x11);
	master(1, 0x30);
	master(1, 0x04);
	master(1, icw4);
	slave(0, 0x11);
	slave(1, 0x38);
	slave(1, 0x02);
	slave(1, icw4);
	master(1, 0x00);
	slave(1, 0x00);
}

static void test_priorities(void)
{
	set_up(0x01);
	is_equal(pic8259_pending(pic), (uint64_t)-1, "nothing pending");
	pic8259_set_pin(pic, 4, true);
	pic8259_set_pin(pic, 1, true);
	tap_ok(intr.level, "INTR is raised");
	is_equal(pic8259_pending(pic), 0x31, "the lower number is more important");
	is_equal(pic8259_acknowledge(pic), 0x31, "acknowledge gives its vector");
	is_equal(pic8259_pending(pic), (uint64_t)-1,
		 "one in service holds off less important ones");
	pic8259_set_pin(pic, 0, true);
	is_equal(pic8259_acknowledge(pic), 0x30, "a more important one nests");
	master(0, 0x0b);
	is_equal(master_in(0), 0x03, "both are in service");
	master(0, 0x20);
	is_equal(master_in(0), 0x02, "EOI ends the most important");
	master(0, 0x61);
	is_equal(master_in(0), 0x00, "specific EOI");
	is_equal(pic8259_acknowledge(pic), 0x34, "then the held-off one comes");
	master(0, 0x0a);
	is_equal(master_in(0), 0x00, "IRR is empty: edges are used up");
	master(1, 0xff);
	pic8259_set_pin(pic, 5, true);
	tap_ok(!intr.level, "a masked pin does not interrupt");
	is_equal(master_in(1), 0xff, "the mask reads back");
	master(1, 0x00);
	is_equal(pic8259_pending(pic), (uint64_t)-1, "4 is still in service");
}

static void test_cascade(void)
{
	set_up(0x01);
	pic8259_set_pin(pic, 8, true);
	is_equal(pic8259_pending(pic), 0x38, "slave's pin 0");
	is_equal(pic8259_acknowledge(pic), 0x38, "is acknowledged through the master");
	master(0, 0x0b);
	is_equal(master_in(0), 0x04, "cascade in service");
	slave(0, 0x0b);
	is_equal(slave_in(0), 0x01, "slave in service");
	pic8259_set_pin(pic, 14, true);
	slave(0, 0x60);
	is_equal(pic8259_pending(pic), (uint64_t)-1, "the master's cascade still holds off");
	master(0, 0x62);
	is_equal(pic8259_acknowledge(pic), 0x3e, "then the next comes through");
	slave(0, 0x20);
	master(0, 0x20);
	set_up(0x11);
	pic8259_set_pin(pic, 14, true);
	pic8259_acknowledge(pic);
	pic8259_set_pin(pic, 8, true);
	is_equal(pic8259_pending(pic), 0x38, "special fully nested: the slave nests");
}

static void test_triggering(void)
{
	set_up(0x01);
	pic8259_set_pin(pic, 3, true);
	pic8259_set_pin(pic, 3, false);
	tap_ok(!intr.level, "a line that fell requests nothing");
	is_equal(pic8259_acknowledge(pic), 0x37, "late acknowledge: spurious interrupt 7");
	master(0, 0x0b);
	is_equal(master_in(0), 0, "with nothing in service");

	pic8259_elcr_ops.write(pic, 0, 1, 0xff);
	pic8259_elcr_ops.write(pic, 1, 1, 0xff);
	is_equal(pic8259_elcr_ops.read(pic, 0, 1), 0xf8, "some pins are always edge-triggered");
	is_equal(pic8259_elcr_ops.read(pic, 1, 1), 0xde, "on the slave too");
	pic8259_set_pin(pic, 5, true);
	is_equal(pic8259_acknowledge(pic), 0x35, "level");
	master(0, 0x20);
	is_equal(pic8259_pending(pic), 0x35, "a level that stays requests again");
	pic8259_set_pin(pic, 5, false);
	is_equal(pic8259_pending(pic), (uint64_t)-1, "until it falls");
	pic8259_set_pin(pic, 10, true);
	is_equal(pic8259_pending(pic), 0x3a, "level on the slave");
	slave(1, 0x04);
	is_equal(pic8259_pending(pic), (uint64_t)-1, "masked on the slave");
	set_up(0x01);
	pic8259_set_pin(pic, 6, true);
	master(0, 0x11);
	master(1, 0x30);
	master(1, 0x04);
	master(1, 0x01);
	is_equal(pic8259_pending(pic), (uint64_t)-1, "initialisation forgets edges");
}

static void test_modes(void)
{
	set_up(0x03);
	pic8259_set_pin(pic, 1, true);
	pic8259_acknowledge(pic);
	master(0, 0x0b);
	is_equal(master_in(0), 0, "automatic EOI leaves nothing in service");

	set_up(0x01);
	pic8259_set_pin(pic, 2 + 1, true);
	pic8259_acknowledge(pic);
	master(0, 0x68);
	master(1, 0x08);
	pic8259_set_pin(pic, 6, true);
	is_equal(pic8259_pending(pic), 0x36, "special mask mode lets less important ones in");

	set_up(0x01);
	master(0, 0xc3); /* pin 3 is the least important: 4 comes first */
	pic8259_set_pin(pic, 0, true);
	pic8259_set_pin(pic, 4, true);
	is_equal(pic8259_acknowledge(pic), 0x34, "set priority");
	master(0, 0xa0);
	is_equal(pic8259_acknowledge(pic), 0x30, "then the other");
	master(0, 0x20);
	pic8259_set_pin(pic, 4, false);
	pic8259_set_pin(pic, 0, false);
	pic8259_set_pin(pic, 4, true);
	pic8259_set_pin(pic, 5, true);
	is_equal(pic8259_acknowledge(pic), 0x35, "rotation on EOI made 4 the least important");

	set_up(0x01);
	master(0, 0x0c);
	is_equal(master_in(0), 0x00, "poll: nothing");
	pic8259_set_pin(pic, 6, true);
	master(0, 0x0c);
	is_equal(master_in(0), 0x86, "poll: pin 6");
	tap_ok(!intr.level, "polling acknowledges");
	is_equal(master_in(1), 0x00, "the next read is ordinary again");
}

int main(void)
{
	pic8259_create(wire_line(&intr), &pic);
	test_priorities();
	test_cascade();
	test_triggering();
	test_modes();
	pic8259_destroy(pic);
	return tap_done();
}
