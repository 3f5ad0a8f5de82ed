/* The block device: requests, latency, errors, state, and rings that a hostile driver made. */
#include "tests/unit/virtio_driver.h"

#define DISK_BYTES   0x40000u
#define HEADER_GPA   DATA_GPA
#define STATUS_GPA   (DATA_GPA + 0x100)
#define BUFFER_GPA   (DATA_GPA + 0x1000)
#define INDIRECT_GPA (DATA_GPA + 0x200)

static uint8_t disk[DISK_BYTES];
static unsigned n_flushes;
static bool disk_fails;

static int disk_read(void *ctx, uint64_t offset, void *buffer, size_t n)
{
	memcpy(buffer, disk + offset, n);
	return disk_fails ? -EIO : 0;
}

static int disk_write(void *ctx, uint64_t offset, const void *data, size_t n)
{
	memcpy(disk + offset, data, n);
	return 0;
}

static int disk_flush(void *ctx)
{
	n_flushes++;
	return 0;
}

static struct driver *make_driver(uint64_t latency_ns, bool read_only)
{
	struct driver *driver = driver_create();
	struct virtio_wiring wiring = driver_wiring(driver);
	struct block_backend backend = {
		.read = disk_read,
		.write = disk_write,
		.flush = disk_flush,
		.bytes = DISK_BYTES,
		.read_only = read_only,
		.serial = "serial-of-the-disk",
	};

	for (unsigned i = 0; i < DISK_BYTES; i++)
		disk[i] = (uint8_t)(i * 7 + (i >> 9));
	disk_fails = false;
	if (virtio_blk_create(&wiring, &backend, latency_ns, &driver->device) != 0)
		abort();
	return driver;
}

static void put_header(struct driver *driver, uint32_t type, uint64_t sector)
{
	memcpy(driver->ram + HEADER_GPA, &type, 4);
	memcpy(driver->ram + HEADER_GPA + 8, &sector, 8);
	driver->ram[STATUS_GPA] = 0xee;
}

/* Header, one buffer, status in descriptors 0 to 2. */
static void put_request(struct driver *driver, uint32_t type, uint64_t sector, uint32_t bytes)
{
	put_header(driver, type, sector);
	put_desc(driver, 0, 0, HEADER_GPA, 16, D_NEXT, 1);
	put_desc(driver, 0, 1, BUFFER_GPA, bytes, D_NEXT | (type == 1 ? 0 : D_WRITE), 2);
	put_desc(driver, 0, 2, STATUS_GPA, 1, D_WRITE, 0);
}

static uint8_t run_request(struct driver *driver, uint32_t type, uint64_t sector, uint32_t bytes)
{
	put_request(driver, type, sector, bytes);
	driver_offer(driver, 0, 0);
	driver_notify(driver, 0);
	return driver->ram[STATUS_GPA];
}

static void test_registers(void)
{
	struct driver *driver = make_driver(0, false);

	tap_ok(reg_read(driver, 0) == 0x74726976 && reg_read(driver, 4) == 2 &&
		       reg_read(driver, 8) == 2,
	       "magic, version, device id");
	tap_ok(virtio_window_ops.read(driver->device, 0x100, 8) == DISK_BYTES / 512,
	       "capacity in sectors");
	tap_ok(virtio_window_ops.read(driver->device, 0x114, 4) == 512, "block size");
	tap_ok(virtio_window_ops.read(driver->device, 0xff8, 8) == 0, "past the config space");
	tap_ok(virtio_window_ops.read(driver->device, 0, 1) == 0, "registers are 32 bits wide");
	reg_write(driver, 0x014, 1);
	tap_ok(reg_read(driver, 0x010) == 1, "version 1 is offered");
	driver_start(driver, 1, 0);
	tap_ok(!(reg_read(driver, 0x070) & 0xc), "FEATURES_OK needs version 1");
	driver_start(driver, 1, F_VERSION_1 | 1ull << 40);
	tap_ok(!(reg_read(driver, 0x070) & 0xc), "a feature that is not offered is refused");
	driver_start(driver, 1, F_VERSION_1);
	tap_ok(reg_read(driver, 0x070) == 0xf, "driver is up");
	reg_write(driver, 0x030, 1);
	tap_ok(reg_read(driver, 0x034) == 0, "there is no second queue");
	driver_destroy(driver);
	driver = make_driver(0, true);
	tap_ok(reg_read(driver, 0x010) & 32, "a read-only disk says so");
	driver_destroy(driver);
}

static void test_requests(uint64_t features)
{
	struct driver *driver = make_driver(0, false);

	driver_start(driver, 1, features | F_VERSION_1);
	tap_ok(run_request(driver, 0, 3, 4096) == 0 &&
		       memcmp(driver->ram + BUFFER_GPA, disk + 3 * 512, 4096) == 0,
	       "read");
	tap_ok(used_idx(driver, 0) == 1 && get32(driver, USED_GPA(0) + 8) == 4097,
	       "used: length counts data and status");
	tap_ok(driver->line && reg_read(driver, 0x060) == 1, "interrupt line is up");
	reg_write(driver, 0x064, 1);
	tap_ok(!driver->line, "and goes down with the acknowledgement");
	memset(driver->ram + BUFFER_GPA, 0x5a, 1024);
	tap_ok(run_request(driver, 1, 8, 1024) == 0 && disk[8 * 512] == 0x5a &&
		       disk[10 * 512 - 1] == 0x5a && disk[10 * 512] != 0x5a,
	       "write");
	n_flushes = 0;
	put_header(driver, 4, 0);
	put_desc(driver, 0, 0, HEADER_GPA, 16, D_NEXT, 2);
	driver_offer(driver, 0, 0);
	driver_notify(driver, 0);
	tap_ok(driver->ram[STATUS_GPA] == 0 && n_flushes == 1, "flush");
	tap_ok(run_request(driver, 8, 0, 20) == 0 &&
		       strcmp((char *)driver->ram + BUFFER_GPA, "serial-of-the-disk") == 0,
	       "device id");
	tap_ok(run_request(driver, 99, 0, 512) == 2, "unknown type is unsupported");
	tap_ok(run_request(driver, 0, DISK_BYTES / 512, 512) == 1, "past the end: I/O error");
	tap_ok(run_request(driver, 0, UINT64_MAX, 512) == 1, "sector overflow: I/O error");
	tap_ok(run_request(driver, 1, 0, 100) == 1, "not whole sectors: I/O error");
	disk_fails = true;
	tap_ok(run_request(driver, 0, 0, 512) == 1, "the backend's failure is an I/O error");
	tap_ok(!needs_reset(driver), "none of it breaks the device");
	driver_destroy(driver);
}

/* 70000 requests pass the wrap of the ring and of the 16-bit indices. */
static void test_wrap(uint64_t features)
{
	struct driver *driver = make_driver(0, false);
	unsigned good = 0, interrupts = 0;

	driver_start(driver, 1, features | F_VERSION_1);
	for (unsigned i = 0; i < 70000; i++) {
		put16(driver, AVAIL_GPA(0) + 4 + 16, (uint16_t)i); /* used_event: want this one */
		good += run_request(driver, 0, i % 64, 512) == 0 &&
			used_idx(driver, 0) == (uint16_t)(i + 1);
		interrupts += driver->line;
		reg_write(driver, 0x064, 3);
	}
	tap_ok(good == 70000 && interrupts == 70000, "wrap-around, features 0x%jx",
	       (uintmax_t)features);
	if (features & F_EVENT_IDX)
		tap_ok(get16(driver, USED_GPA(0) + 4 + 64) == (uint16_t)70000,
		       "avail_event follows");
	driver_destroy(driver);
}

static void test_event_idx(void)
{
	struct driver *driver = make_driver(0, false);

	driver_start(driver, 1, F_VERSION_1 | F_EVENT_IDX);
	put16(driver, AVAIL_GPA(0) + 4 + 16, 1); /* interrupt when entry 1 is used */
	run_request(driver, 0, 0, 512);
	tap_ok(!driver->line, "no interrupt before used_event");
	run_request(driver, 0, 0, 512);
	tap_ok(driver->line, "interrupt at used_event");
	reg_write(driver, 0x064, 1);
	run_request(driver, 0, 0, 512);
	tap_ok(!driver->line, "none after it");
	driver_start(driver, 1, F_VERSION_1);
	put16(driver, AVAIL_GPA(0), 1);
	run_request(driver, 0, 0, 512);
	tap_ok(!driver->line, "NO_INTERRUPT without EVENT_IDX");
	driver_destroy(driver);
}

static void test_indirect(void)
{
	struct driver *driver = make_driver(0, false);

	driver_start(driver, 1, F_VERSION_1 | F_INDIRECT);
	put_header(driver, 0, 5);
	put_desc(driver, 0, 4, INDIRECT_GPA, 4 * 16, D_INDIRECT, 0);
	put_desc_at(driver, INDIRECT_GPA, 0, HEADER_GPA, 16, D_NEXT, 3);
	put_desc_at(driver, INDIRECT_GPA, 3, BUFFER_GPA, 512, D_NEXT | D_WRITE, 1);
	put_desc_at(driver, INDIRECT_GPA, 1, BUFFER_GPA + 512, 512, D_NEXT | D_WRITE, 2);
	put_desc_at(driver, INDIRECT_GPA, 2, STATUS_GPA, 1, D_WRITE, 0);
	driver_offer(driver, 0, 4);
	driver_notify(driver, 0);
	tap_ok(driver->ram[STATUS_GPA] == 0 &&
		       memcmp(driver->ram + BUFFER_GPA, disk + 5 * 512, 1024) == 0,
	       "indirect descriptors");
	tap_ok(get32(driver, USED_GPA(0) + 4) == 4, "used: the head in the queue's table");
	tap_ok(driver->n_dma_writes == 4, "neighbouring buffers are one write (%u in all)",
	       driver->n_dma_writes);
	driver_destroy(driver);
}

/* A header split over two descriptors, data split at odd places (section 2.7.4.3: framing). */
static void test_framing(void)
{
	struct driver *driver = make_driver(0, false);

	driver_start(driver, 1, F_VERSION_1);
	put_header(driver, 0, 1);
	memcpy(driver->ram + HEADER_GPA + 0x80, driver->ram + HEADER_GPA + 5, 11);
	memset(driver->ram + HEADER_GPA + 5, 0xff, 11);
	put_desc(driver, 0, 0, HEADER_GPA, 5, D_NEXT, 1);
	put_desc(driver, 0, 1, HEADER_GPA + 0x80, 11, D_NEXT, 2);
	put_desc(driver, 0, 2, BUFFER_GPA, 100, D_NEXT | D_WRITE, 3);
	put_desc(driver, 0, 3, BUFFER_GPA + 0x1000, 413, D_WRITE, 0);
	driver_offer(driver, 0, 0);
	driver_notify(driver, 0);
	tap_ok(memcmp(driver->ram + BUFFER_GPA, disk + 512, 100) == 0 &&
		       memcmp(driver->ram + BUFFER_GPA + 0x1000, disk + 612, 412) == 0 &&
		       driver->ram[BUFFER_GPA + 0x1000 + 412] == 0,
	       "framing is free");
	driver_destroy(driver);
}

static void test_latency(void)
{
	struct driver *driver = make_driver(1000, false);

	driver_start(driver, 1, F_VERSION_1);
	timer_queue_advance(driver->timers, 500);
	tap_ok(run_request(driver, 0, 0, 512) == 0xee && used_idx(driver, 0) == 0,
	       "nothing happens at once");
	tap_ok(timer_queue_deadline(driver->timers) == 1500, "the timer is armed");
	timer_queue_advance(driver->timers, 1499);
	tap_ok(!virtio_needs_service(driver->device), "not due yet");
	timer_queue_advance(driver->timers, 1500);
	tap_ok(virtio_needs_service(driver->device) && used_idx(driver, 0) == 0,
	       "due; the expiry itself touches no memory");
	virtio_service(driver->device);
	tap_ok(driver->ram[STATUS_GPA] == 0 && used_idx(driver, 0) == 1, "completed");
	tap_ok(timer_queue_deadline(driver->timers) == UINT64_MAX, "the timer is off");
	run_request(driver, 0, 0, 512);
	reg_write(driver, 0x070, 0);
	tap_ok(timer_queue_deadline(driver->timers) == UINT64_MAX && !driver->line,
	       "a reset drops what waits");
	driver_destroy(driver);
}

static void test_state(void)
{
	struct driver *driver = make_driver(1000, false);
	static struct virtio_state state, again;
	struct virtio_device *old;

	driver_start(driver, 1, F_VERSION_1 | F_EVENT_IDX);
	run_request(driver, 0, 7, 512);
	virtio_save(driver->device, &state);
	old = driver->device;
	if (virtio_blk_create(
		    &(struct virtio_wiring){.dma = &driver->dma,
					    .irq = {.set = driver_set_line, .controller = driver},
					    .timers = driver->timers},
		    &(struct block_backend){.read = disk_read, .bytes = DISK_BYTES}, 1000,
		    &driver->device) != 0)
		abort();
	virtio_destroy(old);
	tap_ok(virtio_restore(driver->device, &state) == 0, "state is taken over");
	virtio_save(driver->device, &again);
	tap_ok(memcmp(&state, &again, sizeof(state)) == 0, "and saved again the same");
	timer_queue_advance(driver->timers, 1000);
	virtio_service(driver->device);
	tap_ok(driver->ram[STATUS_GPA] == 0 && used_idx(driver, 0) == 1,
	       "the request that waited completes");
	again.device_id = VIRTIO_ID_CONSOLE;
	tap_ok(virtio_restore(driver->device, &again) == -EINVAL, "another device's state");
	again = state;
	again.n_pending = 9;
	tap_ok(virtio_restore(driver->device, &again) == -EINVAL, "more pending than the queue");
	again = state;
	again.queue[0].size = 7;
	tap_ok(virtio_restore(driver->device, &again) == -EINVAL, "impossible queue size");
	again = state;
	again.driver_features |= 1ull << 50;
	tap_ok(virtio_restore(driver->device, &again) == -EINVAL, "features not offered");
	driver_destroy(driver);
}

/* ---- hostile drivers: each must leave the device asking for a reset ---- */

static void loop(struct driver *driver)
{
	put_desc(driver, 0, 1, BUFFER_GPA, 512, D_NEXT | D_WRITE, 1);
}

static void next_out_of_range(struct driver *driver)
{
	put_desc(driver, 0, 1, BUFFER_GPA, 512, D_NEXT | D_WRITE, 8);
}

static void head_out_of_range(struct driver *driver)
{
	put16(driver, AVAIL_GPA(0) + 4, 8);
}

static void too_many_available(struct driver *driver)
{
	put16(driver, AVAIL_GPA(0) + 2, 9);
}

static void buffer_outside_ram(struct driver *driver)
{
	put_desc(driver, 0, 1, RAM_BYTES - 256, 512, D_NEXT | D_WRITE, 2);
}

static void address_wraps(struct driver *driver)
{
	put_desc(driver, 0, 1, UINT64_MAX - 100, 512, D_NEXT | D_WRITE, 2);
}

static void huge_length(struct driver *driver)
{
	put_desc(driver, 0, 1, BUFFER_GPA, UINT32_MAX, D_NEXT | D_WRITE, 2);
}

static void readable_after_writable(struct driver *driver)
{
	put_desc(driver, 0, 2, STATUS_GPA, 1, D_NEXT | D_WRITE, 3);
	put_desc(driver, 0, 3, BUFFER_GPA, 512, 0, 0);
}

static void no_status(struct driver *driver)
{
	put_desc(driver, 0, 0, HEADER_GPA, 16, 0, 0);
}

static void short_header(struct driver *driver)
{
	put_desc(driver, 0, 0, HEADER_GPA, 15, D_NEXT, 1);
}

static void header_outside_ram(struct driver *driver)
{
	put_desc(driver, 0, 0, RAM_BYTES, 16, D_NEXT, 1);
}

static void nested_indirect(struct driver *driver)
{
	put_desc(driver, 0, 0, INDIRECT_GPA, 16, D_INDIRECT, 0);
	put_desc_at(driver, INDIRECT_GPA, 0, INDIRECT_GPA, 16, D_INDIRECT, 0);
}

static void indirect_odd_length(struct driver *driver)
{
	put_desc(driver, 0, 0, INDIRECT_GPA, 17, D_INDIRECT, 0);
}

static void indirect_empty(struct driver *driver)
{
	put_desc(driver, 0, 0, INDIRECT_GPA, 0, D_INDIRECT, 0);
}

static void indirect_and_next(struct driver *driver)
{
	put_desc(driver, 0, 0, INDIRECT_GPA, 16, D_INDIRECT | D_NEXT, 1);
}

static void indirect_outside_ram(struct driver *driver)
{
	put_desc(driver, 0, 0, RAM_BYTES - 8, 160, D_INDIRECT, 0);
}

static void indirect_loop(struct driver *driver)
{
	put_desc(driver, 0, 0, INDIRECT_GPA, 32, D_INDIRECT, 0);
	put_desc_at(driver, INDIRECT_GPA, 0, HEADER_GPA, 16, D_NEXT, 1);
	put_desc_at(driver, INDIRECT_GPA, 1, BUFFER_GPA, 0, D_NEXT, 0);
}

static const struct {
	const char *name;
	void (*damage)(struct driver *driver);
} hostile[] = {
	{"loop", loop},
	{"next out of range", next_out_of_range},
	{"head out of range", head_out_of_range},
	{"more available than the queue holds", too_many_available},
	{"buffer outside RAM", buffer_outside_ram},
	{"address wraps", address_wraps},
	{"huge length", huge_length},
	{"readable after writable", readable_after_writable},
	{"no status byte", no_status},
	{"short header", short_header},
	{"header outside RAM", header_outside_ram},
	{"nested indirect table", nested_indirect},
	{"indirect table of odd length", indirect_odd_length},
	{"empty indirect table", indirect_empty},
	{"indirect with next", indirect_and_next},
	{"indirect table outside RAM", indirect_outside_ram},
	{"loop in an indirect table", indirect_loop},
};

static void test_hostile(void)
{
	struct driver *driver = make_driver(0, false);

	for (unsigned i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		driver_start(driver, 1, F_VERSION_1 | F_INDIRECT);
		put_request(driver, 0, 0, 512);
		driver_offer(driver, 0, 0);
		hostile[i].damage(driver);
		driver_notify(driver, 0);
		tap_ok(needs_reset(driver) && reg_read(driver, 0x060) == 2 && driver->line,
		       "hostile: %s", hostile[i].name);
		driver_notify(driver, 0);
		if (virtio_needs_service(driver->device))
			tap_ok(false, "quiet until the reset");
	}
	driver_start(driver, 1, F_VERSION_1);
	put_desc(driver, 0, 0, INDIRECT_GPA, 16, D_INDIRECT, 0);
	driver_offer(driver, 0, 0);
	driver_notify(driver, 0);
	tap_ok(needs_reset(driver), "hostile: indirect without the feature");
	driver_start(driver, 1, F_VERSION_1);
	tap_ok(run_request(driver, 0, 0, 512) == 0, "works again after a reset");
	driver_destroy(driver);
}

static void test_bad_setup(void)
{
	struct driver *driver = make_driver(0, false);

	driver->queue_size = 7;
	driver_start(driver, 1, F_VERSION_1);
	tap_ok(needs_reset(driver), "size that is no power of two");
	driver->queue_size = 8;
	driver_start(driver, 1, F_VERSION_1);
	reg_write(driver, 0x044, 0);
	reg_write(driver, 0x0a0, USED_GPA(0) + 2);
	reg_write(driver, 0x044, 1);
	tap_ok(needs_reset(driver), "ring that is not aligned");
	driver_start(driver, 1, F_VERSION_1);
	reg_write(driver, 0x044, 0);
	reg_write(driver, 0x094, 0x80);
	reg_write(driver, 0x044, 1);
	tap_ok(!needs_reset(driver), "ring outside RAM is found");
	driver_notify(driver, 0);
	tap_ok(needs_reset(driver), "when it is used");
	driver_start(driver, 0, F_VERSION_1);
	driver_notify(driver, 0);
	driver_notify(driver, 77);
	tap_ok(!needs_reset(driver), "notifying a queue that is not there does nothing");
	driver_destroy(driver);
}

int main(void)
{
	test_registers();
	test_requests(0);
	test_requests(F_EVENT_IDX | F_INDIRECT);
	test_wrap(0);
	test_wrap(F_EVENT_IDX);
	test_event_idx();
	test_indirect();
	test_framing();
	test_latency();
	test_state();
	test_hostile();
	test_bad_setup();
	return tap_done();
}
