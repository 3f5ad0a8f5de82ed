/* The clock's time of day as its registers hold it: BCD or binary, 12 or 24 hours. */
#ifndef REPRISE_VMM_DEVICES_RTC_TIME_H
#define REPRISE_VMM_DEVICES_RTC_TIME_H

#include <stdbool.h>
#include <stdint.h>

#define RTC_SECONDS       0x00
#define RTC_SECONDS_ALARM 0x01
#define RTC_MINUTES       0x02
#define RTC_MINUTES_ALARM 0x03
#define RTC_HOURS         0x04
#define RTC_HOURS_ALARM   0x05
#define RTC_WEEKDAY       0x06 /* 1 is Sunday */
#define RTC_DAY           0x07
#define RTC_MONTH         0x08
#define RTC_YEAR          0x09
#define RTC_CENTURY       0x32

/* Bits of register B that say how the others are coded. */
#define RTC_B_24_HOURS 0x02
#define RTC_B_BINARY   0x04

#define RTC_SECONDS_PER_DAY 86400

/* The registers cannot say more: some 34,000 years either way. */
#define RTC_MAX_SECONDS (INT64_C(1) << 40)

/* Writes the time registers of *ram; format is register B, time_s seconds since 1970 UTC. */
void rtc_time_encode(int64_t time_s, uint8_t format, uint8_t *ram);

/* Reads them; fields out of range count on (the 32nd of May is the 1st of June). */
int64_t rtc_time_decode(const uint8_t *ram, uint8_t format);

/* The first time after after_s that the alarm registers match, or INT64_MAX: never. */
int64_t rtc_time_next_alarm(const uint8_t *ram, uint8_t format, int64_t after_s);

#endif
