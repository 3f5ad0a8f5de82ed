/*
 * Guest memory of a split queue of size n, all little-endian:
 *   descriptor table  n × { le64 address, le32 length, le16 flags, le16 next }
 *   driver area       le16 flags, le16 idx, n × le16 head, le16 used_event
 *   device area       le16 flags, le16 idx, n × { le32 head, le32 written }, le16 avail_event
 */
#include "vmm/devices/virtio_queue.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define DESC_BYTES    16u
#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u

#define USED_ELEMENT_BYTES       8u
#define AVAIL_FLAGS_NO_INTERRUPT 1u
#define RING_IDX_OFFSET          2u
#define RING_ENTRIES_OFFSET      4u

struct descriptor {
	uint64_t gpa;
	uint32_t bytes;
	uint16_t flags;
	uint16_t next;
};

/* A table that descriptors are read from: the queue's own or an indirect one. */
struct descriptor_table {
	uint64_t gpa;
	uint32_t count;
	bool is_indirect;
};

/* gpa is a multiple of align and [gpa, gpa + bytes) does not wrap. */
static bool area_valid(uint64_t gpa, uint64_t bytes, uint64_t align)
{
	return gpa % align == 0 && gpa <= UINT64_MAX - bytes;
}

bool virtio_queue_valid(const struct virtio_queue_state *state)
{
	uint32_t n = state->size;

	if (n == 0 || n > VIRTIO_QUEUE_SIZE || (n & (n - 1)) != 0)
		return false;
	return area_valid(state->desc_gpa, n * DESC_BYTES, 16) &&
	       area_valid(state->driver_gpa, RING_ENTRIES_OFFSET + n * 2 + 2, 2) &&
	       area_valid(state->device_gpa, RING_ENTRIES_OFFSET + n * USED_ELEMENT_BYTES + 2, 4);
}

static int read_le16(const struct virtio_queue *queue, uint64_t gpa, uint16_t *ret_value)
{
	uint16_t raw;
	int err = queue->dma->read(queue->dma->ctx, gpa, &raw, sizeof(raw));

	if (err == 0)
		*ret_value = le16toh(raw);
	return err;
}

static int write_le16(const struct virtio_queue *queue, uint64_t gpa, uint16_t value)
{
	uint16_t raw = htole16(value);

	return queue->dma->write(queue->dma->ctx, gpa, &raw, sizeof(raw));
}

int virtio_queue_available(const struct virtio_queue *queue)
{
	uint16_t idx, n;
	int err = read_le16(queue, queue->state.driver_gpa + RING_IDX_OFFSET, &idx);

	if (err)
		return err;
	n = idx - queue->state.next_avail;
	return n <= queue->state.size ? n : -EPROTO;
}

int virtio_queue_take(struct virtio_queue *queue, uint16_t *ret_head)
{
	const struct virtio_queue_state *state = &queue->state;
	uint64_t entry = state->next_avail % state->size;
	uint16_t head;
	int err = read_le16(queue, state->driver_gpa + RING_ENTRIES_OFFSET + entry * 2, &head);

	if (err)
		return err;
	if (head >= state->size)
		return -EPROTO;
	queue->state.next_avail++;
	queue->took = true;
	*ret_head = head;
	return 0;
}

static int read_descriptor(const struct virtio_queue *queue, const struct descriptor_table *table,
			   uint32_t index, struct descriptor *ret_descriptor)
{
	uint8_t raw[DESC_BYTES];
	int err;

	if (index >= table->count)
		return -EPROTO;
	err = queue->dma->read(queue->dma->ctx, table->gpa + (uint64_t)index * DESC_BYTES, raw,
			       sizeof(raw));
	if (err)
		return err;
	memcpy(&ret_descriptor->gpa, raw, 8);
	memcpy(&ret_descriptor->bytes, raw + 8, 4);
	memcpy(&ret_descriptor->flags, raw + 12, 2);
	memcpy(&ret_descriptor->next, raw + 14, 2);
	ret_descriptor->gpa = le64toh(ret_descriptor->gpa);
	ret_descriptor->bytes = le32toh(ret_descriptor->bytes);
	ret_descriptor->flags = le16toh(ret_descriptor->flags);
	ret_descriptor->next = le16toh(ret_descriptor->next);
	return 0;
}

/* Virtio 1.2 section 2.7.5.3.1: no indirection inside indirection, and none that continues. */
static int enter_indirect(const struct virtio_queue *queue, const struct descriptor *descriptor,
			  struct descriptor_table *table)
{
	uint32_t count = descriptor->bytes / DESC_BYTES;

	if (!queue->indirect || table->is_indirect || (descriptor->flags & DESC_NEXT) ||
	    descriptor->bytes % DESC_BYTES != 0 || count == 0 ||
	    !area_valid(descriptor->gpa, descriptor->bytes, 1))
		return -EPROTO;
	table->gpa = descriptor->gpa;
	table->count = count;
	table->is_indirect = true;
	return 0;
}

static void add_segment(struct virtio_segment *segments, uint16_t *n, uint64_t gpa, uint32_t bytes)
{
	struct virtio_segment *last = *n ? &segments[*n - 1] : NULL;

	if (last && last->gpa + last->bytes == gpa)
		last->bytes += bytes;
	else
		segments[(*n)++] = (struct virtio_segment){.gpa = gpa, .bytes = bytes};
}

static int add_descriptor(struct virtio_chain *chain, const struct descriptor *descriptor)
{
	uint32_t total = chain->readable_bytes + chain->writable_bytes;
	bool writable = descriptor->flags & DESC_WRITE;

	if (!writable && chain->writable_bytes)
		return -EPROTO;
	if (descriptor->bytes > VIRTIO_CHAIN_BYTES_MAX - total ||
	    !area_valid(descriptor->gpa, descriptor->bytes, 1))
		return -EPROTO;
	if (descriptor->bytes == 0)
		return 0;
	if (writable) {
		add_segment(chain->writable, &chain->n_writable, descriptor->gpa,
			    descriptor->bytes);
		chain->writable_bytes += descriptor->bytes;
	} else {
		add_segment(chain->readable, &chain->n_readable, descriptor->gpa,
			    descriptor->bytes);
		chain->readable_bytes += descriptor->bytes;
	}
	return 0;
}

/* A chain is never longer than the queue (section 2.7.5.3.1), which also ends every loop. */
int virtio_queue_chain(const struct virtio_queue *queue, uint16_t head,
		       struct virtio_chain *ret_chain)
{
	struct descriptor_table table = {.gpa = queue->state.desc_gpa, .count = queue->state.size};
	struct descriptor descriptor;
	uint32_t index = head;
	unsigned n = 0;
	int err;

	ret_chain->head = head;
	ret_chain->n_readable = ret_chain->n_writable = 0;
	ret_chain->readable_bytes = ret_chain->writable_bytes = 0;
	do {
		err = read_descriptor(queue, &table, index, &descriptor);
		if (err)
			return err;
		if (descriptor.flags & DESC_INDIRECT) {
			err = enter_indirect(queue, &descriptor, &table);
			index = 0;
			descriptor.flags = DESC_NEXT;
		} else {
			err = n++ < queue->state.size ? add_descriptor(ret_chain, &descriptor)
						      : -EPROTO;
			index = descriptor.next;
		}
		if (err)
			return err;
	} while (descriptor.flags & DESC_NEXT);
	return 0;
}

/* The piece of segment that starts skip bytes into it, at most n bytes; 0: skip is past its end. */
static uint32_t segment_piece(const struct virtio_segment *segment, uint32_t skip, uint32_t n)
{
	uint32_t rest = skip < segment->bytes ? segment->bytes - skip : 0;

	return rest < n ? rest : n;
}

int virtio_chain_read(const struct virtio_queue *queue, const struct virtio_chain *chain,
		      uint32_t offset, void *buffer, uint32_t n)
{
	uint8_t *to = buffer;

	for (unsigned i = 0; i < chain->n_readable && n; i++) {
		const struct virtio_segment *segment = &chain->readable[i];
		uint32_t piece = segment_piece(segment, offset, n);
		int err =
			piece ? queue->dma->read(queue->dma->ctx, segment->gpa + offset, to, piece)
			      : 0;

		if (err)
			return err;
		offset = piece ? 0 : offset - segment->bytes;
		to += piece;
		n -= piece;
	}
	return n ? -EFAULT : 0;
}

int virtio_chain_write(const struct virtio_queue *queue, const struct virtio_chain *chain,
		       uint32_t offset, const void *data, uint32_t n)
{
	const uint8_t *from = data;

	for (unsigned i = 0; i < chain->n_writable && n; i++) {
		const struct virtio_segment *segment = &chain->writable[i];
		uint32_t piece = segment_piece(segment, offset, n);
		int err = piece ? queue->dma->write(queue->dma->ctx, segment->gpa + offset, from,
						    piece)
				: 0;

		if (err)
			return err;
		offset = piece ? 0 : offset - segment->bytes;
		from += piece;
		n -= piece;
	}
	return n ? -EFAULT : 0;
}

int virtio_queue_give(struct virtio_queue *queue, uint16_t head, uint32_t written)
{
	if (queue->n_held == queue->state.size)
		return -EPROTO;
	queue->held[queue->n_held].head = htole32(head);
	queue->held[queue->n_held].written = htole32(written);
	queue->n_held++;
	return 0;
}

/* Writes held entries [from, from + n), which do not wrap in the ring. */
static int write_held(struct virtio_queue *queue, uint16_t from, uint16_t n)
{
	const struct virtio_queue_state *state = &queue->state;
	uint64_t slot = (uint16_t)(state->next_used + from) % state->size;

	if (n == 0)
		return 0;
	return queue->dma->write(queue->dma->ctx,
				 state->device_gpa + RING_ENTRIES_OFFSET +
					 slot * USED_ELEMENT_BYTES,
				 &queue->held[from], n * USED_ELEMENT_BYTES);
}

static int publish_used(struct virtio_queue *queue)
{
	struct virtio_queue_state *state = &queue->state;
	uint16_t n = queue->n_held, before_wrap = state->size - state->next_used % state->size;
	uint16_t first = n < before_wrap ? n : before_wrap;
	int err = write_held(queue, 0, first);

	if (err == 0)
		err = write_held(queue, first, n - first);
	if (err == 0)
		err = write_le16(queue, state->device_gpa + RING_IDX_OFFSET, state->next_used + n);
	if (err)
		return err;
	state->next_used += n;
	queue->n_held = 0;
	return 0;
}

/* Virtio 1.2 section 2.7.7.2: whether the step from signalled to next_used passes used_event. */
static int wants_interrupt(struct virtio_queue *queue, bool *ret_interrupt)
{
	struct virtio_queue_state *state = &queue->state;
	uint16_t old = state->signalled, new = state->next_used, word;
	uint64_t at = queue->event_idx ? RING_ENTRIES_OFFSET + state->size * 2u : 0;
	int err = read_le16(queue, state->driver_gpa + at, &word);

	if (err)
		return err;
	state->signalled = new;
	if (queue->event_idx)
		*ret_interrupt = (uint16_t)(new - word - 1) < (uint16_t)(new - old);
	else
		*ret_interrupt = !(word & AVAIL_FLAGS_NO_INTERRUPT);
	return 0;
}

int virtio_queue_flush(struct virtio_queue *queue, bool *ret_interrupt)
{
	struct virtio_queue_state *state = &queue->state;
	int err;

	*ret_interrupt = false;
	if (queue->took && queue->event_idx) {
		err = write_le16(queue,
				 state->device_gpa + RING_ENTRIES_OFFSET +
					 (uint64_t)state->size * USED_ELEMENT_BYTES,
				 state->next_avail);
		if (err)
			return err;
	}
	queue->took = false;
	if (queue->n_held == 0)
		return 0;
	err = publish_used(queue);
	return err ? err : wants_interrupt(queue, ret_interrupt);
}
