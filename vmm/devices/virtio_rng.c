/* The entropy source (virtio 1.2 section 5.4): one queue of buffers to fill. */
#include <errno.h>
#include <stdlib.h>

#include "vmm/devices/virtio_device.h"

/* The most bytes given for one buffer; a device may fill less than the whole. */
#define FILL_BYTES_MAX 4096u

struct virtio_rng {
	struct virtio_device device;
	struct random_backend backend;
	struct virtio_chain chain;
};

static int fill_one(struct virtio_rng *rng, struct virtio_queue *queue)
{
	struct virtio_chain *chain = &rng->chain;
	uint8_t bytes[FILL_BYTES_MAX];
	uint16_t head;
	uint32_t n;
	int err = virtio_queue_take(queue, &head);

	if (err == 0)
		err = virtio_queue_chain(queue, head, chain);
	if (err)
		return err;
	n = chain->writable_bytes < FILL_BYTES_MAX ? chain->writable_bytes : FILL_BYTES_MAX;
	rng->backend.fill(rng->backend.ctx, bytes, n);
	err = virtio_chain_write(queue, chain, 0, bytes, n);
	return err ? err : virtio_queue_give(queue, head, n);
}

static int rng_service(struct virtio_device *device, uint32_t notified)
{
	struct virtio_queue *queue = &device->queue[0];
	int n, err = 0;

	if (!notified)
		return 0;
	n = virtio_queue_available(queue);
	if (n < 0)
		return n;
	for (; n > 0 && !err; n--)
		err = fill_one((struct virtio_rng *)device, queue);
	return err ? err : virtio_device_flush(device, queue);
}

static const struct virtio_type rng_type = {
	.device_id = VIRTIO_ID_ENTROPY,
	.n_queues = 1,
	.service = rng_service,
};

int virtio_rng_create(const struct virtio_wiring *wiring, const struct random_backend *backend,
		      struct virtio_device **ret_device)
{
	struct virtio_rng *rng = calloc(1, sizeof(*rng));

	if (!rng)
		return -ENOMEM;
	virtio_device_init(&rng->device, &rng_type, wiring, 0);
	rng->backend = *backend;
	*ret_device = &rng->device;
	return 0;
}
