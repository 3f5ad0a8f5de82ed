/*
 * Fuzz target for platform_restore() and for the devices in whatever state it accepts. An input: a
 * byte of options (odd: the rest is a state as it is), changes to a good state, then accesses to
 * the devices.
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/fuzz/input.h"
#include "vmm/devices/layout.h"
#include "vmm/devices/platform.h"

#define RAM_BYTES   0x10000u
#define DISK_BYTES  (1u << 20)
#define ACCESSES    64u
#define ACCESS_SIZE 5u

/* Descriptors, rings and buffers of the virtio devices all lie here. */
static uint8_t ram[RAM_BYTES];

static int dma_read(void *ctx, uint64_t gpa, void *buffer, uint32_t n)
{
	if (gpa > RAM_BYTES || n > RAM_BYTES - gpa)
		return -EFAULT;
	memcpy(buffer, ram + gpa, n);
	return 0;
}

static int dma_write(void *ctx, uint64_t gpa, const void *data, uint32_t n)
{
	if (gpa > RAM_BYTES || n > RAM_BYTES - gpa)
		return -EFAULT;
	memcpy(ram + gpa, data, n);
	return 0;
}

static void stream_write(void *ctx, const uint8_t *data, size_t n)
{
}

/* Something has always arrived, so that buffers fill up. */
static size_t stream_read(void *ctx, uint8_t *data, size_t n)
{
	memset(data, 'x', n);
	return n;
}

static void fill(void *ctx, void *buffer, size_t n)
{
	memset(buffer, 7, n);
}

static int disk_read(void *ctx, uint64_t offset, void *buffer, size_t n)
{
	if (offset % 512 || n % 512 || offset > DISK_BYTES || n > DISK_BYTES - offset)
		abort();
	memset(buffer, 1, n);
	return 0;
}

static int disk_write(void *ctx, uint64_t offset, const void *data, size_t n)
{
	if (offset % 512 || n % 512 || offset > DISK_BYTES || n > DISK_BYTES - offset)
		abort();
	return 0;
}

static int disk_flush(void *ctx)
{
	return 0;
}

static struct platform *make_platform(void)
{
	static const struct dma dma = {dma_read, dma_write, NULL};
	static const struct char_backend stream = {.write = stream_write, .read = stream_read};
	struct platform_config config = {
		.n_vcpus = 2,
		.ram_bytes = UINT64_C(16) << 20,
		.epoch_s = 1700000000,
		.uart = {stream, stream},
		.virtio_console = true,
		.console = stream,
		.virtio_rng = true,
		.random = {fill, NULL},
		.disk = {{disk_read, disk_write, disk_flush, DISK_BYTES, false, "", NULL}},
		.n_disks = 1,
		.disk_latency_ns = 1000,
		.channel = true,
		.channel_stream = {stream, stream, stream, stream},
	};
	struct platform *platform;

	if (platform_create(&config, &dma, &platform) != 0)
		abort();
	return platform;
}

/* ---- accesses ---- */

/* An access of 5 bytes: where (kind and device), register, two bytes of value, size and time. */
static struct crossing_request read_request(struct input *input)
{
	static const uint64_t windows[] = {LAYOUT_LAPIC_GPA, LAYOUT_IOAPIC_GPA, LAYOUT_VIRTIO_GPA,
					   LAYOUT_VIRTIO_GPA + 4096, LAYOUT_VIRTIO_GPA + 8192};
	static const uint16_t ports[] = {0x3f8, 0x2f8, 0x20, 0xa0, 0x40, 0x70, 0x60, 0x600};
	uint8_t where = (uint8_t)input_number(input, 1), reg = (uint8_t)input_number(input, 1);
	struct crossing_request request = {.value = input_number(input, 2)};
	uint8_t how = (uint8_t)input_number(input, 1);

	request.size = (uint8_t)(1u << (how & 3));
	if (where & 0x40) {
		request.kind = where & 0x80 ? CROSSING_MMIO_WRITE : CROSSING_MMIO_READ;
		request.address = windows[where % 5] + (reg & ~(request.size - 1u));
	} else if (where & 0x20) {
		request.kind = where & 0x80 ? CROSSING_MSR_WRITE : CROSSING_MSR_READ;
		request.address = where & 1 ? 0x6e0 : 0x800u + (reg & 0x3fu);
		request.size = 8;
	} else {
		request.kind = where & 0x80 ? CROSSING_PORT_WRITE : CROSSING_PORT_READ;
		request.address = ports[where % 8] + (reg & 7u);
		request.size = (uint8_t)(1u << (how & 3) % 3);
	}
	return request;
}

static bool is_write(const struct crossing_request *request)
{
	return request->kind == CROSSING_PORT_WRITE || request->kind == CROSSING_MMIO_WRITE ||
	       request->kind == CROSSING_MSR_WRITE || request->kind == CROSSING_CR8_WRITE;
}

/* What the recorder does between instructions. */
static void between(struct platform *platform, uint64_t *now_ns, uint64_t step_ns)
{
	*now_ns = *now_ns > UINT64_MAX - step_ns ? UINT64_MAX : *now_ns + step_ns;
	platform_advance(platform, *now_ns);
	if (platform_deadline(platform) < *now_ns)
		abort();
	platform_poll_input(platform);
	if (platform_needs_service(platform))
		platform_service(platform);
	for (uint32_t vcpu = 0; vcpu < 2; vcpu++) {
		int pending = platform_pending_interrupt(platform, vcpu);
		if (pending >= 0 && platform_take_interrupt(platform, vcpu) != pending)
			abort();
	}
	for (unsigned i = 0; i < 100; i++)
		if (platform_take_signal(platform).signal == PLATFORM_SIGNAL_NONE)
			return;
	abort(); /* signals without an end */
}

static void use(struct platform *platform, struct input *input)
{
	uint64_t now_ns = 0;

	for (unsigned i = 0; i < ACCESSES && input->n >= ACCESS_SIZE; i++) {
		struct crossing_request request = read_request(input);
		if (is_write(&request))
			platform_write(platform, i % 2, &request, request.value);
		else
			platform_read(platform, i % 2, &request);
		between(platform, &now_ns, request.value * 50);
	}
	between(platform, &now_ns, 2000000);
}

/* ---- states ---- */

static void restore(struct platform *platform, const uint8_t *state, size_t n, struct input *input)
{
	uint8_t *before, *after;
	size_t n_before, n_after;

	if (platform_save(platform, &before, &n_before))
		abort();
	int err = platform_restore(platform, state, n);
	if (platform_save(platform, &after, &n_after))
		abort();
	/* Refused: nothing has changed. Accepted: what is saved is accepted again. */
	if (err ? n_before != n_after || memcmp(before, after, n_before) != 0
		: platform_restore(platform, after, n_after) != 0)
		abort();
	free(before);
	free(after);
	use(platform, input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input input = {data, n};
	struct platform *platform = make_platform();

	for (size_t i = 0; i < RAM_BYTES; i++)
		ram[i] = n ? data[i % n] : 0;
	if (input_number(&input, 1) & 1) {
		restore(platform, input.data, input.n, &input);
	} else {
		uint8_t *state;
		size_t bytes;
		if (platform_save(platform, &state, &bytes))
			abort();
		input_change(&input, state, bytes);
		restore(platform, state, bytes, &input);
		free(state);
	}
	platform_destroy(platform);
	return 0;
}
