/* What the agent makes of the kernel that it finds: drivers, randomness, time, file systems. */
#ifndef REPRISE_TOOLS_GUEST_SYSTEM_H
#define REPRISE_TOOLS_GUEST_SYSTEM_H

#include "tools/guest/plan.h"

/* All of these end the guest when they fail. */

/* Before the plan is known: the kernel's modules, its own file systems. */
void system_prepare(void);

/* In a guest that is going to be saved: gives back memory that nobody uses as pages of zeros. */
void system_make_small(void);

/* After: new randomness, the time, the host's name and files, the loopback interface. */
void system_enter(const struct plan *plan, uint64_t tsc_when_ready);

/* The time-stamp counter: nanoseconds. */
uint64_t system_tsc(void);

#endif
