/*
 * An edge-triggered pin sends when its line becomes active while it is not masked; an edge at a
 * masked pin is lost. A level-triggered pin sends whenever it is active, not masked and its remote
 * IRR is clear; a local APIC's acceptance sets remote IRR, its end of interrupt clears it.
 */
#include "vmm/devices/ioapic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/devices.pb-c.h"

#define OFFSET_SELECT 0x00
#define OFFSET_DATA   0x10

#define REG_ID          0x00
#define REG_VERSION     0x01
#define REG_ARBITRATION 0x02
#define REG_ENTRIES     0x10 /* two a pin: low, high */

#define VERSION (0x11u | (IOAPIC_PINS - 1) << 16)
#define ID_KEPT 0x0f000000u

#define ENTRY_LOGICAL    0x0800u
#define ENTRY_ACTIVE_LOW 0x2000u
#define ENTRY_REMOTE_IRR 0x4000u
#define ENTRY_LEVEL      0x8000u
#define ENTRY_MASKED     0x10000u
#define ENTRY_LOW_KEPT   0x1afffu                     /* what a write changes of the low half */
#define ENTRY_KEPT       UINT64_C(0xff0000000001afff) /* and of the whole */

struct ioapic {
	struct apic_bus *bus;
	uint8_t select;
	uint32_t id;    /* the register */
	uint32_t lines; /* bit n: level at pin n */
	uint64_t entry[IOAPIC_PINS];
};

static bool active(const struct ioapic *ioapic, unsigned pin)
{
	return (ioapic->lines >> pin & 1) != !!(ioapic->entry[pin] & ENTRY_ACTIVE_LOW);
}

static bool send(struct ioapic *ioapic, unsigned pin)
{
	uint64_t entry = ioapic->entry[pin];
	struct apic_message message = {
		.destination = entry >> 56,
		.logical = entry & ENTRY_LOGICAL,
		.delivery = entry >> 8 & 7,
		.vector = entry,
		.level_triggered = entry & ENTRY_LEVEL,
	};
	return apic_bus_send(ioapic->bus, &message);
}

static void update_level(struct ioapic *ioapic, unsigned pin)
{
	uint64_t *entry = &ioapic->entry[pin];
	if (!(*entry & ENTRY_LEVEL) || (*entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) ||
	    !active(ioapic, pin))
		return;
	if (send(ioapic, pin))
		*entry |= ENTRY_REMOTE_IRR;
}

void ioapic_set_pin(void *controller, unsigned pin, bool level)
{
	struct ioapic *ioapic = controller;
	if (pin >= IOAPIC_PINS)
		return;
	bool was_active = active(ioapic, pin);
	ioapic->lines = (ioapic->lines & ~(1u << pin)) | (uint32_t)level << pin;
	uint64_t entry = ioapic->entry[pin];
	if (entry & ENTRY_LEVEL)
		update_level(ioapic, pin);
	else if (!was_active && active(ioapic, pin) && !(entry & ENTRY_MASKED))
		send(ioapic, pin);
}

void ioapic_end_of_interrupt(void *controller, uint8_t vector)
{
	struct ioapic *ioapic = controller;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *entry = &ioapic->entry[pin];
		if ((uint8_t)*entry != vector || !(*entry & ENTRY_REMOTE_IRR))
			continue;
		*entry &= ~(uint64_t)ENTRY_REMOTE_IRR;
		update_level(ioapic, pin);
	}
}

static void write_entry(struct ioapic *ioapic, unsigned index, uint32_t value)
{
	unsigned pin = index / 2;
	uint64_t *entry = &ioapic->entry[pin];
	if (index % 2) {
		*entry = (uint32_t)*entry | (uint64_t)(value & 0xff000000u) << 32;
		return;
	}
	*entry = (*entry & ~(uint64_t)ENTRY_LOW_KEPT) | (value & ENTRY_LOW_KEPT);
	/* Becoming edge-triggered clears remote IRR: systems end a stuck level interrupt so. */
	if (!(*entry & ENTRY_LEVEL))
		*entry &= ~(uint64_t)ENTRY_REMOTE_IRR;
	update_level(ioapic, pin);
}

static uint32_t read_data(const struct ioapic *ioapic)
{
	unsigned index = ioapic->select - REG_ENTRIES;
	switch (ioapic->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return ioapic->id;
	case REG_VERSION:
		return VERSION;
	default:
		if (ioapic->select < REG_ENTRIES || index >= 2 * IOAPIC_PINS)
			return 0;
		return ioapic->entry[index / 2] >> (index % 2 * 32);
	}
}

static void write_data(struct ioapic *ioapic, uint32_t value)
{
	if (ioapic->select == REG_ID)
		ioapic->id = value & ID_KEPT;
	else if (ioapic->select >= REG_ENTRIES && ioapic->select < REG_ENTRIES + 2 * IOAPIC_PINS)
		write_entry(ioapic, ioapic->select - REG_ENTRIES, value);
}

static uint64_t ioapic_read(void *device, uint64_t offset, unsigned size)
{
	struct ioapic *ioapic = device;
	uint64_t mask = size < 4 ? (UINT64_C(1) << size * 8) - 1 : 0xffffffffu;
	if (offset == OFFSET_SELECT)
		return ioapic->select;
	return offset == OFFSET_DATA ? read_data(ioapic) & mask : 0;
}

static void ioapic_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct ioapic *ioapic = device;
	if (offset == OFFSET_SELECT)
		ioapic->select = value;
	else if (offset == OFFSET_DATA)
		write_data(ioapic, value);
}

const struct window_ops ioapic_window_ops = {.read = ioapic_read, .write = ioapic_write};

void ioapic_reset(struct ioapic *ioapic)
{
	ioapic->select = 0;
	ioapic->id = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->entry[pin] = ENTRY_MASKED;
}

int ioapic_create(struct apic_bus *bus, struct ioapic **ret_ioapic)
{
	struct ioapic *ioapic = calloc(1, sizeof(*ioapic));
	if (!ioapic)
		return -ENOMEM;
	ioapic->bus = bus;
	ioapic_reset(ioapic);
	*ret_ioapic = ioapic;
	return 0;
}

void ioapic_destroy(struct ioapic *ioapic)
{
	free(ioapic);
}

void ioapic_save(const struct ioapic *ioapic, Reprise__IoapicState *ret_state)
{
	reprise__ioapic_state__init(ret_state);
	ret_state->select = ioapic->select;
	ret_state->id = ioapic->id;
	ret_state->lines = ioapic->lines;
	ret_state->n_entries = IOAPIC_PINS;
	ret_state->entries = (uint64_t *)ioapic->entry;
}

static bool entry_possible(uint64_t entry)
{
	return !(entry & ~(ENTRY_KEPT | ENTRY_REMOTE_IRR)) &&
	       (!(entry & ENTRY_REMOTE_IRR) || (entry & ENTRY_LEVEL));
}

int ioapic_restore(struct ioapic *ioapic, const Reprise__IoapicState *state)
{
	if (state->select > 0xff || (state->id & ~ID_KEPT) || state->lines >> IOAPIC_PINS ||
	    state->n_entries != IOAPIC_PINS)
		return -EINVAL;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		if (!entry_possible(state->entries[pin]))
			return -EINVAL;
	ioapic->select = state->select;
	ioapic->id = state->id;
	ioapic->lines = state->lines;
	memcpy(ioapic->entry, state->entries, sizeof(ioapic->entry));
	return 0;
}
