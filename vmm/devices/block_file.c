/*
 * The overlay is sparse by blocks of 4 KiB, in a table of two levels: groups of 512 blocks are made
 * when one of their blocks is first written. A block that is there holds the disk's whole content
 * of those 4 KiB; a write of part of one copies the rest from the image.
 */
#include "vmm/devices/block_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR_BYTES 512u
#define BLOCK_BYTES  4096u
#define GROUP_BLOCKS 512u

struct block_group {
	uint8_t *block[GROUP_BLOCKS]; /* NULL: as in the image */
};

struct block_file {
	int fd;
	enum block_file_mode mode;
	uint64_t bytes;
	uint64_t n_groups;
	struct block_group **group; /* NULL where nothing was written */
	uint64_t overlay_bytes;
};

/* Reads exactly n bytes; past the image's end (it may have shrunk) they are 0. */
static int read_image(const struct block_file *file, uint64_t offset, uint8_t *buffer, size_t n)
{
	while (n) {
		ssize_t got = pread(file->fd, buffer, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0) {
			memset(buffer, 0, n);
			return 0;
		}
		buffer += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static int write_image(const struct block_file *file, uint64_t offset, const uint8_t *data,
		       size_t n)
{
	while (n) {
		ssize_t put = pwrite(file->fd, data, n, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		data += put;
		offset += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

/* The overlay's block that holds offset, or NULL. */
static uint8_t *find_block(const struct block_file *file, uint64_t offset)
{
	uint64_t index = offset / BLOCK_BYTES;
	const struct block_group *group = file->group ? file->group[index / GROUP_BLOCKS] : NULL;

	return group ? group->block[index % GROUP_BLOCKS] : NULL;
}

/* Makes the overlay's block that holds offset. Its content is copied unless it will be overwritten.
 */
static int make_block(struct block_file *file, uint64_t offset, bool copy, uint8_t **ret_block)
{
	uint64_t index = offset / BLOCK_BYTES;
	struct block_group **group = &file->group[index / GROUP_BLOCKS];
	uint8_t *block;
	int err = 0;

	if (!*group)
		*group = calloc(1, sizeof(**group));
	if (!*group)
		return -ENOMEM;
	block = malloc(BLOCK_BYTES);
	if (!block)
		return -ENOMEM;
	if (copy)
		err = read_image(file, index * BLOCK_BYTES, block, BLOCK_BYTES);
	if (err) {
		free(block);
		return err;
	}
	(*group)->block[index % GROUP_BLOCKS] = block;
	file->overlay_bytes += BLOCK_BYTES;
	*ret_block = block;
	return 0;
}

/* Bytes from offset to the end of its block, at most n. */
static size_t block_piece(uint64_t offset, size_t n)
{
	size_t rest = BLOCK_BYTES - offset % BLOCK_BYTES;

	return rest < n ? rest : n;
}

/* Bytes from offset that come from the image in one piece, at most n. */
static size_t image_run(const struct block_file *file, uint64_t offset, size_t n)
{
	size_t run = 0;

	if (!file->group)
		return n;
	while (run < n && !find_block(file, offset + run))
		run += block_piece(offset + run, n - run);
	return run;
}

static bool in_disk(const struct block_file *file, uint64_t offset, size_t n)
{
	return offset <= file->bytes && n <= file->bytes - offset;
}

static int file_read(void *ctx, uint64_t offset, void *buffer, size_t n)
{
	const struct block_file *file = ctx;
	uint8_t *to = buffer;

	if (!in_disk(file, offset, n))
		return -EINVAL;
	while (n) {
		size_t piece = image_run(file, offset, n);

		if (piece) {
			int err = read_image(file, offset, to, piece);

			if (err)
				return err;
		} else {
			piece = block_piece(offset, n);
			memcpy(to, find_block(file, offset) + offset % BLOCK_BYTES, piece);
		}
		to += piece;
		offset += piece;
		n -= piece;
	}
	return 0;
}

static int overlay_write(struct block_file *file, uint64_t offset, const uint8_t *data, size_t n)
{
	while (n) {
		size_t piece = block_piece(offset, n);
		uint8_t *block = find_block(file, offset);
		int err = block ? 0 : make_block(file, offset, piece < BLOCK_BYTES, &block);

		if (err)
			return err;
		memcpy(block + offset % BLOCK_BYTES, data, piece);
		data += piece;
		offset += piece;
		n -= piece;
	}
	return 0;
}

static int file_write(void *ctx, uint64_t offset, const void *data, size_t n)
{
	struct block_file *file = ctx;

	if (!in_disk(file, offset, n))
		return -EINVAL;
	return file->mode != BLOCK_FILE_OVERLAY ? write_image(file, offset, data, n)
						: overlay_write(file, offset, data, n);
}

static int file_flush(void *ctx)
{
	const struct block_file *file = ctx;

	return file->mode == BLOCK_FILE_WRITE_BACK && fdatasync(file->fd) != 0 ? -errno : 0;
}

/* Finds out the size of the opened image. */
static int measure(struct block_file *file)
{
	struct stat st;
	off_t end;

	if (fstat(file->fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EINVAL;
	end = lseek(file->fd, 0, SEEK_END);
	if (end < 0)
		return -errno;
	file->bytes = (uint64_t)end / SECTOR_BYTES * SECTOR_BYTES;
	return file->bytes ? 0 : -ENODATA;
}

static int make_overlay(struct block_file *file)
{
	uint64_t group_bytes = (uint64_t)GROUP_BLOCKS * BLOCK_BYTES;

	file->n_groups = (file->bytes + group_bytes - 1) / group_bytes;
	file->group = calloc(file->n_groups, sizeof(struct block_group *));
	return file->group ? 0 : -ENOMEM;
}

int block_file_open(const char *path, enum block_file_mode mode, struct block_file **ret_file)
{
	struct block_file *file = calloc(1, sizeof(*file));
	int err = 0;

	if (!file)
		return -ENOMEM;
	file->mode = mode;
	/* O_NONBLOCK: opening a FIFO by mistake must not wait. */
	file->fd = open(path,
			(mode == BLOCK_FILE_OVERLAY ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0)
		err = -errno;
	if (err == 0)
		err = measure(file);
	if (err == 0 && mode == BLOCK_FILE_OVERLAY)
		err = make_overlay(file);
	if (err) {
		block_file_close(file);
		return err;
	}
	*ret_file = file;
	return 0;
}

const char *block_file_error(int error)
{
	switch (error) {
	case -ENODATA:
		return "the image holds not even one sector of 512 bytes";
	case -EINVAL:
		return "neither a regular file nor a block device";
	default:
		return strerror(-error);
	}
}

void block_file_close(struct block_file *file)
{
	if (!file)
		return;
	for (uint64_t i = 0; file->group && i < file->n_groups; i++) {
		for (unsigned k = 0; file->group[i] && k < GROUP_BLOCKS; k++)
			free(file->group[i]->block[k]);
		free(file->group[i]);
	}
	free(file->group);
	if (file->fd >= 0)
		close(file->fd);
	free(file);
}

struct block_backend block_file_backend(struct block_file *file)
{
	return (struct block_backend){
		.read = file_read,
		.write = file_write,
		.flush = file_flush,
		.bytes = file->bytes,
		.ctx = file,
	};
}

uint64_t block_file_overlay_bytes(const struct block_file *file)
{
	return file->overlay_bytes;
}
