/*
 * The disk that takes what a guest of `reprise run` writes: a sparse temporary file with an empty
 * ext4 file system, the same on every host, that nobody else sees and that goes with its
 * descriptor.
 */
#ifndef REPRISE_TOOLS_SCRATCH_DISK_H
#define REPRISE_TOOLS_SCRATCH_DISK_H

#include <stdint.h>

/* Returns 0 and the descriptor, which is the caller's; -ENOENT when there is no mkfs.ext4; or
 * another negative errno. */
int scratch_disk_open(uint64_t bytes, int *ret_fd);

#endif
