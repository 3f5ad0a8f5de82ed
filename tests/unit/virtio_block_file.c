/* Disk images: overlay, write-back, sizes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tap.h"
#include "vmm/devices/block_file.h"

#define IMAGE_BYTES (5u * 1024 * 1024 + 3 * 512)

static char path[] = "/tmp/block-XXXXXX";
static uint8_t model[IMAGE_BYTES], original[IMAGE_BYTES], got[IMAGE_BYTES];

static void write_image(size_t bytes)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, original, bytes) != (ssize_t)bytes)
		abort();
	close(fd);
}

static bool image_equals(const uint8_t *bytes)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, got, IMAGE_BYTES);

	close(fd);
	return n == IMAGE_BYTES && memcmp(got, bytes, IMAGE_BYTES) == 0;
}

/* Random writes and reads of whole sectors against a plain array. */
static bool compare_with_model(struct block_backend *backend)
{
	unsigned n_sectors = IMAGE_BYTES / 512;
	static uint8_t data[64 * 512];

	memcpy(model, original, IMAGE_BYTES);
	for (unsigned i = 0; i < 2000; i++) {
		unsigned sector = (unsigned)rand() % n_sectors;
		unsigned n = 1 + (unsigned)rand() % 64;

		if (n > n_sectors - sector)
			n = n_sectors - sector;
		memset(data, rand(), n * 512);
		if (i % 2) {
			memcpy(model + sector * 512, data, n * 512);
			if (backend->write(backend->ctx, sector * 512ull, data, n * 512) != 0)
				return false;
		} else if (backend->read(backend->ctx, sector * 512ull, data, n * 512) != 0 ||
			   memcmp(data, model + sector * 512, n * 512) != 0) {
			return false;
		}
	}
	return backend->read(backend->ctx, 0, got, IMAGE_BYTES) == 0 &&
	       memcmp(got, model, IMAGE_BYTES) == 0;
}

static void test_overlay(void)
{
	struct block_file *file;
	struct block_backend backend;

	write_image(IMAGE_BYTES);
	if (!tap_ok(block_file_open(path, BLOCK_FILE_OVERLAY, &file) == 0, "open"))
		return;
	backend = block_file_backend(file);
	tap_ok(backend.bytes == IMAGE_BYTES, "size");
	tap_ok(block_file_overlay_bytes(file) == 0, "nothing written, no memory");
	tap_ok(backend.write(backend.ctx, 512, original, 512) == 0 &&
		       block_file_overlay_bytes(file) == 4096,
	       "a sector written takes one block");
	block_file_close(file);
	if (block_file_open(path, BLOCK_FILE_OVERLAY, &file) != 0)
		return;
	backend = block_file_backend(file);
	tap_ok(compare_with_model(&backend), "overlay reads back what was written");
	tap_ok(backend.read(backend.ctx, IMAGE_BYTES, got, 512) == -EINVAL &&
		       backend.write(backend.ctx, UINT64_MAX, got, 512) == -EINVAL,
	       "past the end");
	tap_ok(backend.flush(backend.ctx) == 0, "flush");
	block_file_close(file);
	tap_ok(image_equals(original), "the file is as it was");
}

static void test_write_back(void)
{
	struct block_file *file;
	struct block_backend backend;

	write_image(IMAGE_BYTES);
	if (!tap_ok(block_file_open(path, BLOCK_FILE_WRITE_BACK, &file) == 0, "open for writing"))
		return;
	backend = block_file_backend(file);
	tap_ok(compare_with_model(&backend), "reads back what was written");
	tap_ok(backend.flush(backend.ctx) == 0, "flush");
	block_file_close(file);
	tap_ok(image_equals(model), "the file has it");
}

static void test_sizes(void)
{
	struct block_file *file;

	write_image(1000);
	tap_ok(block_file_open(path, BLOCK_FILE_OVERLAY, &file) == 0 &&
		       block_file_backend(file).bytes == 512,
	       "size is rounded down to sectors");
	block_file_close(file);
	write_image(511);
	tap_ok(block_file_open(path, BLOCK_FILE_OVERLAY, &file) == -ENODATA, "less than a sector");
	tap_ok(strstr(block_file_error(-ENODATA), "sector") != NULL, "in words");
	tap_ok(block_file_open("/tmp", BLOCK_FILE_OVERLAY, &file) == -EINVAL, "a directory");
	tap_ok(block_file_open("/nonexistent", BLOCK_FILE_OVERLAY, &file) == -ENOENT,
	       "no such file");
}

int main(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	srand(1);
	for (unsigned i = 0; i < IMAGE_BYTES; i++)
		original[i] = (uint8_t)rand();
	test_overlay();
	test_write_back();
	test_sizes();
	unlink(path);
	return tap_done();
}
