/* A driver's side of virtio over MMIO (virtio 1.2 sections 2.7, 3.1.1, 4.2), polled, for one
 * device. */
#ifndef REPRISE_TESTS_ROUNDTRIP_VIRTIO_H
#define REPRISE_TESTS_ROUNDTRIP_VIRTIO_H

#include "guest.h"

#define VIRTIO_BLOCK   2
#define VIRTIO_CONSOLE 3

#define NEXT  1 /* flags of a descriptor */
#define WRITE 2

#define QUEUE_SIZE 8

struct descriptor {
	uint32_t address, high;
	uint32_t bytes;
	uint16_t flags, next;
};

struct queue {
	struct descriptor table[QUEUE_SIZE] __attribute__((aligned(16)));
	volatile uint16_t avail[2 + QUEUE_SIZE + 1] __attribute__((aligned(16)));
	volatile uint16_t used[2 + 4 * QUEUE_SIZE + 1] __attribute__((aligned(16)));
};

static uint32_t virtio_device;

static volatile uint32_t *reg(uint32_t offset)
{
	return (volatile uint32_t *)(virtio_device + offset);
}

static bool virtio_find(uint32_t id)
{
	const uint32_t first = 0xd0000000u;

	for (virtio_device = first; virtio_device < first + 4 * 0x1000; virtio_device += 0x1000)
		if (*reg(0) == 0x74726976 && *reg(8) == id)
			return true;
	return false;
}

static void virtio_set_up_queue(uint32_t n, struct queue *queue)
{
	*reg(0x30) = n;
	*reg(0x38) = QUEUE_SIZE;
	*reg(0x80) = (uint32_t)queue->table;
	*reg(0x84) = 0;
	*reg(0x90) = (uint32_t)queue->avail;
	*reg(0x94) = 0;
	*reg(0xa0) = (uint32_t)queue->used;
	*reg(0xa4) = 0;
	*reg(0x44) = 1;
}

static void virtio_set_up(struct queue *queues, uint32_t n)
{
	*reg(0x70) = 0;
	*reg(0x70) = 1;
	*reg(0x70) = 3;
	*reg(0x24) = 0;
	*reg(0x20) = 0;
	*reg(0x24) = 1;
	*reg(0x20) = 1; /* VIRTIO_F_VERSION_1 */
	*reg(0x70) = 11;
	for (uint32_t i = 0; i < n; i++)
		virtio_set_up_queue(i, &queues[i]);
	*reg(0x70) = 15;
}

/* Offers the chain that starts at descriptor 0 of queue number n and waits until it is used.
 * Returns the length that the device wrote. */
static uint32_t virtio_do(struct queue *queue, uint32_t n)
{
	uint16_t before = queue->used[1];

	queue->avail[2 + queue->avail[1] % QUEUE_SIZE] = 0;
	queue->avail[1]++;
	*reg(0x50) = n;
	while (queue->used[1] == before)
		__asm__ volatile("pause");
	return queue->used[2 + 4 * (before % QUEUE_SIZE) + 2];
}

#endif
