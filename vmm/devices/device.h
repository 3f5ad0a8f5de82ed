/*
 * What a device sees of the world: offsets into its own windows, an interrupt line, guest memory by
 * DMA, a clock with timers, a host back end. Never its bus address, never the log, never the host's
 * clock. Devices exist in the recorder only.
 */
#ifndef REPRISE_VMM_DEVICES_DEVICE_H
#define REPRISE_VMM_DEVICES_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- register windows ---- */

struct window_ops {
	/* size is 1, 2, 4 or 8; offset + size never exceeds the window. Values are zero-extended.
	 */
	uint64_t (*read)(void *device, uint64_t offset, unsigned size);
	void (*write)(void *device, uint64_t offset, unsigned size, uint64_t value);
};

/* ---- interrupt lines ---- */

/* A level-sensitive wire into an interrupt controller; edges are seen by the controller. */
struct irq_line {
	void (*set)(void *controller, unsigned pin, bool level);
	void *controller;
	unsigned pin;
};

static inline void irq_line_set(const struct irq_line *line, bool level)
{
	if (line->set)
		line->set(line->controller, line->pin, level);
}

/* ---- DMA ---- */

/*
 * Guest RAM as devices reach it. Only to be used from a device's service function (below), never
 * from a window's read or write. read gives -EFAULT outside RAM; so does write, with nothing
 * written.
 */
struct dma {
	int (*read)(void *ctx, uint64_t gpa, void *buffer, uint32_t n);
	int (*write)(void *ctx, uint64_t gpa, const void *data, uint32_t n);
	/*
	 * Optional. The device has read these n bytes, all of RAM, to show them to the user:
	 * replay, which has no devices, finds them there again. Returns 0 or -EIO.
	 */
	int (*shown)(void *ctx, uint64_t gpa, uint32_t n);
	void *ctx;
};

/* ---- time ---- */

/*
 * Guest time in ns since power-on (the machine clock, without any vCPU's TSC offset), and timers on
 * it. Owned by the platform; a device embeds its timers.
 */
struct timer_queue;

struct timer {
	uint64_t deadline_ns; /* UINT64_MAX: not armed */
	void (*expired)(void *device, uint64_t now_ns);
	void *device;
	struct timer_queue *queue;
	struct timer *next; /* the queue's list */
	uint32_t order;     /* of timer_init(); timers due at the same time expire in this order */
};

uint64_t timer_queue_now(const struct timer_queue *queue);
void timer_init(struct timer *timer, struct timer_queue *queue,
		void (*expired)(void *device, uint64_t now_ns), void *device);
void timer_arm(struct timer *timer, uint64_t deadline_ns);
void timer_disarm(struct timer *timer);

/* How much later than it would a device answers a request, ns of guest time, drawn for each. */
struct delay {
	uint64_t (*draw)(void *ctx); /* NULL: no later */
	void *ctx;
};

static inline uint64_t delay_ns(const struct delay *delay)
{
	return delay->draw ? delay->draw(delay->ctx) : 0;
}

/* ---- host back ends ---- */

/* A byte stream to the host (terminal, file, pipe). */
struct char_backend {
	/* Takes n bytes, all of them. */
	void (*write)(void *ctx, const uint8_t *data, size_t n);
	/* Gives up to n bytes that have arrived in guest time, 0 if none. Never blocks. */
	size_t (*read)(void *ctx, uint8_t *data, size_t n);
	/* Optional: true when nothing is left to read and nothing will ever come. */
	bool (*ended)(void *ctx);
	void *ctx;
};

/* A disk. Offsets and lengths in bytes, multiples of 512, within bytes. Returns 0 or -errno. */
struct block_backend {
	int (*read)(void *ctx, uint64_t offset, void *buffer, size_t n);
	int (*write)(void *ctx, uint64_t offset, const void *data, size_t n);
	int (*flush)(void *ctx);
	uint64_t bytes;
	bool read_only;
	char serial[20]; /* virtio-blk's device id string */
	void *ctx;
};

/* Fills buffer with n random bytes, from the host or from the seeded generator. */
struct random_backend {
	void (*fill)(void *ctx, void *buffer, size_t n);
	void *ctx;
};

/* A file server: answers the FUSE requests of a guest's kernel (linux/fuse.h). */
struct file_server {
	/*
	 * Takes a request of n bytes, which is not trusted, and puts the reply, at most room
	 * bytes, at reply; both are aligned to 8 bytes. Returns the reply's length; 0: there is
	 * none.
	 */
	size_t (*serve)(void *ctx, const uint8_t *request, size_t n, uint8_t *reply, size_t room);
	/* The guest has lost what it knew: open files and nodes of its are void. */
	void (*reset)(void *ctx);
	void *ctx;
};

#endif
