/* Which devices there are and how they are wired. */
#include "vmm/devices/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/acpi_tables.h"
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

/* ---- the memory map and the ports ---- */

/* In the order of their addresses; the channel's are left out when there is none. */
static const struct port_range port_ranges[] = {
	{LAYOUT_PIC_MASTER_PORT, PIC8259_PORTS},
	{LAYOUT_PIT_PORT, PIT8254_PORTS},
	{LAYOUT_KBD_DATA_PORT, 2}, /* and LAYOUT_PORT_B */
	{LAYOUT_KBD_COMMAND_PORT, 1},
	{LAYOUT_RTC_PORT, RTC_PORTS},
	{LAYOUT_PORT_A, 1},
	{LAYOUT_PIC_SLAVE_PORT, PIC8259_PORTS},
	{LAYOUT_UART1_PORT, UART16550_PORTS},
	{LAYOUT_UART0_PORT, UART16550_PORTS},
	{LAYOUT_PIC_ELCR_PORT, PIC8259_PORTS},
	{LAYOUT_CHANNEL_PORT, CHANNEL_PORTS},
	{LAYOUT_ACPI_PM_PORT, ACPI_PM_PORTS},
	{LAYOUT_ACPI_RESET_PORT, 1},
};

static unsigned n_disks(const struct platform_config *config)
{
	return config->n_disks < PLATFORM_MAX_DISKS ? config->n_disks : PLATFORM_MAX_DISKS;
}

static unsigned n_virtio(const struct platform_config *config)
{
	return n_disks(config) + config->virtio_console + config->virtio_rng +
	       (config->files_tag != NULL);
}

static void add_region(struct machine_config *machine, uint8_t kind, uint64_t gpa, uint64_t bytes)
{
	bytes = (bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	if (bytes)
		machine->regions[machine->n_regions++] = (struct memory_region){kind, gpa, bytes};
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void add_regions(const struct platform_config *config, struct machine_config *machine)
{
	uint64_t ram = config->ram_bytes & ~(uint64_t)(PAGE_BYTES - 1);
	uint64_t low_end = least(ram, LAYOUT_RAM_HOLE_GPA);

	add_region(machine, REGION_RAM, 0, least(ram, LAYOUT_LOW_RAM_END));
	add_region(machine, REGION_ROM, LAYOUT_BIOS_GPA, LAYOUT_BIOS_BYTES);
	if (low_end > LAYOUT_HIGH_RAM_GPA)
		add_region(machine, REGION_RAM, LAYOUT_HIGH_RAM_GPA, low_end - LAYOUT_HIGH_RAM_GPA);
	for (unsigned i = 0; i < n_virtio(config); i++)
		add_region(machine, REGION_DEVICE, LAYOUT_VIRTIO_GPA + i * LAYOUT_VIRTIO_BYTES,
			   LAYOUT_VIRTIO_BYTES);
	add_region(machine, REGION_DEVICE, LAYOUT_IOAPIC_GPA, IOAPIC_WINDOW_BYTES);
	add_region(machine, REGION_DEVICE, LAYOUT_LAPIC_GPA, LAPIC_WINDOW_BYTES);
	if (ram > low_end)
		add_region(machine, REGION_RAM, LAYOUT_ABOVE_4G_GPA, ram - low_end);
}

void platform_machine_config(const struct platform_config *config,
			     struct machine_config *ret_config)
{
	*ret_config = (struct machine_config){
		.n_vcpus = config->n_vcpus,
		.cpu_model = "x86-64-v2",
	};
	add_regions(config, ret_config);
	for (unsigned i = 0; i < sizeof(port_ranges) / sizeof(*port_ranges); i++)
		if (port_ranges[i].first != LAYOUT_CHANNEL_PORT || config->channel)
			ret_config->ports[ret_config->n_ports++] = port_ranges[i];
}

int platform_acpi_tables(const struct platform_config *config, uint8_t **ret_blob,
			 size_t *ret_bytes)
{
	struct acpi_tables_config tables = {
		.n_vcpus = config->n_vcpus,
		.n_virtio = n_virtio(config),
	};
	return acpi_tables_build(&tables, LAYOUT_ACPI_GPA, ret_blob, ret_bytes);
}

/* ---- signals ---- */

static void drop_signals(struct platform *platform, uint32_t vcpu)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < platform->n_signals; i++)
		if (platform->signal[i].signal > PLATFORM_SIGNAL_SIPI ||
		    platform->signal[i].vcpu != vcpu)
			platform->signal[kept++] = platform->signal[i];
	platform->n_signals = kept;
}

/* A signal like one that waits changes nothing, but an INIT makes what came before it void. */
static void queue_signal(void *ctx, enum platform_signal signal, uint32_t vcpu, uint8_t vector)
{
	struct platform *platform = ctx;
	if (signal == PLATFORM_SIGNAL_INIT)
		drop_signals(platform, vcpu);
	for (unsigned i = 0; i < platform->n_signals; i++)
		if (platform->signal[i].signal == signal && platform->signal[i].vcpu == vcpu)
			return;
	platform->signal[platform->n_signals++] =
		(struct platform_signal_event){signal, vcpu, vector};
}

static void request_reset(void *ctx)
{
	queue_signal(ctx, PLATFORM_SIGNAL_RESET, 0, 0);
}

static void request_power_off(void *ctx)
{
	queue_signal(ctx, PLATFORM_SIGNAL_POWER_OFF, 0, 0);
}

/* ---- construction ---- */

/* INTR of the 8259 pair goes to LINT0 of every local APIC. */
static void set_lint0(void *ctx, unsigned pin, bool level)
{
	struct platform *platform = ctx;
	for (unsigned i = 0; i < platform->bus.n_lapics; i++)
		lapic_set_lint(platform->bus.lapic[i], 0, level);
}

static int create_lapics(struct platform *platform)
{
	struct apic_bus *bus = &platform->bus;
	for (uint32_t id = 0; id < platform->config.n_vcpus; id++) {
		int ret = lapic_create(id, bus, platform->timers, &bus->lapic[id]);
		if (ret < 0)
			return ret;
		bus->n_lapics++;
	}
	return 0;
}

static int create_controllers(struct platform *platform)
{
	struct irq_line intr = {set_lint0, platform, 0};
	int ret = create_lapics(platform);
	if (ret < 0)
		return ret;
	ret = ioapic_create(&platform->bus, &platform->ioapic);
	if (ret < 0)
		return ret;
	platform->bus.end_of_interrupt = ioapic_end_of_interrupt;
	platform->bus.ioapic = platform->ioapic;
	platform->bus.signal = queue_signal;
	platform->bus.signal_ctx = platform;
	ret = pic8259_create(intr, &platform->pic);
	if (ret < 0)
		return ret;
	irq_router_init(&platform->router, platform->pic, platform->ioapic);
	return 0;
}

static struct irq_line connect(struct platform *platform, unsigned line)
{
	return irq_router_connect(&platform->router, line);
}

static int create_uarts(struct platform *platform)
{
	static const unsigned lines[PLATFORM_UARTS] = {LAYOUT_IRQ_UART0, LAYOUT_IRQ_UART1};
	for (unsigned i = 0; i < PLATFORM_UARTS; i++) {
		int ret = uart16550_create(&platform->config.uart[i], connect(platform, lines[i]),
					   platform->timers, &platform->uart[i]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int create_channel(struct platform *platform)
{
	const struct platform_config *config = &platform->config;
	struct channel_config channel = {
		.plan = config->channel_plan,
		.plan_bytes = config->channel_plan_bytes,
		.exited = request_power_off,
		.ctx = platform,
	};
	memcpy(channel.stream, config->channel_stream, sizeof(channel.stream));
	return config->channel ? channel_create(&channel, &platform->channel) : 0;
}

static int create_legacy(struct platform *platform)
{
	const struct platform_config *config = &platform->config;
	struct timer_queue *timers = platform->timers;
	int ret = pit8254_create(connect(platform, LAYOUT_IRQ_PIT), timers, &platform->pit);
	if (ret < 0)
		return ret;
	ret = rtc_create(config->epoch_s, config->ram_bytes, connect(platform, LAYOUT_IRQ_RTC),
			 timers, &platform->rtc);
	if (ret < 0)
		return ret;
	ret = create_uarts(platform);
	if (ret < 0)
		return ret;
	ret = kbd_reset_create(request_reset, platform, &platform->kbd);
	if (ret < 0)
		return ret;
	ret = acpi_pm_create(connect(platform, LAYOUT_IRQ_SCI), timers, request_power_off, platform,
			     &platform->acpi_pm);
	return ret < 0 ? ret : create_channel(platform);
}

static struct virtio_wiring next_wiring(struct platform *platform)
{
	unsigned line = LAYOUT_IRQ_VIRTIO + platform->n_virtio % LAYOUT_IRQ_VIRTIO_COUNT;
	return (struct virtio_wiring){&platform->dma, connect(platform, line), platform->timers,
				      platform->config.delay};
}

/* Takes what was made with next_wiring() in; passes on how that went. */
static int add_virtio(struct platform *platform, int ret)
{
	if (ret >= 0)
		platform->n_virtio++;
	return ret;
}

static int create_disks(struct platform *platform)
{
	const struct platform_config *config = &platform->config;

	for (unsigned i = 0; i < n_disks(config); i++) {
		struct virtio_wiring wiring = next_wiring(platform);
		int ret = virtio_blk_create(&wiring, &config->disk[i], config->disk_latency_ns,
					    &platform->virtio[platform->n_virtio]);
		if (add_virtio(platform, ret) < 0)
			return ret;
	}
	return 0;
}

/* Disks come first, so that their numbers do not depend on what else there is. */
static int create_virtio(struct platform *platform)
{
	const struct platform_config *config = &platform->config;
	struct virtio_device **devices = platform->virtio;
	struct virtio_wiring wiring;
	int ret = create_disks(platform);

	if (ret >= 0 && config->virtio_console) {
		wiring = next_wiring(platform);
		ret = virtio_console_create(&wiring, &config->console,
					    &devices[platform->n_virtio]);
		ret = add_virtio(platform, ret);
	}
	if (ret >= 0 && config->virtio_rng) {
		wiring = next_wiring(platform);
		ret = virtio_rng_create(&wiring, &config->random, &devices[platform->n_virtio]);
		ret = add_virtio(platform, ret);
	}
	if (ret >= 0 && config->files_tag) {
		wiring = next_wiring(platform);
		ret = virtio_fs_create(&wiring, &config->files, config->files_tag,
				       &devices[platform->n_virtio]);
		ret = add_virtio(platform, ret);
	}
	return ret;
}

static void add_window(struct platform_window *windows, unsigned *n, struct platform_window window)
{
	unsigned i = (*n)++;
	for (; i && windows[i - 1].first > window.first; i--)
		windows[i] = windows[i - 1];
	windows[i] = window;
}

static void add_ports(struct platform *platform)
{
	const struct platform_window windows[] = {
		{LAYOUT_PIC_MASTER_PORT, PIC8259_PORTS, &pic8259_master_ops, platform->pic, true},
		{LAYOUT_PIC_SLAVE_PORT, PIC8259_PORTS, &pic8259_slave_ops, platform->pic, true},
		{LAYOUT_PIC_ELCR_PORT, PIC8259_PORTS, &pic8259_elcr_ops, platform->pic, true},
		{LAYOUT_PIT_PORT, PIT8254_PORTS, &pit8254_window_ops, platform->pit, true},
		{LAYOUT_PORT_B, 1, &pit8254_port_b_ops, platform->pit, true},
		{LAYOUT_RTC_PORT, RTC_PORTS, &rtc_window_ops, platform->rtc, true},
		{LAYOUT_UART0_PORT, UART16550_PORTS, &uart16550_window_ops, platform->uart[0],
		 true},
		{LAYOUT_UART1_PORT, UART16550_PORTS, &uart16550_window_ops, platform->uart[1],
		 true},
		{LAYOUT_KBD_DATA_PORT, 1, &kbd_data_ops, platform->kbd, true},
		{LAYOUT_KBD_COMMAND_PORT, 1, &kbd_command_ops, platform->kbd, true},
		{LAYOUT_PORT_A, 1, &kbd_port_a_ops, platform->kbd, true},
		{LAYOUT_ACPI_RESET_PORT, 1, &kbd_reset_control_ops, platform->kbd, true},
		{LAYOUT_ACPI_PM_PORT, ACPI_PM_PORTS, &acpi_pm_window_ops, platform->acpi_pm, false},
	};
	for (unsigned i = 0; i < sizeof(windows) / sizeof(*windows); i++)
		add_window(platform->port, &platform->n_ports, windows[i]);
	if (platform->channel)
		add_window(platform->port, &platform->n_ports,
			   (struct platform_window){LAYOUT_CHANNEL_PORT, CHANNEL_PORTS,
						    &channel_window_ops, platform->channel, true});
}

/* The local APICs' page is not among them: which one answers depends on the vCPU. */
static void add_mmio(struct platform *platform)
{
	add_window(platform->mmio, &platform->n_mmio,
		   (struct platform_window){LAYOUT_IOAPIC_GPA, IOAPIC_WINDOW_BYTES,
					    &ioapic_window_ops, platform->ioapic, false});
	for (unsigned i = 0; i < platform->n_virtio; i++)
		add_window(platform->mmio, &platform->n_mmio,
			   (struct platform_window){LAYOUT_VIRTIO_GPA + i * LAYOUT_VIRTIO_BYTES,
						    LAYOUT_VIRTIO_BYTES, &virtio_window_ops,
						    platform->virtio[i], false});
}

static int create_devices(struct platform *platform)
{
	int ret = timer_queue_create(&platform->timers);
	if (ret < 0)
		return ret;
	ret = create_controllers(platform);
	if (ret < 0)
		return ret;
	ret = create_legacy(platform);
	if (ret < 0)
		return ret;
	ret = create_virtio(platform);
	if (ret < 0)
		return ret;
	add_ports(platform);
	add_mmio(platform);
	return 0;
}

int platform_create(const struct platform_config *config, const struct dma *dma,
		    struct platform **ret_platform)
{
	if (!config->n_vcpus || config->n_vcpus > MACHINE_MAX_VCPUS ||
	    config->n_disks > PLATFORM_MAX_DISKS)
		return -EINVAL;
	struct platform *platform = calloc(1, sizeof(*platform));
	if (!platform)
		return -ENOMEM;
	platform->config = *config;
	platform->dma = *dma;
	int ret = create_devices(platform);
	if (ret < 0) {
		platform_destroy(platform);
		return ret;
	}
	*ret_platform = platform;
	return 0;
}

void platform_destroy(struct platform *platform)
{
	if (!platform)
		return;
	for (unsigned i = 0; i < platform->n_virtio; i++)
		virtio_destroy(platform->virtio[i]);
	channel_destroy(platform->channel);
	acpi_pm_destroy(platform->acpi_pm);
	kbd_reset_destroy(platform->kbd);
	for (unsigned i = 0; i < PLATFORM_UARTS; i++)
		uart16550_destroy(platform->uart[i]);
	rtc_destroy(platform->rtc);
	pit8254_destroy(platform->pit);
	pic8259_destroy(platform->pic);
	ioapic_destroy(platform->ioapic);
	for (unsigned i = 0; i < platform->bus.n_lapics; i++)
		lapic_destroy(platform->bus.lapic[i]);
	timer_queue_destroy(platform->timers);
	free(platform);
}
