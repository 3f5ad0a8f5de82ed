/*
 * Split virtqueues (virtio 1.2 section 2.7), the device's side. Nothing in guest memory is trusted:
 * whatever breaks the format gives -EPROTO, an address outside RAM -EFAULT; both mean that the
 * device needs a reset.
 *
 * Entries given back are held until virtio_queue_flush(), so that one service writes the used ring
 * in one piece: every write to guest memory is an event in the log.
 */
#ifndef REPRISE_VMM_DEVICES_VIRTIO_QUEUE_H
#define REPRISE_VMM_DEVICES_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/virtio.h"

/* The most bytes one chain may describe; bounds the work of a request. */
#define VIRTIO_CHAIN_BYTES_MAX (64u << 20)

struct virtio_queue {
	struct virtio_queue_state state;
	const struct dma *dma;
	bool event_idx; /* VIRTIO_F_EVENT_IDX was negotiated */
	bool indirect;  /* VIRTIO_F_INDIRECT_DESC was negotiated */
	bool took;      /* entries were taken since the last flush */

	uint16_t n_held; /* entries for the used ring, not yet written */
	struct {
		uint32_t head;
		uint32_t written;
	} held[VIRTIO_QUEUE_SIZE];
};

struct virtio_segment {
	uint64_t gpa;
	uint32_t bytes;
};

/* A descriptor chain: what the device reads, then what it writes. Neighbours in memory are one. */
struct virtio_chain {
	uint16_t head;
	uint16_t n_readable, n_writable; /* segments */
	uint32_t readable_bytes, writable_bytes;
	struct virtio_segment readable[VIRTIO_QUEUE_SIZE];
	struct virtio_segment writable[VIRTIO_QUEUE_SIZE];
};

/* True when the driver's addresses and size could be those of a queue (alignment, size, range). */
bool virtio_queue_valid(const struct virtio_queue_state *state);

/* Entries that the driver has made available and that were not taken; or a negative errno. */
int virtio_queue_available(const struct virtio_queue *queue);

/* Takes the next entry, which must be available. Returns 0 or a negative errno. */
int virtio_queue_take(struct virtio_queue *queue, uint16_t *ret_head);

/* Follows the chain that starts at head. Returns 0 or a negative errno. */
int virtio_queue_chain(const struct virtio_queue *queue, uint16_t head,
		       struct virtio_chain *ret_chain);

/*
 * Copies n bytes from the chain's readable part, or to its writable part, starting offset bytes
 * into it; the range must lie within the part. Returns 0 or -EFAULT.
 */
int virtio_chain_read(const struct virtio_queue *queue, const struct virtio_chain *chain,
		      uint32_t offset, void *buffer, uint32_t n);
int virtio_chain_write(const struct virtio_queue *queue, const struct virtio_chain *chain,
		       uint32_t offset, const void *data, uint32_t n);

/*
 * Gives an entry back with the number of bytes written to it. No more entries may be given back
 * than the driver could have made available. Returns 0 or -EPROTO.
 */
int virtio_queue_give(struct virtio_queue *queue, uint16_t head, uint32_t written);

/*
 * Writes what was given back to the used ring and tells in *ret_interrupt whether the driver wants
 * to know. Returns 0 or a negative errno.
 */
int virtio_queue_flush(struct virtio_queue *queue, bool *ret_interrupt);

#endif
