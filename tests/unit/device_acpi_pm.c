/* ACPI fixed hardware: the timer, status and enable, power-off. */
#include "tests/unit/device_fixture.h"

#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/acpi_tables.h"

static struct timer_queue *timers;
static struct acpi_pm *pm;
static struct wire sci;
static unsigned power_offs;

static void power_off(void *ctx)
{
	power_offs++;
}

static uint64_t in(unsigned offset, unsigned size)
{
	return acpi_pm_window_ops.read(pm, offset, size);
}

static void out(unsigned offset, unsigned size, uint32_t value)
{
	acpi_pm_window_ops.write(pm, offset, size, value);
}

static void test_timer(void)
{
	const uint64_t half_ns = UINT64_C(599932015941); /* 2^31 / 3579545 Hz */
	is_equal(in(ACPI_PM_TIMER_OFFSET, 4), 0, "the timer starts at 0");
	timer_queue_advance(timers, 1000000000);
	is_equal(in(ACPI_PM_TIMER_OFFSET, 4), 3579545, "and counts at 3.579545 MHz");
	is_equal(in(ACPI_PM_TIMER_OFFSET + 1, 1), 3579545 >> 8 & 0xff, "byte by byte too");
	out(ACPI_PM_TIMER_OFFSET, 4, 0);
	is_equal(in(ACPI_PM_TIMER_OFFSET, 4), 3579545, "it is read-only");
	timer_queue_advance(timers, half_ns + 1000);
	is_equal(in(ACPI_PM1_EVENT_OFFSET, 2), 1, "TMR_STS when its highest bit changes");
	tap_ok(!sci.level, "no interrupt unless enabled");
	out(ACPI_PM1_EVENT_OFFSET, 2, 1);
	is_equal(in(ACPI_PM1_EVENT_OFFSET, 2), 0, "written ones clear");
	out(ACPI_PM1_EVENT_OFFSET + 2, 2, 1);
	is_equal(in(ACPI_PM1_EVENT_OFFSET, 4), 0x10000, "status and enable as one");
	timer_queue_advance(timers, 2 * half_ns + 1000);
	tap_ok(sci.level, "enabled it interrupts by itself");
	is_equal(in(ACPI_PM_TIMER_OFFSET, 4) < 10000, 1, "the timer has wrapped at 32 bits");
	out(ACPI_PM1_EVENT_OFFSET, 2, 1);
	tap_ok(!sci.level, "until cleared");
}

static void test_control(void)
{
	is_equal(in(ACPI_PM1_CONTROL_OFFSET, 2) & 1, 1, "always in ACPI mode");
	out(ACPI_PM1_CONTROL_OFFSET, 2, ACPI_SLP_TYP_S5 << 10);
	is_equal(power_offs, 0, "the sleep type alone does nothing");
	out(ACPI_PM1_CONTROL_OFFSET, 2, 1 << 13 | 1 << 10);
	is_equal(power_offs, 0, "nor another sleep type");
	out(ACPI_PM1_CONTROL_OFFSET, 2, 1 << 13 | ACPI_SLP_TYP_S5 << 10);
	is_equal(power_offs, 1, "S5 with SLP_EN powers off");
	is_equal(in(ACPI_PM1_CONTROL_OFFSET, 2) >> 13, 0, "SLP_EN reads 0");
	out(ACPI_PM1_CONTROL_OFFSET + 1, 1, 1 << 5 | ACPI_SLP_TYP_S5 << 2);
	is_equal(power_offs, 2, "also by the high byte alone");
}

int main(void)
{
	timer_queue_create(&timers);
	acpi_pm_create(wire_line(&sci), timers, power_off, NULL, &pm);
	test_timer();
	test_control();
	acpi_pm_destroy(pm);
	timer_queue_destroy(timers);
	return tap_done();
}
