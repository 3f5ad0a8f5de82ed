/*
 * A guest driver for tests of virtio devices: RAM of its own, DMA that counts, one queue at a time
 * laid out at fixed places, and the registers written as a driver would.
 */
#ifndef REPRISE_TESTS_UNIT_VIRTIO_DRIVER_H
#define REPRISE_TESTS_UNIT_VIRTIO_DRIVER_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"
#include "vmm/devices/timer_queue.h"
#include "vmm/devices/virtio.h"

#define RAM_BYTES 0x100000u

/* Where queue n has its parts. */
#define DESC_GPA(n)  (0x1000u + (n)*0x4000u)
#define AVAIL_GPA(n) (0x2000u + (n)*0x4000u)
#define USED_GPA(n)  (0x3000u + (n)*0x4000u)
#define DATA_GPA     0x10000u

#define F_INDIRECT  (1ull << 28)
#define F_EVENT_IDX (1ull << 29)
#define F_VERSION_1 (1ull << 32)

#define D_NEXT     1
#define D_WRITE    2
#define D_INDIRECT 4

struct driver {
	uint8_t ram[RAM_BYTES];
	unsigned n_dma_writes;
	bool line; /* the interrupt line's level */
	uint16_t queue_size;
	struct dma dma;
	struct timer_queue *timers;
	struct virtio_device *device;
};

static int driver_dma_read(void *ctx, uint64_t gpa, void *buffer, uint32_t n)
{
	struct driver *driver = ctx;

	if (gpa > RAM_BYTES || n > RAM_BYTES - gpa)
		return -EFAULT;
	memcpy(buffer, driver->ram + gpa, n);
	return 0;
}

static int driver_dma_write(void *ctx, uint64_t gpa, const void *data, uint32_t n)
{
	struct driver *driver = ctx;

	if (gpa > RAM_BYTES || n > RAM_BYTES - gpa)
		return -EFAULT;
	memcpy(driver->ram + gpa, data, n);
	driver->n_dma_writes++;
	return 0;
}

static void driver_set_line(void *controller, unsigned pin, bool level)
{
	((struct driver *)controller)->line = level;
}

static inline struct driver *driver_create(void)
{
	struct driver *driver = calloc(1, sizeof(*driver));

	if (!driver || timer_queue_create(&driver->timers) != 0)
		abort();
	driver->dma =
		(struct dma){.read = driver_dma_read, .write = driver_dma_write, .ctx = driver};
	driver->queue_size = 8;
	return driver;
}

static inline struct virtio_wiring driver_wiring(struct driver *driver)
{
	return (struct virtio_wiring){
		.dma = &driver->dma,
		.irq = {.set = driver_set_line, .controller = driver, .pin = 1},
		.timers = driver->timers,
	};
}

static inline void driver_destroy(struct driver *driver)
{
	virtio_destroy(driver->device);
	timer_queue_destroy(driver->timers);
	free(driver);
}

static inline uint32_t reg_read(struct driver *driver, uint64_t offset)
{
	return (uint32_t)virtio_window_ops.read(driver->device, offset, 4);
}

static inline void reg_write(struct driver *driver, uint64_t offset, uint32_t value)
{
	virtio_window_ops.write(driver->device, offset, 4, value);
}

static inline void put16(struct driver *driver, uint64_t gpa, uint16_t value)
{
	memcpy(driver->ram + gpa, &value, 2);
}

static inline uint16_t get16(const struct driver *driver, uint64_t gpa)
{
	uint16_t value;

	memcpy(&value, driver->ram + gpa, 2);
	return value;
}

static inline uint32_t get32(const struct driver *driver, uint64_t gpa)
{
	uint32_t value;

	memcpy(&value, driver->ram + gpa, 4);
	return value;
}

/* A descriptor at any place, so that indirect tables can be made too. */
static inline void put_desc_at(struct driver *driver, uint64_t table, unsigned index, uint64_t gpa,
			       uint32_t bytes, uint16_t flags, uint16_t next)
{
	uint8_t *at = driver->ram + table + 16 * index;

	memcpy(at, &gpa, 8);
	memcpy(at + 8, &bytes, 4);
	memcpy(at + 12, &flags, 2);
	memcpy(at + 14, &next, 2);
}

static inline void put_desc(struct driver *driver, unsigned queue, unsigned index, uint64_t gpa,
			    uint32_t bytes, uint16_t flags, uint16_t next)
{
	put_desc_at(driver, DESC_GPA(queue), index, gpa, bytes, flags, next);
}

/* Negotiates, sets the queues up and goes to DRIVER_OK with all rings cleared. */
static inline void driver_start(struct driver *driver, unsigned n_queues, uint64_t features)
{
	memset(driver->ram, 0, RAM_BYTES);
	reg_write(driver, 0x070, 0);
	reg_write(driver, 0x070, 1 | 2);
	for (unsigned i = 0; i < 2; i++) {
		reg_write(driver, 0x024, i);
		reg_write(driver, 0x020, (uint32_t)(features >> (32 * i)));
	}
	reg_write(driver, 0x070, 1 | 2 | 8);
	for (unsigned i = 0; i < n_queues; i++) {
		reg_write(driver, 0x030, i);
		reg_write(driver, 0x038, driver->queue_size);
		reg_write(driver, 0x080, DESC_GPA(i));
		reg_write(driver, 0x084, 0);
		reg_write(driver, 0x090, AVAIL_GPA(i));
		reg_write(driver, 0x094, 0);
		reg_write(driver, 0x0a0, USED_GPA(i));
		reg_write(driver, 0x0a4, 0);
		reg_write(driver, 0x044, 1);
	}
	reg_write(driver, 0x070, 1 | 2 | 8 | 4);
	driver->n_dma_writes = 0;
}

/* Makes a chain available, without notifying. */
static inline void driver_offer(struct driver *driver, unsigned queue, uint16_t head)
{
	uint16_t idx = get16(driver, AVAIL_GPA(queue) + 2);

	put16(driver, AVAIL_GPA(queue) + 4 + 2 * (idx % driver->queue_size), head);
	put16(driver, AVAIL_GPA(queue) + 2, idx + 1);
}

static inline void driver_notify(struct driver *driver, unsigned queue)
{
	reg_write(driver, 0x050, queue);
	virtio_service(driver->device);
}

static inline uint16_t used_idx(const struct driver *driver, unsigned queue)
{
	return get16(driver, USED_GPA(queue) + 2);
}

static inline bool needs_reset(struct driver *driver)
{
	return reg_read(driver, 0x070) & 0x40;
}

#endif
