/* Bytes of a section that is put together piece by piece, little-endian. */
#ifndef REPRISE_GDBSTUB_LINUX_BUFFER_H
#define REPRISE_GDBSTUB_LINUX_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Grows as needed, up to a limit far above what any kernel takes. Beyond it, or without memory,
 * what is added is dropped and failed is set. */
struct buffer {
	uint8_t *data;
	size_t n, max;
	bool failed;
};

void buffer_finish(struct buffer *buffer);
void buffer_bytes(struct buffer *buffer, const void *data, size_t n);
void buffer_u8(struct buffer *buffer, uint8_t value);
void buffer_u16(struct buffer *buffer, uint16_t value);
void buffer_u32(struct buffer *buffer, uint32_t value);
void buffer_u64(struct buffer *buffer, uint64_t value);
/* LEB128 (DWARF 5 7.6). */
void buffer_uleb(struct buffer *buffer, uint64_t value);
void buffer_sleb(struct buffer *buffer, int64_t value);
/* With its zero. */
void buffer_text(struct buffer *buffer, const char *text);
/* Overwrites four bytes that are there already. */
void buffer_patch_u32(struct buffer *buffer, size_t at, uint32_t value);

#endif
