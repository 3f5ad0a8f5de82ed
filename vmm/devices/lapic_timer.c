/*
 * The local APIC's timer (SDM 3A 10.5.4). The count is a function of the time since it was started;
 * a host timer is armed only when the expiry would interrupt.
 */
#include "vmm/devices/lapic_state.h"
#include "vmm/devices/timer_queue.h"

#define NS_PER_TICK (UINT64_C(1000000000) / LAPIC_TIMER_HZ)

#define TIMER_MODE_SHIFT 17

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE, TIMER_RESERVED };

static enum timer_mode mode_of(uint32_t lvt)
{
	return lvt >> TIMER_MODE_SHIFT & 3;
}

static enum timer_mode mode(const struct lapic *lapic)
{
	return mode_of(lapic->lvt[LVT_TIMER]);
}

static uint64_t now_ns(const struct lapic *lapic)
{
	return timer_queue_now(lapic->timer.queue);
}

/* Length of a count; the divide register codes 2, 4 … 128, 1 in bits 3, 1, 0. */
static uint64_t count_ns(const struct lapic *lapic)
{
	unsigned code = (lapic->timer_divide & 3) | (lapic->timer_divide >> 1 & 4);
	return NS_PER_TICK << ((code + 1) & 7);
}

static uint64_t period_ns(const struct lapic *lapic)
{
	return lapic->timer_initial * count_ns(lapic);
}

uint32_t lapic_timer_current(const struct lapic *lapic)
{
	if (!lapic->timer_initial || mode(lapic) == TIMER_TSC_DEADLINE)
		return 0;
	uint64_t counted = (now_ns(lapic) - lapic->timer_start_ns) / count_ns(lapic);
	if (mode(lapic) == TIMER_PERIODIC)
		return lapic->timer_initial - counted % lapic->timer_initial;
	return counted < lapic->timer_initial ? lapic->timer_initial - counted : 0;
}

static uint64_t deadline_ns(const struct lapic *lapic)
{
	uint64_t period = period_ns(lapic), passed = now_ns(lapic) - lapic->timer_start_ns;
	if (mode(lapic) == TIMER_TSC_DEADLINE)
		return lapic->timer_deadline_ns;
	if (!period || (lapic->lvt[LVT_TIMER] & LVT_MASKED))
		return UINT64_MAX;
	if (mode(lapic) == TIMER_PERIODIC)
		return now_ns(lapic) + period - passed % period;
	return passed < period ? now_ns(lapic) + period - passed : UINT64_MAX;
}

void lapic_timer_arm(struct lapic *lapic)
{
	timer_arm(&lapic->timer, deadline_ns(lapic));
}

void lapic_timer_expired(void *device, uint64_t at_ns)
{
	struct lapic *lapic = device;
	lapic->timer_tsc_deadline = 0;
	lapic->timer_deadline_ns = UINT64_MAX;
	lapic_raise(lapic, LVT_TIMER);
	lapic_timer_arm(lapic);
}

void lapic_timer_set_initial(struct lapic *lapic, uint32_t value)
{
	if (mode(lapic) == TIMER_TSC_DEADLINE)
		return;
	lapic->timer_initial = value;
	lapic->timer_start_ns = now_ns(lapic);
	lapic_timer_arm(lapic);
}

void lapic_timer_set_divide(struct lapic *lapic, uint32_t value)
{
	/* The count goes on from where it is, at the new pace. */
	uint32_t counted = lapic->timer_initial - lapic_timer_current(lapic);
	lapic->timer_divide = value & DIVIDE_KEPT;
	lapic->timer_start_ns = now_ns(lapic) - counted * count_ns(lapic);
	lapic_timer_arm(lapic);
}

void lapic_timer_set_lvt(struct lapic *lapic, uint32_t value)
{
	enum timer_mode from = mode(lapic), to = mode_of(value);
	if ((from == TIMER_TSC_DEADLINE) != (to == TIMER_TSC_DEADLINE)) {
		/* Disarms (SDM 3A 10.5.4.1). */
		lapic->timer_initial = 0;
		lapic->timer_tsc_deadline = 0;
		lapic->timer_deadline_ns = UINT64_MAX;
	} else if (from == TIMER_PERIODIC && to != TIMER_PERIODIC && lapic->timer_initial) {
		uint64_t passed = now_ns(lapic) - lapic->timer_start_ns;
		lapic->timer_start_ns = now_ns(lapic) - passed % period_ns(lapic);
	}
	lapic->lvt[LVT_TIMER] = value;
	lapic_timer_arm(lapic);
}

void lapic_timer_set_tsc_deadline(struct lapic *lapic, uint64_t value, uint64_t tsc_offset)
{
	uint64_t now = now_ns(lapic), tsc = now + tsc_offset;
	if (mode(lapic) != TIMER_TSC_DEADLINE)
		return;
	lapic->timer_tsc_deadline = value;
	lapic->timer_deadline_ns = UINT64_MAX;
	if (value && value <= tsc) {
		timer_disarm(&lapic->timer);
		lapic_timer_expired(lapic, now);
		return;
	}
	if (value && value - tsc < UINT64_MAX - now)
		lapic->timer_deadline_ns = now + (value - tsc);
	lapic_timer_arm(lapic);
}
