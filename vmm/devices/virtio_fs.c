/*
 * The file system device (virtio 1.2 section 5.11): carries FUSE requests to a file server and its
 * replies back. Queue 0 brings what is not answered (FORGET), queue 1 the rest. Answers are given
 * in the service after the notification, so that what the server does takes no guest time; or,
 * where the wiring has a delay, so much later: until then a request is its chain's head.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/virtio_device.h"

enum { FS_HIPRIO, FS_REQUESTS, FS_QUEUES };

/* Config space (section 5.11.4): the tag, le32 number of request queues. */
#define CONFIG_N_QUEUES VIRTIO_FS_TAG_BYTES
#define CONFIG_BYTES    (VIRTIO_FS_TAG_BYTES + 4)

/* Of a longer request the server sees the beginning; Linux reads at most 1 MiB at once. */
#define REQUEST_BYTES_MAX (64u << 10)
#define REPLY_BYTES_MAX   ((1u << 20) + 4096)

struct virtio_fs {
	struct virtio_device device;
	struct file_server server;
	char tag[VIRTIO_FS_TAG_BYTES];
	bool in_session;
	struct timer timer; /* armed for the first pending request */
	unsigned n_pending;
	struct virtio_pending pending[VIRTIO_QUEUE_SIZE]; /* of FS_REQUESTS, due_ns ascending */
	struct virtio_chain chain;                        /* of the request being served */
	_Alignas(8) uint8_t request[REQUEST_BYTES_MAX];
	_Alignas(8) uint8_t reply[REPLY_BYTES_MAX];
};

static struct virtio_fs *as_fs(struct virtio_device *device)
{
	return (struct virtio_fs *)device;
}

static uint32_t at_most(uint32_t n, uint32_t limit)
{
	return n < limit ? n : limit;
}

static int serve(struct virtio_fs *fs, struct virtio_queue *queue, uint16_t head)
{
	struct virtio_chain *chain = &fs->chain;
	int err = virtio_queue_chain(queue, head, chain);

	if (err)
		return err;
	uint32_t n = at_most(chain->readable_bytes, REQUEST_BYTES_MAX);
	uint32_t room = at_most(chain->writable_bytes, REPLY_BYTES_MAX);
	err = virtio_chain_read(queue, chain, 0, fs->request, n);
	if (err)
		return err;
	fs->in_session = true;
	uint32_t written =
		(uint32_t)fs->server.serve(fs->server.ctx, fs->request, n, fs->reply, room);
	err = virtio_chain_write(queue, chain, 0, fs->reply, written);
	return err ? err : virtio_queue_give(queue, head, written);
}

static bool is_delayed(const struct virtio_fs *fs, const struct virtio_queue *queue)
{
	return fs->device.wiring.delay.draw && queue == &fs->device.queue[FS_REQUESTS];
}

/* Serves the request, or keeps it until it is due. */
static int take(struct virtio_fs *fs, struct virtio_queue *queue, uint16_t head)
{
	if (!is_delayed(fs, queue))
		return serve(fs, queue, head);
	if (fs->n_pending == queue->state.size)
		return -EPROTO;
	uint64_t due_ns = timer_queue_now(fs->timer.queue) + delay_ns(&fs->device.wiring.delay);
	virtio_pending_insert(fs->pending, fs->n_pending++,
			      (struct virtio_pending){.due_ns = due_ns, .head = head});
	return 0;
}

static int take_available(struct virtio_fs *fs, struct virtio_queue *queue)
{
	int n = virtio_queue_available(queue), err = 0;
	uint16_t head;

	if (n < 0)
		return n;
	for (; n > 0 && !err; n--) {
		err = virtio_queue_take(queue, &head);
		if (!err)
			err = take(fs, queue, head);
	}
	return err ? err : virtio_device_flush(&fs->device, queue);
}

static void arm_timer(struct virtio_fs *fs)
{
	if (fs->n_pending)
		timer_arm(&fs->timer, fs->pending[0].due_ns);
	else
		timer_disarm(&fs->timer);
}

static bool fs_due(const struct virtio_device *device)
{
	const struct virtio_fs *fs = (const struct virtio_fs *)device;

	return fs->n_pending && fs->pending[0].due_ns <= timer_queue_now(fs->timer.queue);
}

static int serve_due(struct virtio_fs *fs)
{
	struct virtio_queue *queue = &fs->device.queue[FS_REQUESTS];
	unsigned n = 0;
	int err = 0;

	if (!fs_due(&fs->device))
		return 0;
	while (n < fs->n_pending && fs->pending[n].due_ns <= timer_queue_now(fs->timer.queue) &&
	       !err)
		err = serve(fs, queue, fs->pending[n++].head);
	fs->n_pending -= n;
	memmove(fs->pending, fs->pending + n, fs->n_pending * sizeof(fs->pending[0]));
	return err ? err : virtio_device_flush(&fs->device, queue);
}

static int fs_service(struct virtio_device *device, uint32_t notified)
{
	struct virtio_fs *fs = as_fs(device);
	int err = 0;

	for (unsigned i = 0; i < FS_QUEUES && !err; i++)
		if (notified & (1u << i))
			err = take_available(fs, &device->queue[i]);
	if (!err)
		err = serve_due(fs);
	if (err || !device->queue[FS_REQUESTS].state.ready)
		fs->n_pending = 0;
	arm_timer(fs);
	return err;
}

/* fs_due() looks at the clock itself; the timer only makes the platform stop at the right time. */
static void fs_timer_expired(void *device, uint64_t now_ns)
{
}

static void fs_config(const struct virtio_device *device, uint8_t *config)
{
	const struct virtio_fs *fs = (const struct virtio_fs *)device;

	memcpy(config, fs->tag, sizeof(fs->tag));
	config[CONFIG_N_QUEUES] = FS_QUEUES - FS_REQUESTS;
}

static void fs_reset(struct virtio_device *device)
{
	struct virtio_fs *fs = as_fs(device);

	fs->in_session = false;
	fs->n_pending = 0;
	arm_timer(fs);
	fs->server.reset(fs->server.ctx);
}

static void fs_save(const struct virtio_device *device, struct virtio_state *state)
{
	state->in_session = ((const struct virtio_fs *)device)->in_session;
}

static bool fs_can_restore(const struct virtio_device *device, const struct virtio_state *state)
{
	return !state->in_session;
}

/* The reset that comes before has ended the session. */
static void fs_restore(struct virtio_device *device, const struct virtio_state *state)
{
}

static const struct virtio_type fs_type = {
	.device_id = VIRTIO_ID_FS,
	.n_queues = FS_QUEUES,
	.config_bytes = CONFIG_BYTES,
	.config = fs_config,
	.due = fs_due,
	.service = fs_service,
	.reset = fs_reset,
	.save = fs_save,
	.can_restore = fs_can_restore,
	.restore = fs_restore,
};

int virtio_fs_create(const struct virtio_wiring *wiring, const struct file_server *server,
		     const char *tag, struct virtio_device **ret_device)
{
	size_t n = strlen(tag);

	if (n > VIRTIO_FS_TAG_BYTES)
		return -EINVAL;
	struct virtio_fs *fs = calloc(1, sizeof(*fs));
	if (!fs)
		return -ENOMEM;
	virtio_device_init(&fs->device, &fs_type, wiring, 0);
	fs->server = *server;
	timer_init(&fs->timer, wiring->timers, fs_timer_expired, fs);
	memcpy(fs->tag, tag, n);
	*ret_device = &fs->device;
	return 0;
}
