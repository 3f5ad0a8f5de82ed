/* A bus with local APICs and an I/O APIC, and the signals it sent. */
#ifndef REPRISE_TESTS_UNIT_DEVICE_APIC_FIXTURE_H
#define REPRISE_TESTS_UNIT_DEVICE_APIC_FIXTURE_H

#include "tests/unit/device_fixture.h"
#include "vmm/devices/ioapic.h"
#include "vmm/devices/lapic.h"

#define N_LAPICS 3
#define NONE     ((uint64_t)-1)

static struct timer_queue *timers;
static struct apic_bus bus;
static struct ioapic *ioapic;
static struct platform_signal_event signals[16];
static unsigned n_signals;

static inline void note_signal(void *ctx, enum platform_signal signal, uint32_t vcpu,
			       uint8_t vector)
{
	if (n_signals < 16)
		signals[n_signals++] = (struct platform_signal_event){signal, vcpu, vector};
}

static inline uint32_t lapic_in(unsigned n, uint32_t offset)
{
	return lapic_window_ops.read(bus.lapic[n], offset, 4);
}

static inline void lapic_out(unsigned n, uint32_t offset, uint32_t value)
{
	lapic_window_ops.write(bus.lapic[n], offset, 4, value);
}

/* All APICs enabled, logical id 1 << n, LINT0 of the first masked. */
static inline void apics_reset(void)
{
	n_signals = 0;
	ioapic_reset(ioapic);
	for (unsigned i = 0; i < N_LAPICS; i++) {
		lapic_reset(bus.lapic[i]);
		lapic_out(i, 0xf0, 0x1ff);
		lapic_out(i, 0xd0, 0x01000000u << i);
		lapic_out(i, 0x350, 0x10000);
	}
}

static inline void apics_create(void)
{
	timer_queue_create(&timers);
	bus.n_lapics = N_LAPICS;
	bus.signal = note_signal;
	bus.end_of_interrupt = ioapic_end_of_interrupt;
	ioapic_create(&bus, &ioapic);
	bus.ioapic = ioapic;
	for (unsigned i = 0; i < N_LAPICS; i++)
		lapic_create(i, &bus, timers, &bus.lapic[i]);
	apics_reset();
}

static inline void apics_destroy(void)
{
	for (unsigned i = 0; i < N_LAPICS; i++)
		lapic_destroy(bus.lapic[i]);
	ioapic_destroy(ioapic);
	timer_queue_destroy(timers);
}

#endif
