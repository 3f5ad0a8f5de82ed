/* Build-ids of ELF files (gABI 5, "Note Section"; GNU property NT_GNU_BUILD_ID). */
#ifndef REPRISE_LOG_FORMAT_BUILD_ID_H
#define REPRISE_LOG_FORMAT_BUILD_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUILD_ID_MAX 64

struct build_id {
	uint8_t bytes[BUILD_ID_MAX];
	size_t n;
};

/* Of a 64-bit file; the first n of its bytes are enough when the note lies among them, and any
 * bytes are taken. Returns false when it has none. */
bool build_id_read(const uint8_t *data, size_t n, struct build_id *ret);

#endif
