/*
 * The block device (virtio 1.2 section 5.2). One queue. A request is taken from the ring when the
 * driver has notified, and carried out a latency of guest time later, in the order in which they
 * are due; data and rings are touched only then. The state between the two is the chain's head.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/virtio_device.h"

#define SECTOR_BYTES 512u

/* Device feature bits (section 5.2.3). */
#define BLK_F_SIZE_MAX (UINT64_C(1) << 1)
#define BLK_F_SEG_MAX  (UINT64_C(1) << 2)
#define BLK_F_RO       (UINT64_C(1) << 5)
#define BLK_F_BLK_SIZE (UINT64_C(1) << 6)
#define BLK_F_FLUSH    (UINT64_C(1) << 9)

/* Limits told to the driver: segments of a request beside header and status, bytes of a segment. */
#define BLK_SEG_MAX  (VIRTIO_QUEUE_SIZE - 2)
#define BLK_SIZE_MAX 65536u

/* The config space that is offered (section 5.2.4): up to blk_size. */
#define CONFIG_CAPACITY 0
#define CONFIG_SIZE_MAX 8
#define CONFIG_SEG_MAX  12
#define CONFIG_BLK_SIZE 20
#define CONFIG_BYTES    24

enum blk_request_type {
	BLK_T_IN = 0,
	BLK_T_OUT = 1,
	BLK_T_FLUSH = 4,
	BLK_T_GET_ID = 8,
};

enum blk_status { BLK_S_OK, BLK_S_IOERR, BLK_S_UNSUPP };

#define BLK_HEADER_BYTES 16u /* le32 type, le32 reserved, le64 sector */
#define BLK_ID_BYTES     20u

/* Host data passes through here; as large as one memory event, so that DMA writes are few. */
#define BOUNCE_BYTES 65536u

struct virtio_blk {
	struct virtio_device device;
	struct block_backend backend;
	uint64_t latency_ns;
	struct timer timer; /* armed for the oldest pending request */
	unsigned n_pending;
	struct virtio_pending pending[VIRTIO_QUEUE_SIZE]; /* due_ns ascending */
	struct virtio_chain chain;                        /* of the request being carried out */
	uint8_t bounce[BOUNCE_BYTES];
};

struct blk_request {
	uint32_t type;
	uint64_t sector;
	uint32_t data_bytes; /* to write to the guest (IN, GET_ID), or to read from it (OUT) */
};

static const struct virtio_type blk_type;

static struct virtio_blk *as_blk(struct virtio_device *device)
{
	return (struct virtio_blk *)device;
}

/* ---- carrying out ---- */

static int parse_request(struct virtio_blk *blk, struct blk_request *ret_request)
{
	const struct virtio_chain *chain = &blk->chain;
	uint8_t raw[BLK_HEADER_BYTES];
	int err;

	if (chain->readable_bytes < BLK_HEADER_BYTES || chain->writable_bytes < 1)
		return -EPROTO;
	err = virtio_chain_read(&blk->device.queue[0], chain, 0, raw, sizeof(raw));
	if (err)
		return err;
	memcpy(&ret_request->type, raw, 4);
	memcpy(&ret_request->sector, raw + 8, 8);
	ret_request->type = le32toh(ret_request->type);
	ret_request->sector = le64toh(ret_request->sector);
	ret_request->data_bytes = ret_request->type == BLK_T_OUT
					  ? chain->readable_bytes - BLK_HEADER_BYTES
					  : chain->writable_bytes - 1;
	return 0;
}

/* Whole sectors, on the disk, no more than the limits that the driver was told allow. */
static bool request_fits(const struct virtio_blk *blk, const struct blk_request *request)
{
	uint64_t capacity = blk->backend.bytes / SECTOR_BYTES;
	uint64_t sectors = request->data_bytes / SECTOR_BYTES;

	return request->data_bytes % SECTOR_BYTES == 0 &&
	       request->data_bytes <= BLK_SEG_MAX * BLK_SIZE_MAX && request->sector <= capacity &&
	       sectors <= capacity - request->sector;
}

static uint32_t bounce_piece(uint32_t done, uint32_t total)
{
	return total - done < BOUNCE_BYTES ? total - done : BOUNCE_BYTES;
}

/* Each of these returns 0, or a negative errno for broken rings; *ret_status is for the driver. */
static int do_in(struct virtio_blk *blk, const struct blk_request *request,
		 enum blk_status *ret_status)
{
	uint64_t offset = request->sector * SECTOR_BYTES;
	int err = 0;

	for (uint32_t done = 0, n; done < request->data_bytes && !err; done += n) {
		n = bounce_piece(done, request->data_bytes);
		if (blk->backend.read(blk->backend.ctx, offset + done, blk->bounce, n) != 0) {
			*ret_status = BLK_S_IOERR;
			return 0;
		}
		err = virtio_chain_write(&blk->device.queue[0], &blk->chain, done, blk->bounce, n);
	}
	return err;
}

static int do_out(struct virtio_blk *blk, const struct blk_request *request,
		  enum blk_status *ret_status)
{
	uint64_t offset = request->sector * SECTOR_BYTES;
	int err;

	for (uint32_t done = 0, n; done < request->data_bytes; done += n) {
		n = bounce_piece(done, request->data_bytes);
		err = virtio_chain_read(&blk->device.queue[0], &blk->chain, BLK_HEADER_BYTES + done,
					blk->bounce, n);
		if (err)
			return err;
		if (blk->backend.write(blk->backend.ctx, offset + done, blk->bounce, n) != 0) {
			*ret_status = BLK_S_IOERR;
			return 0;
		}
	}
	return 0;
}

static int do_get_id(struct virtio_blk *blk, const struct blk_request *request)
{
	uint8_t id[BLK_ID_BYTES];
	uint32_t n = request->data_bytes < BLK_ID_BYTES ? request->data_bytes : BLK_ID_BYTES;

	memcpy(id, blk->backend.serial, BLK_ID_BYTES);
	return virtio_chain_write(&blk->device.queue[0], &blk->chain, 0, id, n);
}

static int perform(struct virtio_blk *blk, const struct blk_request *request,
		   enum blk_status *ret_status)
{
	*ret_status = BLK_S_OK;
	switch (request->type) {
	case BLK_T_IN:
		if (request_fits(blk, request))
			return do_in(blk, request, ret_status);
		break;
	case BLK_T_OUT:
		if (request_fits(blk, request) && !blk->backend.read_only)
			return do_out(blk, request, ret_status);
		break;
	case BLK_T_FLUSH:
		if (!blk->backend.flush || blk->backend.flush(blk->backend.ctx) == 0)
			return 0;
		break;
	case BLK_T_GET_ID:
		return do_get_id(blk, request);
	default:
		*ret_status = BLK_S_UNSUPP;
		return 0;
	}
	*ret_status = BLK_S_IOERR;
	return 0;
}

/* Carries out the request at head and gives it back, the status in its last writable byte. */
static int complete(struct virtio_blk *blk, uint16_t head)
{
	struct virtio_queue *queue = &blk->device.queue[0];
	struct blk_request request;
	enum blk_status status;
	uint32_t written = 1;
	uint8_t byte;
	int err = virtio_queue_chain(queue, head, &blk->chain);

	if (err == 0)
		err = parse_request(blk, &request);
	if (err == 0)
		err = perform(blk, &request, &status);
	if (err)
		return err;
	if (status == BLK_S_OK && (request.type == BLK_T_IN || request.type == BLK_T_GET_ID))
		written = blk->chain.writable_bytes;
	byte = status;
	err = virtio_chain_write(queue, &blk->chain, blk->chain.writable_bytes - 1, &byte, 1);
	return err ? err : virtio_queue_give(queue, head, written);
}

/* ---- taking and waiting ---- */

static void arm_timer(struct virtio_blk *blk)
{
	if (blk->n_pending)
		timer_arm(&blk->timer, blk->pending[0].due_ns);
	else
		timer_disarm(&blk->timer);
}

static int take_available(struct virtio_blk *blk, uint64_t now_ns)
{
	struct virtio_queue *queue = &blk->device.queue[0];
	int n = virtio_queue_available(queue);

	for (int i = 0; i < n; i++) {
		uint64_t due_ns = now_ns + blk->latency_ns + delay_ns(&blk->device.wiring.delay);
		uint16_t head;
		int err = virtio_queue_take(queue, &head);

		if (err)
			return err;
		if (blk->n_pending == queue->state.size)
			return -EPROTO;
		virtio_pending_insert(blk->pending, blk->n_pending++,
				      (struct virtio_pending){.due_ns = due_ns, .head = head});
	}
	return n < 0 ? n : 0;
}

static int complete_due(struct virtio_blk *blk, uint64_t now_ns)
{
	unsigned n = 0;
	int err = 0;

	while (n < blk->n_pending && blk->pending[n].due_ns <= now_ns && !err)
		err = complete(blk, blk->pending[n++].head);
	blk->n_pending -= n;
	memmove(blk->pending, blk->pending + n, blk->n_pending * sizeof(blk->pending[0]));
	return err;
}

static bool blk_due(const struct virtio_device *device)
{
	const struct virtio_blk *blk = (const struct virtio_blk *)device;

	return blk->n_pending && blk->pending[0].due_ns <= timer_queue_now(blk->timer.queue);
}

static void blk_reset(struct virtio_device *device)
{
	struct virtio_blk *blk = as_blk(device);

	blk->n_pending = 0;
	arm_timer(blk);
}

static int blk_service(struct virtio_device *device, uint32_t notified)
{
	struct virtio_blk *blk = as_blk(device);
	struct virtio_queue *queue = &device->queue[0];
	uint64_t now_ns = timer_queue_now(blk->timer.queue);
	int err = 0;

	if (!queue->state.ready) {
		blk_reset(device);
		return 0;
	}
	if (notified)
		err = take_available(blk, now_ns);
	if (err == 0)
		err = complete_due(blk, now_ns);
	if (err == 0)
		err = virtio_device_flush(device, queue);
	if (err)
		blk->n_pending = 0;
	arm_timer(blk);
	return err;
}

/* blk_due() looks at the clock itself; the timer only makes the platform stop at the right time. */
static void blk_timer_expired(void *device, uint64_t now_ns)
{
}

/* ---- config, state ---- */

static void put_le32(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

static void blk_config(const struct virtio_device *device, uint8_t *config)
{
	const struct virtio_blk *blk = (const struct virtio_blk *)device;
	uint64_t capacity = htole64(blk->backend.bytes / SECTOR_BYTES);

	memcpy(config + CONFIG_CAPACITY, &capacity, sizeof(capacity));
	put_le32(config + CONFIG_SIZE_MAX, BLK_SIZE_MAX);
	put_le32(config + CONFIG_SEG_MAX, BLK_SEG_MAX);
	put_le32(config + CONFIG_BLK_SIZE, SECTOR_BYTES);
}

static void blk_save(const struct virtio_device *device, struct virtio_state *state)
{
	const struct virtio_blk *blk = (const struct virtio_blk *)device;

	state->n_pending = blk->n_pending;
	memcpy(state->pending, blk->pending, blk->n_pending * sizeof(blk->pending[0]));
}

static bool blk_can_restore(const struct virtio_device *device, const struct virtio_state *state)
{
	uint64_t due_ns = 0;

	if (state->n_pending > VIRTIO_QUEUE_SIZE ||
	    (state->queue[0].ready && state->n_pending > state->queue[0].size))
		return false;
	for (uint32_t i = 0; i < state->n_pending; i++) {
		if (state->pending[i].due_ns < due_ns || state->pending[i].due_ns == UINT64_MAX)
			return false;
		due_ns = state->pending[i].due_ns;
	}
	return true;
}

static void blk_restore(struct virtio_device *device, const struct virtio_state *state)
{
	struct virtio_blk *blk = as_blk(device);

	blk->n_pending = state->n_pending;
	memcpy(blk->pending, state->pending, blk->n_pending * sizeof(blk->pending[0]));
	arm_timer(blk);
}

static const struct virtio_type blk_type = {
	.device_id = VIRTIO_ID_BLOCK,
	.n_queues = 1,
	.config_bytes = CONFIG_BYTES,
	.config = blk_config,
	.due = blk_due,
	.service = blk_service,
	.reset = blk_reset,
	.save = blk_save,
	.can_restore = blk_can_restore,
	.restore = blk_restore,
};

int virtio_blk_create(const struct virtio_wiring *wiring, const struct block_backend *backend,
		      uint64_t latency_ns, struct virtio_device **ret_device)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));
	uint64_t features = BLK_F_SIZE_MAX | BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH;

	if (!blk)
		return -ENOMEM;
	if (backend->read_only)
		features |= BLK_F_RO;
	virtio_device_init(&blk->device, &blk_type, wiring, features);
	blk->backend = *backend;
	blk->latency_ns = latency_ns;
	timer_init(&blk->timer, wiring->timers, blk_timer_expired, blk);
	*ret_device = &blk->device;
	return 0;
}
