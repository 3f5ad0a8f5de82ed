/*
 * The disk that takes what a guest of `reprise run` writes: a sparse temporary file with an empty
 * ext4 file system, a variant's the same on every host, that nobody else sees and that goes with
 * its descriptor.
 */
#ifndef REPRISE_TOOLS_SCRATCH_DISK_H
#define REPRISE_TOOLS_SCRATCH_DISK_H

#include <stdint.h>

/* Makes the file, which has nothing in it yet. Returns 0 and the descriptor, which is the caller's;
 * -ENOENT when there is no mkfs.ext4; or another negative errno. */
int scratch_disk_open(uint64_t bytes, int *ret_fd);

/* Makes the file system in it; variants differ in the order in which a directory lists its entries.
 * Returns 0 or a negative errno. */
int scratch_disk_format(int fd, unsigned variant);

/* Replaces out by a copy of in, holes and all. Returns 0 or a negative errno. */
int scratch_disk_copy(int in, int out);

#endif
