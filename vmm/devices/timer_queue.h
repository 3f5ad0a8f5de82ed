/* Guest time, and the timers of all devices in the order they are due. */
#ifndef REPRISE_VMM_DEVICES_TIMER_QUEUE_H
#define REPRISE_VMM_DEVICES_TIMER_QUEUE_H

#include <stdint.h>

#include "vmm/devices/device.h"

/* Time starts at 0. Returns 0 or -ENOMEM. */
int timer_queue_create(struct timer_queue **ret_queue);
/* Timers must not be used afterwards. Accepts NULL. */
void timer_queue_destroy(struct timer_queue *queue);

/*
 * Moves time to now_ns; an earlier time is ignored. Every timer due until then expires in order of
 * its deadline, and sees that deadline as the present time.
 */
void timer_queue_advance(struct timer_queue *queue, uint64_t now_ns);

/* The earliest deadline, UINT64_MAX when no timer is armed. */
uint64_t timer_queue_deadline(const struct timer_queue *queue);

/* Sets the time, for restoring; no timer expires. */
void timer_queue_set_now(struct timer_queue *queue, uint64_t now_ns);

#endif
