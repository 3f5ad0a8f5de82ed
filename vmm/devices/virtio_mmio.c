/*
 * The MMIO transport, version 2 (virtio 1.2 section 4.2.2): registers, device status, interrupt.
 * Registers are 32 bits wide; accesses of another width or alignment read 0 and are dropped. The
 * config space from 0x100 on takes accesses of any width and is read-only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/virtio_device.h"

enum mmio_register {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE_ID = 0x008,
	REG_VENDOR_ID = 0x00c,
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SEL = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_NUM_MAX = 0x034,
	REG_QUEUE_NUM = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_QUEUE_NOTIFY = 0x050,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_STATUS = 0x070,
	REG_QUEUE_DESC_LOW = 0x080,
	REG_QUEUE_DESC_HIGH = 0x084,
	REG_QUEUE_DRIVER_LOW = 0x090,
	REG_QUEUE_DRIVER_HIGH = 0x094,
	REG_QUEUE_DEVICE_LOW = 0x0a0,
	REG_QUEUE_DEVICE_HIGH = 0x0a4,
	REG_SHM_LEN_LOW = 0x0b0,
	REG_SHM_BASE_HIGH = 0x0bc,
	REG_CONFIG_GENERATION = 0x0fc,
	REG_CONFIG = 0x100,
};

#define MMIO_MAGIC   0x74726976u /* "virt" */
#define MMIO_VERSION 2
#define MMIO_VENDOR  0x53525052u /* "RPRS" */

/* Device status bits (section 2.1). */
#define STATUS_DRIVER_OK   0x04u
#define STATUS_FEATURES_OK 0x08u
#define STATUS_NEEDS_RESET 0x40u
#define STATUS_DRIVER_BITS 0x8fu /* those a driver writes */

#define INTERRUPT_USED   1u
#define INTERRUPT_CONFIG 2u

#define COMMON_FEATURES (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

static void raise_interrupt(struct virtio_device *device, uint32_t bits)
{
	device->interrupt_status |= bits;
	irq_line_set(&device->wiring.irq, device->interrupt_status != 0);
}

/* Section 2.1.2: a driver that is running is told by a configuration change interrupt. */
static void set_needs_reset(struct virtio_device *device)
{
	device->status |= STATUS_NEEDS_RESET;
	device->notified = 0;
	if (device->status & STATUS_DRIVER_OK)
		raise_interrupt(device, INTERRUPT_CONFIG);
}

static bool is_live(const struct virtio_device *device)
{
	return (device->status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) == STATUS_DRIVER_OK;
}

/* The queue that registers refer to, NULL when there is no such queue. */
static struct virtio_queue *selected_queue(struct virtio_device *device)
{
	return device->queue_sel < device->type->n_queues ? &device->queue[device->queue_sel]
							  : NULL;
}

static void apply_features(struct virtio_device *device)
{
	for (unsigned i = 0; i < device->type->n_queues; i++) {
		device->queue[i].event_idx = device->driver_features & VIRTIO_F_EVENT_IDX;
		device->queue[i].indirect = device->driver_features & VIRTIO_F_INDIRECT_DESC;
	}
}

void virtio_device_init(struct virtio_device *device, const struct virtio_type *type,
			const struct virtio_wiring *wiring, uint64_t features)
{
	device->type = type;
	device->wiring = *wiring;
	device->features = features | COMMON_FEATURES;
	for (unsigned i = 0; i < type->n_queues; i++)
		device->queue[i].dma = wiring->dma;
}

static void reset_queue(struct virtio_queue *queue)
{
	queue->state = (struct virtio_queue_state){0};
	queue->event_idx = queue->indirect = queue->took = false;
	queue->n_held = 0;
}

void virtio_reset(struct virtio_device *device)
{
	device->driver_features = 0;
	device->device_features_sel = device->driver_features_sel = 0;
	device->queue_sel = 0;
	device->status = 0;
	device->interrupt_status = 0;
	device->config_generation = 0;
	device->notified = 0;
	for (unsigned i = 0; i < device->type->n_queues; i++)
		reset_queue(&device->queue[i]);
	if (device->type->reset)
		device->type->reset(device);
	irq_line_set(&device->wiring.irq, false);
}

void virtio_destroy(struct virtio_device *device)
{
	if (!device)
		return;
	if (device->type->reset)
		device->type->reset(device);
	free(device);
}

enum virtio_device_id virtio_device_id(const struct virtio_device *device)
{
	return device->type->device_id;
}

/* ---- registers ---- */

static uint64_t read_config(const struct virtio_device *device, uint64_t offset, unsigned size)
{
	uint8_t config[VIRTIO_CONFIG_BYTES_MAX + 8] = {0};
	uint64_t value = 0;

	if (offset >= device->type->config_bytes)
		return 0;
	if (device->type->config)
		device->type->config(device, config);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)config[offset + i] << (8 * i);
	return value;
}

static uint32_t features_word(uint64_t features, uint32_t sel)
{
	return sel < 2 ? (uint32_t)(features >> (32 * sel)) : 0;
}

static uint32_t read_register(struct virtio_device *device, uint64_t offset)
{
	const struct virtio_queue *queue = selected_queue(device);

	switch (offset) {
	case REG_MAGIC:
		return MMIO_MAGIC;
	case REG_VERSION:
		return MMIO_VERSION;
	case REG_DEVICE_ID:
		return device->type->device_id;
	case REG_VENDOR_ID:
		return MMIO_VENDOR;
	case REG_DEVICE_FEATURES:
		return features_word(device->features, device->device_features_sel);
	case REG_QUEUE_NUM_MAX:
		return queue ? VIRTIO_QUEUE_SIZE : 0;
	case REG_QUEUE_READY:
		return queue && queue->state.ready;
	case REG_INTERRUPT_STATUS:
		return device->interrupt_status;
	case REG_STATUS:
		return device->status;
	case REG_CONFIG_GENERATION:
		return device->config_generation;
	case REG_SHM_LEN_LOW ... REG_SHM_BASE_HIGH:
		return UINT32_MAX; /* no shared memory regions (section 4.2.2.1) */
	default:
		return 0;
	}
}

static uint64_t window_read(void *ctx, uint64_t offset, unsigned size)
{
	struct virtio_device *device = ctx;

	if (offset >= REG_CONFIG)
		return read_config(device, offset - REG_CONFIG, size);
	return size == 4 && offset % 4 == 0 ? read_register(device, offset) : 0;
}

static void write_driver_features(struct virtio_device *device, uint32_t value)
{
	unsigned shift = 32 * device->driver_features_sel;

	if (device->driver_features_sel > 1 || (device->status & STATUS_FEATURES_OK))
		return;
	device->driver_features &= ~(UINT64_C(0xffffffff) << shift);
	device->driver_features |= (uint64_t)value << shift;
}

/* FEATURES_OK sticks only for a subset of what is offered, by a driver that knows version 1. */
static void write_status(struct virtio_device *device, uint32_t value)
{
	bool features_ok = !(device->driver_features & ~device->features) &&
			   (device->driver_features & VIRTIO_F_VERSION_1);

	if (value == 0) {
		virtio_reset(device);
		return;
	}
	value &= STATUS_DRIVER_BITS;
	if (!features_ok)
		value &= ~STATUS_FEATURES_OK;
	if (!(value & STATUS_FEATURES_OK))
		value &= ~STATUS_DRIVER_OK;
	device->status = value | (device->status & STATUS_NEEDS_RESET);
	apply_features(device);
}

static void write_queue_ready(struct virtio_device *device, struct virtio_queue *queue, bool ready)
{
	if (!ready) {
		queue->state.ready = false;
		return;
	}
	if (queue->state.ready)
		return;
	if (!virtio_queue_valid(&queue->state)) {
		set_needs_reset(device);
		return;
	}
	queue->state.ready = true;
	queue->state.next_avail = queue->state.next_used = queue->state.signalled = 0;
}

static void set_low(uint64_t *gpa, uint32_t value)
{
	*gpa = (*gpa & ~UINT64_C(0xffffffff)) | value;
}

static void set_high(uint64_t *gpa, uint32_t value)
{
	*gpa = (uint32_t)*gpa | (uint64_t)value << 32;
}

/* A queue's place and size; fixed while it is ready (section 4.2.2.2). */
static void write_queue_layout(struct virtio_queue_state *state, uint64_t offset, uint32_t value)
{
	if (state->ready)
		return;
	switch (offset) {
	case REG_QUEUE_NUM:
		state->size = value <= VIRTIO_QUEUE_SIZE ? value : 0;
		break;
	case REG_QUEUE_DESC_LOW:
		set_low(&state->desc_gpa, value);
		break;
	case REG_QUEUE_DESC_HIGH:
		set_high(&state->desc_gpa, value);
		break;
	case REG_QUEUE_DRIVER_LOW:
		set_low(&state->driver_gpa, value);
		break;
	case REG_QUEUE_DRIVER_HIGH:
		set_high(&state->driver_gpa, value);
		break;
	case REG_QUEUE_DEVICE_LOW:
		set_low(&state->device_gpa, value);
		break;
	case REG_QUEUE_DEVICE_HIGH:
		set_high(&state->device_gpa, value);
		break;
	}
}

static void write_queue_register(struct virtio_device *device, uint64_t offset, uint32_t value)
{
	struct virtio_queue *queue = selected_queue(device);

	if (!queue)
		return;
	if (offset == REG_QUEUE_READY)
		write_queue_ready(device, queue, value & 1);
	else
		write_queue_layout(&queue->state, offset, value);
}

static void write_register(struct virtio_device *device, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case REG_DEVICE_FEATURES_SEL:
		device->device_features_sel = value;
		break;
	case REG_DRIVER_FEATURES_SEL:
		device->driver_features_sel = value;
		break;
	case REG_DRIVER_FEATURES:
		write_driver_features(device, value);
		break;
	case REG_QUEUE_SEL:
		device->queue_sel = value;
		break;
	case REG_QUEUE_NOTIFY:
		if (value < device->type->n_queues && !(device->status & STATUS_NEEDS_RESET))
			device->notified |= 1u << value;
		break;
	case REG_INTERRUPT_ACK:
		device->interrupt_status &= ~value;
		raise_interrupt(device, 0);
		break;
	case REG_STATUS:
		write_status(device, value & 0xff);
		break;
	default:
		write_queue_register(device, offset, value);
		break;
	}
}

static void window_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
	if (size == 4 && offset % 4 == 0 && offset < REG_CONFIG)
		write_register(ctx, offset, (uint32_t)value);
}

const struct window_ops virtio_window_ops = {
	.read = window_read,
	.write = window_write,
};

/* ---- service ---- */

static bool is_due(const struct virtio_device *device)
{
	return device->type->due && device->type->due(device);
}

bool virtio_needs_service(const struct virtio_device *device)
{
	return is_live(device) && (device->notified || is_due(device));
}

/* Notifications of queues that are not set up are dropped. */
static uint32_t take_notified(struct virtio_device *device)
{
	uint32_t notified = device->notified;

	device->notified = 0;
	for (unsigned i = 0; i < device->type->n_queues; i++)
		if (!device->queue[i].state.ready)
			notified &= ~(1u << i);
	return notified;
}

void virtio_service(struct virtio_device *device)
{
	if (!virtio_needs_service(device))
		return;
	if (device->type->service(device, take_notified(device)) != 0)
		set_needs_reset(device);
}

void virtio_poll_input(struct virtio_device *device)
{
	if (device->type->poll_input)
		device->type->poll_input(device);
}

int virtio_device_flush(struct virtio_device *device, struct virtio_queue *queue)
{
	bool interrupt;
	int err = virtio_queue_flush(queue, &interrupt);

	if (err == 0 && interrupt)
		raise_interrupt(device, INTERRUPT_USED);
	return err;
}

/* ---- saving and restoring ---- */

void virtio_save(const struct virtio_device *device, struct virtio_state *ret_state)
{
	memset(ret_state, 0, sizeof(*ret_state));
	ret_state->device_id = device->type->device_id;
	ret_state->driver_features = device->driver_features;
	ret_state->device_features_sel = device->device_features_sel;
	ret_state->driver_features_sel = device->driver_features_sel;
	ret_state->queue_sel = device->queue_sel;
	ret_state->status = device->status;
	ret_state->interrupt_status = device->interrupt_status;
	ret_state->config_generation = device->config_generation;
	ret_state->notified = device->notified;
	ret_state->n_queues = device->type->n_queues;
	for (unsigned i = 0; i < device->type->n_queues; i++)
		ret_state->queue[i] = device->queue[i].state;
	if (device->type->save)
		device->type->save(device, ret_state);
}

static bool state_valid(const struct virtio_device *device, const struct virtio_state *state)
{
	uint32_t n = device->type->n_queues;

	if (state->device_id != device->type->device_id || state->n_queues != n ||
	    state->notified >> n || (state->status & ~(STATUS_DRIVER_BITS | STATUS_NEEDS_RESET)) ||
	    (state->interrupt_status & ~(INTERRUPT_USED | INTERRUPT_CONFIG)) ||
	    ((state->status & STATUS_FEATURES_OK) && (state->driver_features & ~device->features)))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (state->queue[i].ready && !virtio_queue_valid(&state->queue[i]))
			return false;
	return !device->type->can_restore || device->type->can_restore(device, state);
}

int virtio_restore(struct virtio_device *device, const struct virtio_state *state)
{
	if (!state_valid(device, state))
		return -EINVAL;
	virtio_reset(device);
	device->driver_features = state->driver_features;
	device->device_features_sel = state->device_features_sel;
	device->driver_features_sel = state->driver_features_sel;
	device->queue_sel = state->queue_sel;
	device->status = state->status;
	device->interrupt_status = state->interrupt_status;
	device->config_generation = state->config_generation;
	device->notified = state->notified;
	for (unsigned i = 0; i < device->type->n_queues; i++)
		device->queue[i].state = state->queue[i];
	apply_features(device);
	if (device->type->restore)
		device->type->restore(device, state);
	raise_interrupt(device, 0);
	return 0;
}
