/* A file read whole: kernels, initial RAM disks, files for a guest image. */
#ifndef REPRISE_TOOLS_FILE_BYTES_H
#define REPRISE_TOOLS_FILE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_bytes {
	uint8_t *data;
	size_t n;
	bool mapped;
};

/* Returns 0 or a negative errno: those of open and read, -EISDIR, -EINVAL for what is no regular
 * file, -ENOMEM. *ret_bytes is then unchanged; otherwise it is the caller's to finish. */
int file_bytes_read(const char *path, struct file_bytes *ret_bytes);

/* As above, without a copy: for files that nobody makes shorter meanwhile. What is written to the
 * bytes stays here. */
int file_bytes_map(const char *path, struct file_bytes *ret_bytes);

/* Accepts one that is all zero. */
void file_bytes_finish(struct file_bytes *bytes);

#endif
