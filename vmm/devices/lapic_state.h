/* The parts of a local APIC, shared by lapic.c, lapic_registers.c and lapic_timer.c only. */
#ifndef REPRISE_VMM_DEVICES_LAPIC_STATE_H
#define REPRISE_VMM_DEVICES_LAPIC_STATE_H

#include "vmm/devices/lapic.h"

enum lapic_lvt {
	LVT_TIMER,
	LVT_THERMAL,
	LVT_PERFORMANCE,
	LVT_LINT0,
	LVT_LINT1,
	LVT_ERROR,
	LVT_COUNT
};

#define LVT_REMOTE_IRR 0x4000u
#define LVT_LEVEL      0x8000u
#define LVT_MASKED     0x10000u

#define BASE_BSP    0x100u
#define BASE_X2APIC 0x400u
#define BASE_ENABLE 0x800u

#define SPURIOUS_ENABLE 0x100u
#define SPURIOUS_KEPT   0x1ffu

#define ERROR_SEND_VECTOR      0x20u
#define ERROR_RECEIVE_VECTOR   0x40u
#define ERROR_ILLEGAL_REGISTER 0x80u
#define ERROR_ALL              0xffu

#define DIVIDE_KEPT 0x0bu

/* A set of vectors. */
#define VECTOR_WORDS 4

struct lapic {
	uint32_t id;
	struct apic_bus *bus;

	uint64_t base; /* IA32_APICBASE */
	uint8_t task_priority;
	uint32_t logical_destination, destination_format;
	uint32_t spurious;
	uint32_t error_status;  /* as last latched by a write */
	uint32_t error_pending; /* since then */
	uint64_t command;
	uint32_t lvt[LVT_COUNT];
	uint64_t request[VECTOR_WORDS], in_service[VECTOR_WORDS], level[VECTOR_WORDS];
	uint8_t lint_levels; /* bit n: LINTn is high */

	struct timer timer;
	uint32_t timer_divide; /* the register */
	uint32_t timer_initial;
	uint64_t timer_start_ns;     /* when the count was the initial one; modulo 2^64 */
	uint64_t timer_tsc_deadline; /* the MSR; 0: not armed */
	uint64_t timer_deadline_ns;  /* when that is; UINT64_MAX: never */
};

static inline bool lapic_x2apic(const struct lapic *lapic)
{
	return (lapic->base & (BASE_ENABLE | BASE_X2APIC)) == (BASE_ENABLE | BASE_X2APIC);
}

static inline bool vectors_test(const uint64_t *vectors, uint8_t vector)
{
	return vectors[vector >> 6] >> (vector & 63) & 1;
}

/* ---- lapic.c ---- */

/* Records an error and raises the LVT error interrupt when it is new. */
void lapic_error(struct lapic *lapic, uint32_t error);
/* Raises a local interrupt as its LVT entry says. */
void lapic_raise(struct lapic *lapic, enum lapic_lvt entry);
void lapic_end_of_interrupt(struct lapic *lapic);
/* Delivers LINT0 while it is level-triggered and high. */
void lapic_update_lint0(struct lapic *lapic);
/* All registers as after power-on. */
void lapic_clear(struct lapic *lapic);

/* ---- lapic_registers.c ---- */

/* True when an LVT entry can hold the value. */
bool lapic_lvt_possible(enum lapic_lvt entry, uint32_t value);

/* ---- lapic_timer.c ---- */

void lapic_timer_expired(void *device, uint64_t now_ns);
uint32_t lapic_timer_current(const struct lapic *lapic);
void lapic_timer_set_initial(struct lapic *lapic, uint32_t value);
void lapic_timer_set_divide(struct lapic *lapic, uint32_t value);
/* Writes LVT_TIMER. */
void lapic_timer_set_lvt(struct lapic *lapic, uint32_t value);
void lapic_timer_set_tsc_deadline(struct lapic *lapic, uint64_t value, uint64_t tsc_offset);
/* Arms the timer for what the registers say. */
void lapic_timer_arm(struct lapic *lapic);

#endif
