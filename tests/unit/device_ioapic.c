/* The I/O APIC: edges, levels and their re-delivery, polarity, masks, destinations. */
#include "tests/unit/device_apic_fixture.h"

static uint32_t in(uint8_t reg)
{
	ioapic_window_ops.write(ioapic, 0, 4, reg);
	return ioapic_window_ops.read(ioapic, 0x10, 4);
}

static void out(uint8_t reg, uint32_t value)
{
	ioapic_window_ops.write(ioapic, 0, 4, reg);
	ioapic_window_ops.write(ioapic, 0x10, 4, value);
}

static void set_entry(unsigned pin, uint32_t high, uint32_t low)
{
	out(0x10 + pin * 2, 0x10000);
	out(0x11 + pin * 2, high);
	out(0x10 + pin * 2, low);
}

static int take(unsigned n)
{
	int vector = lapic_acknowledge(bus.lapic[n]);
	lapic_out(n, 0xb0, 0);
	return vector;
}

static void test_registers(void)
{
	is_equal(in(1), 0x00170011, "24 pins");
	out(0, 0x0f000000);
	is_equal(in(0), 0x0f000000, "id");
	is_equal(in(0x10 + 2 * 23), 0x10000, "masked at first");
	out(0x10, 0xffffffff);
	is_equal(in(0x10), 0x1afff, "status bits are read-only");
	is_equal(in(0x50), 0, "there is nothing else");
}

static void test_edge(void)
{
	set_entry(4, 0, 0x34);
	ioapic_set_pin(ioapic, 4, true);
	is_equal(take(0), 0x34, "a rising edge interrupts");
	ioapic_set_pin(ioapic, 4, true);
	is_equal(take(0), NONE, "a high line does not");
	ioapic_set_pin(ioapic, 4, false);
	ioapic_set_pin(ioapic, 4, true);
	is_equal(take(0), 0x34, "the next edge does");
	ioapic_set_pin(ioapic, 4, false);
	out(0x18, 0x10034);
	ioapic_set_pin(ioapic, 4, true);
	out(0x18, 0x34);
	is_equal(take(0), NONE, "an edge at a masked pin is lost");
	set_entry(5, 0, 0x2035);
	is_equal(take(0), NONE, "changing the polarity is no edge");
	ioapic_set_pin(ioapic, 5, true);
	is_equal(take(0), NONE, "active low: rising is nothing");
	ioapic_set_pin(ioapic, 5, false);
	is_equal(take(0), 0x35, "falling is");
}

static void test_level(void)
{
	set_entry(16, 0, 0x8050);
	ioapic_set_pin(ioapic, 16, true);
	is_equal(in(0x30) & 0x4000, 0x4000, "remote IRR");
	is_equal(lapic_acknowledge(bus.lapic[0]), 0x50, "level");
	ioapic_set_pin(ioapic, 16, false);
	ioapic_set_pin(ioapic, 16, true);
	is_equal(lapic_in(0, 0x220), 0, "not sent again before its end");
	lapic_out(0, 0xb0, 0);
	is_equal(lapic_acknowledge(bus.lapic[0]), 0x50, "sent again at EOI while it is high");
	ioapic_set_pin(ioapic, 16, false);
	lapic_out(0, 0xb0, 0);
	is_equal(in(0x30) & 0x4000, 0, "EOI clears remote IRR");
	is_equal(take(0), NONE, "and nothing more comes");
	out(0x30, 0x18050);
	ioapic_set_pin(ioapic, 16, true);
	is_equal(take(0), NONE, "masked");
	out(0x30, 0x8050);
	is_equal(take(0), 0x50, "a level is not lost");
	is_equal(in(0x30) & 0x4000, 0x4000, "it is still high: pending once more");
	out(0x30, 0x10050);
	is_equal(in(0x30) & 0x4000, 0, "switching to edge clears remote IRR");
	ioapic_set_pin(ioapic, 16, false);
	take(0);
}

static void test_destinations(void)
{
	set_entry(6, 0x02000000, 0x60);
	ioapic_set_pin(ioapic, 6, true);
	is_equal(take(2), 0x60, "physical");
	set_entry(7, 0x06000000, 0x861);
	ioapic_set_pin(ioapic, 7, true);
	tap_ok(take(0) < 0 && take(1) == 0x61 && take(2) == 0x61, "logical, two of three");
	set_entry(8, 0x07000000, 0x962);
	lapic_out(0, 0x80, 0x50);
	lapic_out(2, 0x80, 0x50);
	ioapic_set_pin(ioapic, 8, true);
	is_equal(take(1), 0x62, "lowest priority takes it");
	lapic_out(0, 0x80, 0);
	lapic_out(2, 0x80, 0);
	tap_ok(take(0) < 0 && take(2) < 0, "alone");
	set_entry(9, 0x01000000, 0x400);
	ioapic_set_pin(ioapic, 9, true);
	tap_ok(n_signals == 1 && signals[0].signal == PLATFORM_SIGNAL_NMI && signals[0].vcpu == 1,
	       "NMI");
	lapic_out(1, 0xf0, 0xff);
	set_entry(17, 0x01000000, 0x8063);
	ioapic_set_pin(ioapic, 17, true);
	is_equal(in(0x32) & 0x4000, 0, "not accepted: remote IRR stays clear");
}

int main(void)
{
	apics_create();
	test_registers();
	ioapic_reset(ioapic);
	test_edge();
	test_level();
	test_destinations();
	apics_destroy();
	return tap_done();
}
