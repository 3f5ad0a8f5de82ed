/*
 * A local APIC: xAPIC registers in memory, x2APIC registers as MSRs, timer with TSC deadline
 * (SDM 3A chapter 10). It has version 0x14 and six LVT entries; the id is the vCPU's number.
 *
 * The processor asks (lapic_pending) instead of being told: nothing changes between that and
 * lapic_acknowledge, so the spurious vector is never delivered.
 */
#ifndef REPRISE_VMM_DEVICES_LAPIC_H
#define REPRISE_VMM_DEVICES_LAPIC_H

#include "vmm/devices/apic_bus.h"
#include "vmm/devices/device.h"

#define LAPIC_WINDOW_BYTES 0x1000u
#define LAPIC_TIMER_HZ     UINT64_C(25000000) /* before the divider; CPUID leaf 0x15 says so */

#define LAPIC_MSR_BASE         0x1bu /* IA32_APICBASE: kept by the machine, told to us */
#define LAPIC_MSR_TSC_DEADLINE 0x6e0u
#define LAPIC_MSR_X2APIC_FIRST 0x800u
#define LAPIC_MSR_X2APIC_LAST  0x8ffu

struct Reprise__LapicState;
struct lapic;

/* bus is borrowed. id 0 is the bootstrap processor. Returns 0 or -ENOMEM. */
int lapic_create(uint32_t id, struct apic_bus *bus, struct timer_queue *timers,
		 struct lapic **ret_lapic);
void lapic_destroy(struct lapic *lapic);

/*
 * As firmware hands over: the bootstrap processor's APIC is enabled with LINT0 = ExtINT and LINT1 =
 * NMI ("virtual wire mode"); the others are as after power-on.
 */
void lapic_reset(struct lapic *lapic);
/* What an INIT does: registers as after power-on, mode kept (SDM 3A 10.4.7.3, 10.12.5). */
void lapic_init(struct lapic *lapic);

/* LAPIC_WINDOW_BYTES of registers. */
extern const struct window_ops lapic_window_ops;

/* Registers as MSRs; MSRs other than those above read as 0 and drop writes. */
uint64_t lapic_read_msr(struct lapic *lapic, uint32_t msr);
/* tsc_offset: guest TSC minus guest time. */
void lapic_write_msr(struct lapic *lapic, uint32_t msr, uint64_t value, uint64_t tsc_offset);

/* The task priority's class. */
uint64_t lapic_read_cr8(const struct lapic *lapic);
void lapic_write_cr8(struct lapic *lapic, uint64_t value);

/* Levels at pins LINT0 and LINT1 (n: 0 or 1). */
void lapic_set_lint(struct lapic *lapic, unsigned n, bool level);

/* ---- the bus ---- */

/* True when it is enabled by IA32_APICBASE and by software. */
bool lapic_enabled(const struct lapic *lapic);
bool lapic_matches(const struct lapic *lapic, const struct apic_message *message);
/* Takes a fixed interrupt into IRR. Returns false when the APIC does not take it. */
bool lapic_accept(struct lapic *lapic, uint8_t vector, bool level_triggered);
uint8_t lapic_processor_priority(const struct lapic *lapic);

/* ---- the processor ---- */

/* True when INTR of the 8259 pair reaches this processor now. */
bool lapic_takes_extint(const struct lapic *lapic);
/* The vector that lapic_acknowledge would give, or -1. */
int lapic_pending(const struct lapic *lapic);
/* Moves the pending vector into service and returns it, or -1. */
int lapic_acknowledge(struct lapic *lapic);

/* The message borrows from the device until its next change. */
void lapic_save(const struct lapic *lapic, struct Reprise__LapicState *ret_state);
/* Returns 0, or -EINVAL for an impossible state. */
int lapic_restore(struct lapic *lapic, const struct Reprise__LapicState *state);

#endif
