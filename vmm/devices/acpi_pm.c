#include "vmm/devices/acpi_pm.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/devices/acpi_tables.h"
#include "vmm/devices/devices.pb-c.h"

#define NS_PER_S UINT64_C(1000000000)

#define PM1_TIMER    0x0001u /* the timer's highest bit has changed */
#define PM1_GLOBAL   0x0020u
#define PM1_POWER    0x0100u
#define PM1_SLEEP    0x0200u
#define PM1_RTC      0x0400u
#define PM1_WAKE     0x8000u
#define PM1_ENABLES  (PM1_TIMER | PM1_GLOBAL | PM1_POWER | PM1_SLEEP | PM1_RTC)
#define PM1_STATUSES (PM1_ENABLES | PM1_WAKE)

#define CONTROL_SCI_EN    0x0001u
#define CONTROL_SLP_SHIFT 10
#define CONTROL_SLP_EN    0x2000u
#define CONTROL_KEPT      0x1c02u /* SLP_TYP, BM_RLD */

#define TIMER_HALF_SHIFT 31 /* the timer's highest bit changes every 2^31 ticks */

struct acpi_pm {
	struct irq_line sci;
	void (*power_off)(void *ctx);
	void *ctx;
	uint16_t status, enable, control;
	uint64_t seen_half; /* halves of the timer's period that the status has taken note of */
	struct timer change;
};

static uint64_t ticks(const struct acpi_pm *pm)
{
	uint64_t now_ns = timer_queue_now(pm->change.queue);
	return (unsigned __int128)now_ns * ACPI_PM_TIMER_HZ / NS_PER_S;
}

static void arm_change(struct acpi_pm *pm)
{
	uint64_t change = (pm->seen_half + 1) << TIMER_HALF_SHIFT;
	uint64_t change_ns =
		((unsigned __int128)change * NS_PER_S + ACPI_PM_TIMER_HZ - 1) / ACPI_PM_TIMER_HZ;
	timer_arm(&pm->change, pm->enable & PM1_TIMER ? change_ns : UINT64_MAX);
}

/* The status follows the timer lazily; a host timer is armed only for its interrupt. */
static void update(struct acpi_pm *pm)
{
	uint64_t half = ticks(pm) >> TIMER_HALF_SHIFT;
	if (half != pm->seen_half)
		pm->status |= PM1_TIMER;
	pm->seen_half = half;
	irq_line_set(&pm->sci, pm->status & pm->enable);
	arm_change(pm);
}

static void timer_changes(void *device, uint64_t now_ns)
{
	update(device);
}

/* The registers as they lie in the port window. */
static uint8_t read_byte(const struct acpi_pm *pm, unsigned offset)
{
	switch (offset & ~3u) {
	case ACPI_PM1_EVENT_OFFSET:
		return (pm->status | (uint32_t)pm->enable << 16) >> (offset & 3) * 8;
	case ACPI_PM1_CONTROL_OFFSET:
		return (pm->control | CONTROL_SCI_EN) >> (offset & 3) * 8;
	default:
		return (uint32_t)ticks(pm) >> (offset & 3) * 8;
	}
}

static uint64_t acpi_pm_read(void *device, uint64_t offset, unsigned size)
{
	struct acpi_pm *pm = device;
	uint64_t value = 0;
	update(pm);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)read_byte(pm, offset + i) << i * 8;
	return value;
}

static void write_control(struct acpi_pm *pm, unsigned shift, uint8_t byte)
{
	uint32_t written = (uint32_t)byte << shift;
	pm->control = ((pm->control & ~(0xffu << shift)) | written) & CONTROL_KEPT;
	if ((written & CONTROL_SLP_EN) && pm->control >> CONTROL_SLP_SHIFT == ACPI_SLP_TYP_S5)
		pm->power_off(pm->ctx);
}

static void write_byte(struct acpi_pm *pm, unsigned offset, uint8_t byte)
{
	unsigned shift = (offset & 1) * 8;
	switch (offset & ~1u) {
	case ACPI_PM1_EVENT_OFFSET:
		pm->status &= ~((uint32_t)byte << shift); /* written ones clear */
		break;
	case ACPI_PM1_EVENT_OFFSET + 2:
		pm->enable =
			((pm->enable & ~(0xffu << shift)) | (uint32_t)byte << shift) & PM1_ENABLES;
		break;
	case ACPI_PM1_CONTROL_OFFSET:
		write_control(pm, shift, byte);
		break;
	default:
		break; /* the timer is read-only */
	}
}

static void acpi_pm_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct acpi_pm *pm = device;
	update(pm);
	for (unsigned i = 0; i < size; i++)
		write_byte(pm, offset + i, value >> i * 8);
	update(pm);
}

const struct window_ops acpi_pm_window_ops = {.read = acpi_pm_read, .write = acpi_pm_write};

void acpi_pm_reset(struct acpi_pm *pm)
{
	pm->enable = pm->control = 0;
	update(pm);
	pm->status = 0;
	update(pm);
}

int acpi_pm_create(struct irq_line sci, struct timer_queue *timers, void (*power_off)(void *ctx),
		   void *ctx, struct acpi_pm **ret_pm)
{
	struct acpi_pm *pm = calloc(1, sizeof(*pm));
	if (!pm)
		return -ENOMEM;
	pm->sci = sci;
	pm->power_off = power_off;
	pm->ctx = ctx;
	timer_init(&pm->change, timers, timer_changes, pm);
	acpi_pm_reset(pm);
	*ret_pm = pm;
	return 0;
}

void acpi_pm_destroy(struct acpi_pm *pm)
{
	if (!pm)
		return;
	timer_disarm(&pm->change);
	free(pm);
}

void acpi_pm_save(const struct acpi_pm *pm, Reprise__AcpiPmState *ret_state)
{
	reprise__acpi_pm_state__init(ret_state);
	ret_state->status = pm->status;
	ret_state->enable = pm->enable;
	ret_state->control = pm->control;
	ret_state->timer_seen = pm->seen_half;
}

int acpi_pm_restore(struct acpi_pm *pm, const Reprise__AcpiPmState *state)
{
	if ((state->status & ~PM1_STATUSES) || (state->enable & ~PM1_ENABLES) ||
	    (state->control & ~CONTROL_KEPT) || state->timer_seen > ticks(pm) >> TIMER_HALF_SHIFT)
		return -EINVAL;
	pm->status = state->status;
	pm->enable = state->enable;
	pm->control = state->control;
	pm->seen_half = state->timer_seen;
	arm_change(pm);
	return 0;
}
