/*
 * Virtio devices over MMIO (virtio 1.2 section 4.2): block, console, entropy, file system. Each is
 * a struct virtio_device, driven through the functions here whatever its type.
 *
 * Guest memory is touched in virtio_service() only. A driver that breaks the rings (loops, lengths,
 * addresses outside RAM, indices out of range) finds DEVICE_NEEDS_RESET set; the work of one call
 * is bounded.
 */
#ifndef REPRISE_VMM_DEVICES_VIRTIO_H
#define REPRISE_VMM_DEVICES_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/device.h"

#define VIRTIO_QUEUES_MAX  2
#define VIRTIO_QUEUE_SIZE  256 /* QueueNumMax of every queue */
#define VIRTIO_INPUT_BYTES 1024

enum virtio_device_id {
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_ENTROPY = 4,
	VIRTIO_ID_FS = 26,
};

struct virtio_device;

/* What every virtio device is wired to. */
struct virtio_wiring {
	const struct dma *dma; /* borrowed; outlives the device */
	struct irq_line irq;   /* level: asserted until the driver writes InterruptACK */
	struct timer_queue *timers;
	struct delay delay; /* of disks and file systems; requests may then overtake each other */
};

/*
 * A disk. A request is taken at the service after its notification and completes latency_ns of
 * guest time later (0: at once). The backend is copied. Returns 0 or -ENOMEM; the device is the
 * caller's.
 */
int virtio_blk_create(const struct virtio_wiring *wiring, const struct block_backend *backend,
		      uint64_t latency_ns, struct virtio_device **ret_device);

/* A console with one port. The backend is copied; its functions may be NULL (nothing connected). */
int virtio_console_create(const struct virtio_wiring *wiring, const struct char_backend *backend,
			  struct virtio_device **ret_device);

/* True when the driver has set up the queue that receives: input that comes is not lost. */
bool virtio_console_listens(const struct virtio_device *device);

/* An entropy source. The backend is copied. */
int virtio_rng_create(const struct virtio_wiring *wiring, const struct random_backend *backend,
		      struct virtio_device **ret_device);

/*
 * A file system that a guest mounts by its tag, at most VIRTIO_FS_TAG_BYTES long. A request is
 * answered at the service after its notification, or after the wiring's delay. The server is
 * copied.
 */
#define VIRTIO_FS_TAG_BYTES 36
int virtio_fs_create(const struct virtio_wiring *wiring, const struct file_server *server,
		     const char *tag, struct virtio_device **ret_device);

/* Disarms its timer and frees it. Accepts NULL. */
void virtio_destroy(struct virtio_device *device);

/* As after power-on. Bytes taken from the host but not yet given to the guest are dropped. */
void virtio_reset(struct virtio_device *device);

/* The register window, LAYOUT_VIRTIO_BYTES long; the device argument is the struct virtio_device.
 */
extern const struct window_ops virtio_window_ops;

/* True when virtio_service() would do something. */
bool virtio_needs_service(const struct virtio_device *device);

/* Processes the notified queues and what has become due. Between instructions only. */
void virtio_service(struct virtio_device *device);

/* Takes input that has arrived from the host (console); virtio_needs_service() then says so. */
void virtio_poll_input(struct virtio_device *device);

enum virtio_device_id virtio_device_id(const struct virtio_device *device);

/* ---- saving and restoring ---- */

struct virtio_queue_state {
	uint64_t desc_gpa, driver_gpa, device_gpa;
	uint16_t size;
	bool ready;
	uint16_t next_avail; /* index of the next entry to take, modulo 2^16 */
	uint16_t next_used;
	uint16_t signalled; /* next_used when the driver was last considered for an interrupt */
};

/* A block request that was taken and not yet completed. */
struct virtio_pending {
	uint64_t due_ns;
	uint16_t head;
};

/* All of a device but its back end. Fields that its type does not have are 0. */
struct virtio_state {
	uint32_t device_id; /* enum virtio_device_id */
	uint64_t driver_features;
	uint32_t device_features_sel, driver_features_sel;
	uint32_t queue_sel;
	uint32_t status;
	uint32_t interrupt_status;
	uint32_t config_generation;
	uint32_t notified; /* bit n: queue n is to be looked at */
	uint32_t n_queues;
	struct virtio_queue_state queue[VIRTIO_QUEUES_MAX];

	/* block: in the order taken */
	uint32_t n_pending;
	struct virtio_pending pending[VIRTIO_QUEUE_SIZE];

	/* console: input taken from the host and not yet given to the guest */
	bool starved; /* waits for receive buffers */
	uint32_t n_input;
	uint8_t input[VIRTIO_INPUT_BYTES];

	/* file system: the guest has a session with the server, whose state is not saved: such a
	 * state cannot be restored */
	bool in_session;
};

/* Fills in all of *ret_state. */
void virtio_save(const struct virtio_device *device, struct virtio_state *ret_state);

/*
 * Takes over the state: sets the interrupt line, arms the timer. Returns 0, or -EINVAL when it is
 * not the state of such a device (which is then unchanged).
 */
int virtio_restore(struct virtio_device *device, const struct virtio_state *state);

#endif
