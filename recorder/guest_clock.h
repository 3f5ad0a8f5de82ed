/*
 * The relation of guest time to instructions, and under the host clock to the host's time.
 *
 * The guest's time is the machine clock: base + (icount - base_icount) * ratio, changed by clock
 * events only. Following the host means predicting the ratio a little low from the speed of the
 * last milliseconds, and correcting forward with each event. Outside HLT an event moves time by at
 * most GUEST_CLOCK_MAX_NS_PER_INSTRUCTION for each instruction since the last one; what the host
 * spent beyond that (stopped, stalled, or just very slow) never happened for the guest.
 *
 * All functions take the host's time as an argument: none reads a clock.
 */
#ifndef REPRISE_RECORDER_GUEST_CLOCK_H
#define REPRISE_RECORDER_GUEST_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/machine.h"

#define GUEST_CLOCK_MAX_NS_PER_INSTRUCTION UINT64_C(100)

/* A wait that lasts this much longer than asked for means that the recorder was stopped. */
#define GUEST_CLOCK_STALL_NS UINT64_C(100000000)

struct guest_clock {
	bool follows_host;
	uint64_t ratio; /* ns per instruction, 32.32: virtual clock: fixed; host clock: measured */
	uint64_t origin_ns;                   /* host time at guest time 0 */
	uint64_t last_icount, last_ns;        /* icount and guest time of the last event */
	uint64_t speed_icount, speed_host_ns; /* where measuring the speed began */
};

/* ps_per_instruction is the virtual clock's rate; following the host begins with a guess. */
void guest_clock_init(struct guest_clock *clock, bool follows_host, uint64_t ps_per_instruction);

/* The first event: the machine's time goes on, now, from where it is and a delay. */
void guest_clock_start(struct guest_clock *clock, const struct machine *machine, uint64_t delay_ns,
		       uint64_t host_ns, struct event *ret_event);

/*
 * Following the host: the event that brings guest time to the host's after running. Returns false
 * when there is nothing to tell: no instruction ran since the last event, or time is virtual.
 */
bool guest_clock_sync(struct guest_clock *clock, const struct machine *machine, uint64_t host_ns,
		      struct event *ret_event);

/* The event by which time jumps to guest_ns while the guest is idle; never backwards. */
void guest_clock_jump(struct guest_clock *clock, const struct machine *machine, uint64_t guest_ns,
		      uint64_t host_ns, struct event *ret_event);

/* Guest time at a host time, by the relation as it is now. */
uint64_t guest_clock_at_host(const struct guest_clock *clock, uint64_t host_ns);

/* Sets the relation: at host_ns it is guest_ns. */
void guest_clock_anchor(struct guest_clock *clock, uint64_t guest_ns, uint64_t host_ns);

/* Takes stall_ns out of the host's time. */
void guest_clock_skip(struct guest_clock *clock, uint64_t stall_ns);

/* The guest is ahead of the host by so much more, and stays so. */
void guest_clock_gain(struct guest_clock *clock, uint64_t gain_ns);

/* The first icount at which the machine clock is at or past guest_ns; UINT64_MAX: never. */
uint64_t guest_clock_icount_at(const struct machine *machine, uint64_t guest_ns);

/* Instructions that take about ns, at least 1. */
uint64_t guest_clock_instructions(const struct guest_clock *clock, uint64_t ns);

#endif
