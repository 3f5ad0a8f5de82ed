/* The local APIC: priority and nesting, local sources, IPIs, timer, x2APIC, errors. */
#include "tests/unit/device_apic_fixture.h"

#include <errno.h>

#include "vmm/devices/devices.pb-c.h"

#define EOI    0xb0
#define ICR    0x300
#define ICR2   0x310
#define LVT_T  0x320
#define LINT0  0x350
#define T_INIT 0x380
#define T_CUR  0x390
#define T_DIV  0x3e0

static void test_power_on(void)
{
	lapic_reset(bus.lapic[0]);
	lapic_reset(bus.lapic[1]);
	is_equal(lapic_in(0, 0x30), 0x00050014, "version 0x14, six LVT entries");
	is_equal(lapic_in(1, 0x20), 0x01000000, "id is the vCPU's number");
	is_equal(lapic_in(0, LINT0), 0x700, "virtual wire: LINT0 is ExtINT");
	is_equal(lapic_in(0, 0x360), 0x400, "LINT1 is NMI");
	tap_ok(lapic_takes_extint(bus.lapic[0]), "the first processor takes the 8259's interrupts");
	tap_ok(!lapic_takes_extint(bus.lapic[1]), "the second does not");
	is_equal(lapic_in(1, 0xf0), 0xff, "it is disabled by software");
	lapic_out(1, LINT0, 0x700);
	is_equal(lapic_in(1, LINT0), 0x10700, "so its LVT stays masked");
	lapic_write_msr(bus.lapic[0], 0x1b, 0xfee00100, 0);
	is_equal(lapic_in(0, 0x30), 0xffffffff, "disabled by its MSR the page is gone");
	tap_ok(lapic_takes_extint(bus.lapic[0]), "and LINT0 is INTR");
	apics_reset();
}

static void test_priority(void)
{
	struct lapic *lapic = bus.lapic[0];
	lapic_accept(lapic, 0x31, false);
	lapic_accept(lapic, 0x45, false);
	lapic_accept(lapic, 0x4f, false);
	is_equal(lapic_pending(lapic), 0x4f, "the highest vector first");
	is_equal(lapic_in(0, 0x220), 0x8020, "IRR shows two of them");
	is_equal(lapic_acknowledge(lapic), 0x4f, "acknowledged");
	is_equal(lapic_in(0, 0x120), 0x8000, "in service");
	is_equal(lapic_pending(lapic), NONE, "the same class does not nest");
	lapic_accept(lapic, 0x50, false);
	is_equal(lapic_acknowledge(lapic), 0x50, "a higher class nests");
	is_equal(lapic_in(0, 0xa0), 0x50, "PPR is the class in service");
	lapic_out(0, EOI, 0);
	is_equal(lapic_in(0, 0xa0), 0x40, "EOI ends the highest");
	lapic_out(0, EOI, 0);
	is_equal(lapic_acknowledge(lapic), 0x45, "then the next");
	lapic_out(0, EOI, 0);
	lapic_out(0, EOI, 0);
	lapic_out(0, 0x80, 0x35);
	is_equal(lapic_pending(lapic), NONE, "task priority holds off its class");
	is_equal(lapic_in(0, 0xa0), 0x35, "PPR is TPR");
	is_equal(lapic_read_cr8(lapic), 3, "CR8 is TPR's class");
	lapic_write_cr8(lapic, 2);
	is_equal(lapic_in(0, 0x80), 0x20, "and sets it");
	is_equal(lapic_acknowledge(lapic), 0x31, "a lower priority lets it in");
	lapic_accept(lapic, 0x31, false);
	lapic_accept(lapic, 0x31, false);
	lapic_out(0, EOI, 0);
	is_equal(lapic_acknowledge(lapic), 0x31, "one more is kept while it is in service");
	lapic_out(0, EOI, 0);
	is_equal(lapic_pending(lapic), NONE, "but only one");
	apics_reset();
}

static void test_timer(void)
{
	uint64_t start = timer_queue_now(timers);
	lapic_out(0, T_DIV, 0x3); /* by 16: 640 ns */
	lapic_out(0, LVT_T, 0x20040);
	lapic_out(0, T_INIT, 1000);
	timer_queue_advance(timers, start + 64000);
	is_equal(lapic_in(0, T_CUR), 900, "the count goes down at 25 MHz / 16");
	is_equal(timer_queue_deadline(timers), start + 640000, "deadline of the period");
	timer_queue_advance(timers, start + 640000);
	is_equal(lapic_acknowledge(bus.lapic[0]), 0x40, "periodic: fires");
	is_equal(timer_queue_deadline(timers), start + 1280000, "and starts again without drift");
	lapic_out(0, EOI, 0);
	timer_queue_advance(timers, start + 64000000);
	is_equal(lapic_acknowledge(bus.lapic[0]), 0x40, "many periods missed make one interrupt");
	lapic_out(0, EOI, 0);
	is_equal(lapic_pending(bus.lapic[0]), NONE, "not more");
	lapic_out(0, LVT_T, 0x30040);
	is_equal(timer_queue_deadline(timers), UINT64_MAX, "masked: nothing is armed");
	timer_queue_advance(timers, start + 64320000);
	is_equal(lapic_in(0, T_CUR), 500, "but it counts on");
	lapic_out(0, LVT_T, 0x20040);
	is_equal(timer_queue_deadline(timers), start + 64640000, "unmasked it keeps its phase");

	lapic_out(0, LVT_T, 0x41);
	lapic_out(0, T_DIV, 0xb); /* by 1: 40 ns */
	lapic_out(0, T_INIT, 100);
	start = timer_queue_now(timers);
	timer_queue_advance(timers, start + 2000);
	lapic_out(0, T_DIV, 0x0); /* by 2, half way */
	is_equal(lapic_in(0, T_CUR), 50, "a new divider keeps the count");
	is_equal(timer_queue_deadline(timers), start + 6000, "and changes its pace");
	timer_queue_advance(timers, start + 9000);
	is_equal(lapic_acknowledge(bus.lapic[0]), 0x41, "one-shot: fires");
	lapic_out(0, EOI, 0);
	is_equal(lapic_in(0, T_CUR), 0, "ends at 0");
	is_equal(timer_queue_deadline(timers), UINT64_MAX, "only once");
	lapic_out(0, T_INIT, 100);
	lapic_out(0, T_INIT, 0);
	is_equal(timer_queue_deadline(timers), UINT64_MAX, "an initial count of 0 stops it");
	apics_reset();
}

static void test_tsc_deadline(void)
{
	struct lapic *lapic = bus.lapic[0];
	uint64_t now = timer_queue_now(timers), offset = 5000;
	lapic_write_msr(lapic, 0x6e0, now + 99999, offset);
	is_equal(lapic_read_msr(lapic, 0x6e0), 0, "ignored in another mode");
	lapic_out(0, LVT_T, 0x40042);
	lapic_write_msr(lapic, 0x6e0, now + offset + 1000, offset);
	is_equal(timer_queue_deadline(timers), now + 1000, "the TSC's offset is taken off");
	is_equal(lapic_read_msr(lapic, 0x6e0), now + offset + 1000, "the MSR reads back");
	lapic_out(0, T_INIT, 10);
	is_equal(lapic_in(0, T_CUR), 0, "the count does nothing in this mode");
	timer_queue_advance(timers, now + 1000);
	is_equal(lapic_acknowledge(lapic), 0x42, "fires");
	lapic_out(0, EOI, 0);
	is_equal(lapic_read_msr(lapic, 0x6e0), 0, "and is disarmed");
	lapic_write_msr(lapic, 0x6e0, 1, offset);
	is_equal(lapic_acknowledge(lapic), 0x42, "a time in the past fires at once");
	lapic_out(0, EOI, 0);
	lapic_write_msr(lapic, 0x6e0, UINT64_MAX, offset);
	is_equal(timer_queue_deadline(timers) > now + (UINT64_C(1) << 62), 1, "a far one waits");
	lapic_write_msr(lapic, 0x6e0, 0, offset);
	is_equal(timer_queue_deadline(timers), UINT64_MAX, "0 disarms");
	lapic_write_msr(lapic, 0x6e0, now + 1000000, offset);
	lapic_out(0, LVT_T, 0x42);
	is_equal(timer_queue_deadline(timers), UINT64_MAX, "leaving the mode disarms");
	apics_reset();
}

static void expect_ipi(const char *what, unsigned targets, uint8_t vector)
{
	unsigned got = 0;
	for (unsigned i = 0; i < N_LAPICS; i++)
		if (lapic_acknowledge(bus.lapic[i]) == vector) {
			got |= 1u << i;
			lapic_out(i, EOI, 0);
		}
	is_equal(got, targets, what);
}

static void test_ipis(void)
{
	static const struct {
		uint32_t high, low;
		unsigned targets;
		const char *what;
	} rows[] = {
		{0x02000000, 0x04060, 1u << 2, "physical destination"},
		{0xff000000, 0x04060, 7, "physical broadcast"},
		{0x03000000, 0x04860, 3, "logical, flat"},
		{0x08000000, 0x04860, 0, "logical, nobody"},
		{0x00000000, 0x44060, 2, "to self"},
		{0x00000000, 0x84060, 7, "to all"},
		{0x00000000, 0xc4060, 5, "to all others"},
		{0x07000000, 0x04960, 2, "lowest priority"},
	};
	lapic_out(0, 0x80, 0x40);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		lapic_out(1, ICR2, rows[i].high);
		lapic_out(1, ICR, rows[i].low);
		lapic_out(2, 0x80, 0x30);
		expect_ipi(rows[i].what, rows[i].targets, 0x60);
	}
	lapic_out(0, 0xe0, 0x0fffffff); /* cluster model */
	lapic_out(0, 0xd0, 0x21000000);
	lapic_out(1, ICR2, 0x21000000);
	lapic_out(1, ICR, 0x4860);
	expect_ipi("logical, cluster", 1, 0x60);
	apics_reset();
}

static void test_start_up(void)
{
	lapic_accept(bus.lapic[1], 0x99, false);
	lapic_out(0, ICR2, 0x01000000);
	lapic_out(0, ICR, 0xc500); /* INIT, level, assert */
	lapic_out(0, ICR, 0x8500); /* de-assert */
	lapic_out(0, ICR, 0x4609);
	lapic_out(0, ICR, 0x4400);
	is_equal(n_signals, 3, "INIT, SIPI and NMI; de-assert is nothing");
	is_equal(signals[0].signal, PLATFORM_SIGNAL_INIT, "INIT");
	tap_ok(signals[1].signal == PLATFORM_SIGNAL_SIPI && signals[1].vcpu == 1 &&
		       signals[1].vector == 9,
	       "SIPI with its page");
	is_equal(signals[2].signal, PLATFORM_SIGNAL_NMI, "NMI");
	is_equal(lapic_in(1, 0xf0), 0xff, "INIT resets the APIC");
	is_equal(lapic_in(1, 0x240), 0, "with what it had pending");
	apics_reset();
}

static void test_local_sources(void)
{
	struct lapic *lapic = bus.lapic[0];
	lapic_out(0, LINT0, 0x55);
	lapic_set_lint(lapic, 0, true);
	lapic_set_lint(lapic, 0, true);
	is_equal(lapic_acknowledge(lapic), 0x55, "LINT0 fixed, edge");
	lapic_out(0, EOI, 0);
	is_equal(lapic_pending(lapic), NONE, "one edge, one interrupt");
	lapic_set_lint(lapic, 0, false);
	lapic_out(0, LINT0, 0x8055);
	lapic_set_lint(lapic, 0, true);
	is_equal(lapic_acknowledge(lapic), 0x55, "LINT0 level");
	is_equal(lapic_in(0, LINT0) & 0x4000, 0x4000, "remote IRR is set");
	is_equal(lapic_in(0, 0x1a0), 1u << 0x15, "TMR says level");
	lapic_out(0, EOI, 0);
	is_equal(lapic_acknowledge(lapic), 0x55, "a level that stays comes again");
	lapic_set_lint(lapic, 0, false);
	lapic_out(0, EOI, 0);
	is_equal(lapic_pending(lapic), NONE, "until it falls");
	lapic_out(0, 0x360, 0x400);
	lapic_set_lint(lapic, 1, true);
	is_equal(n_signals, 1, "LINT1 as NMI");
	lapic_out(0, 0xf0, 0xff);
	is_equal(lapic_in(0, 0x360), 0x10400, "disabling by software masks the LVT");
	tap_ok(!lapic_accept(lapic, 0x60, false), "and takes no interrupts");
	lapic_set_lint(lapic, 1, false);
	apics_reset();
}

static void test_errors(void)
{
	lapic_out(0, 0x370, 0xfe);
	lapic_out(0, ICR, 0x4005);
	is_equal(lapic_acknowledge(bus.lapic[0]), 0xfe, "error interrupt");
	is_equal(lapic_in(0, 0x280), 0, "ESR shows nothing before it is written");
	lapic_out(0, 0x280, 0);
	is_equal(lapic_in(0, 0x280), 0x20, "illegal vector sent");
	lapic_in(0, 0x400);
	lapic_accept(bus.lapic[0], 3, false);
	lapic_out(0, 0x280, 0);
	is_equal(lapic_in(0, 0x280), 0xc0, "illegal register, illegal vector received");
	lapic_out(0, 0x280, 0);
	is_equal(lapic_in(0, 0x280), 0, "cleared by writing");
	apics_reset();
}

static void test_x2apic(void)
{
	struct lapic *lapic = bus.lapic[0];
	is_equal(lapic_read_msr(lapic, 0x802), 0, "no x2APIC registers before it is on");
	lapic_write_msr(bus.lapic[2], 0x1b, 0xfee00c00, 0);
	is_equal(lapic_read_msr(bus.lapic[2], 0x802), 2, "32-bit id");
	is_equal(lapic_read_msr(bus.lapic[2], 0x80d), 4, "logical id from it");
	is_equal(lapic_in(2, 0x30), 0xffffffff, "the page is gone");
	lapic_write_msr(lapic, 0x1b, 0xfee00d00, 0);
	lapic_write_msr(lapic, 0x830, UINT64_C(0x200004061), 0);
	is_equal(lapic_acknowledge(bus.lapic[2]), 0x61, "64-bit ICR");
	is_equal(lapic_read_msr(lapic, 0x830), UINT64_C(0x200004061), "reads back");
	lapic_write_msr(bus.lapic[2], 0x80b, 0, 0);
	lapic_write_msr(lapic, 0x830, UINT64_C(0x400004862), 0);
	is_equal(lapic_acknowledge(bus.lapic[2]), 0x62, "logical destination");
	lapic_write_msr(lapic, 0x83f, 0x63, 0);
	is_equal(lapic_acknowledge(lapic), 0x63, "self IPI");
	lapic_write_msr(lapic, 0x80b, 0, 0);
	lapic_write_msr(lapic, 0x830, UINT64_C(0xffffffff00004064), 0);
	is_equal(lapic_pending(bus.lapic[1]), 0x64, "broadcast reaches xAPICs too");
	lapic_write_msr(lapic, 0x808, 0x30, 0);
	is_equal(lapic_read_cr8(lapic), 3, "TPR as MSR");
	apics_reset();
}

static void test_save(void)
{
	Reprise__LapicState state;
	lapic_out(0, T_DIV, 0x3);
	lapic_out(0, LVT_T, 0x20040);
	lapic_out(0, T_INIT, 1000);
	lapic_accept(bus.lapic[0], 0x77, true);
	uint64_t deadline = timer_queue_deadline(timers);
	lapic_save(bus.lapic[0], &state);
	size_t n = reprise__lapic_state__get_packed_size(&state);
	uint8_t *bytes = malloc(n);
	reprise__lapic_state__pack(&state, bytes);
	Reprise__LapicState *copy = reprise__lapic_state__unpack(NULL, n, bytes);
	lapic_reset(bus.lapic[0]);
	is_equal(lapic_restore(bus.lapic[0], copy), 0, "restored");
	is_equal(lapic_pending(bus.lapic[0]), 0x77, "with its requests");
	is_equal(timer_queue_deadline(timers), deadline, "and its timer");
	copy->lvt[0] |= 0x1000;
	is_equal(lapic_restore(bus.lapic[0], copy), (uint64_t)-EINVAL, "impossible LVT refused");
	copy->lvt[0] &= ~0x1000u;
	copy->request[0] |= 1;
	is_equal(lapic_restore(bus.lapic[0], copy), (uint64_t)-EINVAL, "vector 0 refused");
	reprise__lapic_state__free_unpacked(copy, NULL);
	free(bytes);
	apics_reset();
}

int main(void)
{
	apics_create();
	test_power_on();
	test_priority();
	test_timer();
	test_tsc_deadline();
	test_ipis();
	test_start_up();
	test_local_sources();
	test_errors();
	test_x2apic();
	test_save();
	apics_destroy();
	return tap_done();
}
