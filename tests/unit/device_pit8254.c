/* The interval timer: modes, latches, read-back, the gate of channel 2. */
#include "tests/unit/device_fixture.h"

#include "vmm/devices/pit8254.h"

#define TICK_NS 838.0951

static struct timer_queue *timers;
static struct pit8254 *pit;
static struct wire irq;

static void out(unsigned offset, uint8_t value)
{
	pit8254_window_ops.write(pit, offset, 1, value);
}

static uint8_t in(unsigned offset)
{
	return pit8254_window_ops.read(pit, offset, 1);
}

static uint16_t in16(unsigned offset)
{
	uint8_t low = in(offset);
	return low | in(offset) << 8;
}

static void set_count(unsigned channel, uint8_t control, uint16_t count)
{
	out(3, channel << 6 | control);
	out(channel, count);
	out(channel, count >> 8);
}

static void pass_ticks(double ticks)
{
	timer_queue_advance(timers, timer_queue_now(timers) + (uint64_t)(ticks * TICK_NS + 1));
}

static void port_b(uint8_t value)
{
	pit8254_port_b_ops.write(pit, 0, 1, value);
}

static bool channel_2_out(void)
{
	return pit8254_port_b_ops.read(pit, 0, 1) & 0x20;
}

static void test_periodic(void)
{
	set_count(0, 0x34, 4772); /* mode 2 at 250 Hz */
	tap_ok(irq.level, "rate generator: output is high");
	irq.rises = 0;
	uint64_t start = timer_queue_now(timers);
	timer_queue_advance(timers, start + 1000000000);
	is_equal(irq.rises, 250, "250 interrupts in a second");
	timer_queue_advance(timers, start + UINT64_C(20000000000));
	is_equal(irq.rises, 5000, "and 5000 in twenty: no drift");
	set_count(0, 0x36, 11932);
	irq.rises = 0;
	pass_ticks(11932 * 3 + 10);
	is_equal(irq.rises, 3, "square wave: one edge a period");
	set_count(0, 0x34, 1);
	is_equal(timer_queue_deadline(timers) > timer_queue_now(timers), 1,
		 "a count of 1 does not stop time");
}

static void test_one_shot(void)
{
	set_count(0, 0x30, 1000);
	tap_ok(!irq.level, "terminal count: output is low");
	irq.rises = 0;
	pass_ticks(998);
	tap_ok(!irq.level, "until the end");
	pass_ticks(3);
	tap_ok(irq.level && irq.rises == 1, "then high");
	is_equal(timer_queue_deadline(timers), UINT64_MAX, "and that was all");
	set_count(0, 0x38, 1000);
	tap_ok(irq.level, "software strobe: output is high");
	irq.rises = 0;
	pass_ticks(1002);
	is_equal(irq.rises, 1, "one strobe");
	pass_ticks(100000);
	is_equal(irq.rises, 1, "only one");
	out(3, 0x30);
	tap_ok(!irq.level, "a control word alone stops the channel");
	is_equal(timer_queue_deadline(timers), UINT64_MAX, "for good");
}

static void test_reading(void)
{
	set_count(0, 0x34, 10000);
	pass_ticks(2500);
	uint16_t count = in16(0);
	tap_ok(count <= 7500 && count >= 7490, "the count goes down (%u)", count);
	out(3, 0x00);
	pass_ticks(1000);
	out(3, 0x00);
	uint16_t latched = in16(0);
	tap_ok(latched == count, "a latch holds, a second one is ignored (%u)", latched);
	tap_ok(in16(0) < count - 900, "then the count is live again");

	out(3, 0xe2); /* read back status of channel 0 */
	is_equal(in(0), 0xb4, "status: high, mode 2, two bytes");
	out(3, 0xc2); /* status and count */
	pass_ticks(100);
	is_equal(in(0), 0xb4, "status comes before the count");
	latched = in16(0);
	tap_ok(latched > in16(0), "the latched count is the older");
	out(3, 0x34);
	out(3, 0xe2);
	is_equal(in(0), 0xf4, "null count until one is written");

	set_count(0, 0x35, 0x0100);
	pass_ticks(50.5);
	count = in16(0);
	tap_ok(count >= 0x48 && count <= 0x52, "BCD counts in decimal (%x)", count);
	out(3, 0x14);
	out(0, 200);
	is_equal(in(0), 200, "low byte only");
	set_count(0, 0x30, 10);
	pass_ticks(30);
	count = in16(0);
	tap_ok(count >= 0xffe8, "past terminal count it wraps (%x)", count);
	set_count(0, 0x34, 0);
	pass_ticks(1);
	tap_ok(in16(0) >= 0xfff0, "a count of 0 is 65536");
}

static void test_gate(void)
{
	port_b(0x00);
	set_count(2, 0x30, 1000); /* as Linux's PIT calibration of the TSC */
	pass_ticks(2000);
	tap_ok(!channel_2_out(), "the gate holds channel 2");
	port_b(0x01);
	pass_ticks(600);
	port_b(0x00);
	pass_ticks(1000);
	port_b(0x01);
	pass_ticks(300);
	tap_ok(!channel_2_out(), "900 ticks with open gate");
	pass_ticks(110);
	tap_ok(channel_2_out(), "1010 ticks: terminal count");
	is_equal(pit8254_port_b_ops.read(pit, 0, 1) & 0x0f, 0x01, "port B reads back");
	set_count(2, 0x32, 100);
	pass_ticks(500);
	tap_ok(channel_2_out(), "one-shot waits for its trigger");
	port_b(0x00);
	port_b(0x01);
	tap_ok(!channel_2_out(), "a rising gate triggers");
	pass_ticks(101);
	tap_ok(channel_2_out(), "for the count");
	uint8_t before = pit8254_port_b_ops.read(pit, 0, 1) & 0x10;
	timer_queue_advance(timers, timer_queue_now(timers) + 15085);
	tap_ok(before != (pit8254_port_b_ops.read(pit, 0, 1) & 0x10), "refresh toggles");
}

int main(void)
{
	timer_queue_create(&timers);
	pit8254_create(wire_line(&irq), timers, &pit);
	test_periodic();
	test_one_shot();
	test_reading();
	test_gate();
	pit8254_destroy(pit);
	timer_queue_destroy(timers);
	return tap_done();
}
