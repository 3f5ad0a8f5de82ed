/* A local APIC's interrupts: acceptance, priority, service, local sources. */
#include "vmm/devices/lapic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/devices.pb-c.h"
#include "vmm/devices/lapic_state.h"
#include "vmm/devices/layout.h"
#include "vmm/devices/timer_queue.h"

#define FIRST_LEGAL_VECTOR 16
#define FORMAT_FLAT        0xfu /* bits 31 to 28 of the destination format */
#define BROADCAST          0xffu
#define BROADCAST_WIDE     0xffffffffu

/* ---- sets of vectors ---- */

static void vectors_set(uint64_t *vectors, uint8_t vector, bool member)
{
	uint64_t bit = UINT64_C(1) << (vector & 63);
	if (member)
		vectors[vector >> 6] |= bit;
	else
		vectors[vector >> 6] &= ~bit;
}

static int vectors_highest(const uint64_t *vectors)
{
	for (int i = VECTOR_WORDS - 1; i >= 0; i--)
		if (vectors[i])
			return i * 64 + 63 - __builtin_clzll(vectors[i]);
	return -1;
}

/* ---- acceptance ---- */

bool lapic_enabled(const struct lapic *lapic)
{
	return (lapic->base & BASE_ENABLE) && (lapic->spurious & SPURIOUS_ENABLE);
}

void lapic_error(struct lapic *lapic, uint32_t error)
{
	bool is_new = error & ~lapic->error_pending;
	lapic->error_pending |= error;
	if (is_new)
		lapic_raise(lapic, LVT_ERROR);
}

bool lapic_accept(struct lapic *lapic, uint8_t vector, bool level_triggered)
{
	if (!lapic_enabled(lapic))
		return false;
	if (vector < FIRST_LEGAL_VECTOR) {
		lapic_error(lapic, ERROR_RECEIVE_VECTOR);
		return false;
	}
	vectors_set(lapic->request, vector, true);
	vectors_set(lapic->level, vector, level_triggered);
	return true;
}

/* Logical destinations of 8 bits: SDM 3A 10.6.2.2. */
static bool matches_logical(const struct lapic *lapic, uint32_t destination)
{
	uint32_t id = lapic->logical_destination >> 24;
	if (lapic->destination_format >> 28 == FORMAT_FLAT)
		return id & destination;
	return id >> 4 == destination >> 4 && (id & destination & 0xf);
}

static uint32_t x2apic_logical_id(const struct lapic *lapic)
{
	return lapic->id >> 4 << 16 | 1u << (lapic->id & 0xf);
}

bool lapic_matches(const struct lapic *lapic, const struct apic_message *message)
{
	uint32_t destination = message->destination;
	if (destination == (message->wide ? BROADCAST_WIDE : BROADCAST))
		return true;
	if (!message->logical)
		return destination == lapic->id;
	if (!lapic_x2apic(lapic))
		return destination <= 0xff && matches_logical(lapic, destination);
	uint32_t id = x2apic_logical_id(lapic);
	return id >> 16 == destination >> 16 && (id & destination & 0xffff);
}

/* ---- priority and service ---- */

uint8_t lapic_processor_priority(const struct lapic *lapic)
{
	int serving = vectors_highest(lapic->in_service);
	uint8_t class = serving < 0 ? 0 : serving & 0xf0;
	return lapic->task_priority >> 4 >= class >> 4 ? lapic->task_priority : class;
}

int lapic_pending(const struct lapic *lapic)
{
	int vector = vectors_highest(lapic->request);
	/* While disabled by software it holds what it has (SDM 3A 10.4.7.2). */
	if (vector < 0 || !lapic_enabled(lapic))
		return -1;
	return vector >> 4 > lapic_processor_priority(lapic) >> 4 ? vector : -1;
}

int lapic_acknowledge(struct lapic *lapic)
{
	int vector = lapic_pending(lapic);
	if (vector >= 0) {
		vectors_set(lapic->request, vector, false);
		vectors_set(lapic->in_service, vector, true);
	}
	return vector;
}

void lapic_end_of_interrupt(struct lapic *lapic)
{
	int vector = vectors_highest(lapic->in_service);
	if (vector < 0)
		return;
	vectors_set(lapic->in_service, vector, false);
	if (!vectors_test(lapic->level, vector))
		return;
	if ((lapic->lvt[LVT_LINT0] & 0xff) == (uint32_t)vector) {
		lapic->lvt[LVT_LINT0] &= ~LVT_REMOTE_IRR;
		lapic_update_lint0(lapic);
	}
	lapic->bus->end_of_interrupt(lapic->bus->ioapic, vector);
}

uint64_t lapic_read_cr8(const struct lapic *lapic)
{
	return lapic->task_priority >> 4;
}

void lapic_write_cr8(struct lapic *lapic, uint64_t value)
{
	lapic->task_priority = (value & 0xf) << 4;
}

/* ---- local sources ---- */

static enum apic_delivery lvt_delivery(const struct lapic *lapic, enum lapic_lvt entry)
{
	return lapic->lvt[entry] >> 8 & 7;
}

void lapic_raise(struct lapic *lapic, enum lapic_lvt entry)
{
	uint32_t lvt = lapic->lvt[entry];
	struct apic_bus *bus = lapic->bus;
	if (lvt & LVT_MASKED)
		return;
	switch (lvt_delivery(lapic, entry)) {
	case APIC_FIXED:
		lapic_accept(lapic, lvt, false);
		break;
	case APIC_NMI:
		bus->signal(bus->signal_ctx, PLATFORM_SIGNAL_NMI, lapic->id, 0);
		break;
	case APIC_INIT:
		lapic_init(lapic);
		bus->signal(bus->signal_ctx, PLATFORM_SIGNAL_INIT, lapic->id, 0);
		break;
	default:
		break; /* ExtINT is asked for, see lapic_takes_extint(); there is no SMM */
	}
}

static bool lint0_is_level(const struct lapic *lapic)
{
	return (lapic->lvt[LVT_LINT0] & LVT_LEVEL) && lvt_delivery(lapic, LVT_LINT0) == APIC_FIXED;
}

void lapic_update_lint0(struct lapic *lapic)
{
	uint32_t *lvt = &lapic->lvt[LVT_LINT0];
	if (!(lapic->lint_levels & 1) || !lint0_is_level(lapic) ||
	    (*lvt & (LVT_MASKED | LVT_REMOTE_IRR)))
		return;
	if (lapic_accept(lapic, *lvt, true))
		*lvt |= LVT_REMOTE_IRR;
}

/* The polarity bits are ignored: pins and wires are taken to fit. LINT1 is always edge-triggered.
 */
void lapic_set_lint(struct lapic *lapic, unsigned n, bool level)
{
	uint8_t bit = 1u << n;
	bool rises = level && !(lapic->lint_levels & bit);
	lapic->lint_levels = level ? lapic->lint_levels | bit : lapic->lint_levels & ~bit;
	if (!n && lint0_is_level(lapic))
		lapic_update_lint0(lapic);
	else if (rises)
		lapic_raise(lapic, n ? LVT_LINT1 : LVT_LINT0);
}

bool lapic_takes_extint(const struct lapic *lapic)
{
	if (!(lapic->base & BASE_ENABLE))
		return lapic->id == 0; /* LINT0 is then the processor's INTR (SDM 3A 10.4.3) */
	return !(lapic->lvt[LVT_LINT0] & LVT_MASKED) &&
	       lvt_delivery(lapic, LVT_LINT0) == APIC_EXTINT;
}

/* ---- life ---- */

/* The levels at the pins stay as they are. */
void lapic_clear(struct lapic *lapic)
{
	lapic->task_priority = 0;
	lapic->logical_destination = 0;
	lapic->destination_format = 0xffffffffu;
	lapic->spurious = 0xff;
	lapic->error_status = lapic->error_pending = 0;
	lapic->command = 0;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		lapic->lvt[i] = LVT_MASKED;
	memset(lapic->request, 0, sizeof(lapic->request));
	memset(lapic->in_service, 0, sizeof(lapic->in_service));
	memset(lapic->level, 0, sizeof(lapic->level));
	lapic->timer_divide = lapic->timer_initial = 0;
	lapic->timer_start_ns = 0;
	lapic->timer_tsc_deadline = 0;
	lapic->timer_deadline_ns = UINT64_MAX;
	timer_disarm(&lapic->timer);
}

void lapic_init(struct lapic *lapic)
{
	lapic_clear(lapic);
}

void lapic_reset(struct lapic *lapic)
{
	lapic_clear(lapic);
	lapic->base = LAYOUT_LAPIC_GPA | BASE_ENABLE;
	if (lapic->id)
		return;
	lapic->base |= BASE_BSP;
	lapic->spurious |= SPURIOUS_ENABLE;
	lapic->lvt[LVT_LINT0] = APIC_EXTINT << 8;
	lapic->lvt[LVT_LINT1] = APIC_NMI << 8;
}

int lapic_create(uint32_t id, struct apic_bus *bus, struct timer_queue *timers,
		 struct lapic **ret_lapic)
{
	struct lapic *lapic = calloc(1, sizeof(*lapic));
	if (!lapic)
		return -ENOMEM;
	lapic->id = id;
	lapic->bus = bus;
	timer_init(&lapic->timer, timers, lapic_timer_expired, lapic);
	lapic_reset(lapic);
	*ret_lapic = lapic;
	return 0;
}

void lapic_destroy(struct lapic *lapic)
{
	if (!lapic)
		return;
	timer_disarm(&lapic->timer);
	free(lapic);
}
