/*
 * The console (virtio 1.2 section 5.3), one port: queue 0 receives, queue 1 transmits. Input that
 * has arrived from the host waits in the device until the driver has given buffers for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/virtio_device.h"

enum { CONSOLE_RECEIVE, CONSOLE_TRANSMIT, CONSOLE_QUEUES };

#define CONFIG_BYTES 12 /* cols, rows, max_nr_ports, emerg_wr: nothing offered, all 0 */

#define PIECE_BYTES 4096u

struct virtio_console {
	struct virtio_device device;
	struct char_backend backend;
	bool starved; /* input waits and there is no buffer; until the driver notifies */
	uint32_t n_input;
	uint8_t input[VIRTIO_INPUT_BYTES];
	struct virtio_chain chain;
};

static struct virtio_console *as_console(struct virtio_device *device)
{
	return (struct virtio_console *)device;
}

static bool console_due(const struct virtio_device *device)
{
	const struct virtio_console *console = (const struct virtio_console *)device;

	return console->n_input && !console->starved && device->queue[CONSOLE_RECEIVE].state.ready;
}

static void console_poll_input(struct virtio_device *device)
{
	struct virtio_console *console = as_console(device);
	const struct char_backend *backend = &console->backend;
	uint32_t room = VIRTIO_INPUT_BYTES - console->n_input;

	if (room && backend->read)
		console->n_input +=
			backend->read(backend->ctx, console->input + console->n_input, room);
}

/* ---- receive ---- */

/* Fills one buffer from the input. */
static int receive_one(struct virtio_console *console, struct virtio_queue *queue)
{
	struct virtio_chain *chain = &console->chain;
	uint16_t head;
	uint32_t n;
	int err = virtio_queue_take(queue, &head);

	if (err == 0)
		err = virtio_queue_chain(queue, head, chain);
	if (err)
		return err;
	n = console->n_input < chain->writable_bytes ? console->n_input : chain->writable_bytes;
	err = virtio_chain_write(queue, chain, 0, console->input, n);
	if (err)
		return err;
	console->n_input -= n;
	memmove(console->input, console->input + n, console->n_input);
	return virtio_queue_give(queue, head, n);
}

static int receive(struct virtio_console *console)
{
	struct virtio_queue *queue = &console->device.queue[CONSOLE_RECEIVE];
	int n = virtio_queue_available(queue), err = 0;

	if (n < 0)
		return n;
	for (; n > 0 && console->n_input && !err; n--)
		err = receive_one(console, queue);
	console->starved = console->n_input != 0;
	return err ? err : virtio_device_flush(&console->device, queue);
}

/* ---- transmit ---- */

static int send_segment(struct virtio_console *console, const struct virtio_segment *segment)
{
	const struct dma *dma = console->device.wiring.dma;
	const struct char_backend *backend = &console->backend;
	uint8_t piece[PIECE_BYTES];

	for (uint32_t done = 0, n; done < segment->bytes; done += n) {
		n = segment->bytes - done;
		if (n > PIECE_BYTES)
			n = PIECE_BYTES;
		int err = dma->read(dma->ctx, segment->gpa + done, piece, n);
		if (err)
			return err;
		if (backend->write)
			backend->write(backend->ctx, piece, n);
	}
	return dma->shown ? dma->shown(dma->ctx, segment->gpa, segment->bytes) : 0;
}

static int transmit_one(struct virtio_console *console, struct virtio_queue *queue)
{
	struct virtio_chain *chain = &console->chain;
	uint16_t head;
	int err = virtio_queue_take(queue, &head);

	if (err == 0)
		err = virtio_queue_chain(queue, head, chain);
	for (unsigned i = 0; err == 0 && i < chain->n_readable; i++)
		err = send_segment(console, &chain->readable[i]);
	return err ? err : virtio_queue_give(queue, head, 0);
}

static int transmit(struct virtio_console *console)
{
	struct virtio_queue *queue = &console->device.queue[CONSOLE_TRANSMIT];
	int n = virtio_queue_available(queue), err = 0;

	if (n < 0)
		return n;
	for (; n > 0 && !err; n--)
		err = transmit_one(console, queue);
	return err ? err : virtio_device_flush(&console->device, queue);
}

static int console_service(struct virtio_device *device, uint32_t notified)
{
	struct virtio_console *console = as_console(device);
	int err = 0;

	if (notified & (1u << CONSOLE_RECEIVE))
		console->starved = false;
	if (console_due(device))
		err = receive(console);
	if (err == 0 && (notified & (1u << CONSOLE_TRANSMIT)))
		err = transmit(console);
	return err;
}

/* ---- state ---- */

static void console_reset(struct virtio_device *device)
{
	struct virtio_console *console = as_console(device);

	console->starved = false;
	console->n_input = 0;
}

static void console_save(const struct virtio_device *device, struct virtio_state *state)
{
	const struct virtio_console *console = (const struct virtio_console *)device;

	state->starved = console->starved;
	state->n_input = console->n_input;
	memcpy(state->input, console->input, console->n_input);
}

static bool console_can_restore(const struct virtio_device *device,
				const struct virtio_state *state)
{
	return state->n_input <= VIRTIO_INPUT_BYTES;
}

static void console_restore(struct virtio_device *device, const struct virtio_state *state)
{
	struct virtio_console *console = as_console(device);

	console->starved = state->starved;
	console->n_input = state->n_input;
	memcpy(console->input, state->input, state->n_input);
}

static const struct virtio_type console_type = {
	.device_id = VIRTIO_ID_CONSOLE,
	.n_queues = CONSOLE_QUEUES,
	.config_bytes = CONFIG_BYTES,
	.due = console_due,
	.service = console_service,
	.poll_input = console_poll_input,
	.reset = console_reset,
	.save = console_save,
	.can_restore = console_can_restore,
	.restore = console_restore,
};

int virtio_console_create(const struct virtio_wiring *wiring, const struct char_backend *backend,
			  struct virtio_device **ret_device)
{
	struct virtio_console *console = calloc(1, sizeof(*console));

	if (!console)
		return -ENOMEM;
	virtio_device_init(&console->device, &console_type, wiring, 0);
	console->backend = *backend;
	*ret_device = &console->device;
	return 0;
}

bool virtio_console_listens(const struct virtio_device *device)
{
	return device->queue[CONSOLE_RECEIVE].state.ready;
}
