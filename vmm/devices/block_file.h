/* A raw disk image as a block back end, with writes kept in memory or made to the file. */
#ifndef REPRISE_VMM_DEVICES_BLOCK_FILE_H
#define REPRISE_VMM_DEVICES_BLOCK_FILE_H

#include <stdbool.h>

#include "vmm/devices/device.h"

/* Where what the guest writes goes. */
enum block_file_mode {
	BLOCK_FILE_OVERLAY,    /* to memory; the file stays as it is */
	BLOCK_FILE_WRITE_BACK, /* to the file, and to its disk when the guest asks for it */
	BLOCK_FILE_SCRATCH,    /* to the file, which nobody wants to keep: a flush does nothing */
};

struct block_file;

/*
 * Opens an image (regular file or block device). Its size is rounded down to whole 512-byte
 * sectors. With an overlay the file is opened read-only and written blocks live in memory until
 * close. Returns 0 or a negative errno: -ENODATA when the image holds not even one sector, -EINVAL
 * when it is neither a regular file nor a block device, else what the system said.
 */
int block_file_open(const char *path, enum block_file_mode mode, struct block_file **ret_file);

/* The words for an error of block_file_open(). */
const char *block_file_error(int error);

/* Accepts NULL. Written blocks that live in memory are gone. */
void block_file_close(struct block_file *file);

/* A back end on the file, valid until it is closed; the caller may fill in the serial. */
struct block_backend block_file_backend(struct block_file *file);

/* Bytes of memory that written blocks take. */
uint64_t block_file_overlay_bytes(const struct block_file *file);

#endif
