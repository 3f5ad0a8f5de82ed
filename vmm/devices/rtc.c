/*
 * The time is a function of guest time: base_s at base_ns. While updates are halted (B.SET, or the
 * divider held in reset) the time registers are plain memory; when they go on, the time continues
 * from there. The flags of register C are brought up to date when someone looks (catch_up); a timer
 * is armed only for those that interrupt.
 */
#include "vmm/devices/rtc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/devices.pb-c.h"
#include "vmm/devices/rtc_time.h"

#define NS_PER_S  UINT64_C(1000000000)
#define RAM_BYTES 128

#define RTC_A 0x0a
#define RTC_B 0x0b
#define RTC_C 0x0c
#define RTC_D 0x0d

#define A_UPDATING      0x80
#define A_DIVIDER_RESET 0x60
#define A_RATE          0x0f
#define A_32768_HZ      0x20
#define A_1024_HZ       0x06

#define B_SET              0x80
#define C_REQUEST          0x80
#define INTERRUPT_PERIODIC 0x40 /* in B: enabled, in C: pending */
#define INTERRUPT_ALARM    0x20
#define INTERRUPT_UPDATE   0x10
#define INTERRUPTS         0x70

#define D_VALID 0x80

/* From the rise of update-in-progress to the end of the update. */
#define UPDATE_NS UINT64_C(2228000)
/* From the release of the divider's reset to the first update. */
#define DIVIDER_START_NS (NS_PER_S / 2)

#define CRYSTAL_HZ 32768

/* CMOS memory sizes: KiB of base memory, KiB above 1 MiB, 64 KiB units above 16 MiB. */
#define CMOS_BASE_KIB     0x15
#define CMOS_EXTENDED_KIB 0x17
#define CMOS_EXTENDED_TOO 0x30
#define CMOS_ABOVE_16M    0x34

struct rtc {
	struct irq_line irq;
	struct timer timer;
	uint8_t ram[RAM_BYTES]; /* registers A to D and alarm; time registers only while halted */
	uint8_t index;
	int64_t base_s;
	uint64_t base_ns; /* modulo 2^64 */
	uint64_t seen_ns; /* flags are up to date until here */
};

static uint64_t now_ns(const struct rtc *rtc)
{
	return timer_queue_now(rtc->timer.queue);
}

static bool divider_reset(const struct rtc *rtc)
{
	return (rtc->ram[RTC_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
}

static bool halted(const struct rtc *rtc)
{
	return (rtc->ram[RTC_B] & B_SET) || divider_reset(rtc);
}

static int64_t time_at(const struct rtc *rtc, uint64_t at_ns)
{
	return rtc->base_s + (int64_t)((at_ns - rtc->base_ns) / NS_PER_S);
}

/* Length of a period of the periodic interrupt in crystal cycles, as a power of 2. */
static unsigned period_shift(const struct rtc *rtc)
{
	unsigned rate = rtc->ram[RTC_A] & A_RATE;
	return rate < 3 ? rate + 6 : rate - 1; /* rates 1 and 2 are those of 8 and 9 */
}

/* Such periods until then. */
static uint64_t periods_at(const struct rtc *rtc, uint64_t at_ns)
{
	unsigned __int128 cycles = (unsigned __int128)(at_ns - rtc->base_ns) * CRYSTAL_HZ;
	return (uint64_t)(cycles / NS_PER_S) >> period_shift(rtc);
}

static uint64_t period_start_ns(const struct rtc *rtc, uint64_t period)
{
	unsigned __int128 cycles = (unsigned __int128)period << period_shift(rtc);
	return rtc->base_ns + (uint64_t)((cycles * NS_PER_S + CRYSTAL_HZ - 1) / CRYSTAL_HZ);
}

static bool periodic_runs(const struct rtc *rtc)
{
	return (rtc->ram[RTC_A] & A_RATE) && !divider_reset(rtc);
}

static int64_t next_alarm(const struct rtc *rtc, int64_t after_s)
{
	return rtc_time_next_alarm(rtc->ram, rtc->ram[RTC_B], after_s);
}

/* Sets the flags of everything that happened since the last look. */
static void catch_up(struct rtc *rtc)
{
	uint64_t seen = rtc->seen_ns, now = now_ns(rtc);
	rtc->seen_ns = now;
	if (periodic_runs(rtc) && periods_at(rtc, now) != periods_at(rtc, seen))
		rtc->ram[RTC_C] |= INTERRUPT_PERIODIC;
	if (halted(rtc) || time_at(rtc, now) == time_at(rtc, seen))
		return;
	rtc->ram[RTC_C] |= INTERRUPT_UPDATE;
	if (next_alarm(rtc, time_at(rtc, seen)) <= time_at(rtc, now))
		rtc->ram[RTC_C] |= INTERRUPT_ALARM;
}

/* When the clock shows time_s. */
static uint64_t time_start_ns(const struct rtc *rtc, int64_t time_s)
{
	return rtc->base_ns + (uint64_t)(time_s - rtc->base_s) * NS_PER_S;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Arms the timer for the first flag that would raise the line. */
static void arm(struct rtc *rtc)
{
	uint8_t wanted = rtc->ram[RTC_B] & ~rtc->ram[RTC_C] & INTERRUPTS;
	uint64_t now = rtc->seen_ns, deadline = UINT64_MAX;
	int64_t time_s = time_at(rtc, now);

	if ((wanted & INTERRUPT_PERIODIC) && periodic_runs(rtc))
		deadline = period_start_ns(rtc, periods_at(rtc, now) + 1);
	if ((wanted & INTERRUPT_UPDATE) && !halted(rtc))
		deadline = earlier(deadline, time_start_ns(rtc, time_s + 1));
	if ((wanted & INTERRUPT_ALARM) && !halted(rtc)) {
		int64_t alarm_s = next_alarm(rtc, time_s);
		if (alarm_s != INT64_MAX)
			deadline = earlier(deadline, time_start_ns(rtc, alarm_s));
	}
	timer_arm(&rtc->timer, deadline);
}

static bool requesting(const struct rtc *rtc)
{
	return rtc->ram[RTC_B] & rtc->ram[RTC_C] & INTERRUPTS;
}

static void update_irq(struct rtc *rtc)
{
	irq_line_set(&rtc->irq, requesting(rtc));
	arm(rtc);
}

static void timer_expired(void *device, uint64_t at_ns)
{
	struct rtc *rtc = device;
	catch_up(rtc);
	update_irq(rtc);
}

static bool is_time_register(uint8_t index)
{
	return index == RTC_CENTURY || (index <= RTC_YEAR && index != RTC_SECONDS_ALARM &&
					index != RTC_MINUTES_ALARM && index != RTC_HOURS_ALARM);
}

/* Fills in the time registers while the clock runs. */
static void show_time(struct rtc *rtc)
{
	if (!halted(rtc))
		rtc_time_encode(time_at(rtc, now_ns(rtc)), rtc->ram[RTC_B], rtc->ram);
}

/* The time registers are the time from now on; the fraction of the second goes on. */
static void take_time(struct rtc *rtc)
{
	uint64_t now = now_ns(rtc);
	rtc->base_s = rtc_time_decode(rtc->ram, rtc->ram[RTC_B]);
	rtc->base_ns = now - (now - rtc->base_ns) % NS_PER_S;
}

static uint8_t read_a(const struct rtc *rtc)
{
	uint64_t fraction = (now_ns(rtc) - rtc->base_ns) % NS_PER_S;
	bool updating = !halted(rtc) && fraction >= NS_PER_S - UPDATE_NS;
	return rtc->ram[RTC_A] | (updating ? A_UPDATING : 0);
}

static uint8_t read_c(struct rtc *rtc)
{
	uint8_t value = rtc->ram[RTC_C] | (requesting(rtc) ? C_REQUEST : 0);
	rtc->ram[RTC_C] = 0;
	update_irq(rtc);
	return value;
}

static uint64_t rtc_read(void *device, uint64_t offset, unsigned size)
{
	struct rtc *rtc = device;
	if (!offset)
		return 0xff; /* the index is write-only */
	catch_up(rtc);
	if (is_time_register(rtc->index))
		show_time(rtc);
	switch (rtc->index) {
	case RTC_A:
		return read_a(rtc);
	case RTC_C:
		return read_c(rtc);
	case RTC_D:
		return D_VALID;
	default:
		return rtc->ram[rtc->index];
	}
}

/* Registers A and B can halt the clock and let it go on. */
static void write_control(struct rtc *rtc, uint8_t index, uint8_t value)
{
	bool was_halted = halted(rtc), was_reset = divider_reset(rtc);
	show_time(rtc);
	rtc->ram[index] = value;
	if (was_reset && !divider_reset(rtc))
		rtc->base_ns = now_ns(rtc) - (NS_PER_S - DIVIDER_START_NS);
	if (was_halted && !halted(rtc))
		take_time(rtc);
}

static void rtc_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct rtc *rtc = device;
	uint8_t byte = value, index = rtc->index;
	if (!offset) {
		rtc->index = byte & (RAM_BYTES - 1); /* bit 7 masks NMI; there is no source of it */
		return;
	}
	catch_up(rtc);
	if (index == RTC_A) {
		write_control(rtc, RTC_A, byte & ~A_UPDATING);
	} else if (index == RTC_B) {
		write_control(rtc, RTC_B, byte & B_SET ? byte & ~INTERRUPT_UPDATE : byte);
	} else if (is_time_register(index)) {
		show_time(rtc);
		rtc->ram[index] = byte;
		if (!halted(rtc))
			take_time(rtc);
	} else if (index != RTC_C && index != RTC_D) {
		rtc->ram[index] = byte;
	}
	update_irq(rtc);
}

const struct window_ops rtc_window_ops = {.read = rtc_read, .write = rtc_write};

void rtc_reset(struct rtc *rtc)
{
	catch_up(rtc);
	rtc->index = 0;
	rtc->ram[RTC_B] &= ~INTERRUPTS;
	rtc->ram[RTC_C] = 0;
	update_irq(rtc);
}

void rtc_set_date(struct rtc *rtc, uint64_t epoch_s)
{
	catch_up(rtc);
	rtc->base_s = epoch_s < RTC_MAX_SECONDS ? (int64_t)epoch_s : RTC_MAX_SECONDS;
	rtc->base_ns = now_ns(rtc);
	arm(rtc);
	update_irq(rtc);
}

static void store_16(struct rtc *rtc, unsigned index, uint64_t value)
{
	uint16_t stored = value < 0xffff ? value : 0xffff;
	rtc->ram[index] = stored;
	rtc->ram[index + 1] = stored >> 8;
}

static void store_memory_sizes(struct rtc *rtc, uint64_t ram_bytes)
{
	uint64_t above_1m = ram_bytes > 1 << 20 ? ram_bytes - (1 << 20) : 0;
	uint64_t above_16m = ram_bytes > 16 << 20 ? ram_bytes - (16 << 20) : 0;
	store_16(rtc, CMOS_BASE_KIB, 640);
	store_16(rtc, CMOS_EXTENDED_KIB, above_1m >> 10);
	store_16(rtc, CMOS_EXTENDED_TOO, above_1m >> 10);
	store_16(rtc, CMOS_ABOVE_16M, above_16m >> 16);
}

int rtc_create(uint64_t epoch_s, uint64_t ram_bytes, struct irq_line irq,
	       struct timer_queue *timers, struct rtc **ret_rtc)
{
	struct rtc *rtc = calloc(1, sizeof(*rtc));
	if (!rtc)
		return -ENOMEM;
	rtc->irq = irq;
	timer_init(&rtc->timer, timers, timer_expired, rtc);
	rtc->base_s = epoch_s < RTC_MAX_SECONDS ? (int64_t)epoch_s : RTC_MAX_SECONDS;
	rtc->ram[RTC_A] = A_32768_HZ | A_1024_HZ;
	rtc->ram[RTC_B] = RTC_B_24_HOURS;
	store_memory_sizes(rtc, ram_bytes);
	rtc_reset(rtc);
	*ret_rtc = rtc;
	return 0;
}

void rtc_destroy(struct rtc *rtc)
{
	if (!rtc)
		return;
	timer_disarm(&rtc->timer);
	free(rtc);
}

void rtc_save(const struct rtc *rtc, Reprise__RtcState *ret_state)
{
	reprise__rtc_state__init(ret_state);
	ret_state->ram = (ProtobufCBinaryData){RAM_BYTES, (uint8_t *)rtc->ram};
	ret_state->index = rtc->index;
	ret_state->base_seconds = rtc->base_s;
	ret_state->base_ns = rtc->base_ns;
	ret_state->seen_ns = rtc->seen_ns;
}

int rtc_restore(struct rtc *rtc, const Reprise__RtcState *state)
{
	if (state->ram.len != RAM_BYTES || state->index >= RAM_BYTES ||
	    state->base_seconds > RTC_MAX_SECONDS || state->base_seconds < -RTC_MAX_SECONDS ||
	    state->seen_ns > now_ns(rtc) || (state->ram.data[RTC_A] & A_UPDATING) ||
	    (state->ram.data[RTC_C] & ~INTERRUPTS))
		return -EINVAL;
	memcpy(rtc->ram, state->ram.data, RAM_BYTES);
	rtc->index = state->index;
	rtc->base_s = state->base_seconds;
	rtc->base_ns = state->base_ns;
	rtc->seen_ns = state->seen_ns;
	arm(rtc);
	return 0;
}
