/* Messages between I/O APIC and local APICs: who gets them, and the interrupt command register. */
#ifndef REPRISE_VMM_DEVICES_APIC_BUS_H
#define REPRISE_VMM_DEVICES_APIC_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/platform.h"

struct lapic;

/* Delivery modes as in ICR, LVT and redirection entries (SDM 3A 10.5.1, 10.6.1). */
enum apic_delivery {
	APIC_FIXED,
	APIC_LOWEST_PRIORITY,
	APIC_SMI,
	APIC_RESERVED,
	APIC_NMI,
	APIC_INIT,
	APIC_STARTUP,
	APIC_EXTINT,
};

struct apic_message {
	uint32_t destination;
	bool wide;        /* a 32-bit x2APIC destination; otherwise 8 bits */
	bool logical;     /* destination is a set of logical ids; otherwise one APIC id */
	uint8_t delivery; /* enum apic_delivery */
	uint8_t vector;
	bool level_triggered;
};

/* Made by the platform; lapic[n] has APIC id n. */
struct apic_bus {
	struct lapic *lapic[MACHINE_MAX_VCPUS];
	unsigned n_lapics;
	/* A level-triggered interrupt was ended on some local APIC. Mandatory. */
	void (*end_of_interrupt)(void *ioapic, uint8_t vector);
	void *ioapic;
	/* NMI, INIT or SIPI for a vCPU. Mandatory. */
	void (*signal)(void *ctx, enum platform_signal signal, uint32_t vcpu, uint8_t vector);
	void *signal_ctx;
};

/* Sends to whom the destination names. Returns true when a local APIC accepted it. */
bool apic_bus_send(struct apic_bus *bus, const struct apic_message *message);

/*
 * Carries out a write to the interrupt command register of a local APIC (SDM 3A 10.6.1). wide: the
 * destination is bits 63 to 32, as in x2APIC mode; otherwise bits 63 to 56.
 */
void apic_bus_command(struct apic_bus *bus, uint32_t sender, uint64_t command, bool wide);

#endif
