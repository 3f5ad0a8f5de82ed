/* The clock and CMOS memory of a PC (Motorola MC146818A data sheet). */
#ifndef REPRISE_VMM_DEVICES_RTC_H
#define REPRISE_VMM_DEVICES_RTC_H

#include "vmm/devices/device.h"

#define RTC_PORTS 2 /* index, data */

struct Reprise__RtcState;
struct rtc;

/*
 * epoch_s: the time at guest time 0, seconds since 1970 UTC. ram_bytes goes into the CMOS memory
 * sizes. Returns 0 or -ENOMEM.
 */
int rtc_create(uint64_t epoch_s, uint64_t ram_bytes, struct irq_line irq,
	       struct timer_queue *timers, struct rtc **ret_rtc);
void rtc_destroy(struct rtc *rtc);
/* A reset disables its interrupts; time, alarm and memory stay. */
void rtc_reset(struct rtc *rtc);

/* Sets the time, seconds since 1970 UTC, at the present guest time. */
void rtc_set_date(struct rtc *rtc, uint64_t epoch_s);

extern const struct window_ops rtc_window_ops; /* RTC_PORTS bytes */

/* The message borrows from the device until its next change. */
void rtc_save(const struct rtc *rtc, struct Reprise__RtcState *ret_state);
/* Returns 0, or -EINVAL for an impossible state. The interrupt line is not driven. */
int rtc_restore(struct rtc *rtc, const struct Reprise__RtcState *state);

#endif
