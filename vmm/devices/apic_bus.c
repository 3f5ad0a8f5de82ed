#include "vmm/devices/apic_bus.h"

#include "vmm/devices/lapic.h"

#define COMMAND_LOGICAL 0x0800u
#define COMMAND_ASSERT  0x4000u
#define COMMAND_LEVEL   0x8000u

enum shorthand { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

static bool deliver(struct apic_bus *bus, unsigned n, const struct apic_message *message)
{
	struct lapic *lapic = bus->lapic[n];
	switch ((enum apic_delivery)message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST_PRIORITY:
		return lapic_accept(lapic, message->vector, message->level_triggered);
	case APIC_NMI:
		bus->signal(bus->signal_ctx, PLATFORM_SIGNAL_NMI, n, 0);
		return true;
	case APIC_INIT:
		lapic_init(lapic);
		bus->signal(bus->signal_ctx, PLATFORM_SIGNAL_INIT, n, 0);
		return true;
	case APIC_STARTUP:
		bus->signal(bus->signal_ctx, PLATFORM_SIGNAL_SIPI, n, message->vector);
		return true;
	default:
		/* There is no SMM, and the 8259 pair reaches the processors through LINT0 only. */
		return false;
	}
}

/* Of the local APICs that take interrupts, the one that does the least important work. */
static bool deliver_lowest(struct apic_bus *bus, const struct apic_message *message)
{
	int chosen = -1;
	for (unsigned i = 0; i < bus->n_lapics; i++) {
		const struct lapic *lapic = bus->lapic[i];
		if (!lapic_enabled(lapic) || !lapic_matches(lapic, message))
			continue;
		if (chosen < 0 ||
		    lapic_processor_priority(lapic) < lapic_processor_priority(bus->lapic[chosen]))
			chosen = i;
	}
	return chosen >= 0 && deliver(bus, chosen, message);
}

bool apic_bus_send(struct apic_bus *bus, const struct apic_message *message)
{
	bool accepted = false;
	if (message->delivery == APIC_LOWEST_PRIORITY)
		return deliver_lowest(bus, message);
	for (unsigned i = 0; i < bus->n_lapics; i++)
		if (lapic_matches(bus->lapic[i], message))
			accepted |= deliver(bus, i, message);
	return accepted;
}

void apic_bus_command(struct apic_bus *bus, uint32_t sender, uint64_t command, bool wide)
{
	struct apic_message message = {
		.destination = wide ? command >> 32 : command >> 56,
		.wide = wide,
		.logical = command & COMMAND_LOGICAL,
		.delivery = command >> 8 & 7,
		.vector = command,
	};
	enum shorthand shorthand = command >> 18 & 3;

	/* INIT level de-assert only synchronised arbitration ids, which no longer exist. */
	if (message.delivery == APIC_INIT && (command & COMMAND_LEVEL) &&
	    !(command & COMMAND_ASSERT))
		return;
	if (shorthand == SHORTHAND_NONE) {
		apic_bus_send(bus, &message);
		return;
	}
	for (unsigned i = 0; i < bus->n_lapics; i++)
		if (shorthand == SHORTHAND_ALL || (i == sender) == (shorthand == SHORTHAND_SELF))
			deliver(bus, i, &message);
}
