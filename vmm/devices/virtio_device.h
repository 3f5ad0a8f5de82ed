/*
 * What the MMIO transport (virtio_mmio.c) and the device types (virtio_blk.c, virtio_console.c,
 * virtio_fs.c, virtio_rng.c) share. The platform uses virtio.h only.
 */
#ifndef REPRISE_VMM_DEVICES_VIRTIO_DEVICE_H
#define REPRISE_VMM_DEVICES_VIRTIO_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/devices/virtio.h"
#include "vmm/devices/virtio_queue.h"

#define VIRTIO_CONFIG_BYTES_MAX 64

/* Feature bits common to all types (virtio 1.2 section 6); offered by all. */
#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1     (UINT64_C(1) << 32)

/* One kind of device. Functions not marked optional are mandatory. */
struct virtio_type {
	uint32_t device_id; /* enum virtio_device_id */
	unsigned n_queues;
	uint32_t config_bytes; /* at most VIRTIO_CONFIG_BYTES_MAX */
	/* Fills in the config space, config_bytes long and cleared. Optional. */
	void (*config)(const struct virtio_device *device, uint8_t *config);
	/* Something other than a notification needs service. Optional. */
	bool (*due)(const struct virtio_device *device);
	/*
	 * Does what is due; bit n of notified: queue n was notified and is ready. Gives entries
	 * back and flushes. Returns 0, or a negative errno: the driver broke the rings.
	 */
	int (*service)(struct virtio_device *device, uint32_t notified);
	void (*poll_input)(struct virtio_device *device); /* optional */
	void (*reset)(struct virtio_device *device);      /* optional */
	/* The type's own fields of the state, which are cleared before. Optional, all three or
	 * none. */
	void (*save)(const struct virtio_device *device, struct virtio_state *state);
	bool (*can_restore)(const struct virtio_device *device, const struct virtio_state *state);
	void (*restore)(struct virtio_device *device, const struct virtio_state *state);
};

/* Stands first in the struct of each type. */
struct virtio_device {
	const struct virtio_type *type;
	uint64_t features; /* offered */
	struct virtio_wiring wiring;

	uint64_t driver_features;
	uint32_t device_features_sel, driver_features_sel;
	uint32_t queue_sel;
	uint32_t status;
	uint32_t interrupt_status;
	uint32_t config_generation;
	uint32_t notified;
	struct virtio_queue queue[VIRTIO_QUEUES_MAX];
};

/* Sets up the common part of a zeroed device; features: the type's own bits. */
void virtio_device_init(struct virtio_device *device, const struct virtio_type *type,
			const struct virtio_wiring *wiring, uint64_t features);

/* Adds a request to n that are pending, behind those that are due no later. */
static inline void virtio_pending_insert(struct virtio_pending *pending, unsigned n,
					 struct virtio_pending request)
{
	for (; n && pending[n - 1].due_ns > request.due_ns; n--)
		pending[n] = pending[n - 1];
	pending[n] = request;
}

/* Flushes a queue and raises the interrupt if the driver wants it. Returns 0 or a negative errno.
 */
int virtio_device_flush(struct virtio_device *device, struct virtio_queue *queue);

#endif
