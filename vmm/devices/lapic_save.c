/* Saving and restoring a local APIC. */
#include "vmm/devices/lapic.h"

#include <errno.h>
#include <string.h>

#include "vmm/devices/devices.pb-c.h"
#include "vmm/devices/lapic_state.h"
#include "vmm/devices/layout.h"

void lapic_save(const struct lapic *lapic, Reprise__LapicState *ret_state)
{
	reprise__lapic_state__init(ret_state);
	ret_state->apic_base = lapic->base;
	ret_state->task_priority = lapic->task_priority;
	ret_state->logical_destination = lapic->logical_destination;
	ret_state->destination_format = lapic->destination_format;
	ret_state->spurious = lapic->spurious;
	ret_state->error_status = lapic->error_status;
	ret_state->error_pending = lapic->error_pending;
	ret_state->command = lapic->command;
	ret_state->n_lvt = LVT_COUNT;
	ret_state->lvt = (uint32_t *)lapic->lvt;
	ret_state->n_request = VECTOR_WORDS;
	ret_state->request = (uint64_t *)lapic->request;
	ret_state->n_in_service = VECTOR_WORDS;
	ret_state->in_service = (uint64_t *)lapic->in_service;
	ret_state->n_level_triggered = VECTOR_WORDS;
	ret_state->level_triggered = (uint64_t *)lapic->level;
	ret_state->lint_levels = lapic->lint_levels;
	ret_state->timer_divide = lapic->timer_divide;
	ret_state->timer_initial = lapic->timer_initial;
	ret_state->timer_start = lapic->timer_start_ns;
	ret_state->timer_tsc_deadline = lapic->timer_tsc_deadline;
	ret_state->timer_deadline = lapic->timer_deadline_ns;
}

static bool base_possible(const struct lapic *lapic, uint64_t base)
{
	uint64_t fixed = LAYOUT_LAPIC_GPA | (lapic->id ? 0 : BASE_BSP);
	return (base & ~(uint64_t)(BASE_ENABLE | BASE_X2APIC)) == fixed;
}

static bool state_possible(const struct lapic *lapic, const Reprise__LapicState *state)
{
	return base_possible(lapic, state->apic_base) && state->task_priority <= 0xff &&
	       !(state->logical_destination & 0xffffffu) &&
	       (state->destination_format & 0xfffffffu) == 0xfffffffu &&
	       state->spurious <= SPURIOUS_KEPT && state->error_status <= ERROR_ALL &&
	       state->error_pending <= ERROR_ALL && state->n_lvt == LVT_COUNT &&
	       state->n_request == VECTOR_WORDS && state->n_in_service == VECTOR_WORDS &&
	       state->n_level_triggered == VECTOR_WORDS && !(state->request[0] & 0xffff) &&
	       !(state->in_service[0] & 0xffff) && state->lint_levels <= 3 &&
	       !(state->timer_divide & ~DIVIDE_KEPT);
}

int lapic_restore(struct lapic *lapic, const Reprise__LapicState *state)
{
	if (!state_possible(lapic, state))
		return -EINVAL;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		if (!lapic_lvt_possible(i, state->lvt[i]))
			return -EINVAL;
	lapic->base = state->apic_base;
	lapic->task_priority = state->task_priority;
	lapic->logical_destination = state->logical_destination;
	lapic->destination_format = state->destination_format;
	lapic->spurious = state->spurious;
	lapic->error_status = state->error_status;
	lapic->error_pending = state->error_pending;
	lapic->command = state->command;
	memcpy(lapic->lvt, state->lvt, sizeof(lapic->lvt));
	memcpy(lapic->request, state->request, sizeof(lapic->request));
	memcpy(lapic->in_service, state->in_service, sizeof(lapic->in_service));
	memcpy(lapic->level, state->level_triggered, sizeof(lapic->level));
	lapic->lint_levels = state->lint_levels;
	lapic->timer_divide = state->timer_divide;
	lapic->timer_initial = state->timer_initial;
	lapic->timer_start_ns = state->timer_start;
	lapic->timer_tsc_deadline = state->timer_tsc_deadline;
	lapic->timer_deadline_ns = state->timer_deadline;
	lapic_timer_arm(lapic);
	return 0;
}
