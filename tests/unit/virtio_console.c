/* The console and the entropy source. */
#include "tests/unit/virtio_driver.h"

#define BUFFER_GPA DATA_GPA

static char sent[64];
static size_t n_sent;
static const char *typed;

/* Where what was sent lay. */
static struct {
	uint64_t gpa;
	uint32_t n;
} shown[4];
static unsigned n_shown;

static int dma_shown(void *ctx, uint64_t gpa, uint32_t n)
{
	shown[n_shown % 4].gpa = gpa;
	shown[n_shown++ % 4].n = n;
	return 0;
}

static void host_write(void *ctx, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n && n_sent < sizeof(sent) - 1; i++)
		sent[n_sent++] = (char)data[i];
}

static size_t host_read(void *ctx, uint8_t *data, size_t n)
{
	size_t have = strlen(typed);

	if (have > n)
		have = n;
	memcpy(data, typed, have);
	typed += have;
	return have;
}

static void host_fill(void *ctx, void *buffer, size_t n)
{
	memset(buffer, 0xa5, n);
}

static struct driver *make_console(void)
{
	struct driver *driver = driver_create();
	struct virtio_wiring wiring = driver_wiring(driver);
	struct char_backend backend = {.write = host_write, .read = host_read};

	typed = "";
	driver->dma.shown = dma_shown;
	if (virtio_console_create(&wiring, &backend, &driver->device) != 0)
		abort();
	driver_start(driver, 2, F_VERSION_1 | F_EVENT_IDX);
	return driver;
}

static void test_transmit(void)
{
	struct driver *driver = make_console();

	memcpy(driver->ram + BUFFER_GPA, "hello ", 6);
	memcpy(driver->ram + BUFFER_GPA + 0x100, "world", 5);
	put_desc(driver, 1, 0, BUFFER_GPA, 6, D_NEXT, 1);
	put_desc(driver, 1, 1, BUFFER_GPA + 0x100, 5, 0, 0);
	driver_offer(driver, 1, 0);
	driver_notify(driver, 1);
	tap_ok(n_sent == 11 && memcmp(sent, "hello world", 11) == 0, "bytes reach the host");
	tap_ok(n_shown == 2 && shown[0].gpa == BUFFER_GPA && shown[0].n == 6 &&
		       shown[1].gpa == BUFFER_GPA + 0x100 && shown[1].n == 5,
	       "and where they lie is told");
	tap_ok(used_idx(driver, 1) == 1 && driver->line, "buffer is given back");
	put_desc(driver, 1, 0, RAM_BYTES, 6, 0, 0);
	driver_offer(driver, 1, 0);
	driver_notify(driver, 1);
	tap_ok(needs_reset(driver) && n_shown == 2, "buffer outside RAM");
	driver_destroy(driver);
}

static void test_receive(void)
{
	struct driver *driver = make_console();

	virtio_poll_input(driver->device);
	tap_ok(!virtio_needs_service(driver->device), "no input, nothing to do");
	tap_ok(virtio_console_listens(driver->device), "with its queues the driver listens");
	typed = "abcdef";
	virtio_poll_input(driver->device);
	tap_ok(virtio_needs_service(driver->device), "input has arrived");
	virtio_service(driver->device);
	tap_ok(!virtio_needs_service(driver->device), "no buffers: it waits for the driver");
	put_desc(driver, 0, 0, BUFFER_GPA, 4, D_WRITE, 0);
	put_desc(driver, 0, 1, BUFFER_GPA + 0x100, 4, D_WRITE, 0);
	driver_offer(driver, 0, 0);
	driver_offer(driver, 0, 1);
	driver_notify(driver, 0);
	tap_ok(memcmp(driver->ram + BUFFER_GPA, "abcd", 4) == 0 &&
		       memcmp(driver->ram + BUFFER_GPA + 0x100, "ef", 2) == 0,
	       "two buffers are filled");
	tap_ok(used_idx(driver, 0) == 2 && get32(driver, USED_GPA(0) + 8) == 4 &&
		       get32(driver, USED_GPA(0) + 16) == 2,
	       "with their lengths");
	tap_ok(driver->line, "and the driver is told");
	tap_ok(get16(driver, USED_GPA(0) + 4 + 64) == 2, "avail_event asks for the next buffer");
	driver_destroy(driver);
}

static void test_console_state(void)
{
	struct driver *driver = make_console();
	static struct virtio_state state, again;

	typed = "xyz";
	virtio_poll_input(driver->device);
	virtio_service(driver->device);
	virtio_save(driver->device, &state);
	tap_ok(state.n_input == 3 && state.starved, "input that waits is part of the state");
	virtio_reset(driver->device);
	tap_ok(!virtio_console_listens(driver->device), "after a reset it does not listen");
	virtio_save(driver->device, &again);
	tap_ok(again.n_input == 0 && again.status == 0, "reset drops it");
	tap_ok(virtio_restore(driver->device, &state) == 0, "restored");
	put_desc(driver, 0, 0, BUFFER_GPA, 16, D_WRITE, 0);
	driver_offer(driver, 0, 0);
	driver_notify(driver, 0);
	tap_ok(memcmp(driver->ram + BUFFER_GPA, "xyz", 3) == 0, "and given to the guest");
	state.n_input = VIRTIO_INPUT_BYTES + 1;
	tap_ok(virtio_restore(driver->device, &state) == -EINVAL, "too much input is refused");
	driver_destroy(driver);
}

static void test_rng(void)
{
	struct driver *driver = driver_create();
	struct virtio_wiring wiring = driver_wiring(driver);
	struct random_backend backend = {.fill = host_fill};

	if (virtio_rng_create(&wiring, &backend, &driver->device) != 0)
		abort();
	driver_start(driver, 1, F_VERSION_1);
	tap_ok(reg_read(driver, 8) == VIRTIO_ID_ENTROPY, "entropy device id");
	put_desc(driver, 0, 0, BUFFER_GPA, 32, D_WRITE, 0);
	put_desc(driver, 0, 1, BUFFER_GPA + 0x1000, 0x8000, D_WRITE, 0);
	driver_offer(driver, 0, 0);
	driver_offer(driver, 0, 1);
	driver_notify(driver, 0);
	tap_ok(driver->ram[BUFFER_GPA] == 0xa5 && driver->ram[BUFFER_GPA + 31] == 0xa5 &&
		       driver->ram[BUFFER_GPA + 32] == 0,
	       "a small buffer is filled");
	tap_ok(get32(driver, USED_GPA(0) + 8) == 32 && get32(driver, USED_GPA(0) + 16) == 4096,
	       "a large one in part");
	driver_destroy(driver);
}

int main(void)
{
	test_transmit();
	test_receive();
	test_console_state();
	test_rng();
	return tap_done();
}
