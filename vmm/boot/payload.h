/*
 * The compressed kernel inside a bzImage, unpacked on the host: guest instructions that need
 * neither be run nor replayed.
 */
#ifndef REPRISE_VMM_BOOT_PAYLOAD_H
#define REPRISE_VMM_BOOT_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True when the payload is of a format that payload_unpack() knows: gzip, xz, lzma, zstd, lz4. */
bool payload_known(const uint8_t *payload, size_t bytes);

/*
 * Unpacks. The payload's last 4 bytes are the unpacked size (Linux's build adds them; gzip ends so
 * by itself). *ret_data is the caller's to free. Returns 0; -EINVAL with *ret_problem set; -ENOMEM,
 * also when the size exceeds max_bytes.
 */
int payload_unpack(const uint8_t *payload, size_t bytes, uint64_t max_bytes, uint8_t **ret_data,
		   size_t *ret_bytes, const char **ret_problem);

#endif
