/* Files that may be compressed: gzip, xz, zstd, told by how they begin. */
#ifndef REPRISE_TOOLS_UNPACK_H
#define REPRISE_TOOLS_UNPACK_H

#include <stddef.h>
#include <stdint.h>

/*
 * Unpacks, or copies what is not compressed. *ret_data is the caller's to free. Returns 0, -EBADMSG
 * for damaged data, -EFBIG when more than max_bytes come out, or -ENOMEM.
 */
int unpack(const uint8_t *data, size_t n, size_t max_bytes, uint8_t **ret_data, size_t *ret_bytes);

#endif
