/* Who answers which crossing, and what the devices do between instructions. */
#include "vmm/devices/platform.h"

#include <string.h>

#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/channel.h"
#include "vmm/devices/ioapic.h"
#include "vmm/devices/kbd_reset.h"
#include "vmm/devices/lapic.h"
#include "vmm/devices/pic8259.h"
#include "vmm/devices/pit8254.h"
#include "vmm/devices/platform_parts.h"
#include "vmm/devices/rtc.h"
#include "vmm/devices/timer_queue.h"
#include "vmm/devices/uart16550.h"
#include "vmm/devices/virtio.h"

struct platform_signal_event platform_take_signal(struct platform *platform)
{
	struct platform_signal_event oldest = {PLATFORM_SIGNAL_NONE, 0, 0};
	if (!platform->n_signals)
		return oldest;
	oldest = platform->signal[0];
	platform->n_signals--;
	memmove(platform->signal, platform->signal + 1,
		platform->n_signals * sizeof(*platform->signal));
	return oldest;
}

/* Controllers last: lines that fall on the way must leave nothing behind. */
void platform_reset(struct platform *platform)
{
	for (unsigned i = 0; i < platform->n_virtio; i++)
		virtio_reset(platform->virtio[i]);
	if (platform->channel)
		channel_reset(platform->channel);
	acpi_pm_reset(platform->acpi_pm);
	kbd_reset_reset(platform->kbd);
	for (unsigned i = 0; i < PLATFORM_UARTS; i++)
		uart16550_reset(platform->uart[i]);
	rtc_reset(platform->rtc);
	pit8254_reset(platform->pit);
	ioapic_reset(platform->ioapic);
	pic8259_reset(platform->pic);
	for (unsigned i = 0; i < platform->bus.n_lapics; i++)
		lapic_reset(platform->bus.lapic[i]);
	platform->n_signals = 0;
}

/* ---- crossings ---- */

/* The window that holds the address, or NULL. */
static const struct platform_window *find_window(const struct platform_window *windows, unsigned n,
						 uint64_t address)
{
	unsigned low = 0, high = n;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct platform_window *window = &windows[middle];
		if (address < window->first)
			high = middle;
		else if (address - window->first >= window->count)
			low = middle + 1;
		else
			return window;
	}
	return NULL;
}

static uint64_t ones(unsigned size)
{
	return size < 8 ? (UINT64_C(1) << size * 8) - 1 : UINT64_MAX;
}

static bool fits(const struct platform_window *window, uint64_t address, unsigned size)
{
	return !(window->bytes && size > 1) && window->count - (address - window->first) >= size;
}

/* An access that does not fit into one window is made byte by byte. */
static uint64_t window_read(const struct platform_window *windows, unsigned n, uint64_t address,
			    unsigned size)
{
	const struct platform_window *window = find_window(windows, n, address);
	if (window && fits(window, address, size))
		return window->ops->read(window->device, address - window->first, size) &
		       ones(size);
	if (size == 1)
		return ones(1);
	uint64_t value = 0;
	for (unsigned i = 0; i < size; i++)
		value |= window_read(windows, n, address + i, 1) << i * 8;
	return value;
}

static void window_write(const struct platform_window *windows, unsigned n, uint64_t address,
			 unsigned size, uint64_t value)
{
	const struct platform_window *window = find_window(windows, n, address);
	if (window && fits(window, address, size)) {
		window->ops->write(window->device, address - window->first, size,
				   value & ones(size));
		return;
	}
	for (unsigned i = 0; size > 1 && i < size; i++)
		window_write(windows, n, address + i, 1, value >> i * 8 & 0xff);
}

static struct platform_window lapic_page(const struct platform *platform, uint32_t vcpu)
{
	return (struct platform_window){LAYOUT_LAPIC_GPA, LAPIC_WINDOW_BYTES, &lapic_window_ops,
					platform->bus.lapic[vcpu], false};
}

static uint64_t read_mmio(struct platform *platform, uint32_t vcpu, uint64_t gpa, unsigned size)
{
	struct platform_window page = lapic_page(platform, vcpu);
	if (gpa >= LAYOUT_LAPIC_GPA)
		return window_read(&page, 1, gpa, size);
	return window_read(platform->mmio, platform->n_mmio, gpa, size);
}

static void write_mmio(struct platform *platform, uint32_t vcpu, uint64_t gpa, unsigned size,
		       uint64_t value)
{
	struct platform_window page = lapic_page(platform, vcpu);
	if (gpa >= LAYOUT_LAPIC_GPA)
		window_write(&page, 1, gpa, size, value);
	else
		window_write(platform->mmio, platform->n_mmio, gpa, size, value);
}

uint64_t platform_read(struct platform *platform, uint32_t vcpu,
		       const struct crossing_request *request)
{
	struct lapic *lapic = platform->bus.lapic[vcpu];
	switch ((enum crossing_kind)request->kind) {
	case CROSSING_PORT_READ:
		return window_read(platform->port, platform->n_ports, request->address,
				   request->size);
	case CROSSING_MMIO_READ:
		return read_mmio(platform, vcpu, request->address, request->size);
	case CROSSING_MSR_READ:
		return lapic_read_msr(lapic, request->address);
	case CROSSING_CR8_READ:
		return lapic_read_cr8(lapic);
	default:
		return 0; /* random numbers are not ours */
	}
}

void platform_write(struct platform *platform, uint32_t vcpu,
		    const struct crossing_request *request, uint64_t tsc_offset)
{
	struct lapic *lapic = platform->bus.lapic[vcpu];
	switch ((enum crossing_kind)request->kind) {
	case CROSSING_PORT_WRITE:
		window_write(platform->port, platform->n_ports, request->address, request->size,
			     request->value);
		break;
	case CROSSING_MMIO_WRITE:
		write_mmio(platform, vcpu, request->address, request->size, request->value);
		break;
	case CROSSING_MSR_WRITE:
		lapic_write_msr(lapic, request->address, request->value, tsc_offset);
		break;
	case CROSSING_CR8_WRITE:
		lapic_write_cr8(lapic, request->value);
		break;
	default:
		break;
	}
}

/* ---- between instructions ---- */

void platform_advance(struct platform *platform, uint64_t now_ns)
{
	timer_queue_advance(platform->timers, now_ns);
}

uint64_t platform_deadline(const struct platform *platform)
{
	return timer_queue_deadline(platform->timers);
}

bool platform_needs_service(const struct platform *platform)
{
	for (unsigned i = 0; i < platform->n_virtio; i++)
		if (virtio_needs_service(platform->virtio[i]))
			return true;
	return false;
}

void platform_service(struct platform *platform)
{
	for (unsigned i = 0; i < platform->n_virtio; i++)
		if (virtio_needs_service(platform->virtio[i]))
			virtio_service(platform->virtio[i]);
}

void platform_poll_input(struct platform *platform)
{
	for (unsigned i = 0; i < PLATFORM_UARTS; i++)
		uart16550_poll_input(platform->uart[i]);
	if (platform->channel)
		channel_poll_input(platform->channel);
	for (unsigned i = 0; i < platform->n_virtio; i++)
		virtio_poll_input(platform->virtio[i]);
}

bool platform_console_listens(const struct platform *platform)
{
	for (unsigned i = 0; i < platform->n_virtio; i++) {
		const struct virtio_device *device = platform->virtio[i];

		if (virtio_device_id(device) == VIRTIO_ID_CONSOLE && virtio_console_listens(device))
			return true;
	}
	return false;
}

/* The 8259 pair comes before the local APIC's own interrupts; task priority does not hold it off.
 */
int platform_pending_interrupt(const struct platform *platform, uint32_t vcpu)
{
	const struct lapic *lapic = platform->bus.lapic[vcpu];
	int vector = lapic_takes_extint(lapic) ? pic8259_pending(platform->pic) : -1;
	return vector >= 0 ? vector : lapic_pending(lapic);
}

int platform_take_interrupt(struct platform *platform, uint32_t vcpu)
{
	struct lapic *lapic = platform->bus.lapic[vcpu];
	if (lapic_takes_extint(lapic) && pic8259_pending(platform->pic) >= 0)
		return pic8259_acknowledge(platform->pic);
	return lapic_acknowledge(lapic);
}

bool platform_channel_exited(const struct platform *platform, int *ret_status)
{
	return platform->channel && channel_exited(platform->channel, ret_status);
}

uint8_t platform_channel_notes(const struct platform *platform)
{
	return platform->channel ? channel_notes(platform->channel) : 0;
}

void platform_channel_resize(struct platform *platform, uint16_t rows, uint16_t columns)
{
	if (platform->channel)
		channel_resize(platform->channel, rows, columns);
}

bool platform_channel_ready(const struct platform *platform)
{
	return platform->channel && channel_ready(platform->channel);
}

void platform_set_date(struct platform *platform, uint64_t epoch_s)
{
	rtc_set_date(platform->rtc, epoch_s);
}
