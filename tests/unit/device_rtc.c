/* The clock: formats, setting, alarm, periodic and update interrupts, update in progress. */
#include "tests/unit/device_fixture.h"

#include "vmm/devices/rtc.h"
#include "vmm/devices/rtc_time.h"

#define SECOND UINT64_C(1000000000)

/* 2024-02-28 23:59:58 UTC, a Wednesday. */
#define EPOCH UINT64_C(1709164798)

static struct timer_queue *timers;
static struct rtc *rtc;
static struct wire irq;

static uint8_t in(uint8_t index)
{
	rtc_window_ops.write(rtc, 0, 1, index);
	return rtc_window_ops.read(rtc, 1, 1);
}

static void out(uint8_t index, uint8_t value)
{
	rtc_window_ops.write(rtc, 0, 1, index);
	rtc_window_ops.write(rtc, 1, 1, value);
}

static void pass(uint64_t ns)
{
	timer_queue_advance(timers, timer_queue_now(timers) + ns);
}

static void test_formats(void)
{
	static const struct {
		int64_t time_s;
		uint8_t format;
		uint8_t century, year, month, day, weekday, hours, minutes, seconds;
		const char *what;
	} rows[] = {
		{0, 2, 0x19, 0x70, 0x01, 0x01, 5, 0x00, 0x00, 0x00, "1970 in BCD"},
		{951782400, 2, 0x20, 0x00, 0x02, 0x29, 3, 0x00, 0x00, 0x00, "leap day of 2000"},
		{EPOCH, 6, 20, 24, 2, 28, 4, 23, 59, 58, "binary"},
		{EPOCH, 0, 0x20, 0x24, 0x02, 0x28, 4, 0x91, 0x59, 0x58, "12 hours: 11 p.m."},
		{EPOCH + 2, 0, 0x20, 0x24, 0x02, 0x29, 5, 0x12, 0x00, 0x00, "12 hours: midnight"},
		{EPOCH + 43202, 4, 20, 24, 2, 29, 5, 0x8c, 0, 0, "12 hours, binary: noon"},
		{4102444799, 2, 0x20, 0x99, 0x12, 0x31, 5, 0x23, 0x59, 0x59, "end of 2099"},
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint8_t ram[128] = {0};
		rtc_time_encode(rows[i].time_s, rows[i].format, ram);
		tap_ok(ram[RTC_CENTURY] == rows[i].century && ram[RTC_YEAR] == rows[i].year &&
			       ram[RTC_MONTH] == rows[i].month && ram[RTC_DAY] == rows[i].day &&
			       ram[RTC_WEEKDAY] == rows[i].weekday &&
			       ram[RTC_HOURS] == rows[i].hours &&
			       ram[RTC_MINUTES] == rows[i].minutes &&
			       ram[RTC_SECONDS] == rows[i].seconds,
		       "%s", rows[i].what);
		is_equal(rtc_time_decode(ram, rows[i].format), rows[i].time_s, "and back");
	}
}

static void test_running(void)
{
	is_equal(in(0x04), 0x23, "starts at the epoch");
	is_equal(in(0x0d), 0x80, "memory is valid");
	pass(2 * SECOND);
	is_equal(in(0x00), 0x00, "two seconds later");
	is_equal(in(0x07), 0x29, "it is the leap day");
	pass(SECOND - 1000000);
	is_equal(in(0x0a) & 0x80, 0x80, "update in progress before the second ends");
	pass(1000001);
	is_equal(in(0x0a) & 0x80, 0, "not after it");
	is_equal(in(0x0c), 0x70, "flags show without interrupts; the alarm is at midnight");
	is_equal(in(0x0c), 0x00, "and are cleared by reading");
	tap_ok(!irq.rises, "no interrupt was enabled");
	out(0x40, 0x5a);
	is_equal(in(0x40), 0x5a, "memory");
	is_equal(in(0x15) | in(0x16) << 8, 640, "base memory size");
	is_equal(in(0x34) | in(0x35) << 8, 0x700, "memory above 16 MiB: 112 MiB");
}

static void test_setting(void)
{
	out(0x0b, 0x82); /* as Linux: SET, then divider reset */
	uint8_t a = in(0x0a);
	out(0x0a, a | 0x70);
	out(0x00, 0x30);
	out(0x02, 0x45);
	out(0x04, 0x12);
	out(0x07, 0x31);
	out(0x08, 0x12);
	out(0x09, 0x30);
	pass(5 * SECOND);
	is_equal(in(0x00), 0x30, "time stands while it is set");
	is_equal(in(0x0a) & 0x80, 0, "no update in progress");
	out(0x0b, 0x02);
	out(0x0a, a);
	pass(SECOND / 2 - 1000);
	is_equal(in(0x00), 0x30, "the first update comes half a second after the start");
	pass(2000);
	is_equal(in(0x00), 0x31, "then it runs");
	is_equal(in(0x09), 0x30, "in the year 2030");
	is_equal(in(0x32), 0x20, "of the same century");
	out(0x0b, 0x00);
	is_equal(in(0x04), 0x92, "12 hours: p.m.");
	out(0x0b, 0x06);
	is_equal(in(0x02), 45, "binary");
	out(0x0b, 0x02);
}

static void test_interrupts(void)
{
	in(0x0c);
	irq.rises = 0;
	out(0x0b, 0x12);
	pass(SECOND);
	is_equal(irq.rises, 1, "update-ended interrupt");
	pass(3 * SECOND);
	is_equal(irq.rises, 1, "the line stays up until it is read");
	is_equal(in(0x0c) & 0x90, 0x90, "register C tells why");
	tap_ok(!irq.level, "and lets the line fall");
	pass(SECOND);
	is_equal(irq.rises, 2, "the next second interrupts again");

	out(0x0b, 0x02);
	in(0x0c);
	out(0x0a, 0x2f); /* 2 Hz */
	irq.rises = 0;
	out(0x0b, 0x42);
	for (unsigned i = 0; i < 40; i++) {
		pass(SECOND / 4);
		in(0x0c);
	}
	is_equal(irq.rises, 20, "periodic interrupt at 2 Hz");
	out(0x0b, 0x02);
	out(0x0a, 0x26);
	in(0x0c);

	out(0x01, 0x00);
	out(0x03, 0x00);
	out(0x05, 0xff); /* at each full hour */
	irq.rises = 0;
	out(0x0b, 0x22);
	pass(3599 * SECOND);
	is_equal(irq.rises, 1, "alarm with a wildcard");
	is_equal(in(0x0c) & 0xa0, 0xa0, "flagged");
	irq.rises = 0;
	for (unsigned i = 0; i < 48; i++) {
		pass(3600 * SECOND);
		in(0x0c);
	}
	is_equal(irq.rises, 48, "every hour");
	out(0x05, 0x03);
	irq.rises = 0;
	for (unsigned i = 0; i < 48; i++) {
		pass(3600 * SECOND);
		in(0x0c);
	}
	is_equal(irq.rises, 2, "once a day at three");
	rtc_reset(rtc);
	is_equal(in(0x0b), 0x02, "a reset disables interrupts");
	is_equal(timer_queue_deadline(timers), UINT64_MAX, "and timers");
	out(0x05, 0x77);
	out(0x0b, 0x22);
	is_equal(timer_queue_deadline(timers), UINT64_MAX, "an impossible alarm never comes");
}

int main(void)
{
	timer_queue_create(&timers);
	rtc_create(EPOCH, 128 << 20, wire_line(&irq), timers, &rtc);
	test_formats();
	test_running();
	test_setting();
	test_interrupts();
	rtc_destroy(rtc);
	timer_queue_destroy(timers);
	return tap_done();
}
