/* The platform: routing of crossings and interrupts, signals, reset, saving and restoring. */
#include "tests/unit/device_fixture.h"

#include <errno.h>

#include "vmm/devices/channel.h"
#include "vmm/devices/layout.h"
#include "vmm/devices/platform.h"

#define NONE ((uint64_t)-1)

static struct platform *platform;
static struct terminal terminal, streams[3];

static int no_dma_read(void *ctx, uint64_t gpa, void *buffer, uint32_t n)
{
	return -EFAULT;
}

static int no_dma_write(void *ctx, uint64_t gpa, const void *data, uint32_t n)
{
	return -EFAULT;
}

static void fill(void *ctx, void *buffer, size_t n)
{
	memset(buffer, 7, n);
}

static int no_disk_read(void *ctx, uint64_t offset, void *buffer, size_t n)
{
	return -EIO;
}

static struct platform_config make_config(void)
{
	struct platform_config config = {
		.n_vcpus = 2,
		.ram_bytes = UINT64_C(4) << 30,
		.epoch_s = 1700000000,
		.virtio_console = true,
		.virtio_rng = true,
		.random = {fill, NULL},
		.n_disks = 1,
		.disk[0] = {.read = no_disk_read, .bytes = 1 << 20, .read_only = true},
		.channel = true,
	};
	config.uart[0] = terminal_backend(&terminal);
	for (unsigned i = 0; i < 3; i++)
		config.channel_stream[i] = terminal_backend(&streams[i]);
	return config;
}

static struct platform *make_platform(void)
{
	static const struct dma dma = {no_dma_read, no_dma_write, NULL};
	struct platform_config config = make_config();
	struct platform *made = NULL;
	platform_create(&config, &dma, &made);
	return made;
}

static uint64_t in(struct platform *from, uint8_t kind, uint64_t address, unsigned size)
{
	struct crossing_request request = {.kind = kind, .size = size, .address = address};
	return platform_read(from, 0, &request);
}

static void out(uint8_t kind, uint64_t address, unsigned size, uint64_t value)
{
	struct crossing_request request = {kind, size, address, value};
	platform_write(platform, 0, &request, 0);
}

static uint64_t port_in(uint16_t port, unsigned size)
{
	return in(platform, CROSSING_PORT_READ, port, size);
}

static void port(uint16_t number, uint8_t value)
{
	out(CROSSING_PORT_WRITE, number, 1, value);
}

static void lapic(uint32_t offset, uint32_t value)
{
	out(CROSSING_MMIO_WRITE, LAYOUT_LAPIC_GPA + offset, 4, value);
}

static void ioapic_entry(unsigned pin, uint32_t value)
{
	out(CROSSING_MMIO_WRITE, LAYOUT_IOAPIC_GPA, 4, 0x10 + pin * 2);
	out(CROSSING_MMIO_WRITE, LAYOUT_IOAPIC_GPA + 0x10, 4, value);
}

static void test_config(void)
{
	struct platform_config config = make_config();
	struct machine_config machine;
	platform_machine_config(&config, &machine);
	uint64_t ram = 0, end = 0;
	bool sorted = true, virtio = false;
	for (unsigned i = 0; i < machine.n_regions; i++) {
		const struct memory_region *region = &machine.regions[i];
		sorted &= region->gpa >= end;
		end = region->gpa + region->bytes;
		if (region->kind == REGION_RAM)
			ram += region->bytes;
		if (region->kind == REGION_DEVICE && region->gpa == LAYOUT_VIRTIO_GPA + 2 * 4096)
			virtio = true;
	}
	tap_ok(sorted, "regions are sorted and do not overlap");
	is_equal(ram, (UINT64_C(4) << 30) - 0x60000, "all RAM but the hole below 1 MiB");
	tap_ok(virtio, "three virtio windows");
	unsigned ports = machine.n_ports;
	config.channel = false;
	platform_machine_config(&config, &machine);
	is_equal(machine.n_ports, ports - 1, "no channel, no ports for it");
	config.n_vcpus = 0;
	struct platform *bad = NULL;
	is_equal(platform_create(&config, NULL, &bad), (uint64_t)-EINVAL, "no vCPU, no platform");
}

static void test_routing(void)
{
	is_equal(port_in(0x3fd, 1), 0x60, "UART 0");
	is_equal(port_in(0x2fd, 1), 0x60, "UART 1");
	is_equal(port_in(0x3fd, 2), 0xb060, "wide accesses to byte registers are split");
	is_equal(port_in(0x3ff, 2), 0xff00, "beyond a window ports read as ones");
	is_equal(port_in(0x600 + 4, 2), 1, "ACPI control");
	is_equal(port_in(0x1234, 4), 0xffffffff, "an unassigned port");
	is_equal(in(platform, CROSSING_MMIO_READ, LAYOUT_LAPIC_GPA + 0x30, 4), 0x50014, "LAPIC");
	is_equal(in(platform, CROSSING_MMIO_READ, LAYOUT_VIRTIO_GPA, 4), 0x74726976, "virtio");
	is_equal(in(platform, CROSSING_MMIO_READ, LAYOUT_VIRTIO_GPA + 0x1008, 4), 3,
		 "the console is the second");
	is_equal(in(platform, CROSSING_MMIO_READ, LAYOUT_VIRTIO_GPA + 0x5000, 8), UINT64_MAX,
		 "unassigned memory");
	struct crossing_request id = {CROSSING_MMIO_READ, 4, LAYOUT_LAPIC_GPA + 0x20, 0};
	is_equal(platform_read(platform, 1, &id), 0x01000000, "each vCPU sees its own LAPIC");
	out(CROSSING_CR8_WRITE, 0, 8, 5);
	is_equal(in(platform, CROSSING_CR8_READ, 0, 8), 5, "CR8");
	out(CROSSING_CR8_WRITE, 0, 8, 0);
	out(CROSSING_PORT_WRITE, 0x70, 2, 0x0006 | 0x4000 | 0x0010);
	port(0x3f8, 'A');
	tap_ok(terminal.n_output == 1 && terminal.output[0] == 'A', "ttyS0 reaches its back end");
}

/* PIT, 8259 pair, LINT0 of the first processor: what a kernel sees before it knows of APICs. */
static void test_virtual_wire(void)
{
	static const uint8_t init[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4},    {0x21, 1},
					  {0xa0, 0x11}, {0xa1, 0x28}, {0xa1, 2},    {0xa1, 1},
					  {0x21, 0xfe}, {0xa1, 0xff}, {0x43, 0x34}, {0x40, 0xa9},
					  {0x40, 0x04}};
	for (unsigned i = 0; i < sizeof(init) / sizeof(*init); i++)
		port(init[i][0], init[i][1]);
	platform_take_interrupt(platform, 0);
	port(0x20, 0x20);
	is_equal(platform_pending_interrupt(platform, 0), NONE, "quiet");
	platform_advance(platform, platform_deadline(platform));
	is_equal(platform_pending_interrupt(platform, 0), 0x20, "PIT through the 8259 pair");
	is_equal(platform_pending_interrupt(platform, 1), NONE, "to the first processor only");
	is_equal(platform_pending_interrupt(platform, 0), 0x20, "asking changes nothing");
	is_equal(platform_take_interrupt(platform, 0), 0x20, "taken");
	is_equal(platform_take_interrupt(platform, 0), NONE, "once");
	port(0x21, 0xff);
}

static void test_apic_mode(void)
{
	lapic(0x350, 0x10000);
	lapic(0xf0, 0x1ff);
	ioapic_entry(2, 0x30);
	ioapic_entry(4, 0x34);
	platform_advance(platform, platform_deadline(platform));
	is_equal(platform_take_interrupt(platform, 0), 0x30, "PIT is pin 2 of the I/O APIC");
	lapic(0xb0, 0);
	port(0x43, 0x30); /* stop it */
	terminal_type(&terminal, "q");
	port(0x3fc, 0x0b);
	port(0x3f9, 0x01);
	platform_poll_input(platform);
	is_equal(platform_take_interrupt(platform, 0), 0x34, "typed input interrupts by pin 4");
	lapic(0xb0, 0);
	is_equal(port_in(0x3f8, 1), 'q', "and is read");
	lapic(0x320, 0x40044);
	uint64_t at = platform_deadline(platform);
	out(CROSSING_MSR_WRITE, 0x6e0, 8, 20000000);
	tap_ok(platform_deadline(platform) <= 20000000 && at != platform_deadline(platform),
	       "TSC deadline by MSR");
	platform_advance(platform, 30000000);
	is_equal(platform_take_interrupt(platform, 0), 0x44, "fires");
	lapic(0xb0, 0);
}

static void test_signals(void)
{
	lapic(0x310, 0x01000000);
	lapic(0x300, 0x4500);
	lapic(0x300, 0x4609);
	struct platform_signal_event event = platform_take_signal(platform);
	tap_ok(event.signal == PLATFORM_SIGNAL_INIT && event.vcpu == 1, "INIT");
	lapic(0x300, 0x4609);
	event = platform_take_signal(platform);
	tap_ok(event.signal == PLATFORM_SIGNAL_SIPI && event.vector == 9, "SIPI, one of two");
	is_equal(platform_take_signal(platform).signal, PLATFORM_SIGNAL_NONE, "no more");
	for (unsigned i = 0; i < 1000; i++)
		lapic(0x300, i % 2 ? 0x4609 : 0x4400);
	lapic(0x300, 0x4500);
	is_equal(platform_take_signal(platform).signal, PLATFORM_SIGNAL_INIT, "INIT voids others");
	is_equal(platform_take_signal(platform).signal, PLATFORM_SIGNAL_NONE, "all of them");
	port(LAYOUT_KBD_COMMAND_PORT, 0xfe);
	is_equal(platform_take_signal(platform).signal, PLATFORM_SIGNAL_RESET, "reset");
	port(LAYOUT_ACPI_RESET_PORT, 0x06);
	is_equal(platform_take_signal(platform).signal, PLATFORM_SIGNAL_RESET, "reset by ACPI");
	out(CROSSING_PORT_WRITE, LAYOUT_ACPI_PM_PORT + 4, 2, 0x3400);
	is_equal(platform_take_signal(platform).signal, PLATFORM_SIGNAL_POWER_OFF, "power-off");
	int status;
	tap_ok(!platform_channel_exited(platform, &status), "the command still runs");
	port(LAYOUT_CHANNEL_PORT + CHANNEL_EXIT, 3);
	tap_ok(platform_channel_exited(platform, &status) && status == 3, "it exited");
	is_equal(platform_take_signal(platform).signal, PLATFORM_SIGNAL_POWER_OFF, "and all ends");
}

/* A platform in the middle of much: timers armed, interrupts pending and in service, input waiting.
 */
static void make_busy(void)
{
	platform_reset(platform);
	port(0x43, 0x36);
	port(0x40, 0x00);
	port(0x40, 0x10);
	lapic(0x350, 0x10000);
	lapic(0xf0, 0x1ff);
	ioapic_entry(2, 0x30);
	ioapic_entry(8, 0x38);
	ioapic_entry(4, 0x8034);
	port(0x70, 0x0b);
	port(0x71, 0x42);
	lapic(0x3e0, 0xb);
	lapic(0x320, 0x20045);
	lapic(0x380, 12345);
	port(0x3fa, 0xc1);
	port(0x3fc, 0x0b);
	port(0x3f9, 0x01);
	terminal_type(&terminal, "abc");
	terminal_type(&streams[0], "stdin");
	platform_poll_input(platform);
	lapic(0x310, 0x01000000);
	lapic(0x300, 0x4609);
	port(0x60, 0x12);
	out(CROSSING_MMIO_WRITE, LAYOUT_VIRTIO_GPA + 0x70, 4, 3);
	platform_advance(platform, 50000000);
	platform_take_interrupt(platform, 0);
}

/* Runs a platform on and digests what it does. */
static uint64_t behaviour(struct platform *of)
{
	uint64_t sum = 0, now = 50000000;
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t deadline = platform_deadline(of);
		now = deadline < now + 777777 ? deadline : now + 777777;
		platform_advance(of, now);
		int vector = platform_take_interrupt(of, 0);
		struct crossing_request eoi = {CROSSING_MMIO_WRITE, 4, LAYOUT_LAPIC_GPA + 0xb0, 0};
		platform_write(of, 0, &eoi, 0);
		uint64_t values[] = {now,
				     vector,
				     in(of, CROSSING_PORT_READ, 0x40, 1),
				     in(of, CROSSING_PORT_READ, 0x71, 1),
				     in(of, CROSSING_PORT_READ, 0x3f8, 1),
				     in(of, CROSSING_PORT_READ, 0x608, 4),
				     in(of, CROSSING_PORT_READ, LAYOUT_CHANNEL_PORT + 4, 1),
				     in(of, CROSSING_MMIO_READ, LAYOUT_LAPIC_GPA + 0x390, 4)};
		for (unsigned j = 0; j < sizeof(values) / sizeof(*values); j++)
			sum = (sum ^ values[j]) * UINT64_C(0x100000001b3);
	}
	return sum;
}

static void test_save(void)
{
	uint8_t *first = NULL, *second = NULL;
	size_t n_first = 0, n_second = 0;
	struct platform *fresh = make_platform();
	make_busy();
	is_equal(platform_save(platform, &first, &n_first), 0, "save");
	is_equal(platform_restore(fresh, first, n_first), 0, "restore into a fresh platform");
	is_equal(platform_save(fresh, &second, &n_second), 0, "save again");
	tap_ok(n_first == n_second && !memcmp(first, second, n_first), "equal bytes");
	is_equal(platform_deadline(fresh), platform_deadline(platform), "equal deadlines");
	is_equal(platform_take_signal(fresh).signal, PLATFORM_SIGNAL_SIPI, "signals are kept");
	platform_take_signal(platform);
	uint64_t expected = behaviour(platform);
	is_equal(behaviour(fresh), expected, "equal behaviour");

	free(second);
	platform_save(fresh, &second, &n_second);
	unsigned refused = 0, changed = 0;
	for (size_t n = 0; n < n_first; n++) {
		uint8_t *now;
		size_t n_now;
		if (platform_restore(fresh, first, n) == -EINVAL)
			refused++;
		else
			continue;
		platform_save(fresh, &now, &n_now);
		changed += n_now != n_second || memcmp(now, second, n_now);
		free(now);
	}
	tap_ok(refused > n_first * 9 / 10, "truncated states are refused (%u of %zu)", refused,
	       n_first);
	is_equal(changed, 0, "and leave the platform as it was");
	free(first);
	free(second);
	platform_destroy(fresh);
}

/* Bytes changed at random: whatever is accepted must be a state that runs. */
static void test_damaged(void)
{
	uint8_t *state, *damaged;
	size_t n;
	uint32_t seed = 1;
	unsigned accepted = 0;
	make_busy();
	platform_save(platform, &state, &n);
	damaged = malloc(n);
	for (unsigned i = 0; i < 3000; i++) {
		memcpy(damaged, state, n);
		for (unsigned j = 0; j <= i % 3; j++) {
			seed = seed * 1664525 + 1013904223;
			damaged[(seed >> 8) % n] ^= 1u << (seed >> 29);
		}
		if (platform_restore(platform, damaged, n))
			continue;
		accepted++;
		uint64_t deadline = platform_deadline(platform);
		if (deadline != UINT64_MAX)
			platform_advance(platform, deadline);
		platform_take_interrupt(platform, 0);
		port_in(0x71, 1);
	}
	tap_ok(accepted && accepted < 3000, "damaged states do no harm (%u accepted)", accepted);
	free(damaged);
	free(state);
}

int main(void)
{
	platform = make_platform();
	test_config();
	test_routing();
	test_virtual_wire();
	test_apic_mode();
	test_signals();
	test_save();
	test_damaged();
	platform_destroy(platform);
	return tap_done();
}
