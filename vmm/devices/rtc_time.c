#include "vmm/devices/rtc_time.h"

#define HOURS_PM           0x80
#define ALARM_ANY          0xc0 /* both highest bits set: matches always */
#define DAYS_PER_400_YEARS 146097
#define WEEKDAY_1970       4 /* 1 January 1970 was a Thursday; Sunday is 0 */

static uint8_t encode(unsigned value, uint8_t format)
{
	return format & RTC_B_BINARY ? value : value % 10 | (value / 10 % 10) << 4;
}

static unsigned decode(uint8_t value, uint8_t format)
{
	return format & RTC_B_BINARY ? value : (value & 0xf) + (value >> 4) * 10;
}

static uint8_t encode_hours(unsigned hours, uint8_t format)
{
	if (format & RTC_B_24_HOURS)
		return encode(hours, format);
	return encode(hours % 12 ? hours % 12 : 12, format) | (hours >= 12 ? HOURS_PM : 0);
}

static unsigned decode_hours(uint8_t value, uint8_t format)
{
	if (format & RTC_B_24_HOURS)
		return decode(value, format);
	return decode(value & ~HOURS_PM, format) % 12 + (value & HOURS_PM ? 12 : 0);
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_in_year(int64_t year)
{
	return is_leap(year) ? 366 : 365;
}

static unsigned days_in_month(unsigned month, int64_t year)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	return days[month] + (month == 1 && is_leap(year));
}

/* Quotient rounded down; *ret_rest is not negative. */
static int64_t divide(int64_t value, int64_t by, int64_t *ret_rest)
{
	int64_t rest = value % by;
	if (rest < 0)
		rest += by;
	*ret_rest = rest;
	return (value - rest) / by;
}

void rtc_time_encode(int64_t time_s, uint8_t format, uint8_t *ram)
{
	int64_t second, weekday, day;
	int64_t days = divide(time_s, RTC_SECONDS_PER_DAY, &second);
	divide(days + WEEKDAY_1970, 7, &weekday);
	int64_t year = 1970 + 400 * divide(days, DAYS_PER_400_YEARS, &day);
	unsigned month = 0;
	for (; day >= days_in_year(year); year++)
		day -= days_in_year(year);
	for (; day >= days_in_month(month, year); month++)
		day -= days_in_month(month, year);

	ram[RTC_SECONDS] = encode(second % 60, format);
	ram[RTC_MINUTES] = encode(second / 60 % 60, format);
	ram[RTC_HOURS] = encode_hours(second / 3600, format);
	ram[RTC_WEEKDAY] = encode(weekday + 1, format);
	ram[RTC_DAY] = encode(day + 1, format);
	ram[RTC_MONTH] = encode(month + 1, format);
	ram[RTC_YEAR] = encode(year % 100, format);
	ram[RTC_CENTURY] = encode(year / 100, format);
}

int64_t rtc_time_decode(const uint8_t *ram, uint8_t format)
{
	int64_t year = decode(ram[RTC_CENTURY], format) * 100 + decode(ram[RTC_YEAR], format);
	unsigned months = decode(ram[RTC_MONTH], format);
	months = months ? months - 1 : 0;
	year += months / 12;

	int64_t day, cycles = divide(year - 1970, 400, &day);
	int64_t days = cycles * DAYS_PER_400_YEARS + decode(ram[RTC_DAY], format) - 1;
	for (int64_t y = 1970 + cycles * 400; y < year; y++)
		days += days_in_year(y);
	for (unsigned month = 0; month < months % 12; month++)
		days += days_in_month(month, year);
	return days * RTC_SECONDS_PER_DAY + decode_hours(ram[RTC_HOURS], format) * 3600 +
	       decode(ram[RTC_MINUTES], format) * 60 + decode(ram[RTC_SECONDS], format);
}

/* Whether an alarm register matches, and the smallest value from `from` that does; below `limit`.
 */
static unsigned alarm_from(uint8_t alarm, unsigned value, unsigned from, unsigned limit)
{
	if ((alarm & ALARM_ANY) == ALARM_ANY)
		return from;
	return value >= from ? value : limit;
}

/* The first matching second of a day from the given one on, or RTC_SECONDS_PER_DAY. */
static unsigned alarm_in_day(const uint8_t *ram, uint8_t format, unsigned from)
{
	uint8_t hours = ram[RTC_HOURS_ALARM], minutes = ram[RTC_MINUTES_ALARM];
	uint8_t seconds = ram[RTC_SECONDS_ALARM];
	unsigned hour = from / 3600, minute = from / 60 % 60, second = from % 60;

	while ((hour = alarm_from(hours, decode_hours(hours, format), hour, 24)) < 24) {
		if (hour != from / 3600)
			minute = second = 0;
		while ((minute = alarm_from(minutes, decode(minutes, format), minute, 60)) < 60) {
			if (hour * 60 + minute != from / 60)
				second = 0;
			second = alarm_from(seconds, decode(seconds, format), second, 60);
			if (second < 60)
				return hour * 3600 + minute * 60 + second;
			minute++;
			second = 0;
		}
		hour++;
		minute = second = 0;
	}
	return RTC_SECONDS_PER_DAY;
}

int64_t rtc_time_next_alarm(const uint8_t *ram, uint8_t format, int64_t after_s)
{
	int64_t second, day = divide(after_s + 1, RTC_SECONDS_PER_DAY, &second);
	for (unsigned i = 0; i < 2; i++, second = 0) {
		unsigned match = alarm_in_day(ram, format, second);
		if (match < RTC_SECONDS_PER_DAY)
			return (day + i) * RTC_SECONDS_PER_DAY + match;
	}
	return INT64_MAX;
}
