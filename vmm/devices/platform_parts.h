/* The devices of a platform; for platform*.c only. */
#ifndef REPRISE_VMM_DEVICES_PLATFORM_PARTS_H
#define REPRISE_VMM_DEVICES_PLATFORM_PARTS_H

#include "vmm/devices/apic_bus.h"
#include "vmm/devices/irq_router.h"
#include "vmm/devices/layout.h"
#include "vmm/devices/platform.h"

#define PLATFORM_UARTS 2

/* A signal that waits is not queued twice for a vCPU, so this many are enough. */
#define PLATFORM_MAX_SIGNALS (3 * MACHINE_MAX_VCPUS + 2)

/* Where a device's registers are seen. */
struct platform_window {
	uint64_t first, count;
	const struct window_ops *ops;
	void *device;
	bool bytes; /* every register is one byte: wider accesses are split */
};

#define PLATFORM_MAX_PORT_WINDOWS 24
#define PLATFORM_MAX_MMIO_WINDOWS (LAYOUT_VIRTIO_MAX + 1)

struct platform {
	struct platform_config config;
	struct dma dma;
	struct timer_queue *timers;

	struct irq_router router;
	struct apic_bus bus;
	struct pic8259 *pic;
	struct ioapic *ioapic;
	struct pit8254 *pit;
	struct rtc *rtc;
	struct uart16550 *uart[PLATFORM_UARTS];
	struct kbd_reset *kbd;
	struct acpi_pm *acpi_pm;
	struct channel *channel; /* NULL when the configuration has none */
	struct virtio_device *virtio[LAYOUT_VIRTIO_MAX];
	unsigned n_virtio;

	struct platform_window port[PLATFORM_MAX_PORT_WINDOWS]; /* by address */
	unsigned n_ports;
	struct platform_window mmio[PLATFORM_MAX_MMIO_WINDOWS];
	unsigned n_mmio;

	struct platform_signal_event signal[PLATFORM_MAX_SIGNALS]; /* oldest first */
	unsigned n_signals;
};

#endif
