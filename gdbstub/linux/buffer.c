#include "gdbstub/linux/buffer.h"

#include <stdlib.h>
#include <string.h>

#define BUFFER_MAX_BYTES (UINT32_C(256) << 20)

void buffer_finish(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){0};
}

static bool make_room(struct buffer *buffer, size_t n)
{
	size_t max = buffer->max ? buffer->max : 4096;

	if (buffer->failed)
		return false;
	if (buffer->max - buffer->n >= n)
		return true;
	while (max - buffer->n < n && max < BUFFER_MAX_BYTES)
		max *= 2;
	uint8_t *grown = max - buffer->n >= n ? realloc(buffer->data, max) : NULL;
	if (!grown) {
		buffer->failed = true;
		return false;
	}
	buffer->data = grown;
	buffer->max = max;
	return true;
}

void buffer_bytes(struct buffer *buffer, const void *data, size_t n)
{
	if (!make_room(buffer, n))
		return;
	memcpy(buffer->data + buffer->n, data, n);
	buffer->n += n;
}

void buffer_u8(struct buffer *buffer, uint8_t value)
{
	if (make_room(buffer, 1))
		buffer->data[buffer->n++] = value;
}

void buffer_u16(struct buffer *buffer, uint16_t value)
{
	buffer_bytes(buffer, &value, sizeof(value));
}

void buffer_u32(struct buffer *buffer, uint32_t value)
{
	buffer_bytes(buffer, &value, sizeof(value));
}

void buffer_u64(struct buffer *buffer, uint64_t value)
{
	buffer_bytes(buffer, &value, sizeof(value));
}

void buffer_uleb(struct buffer *buffer, uint64_t value)
{
	do {
		uint8_t byte = value & 0x7f;
		value >>= 7;
		buffer_u8(buffer, byte | (value ? 0x80 : 0));
	} while (value);
}

void buffer_sleb(struct buffer *buffer, int64_t value)
{
	bool more;

	do {
		uint8_t byte = value & 0x7f;
		value >>= 7;
		more = !((value == 0 && !(byte & 0x40)) || (value == -1 && (byte & 0x40)));
		buffer_u8(buffer, byte | (more ? 0x80 : 0));
	} while (more);
}

void buffer_text(struct buffer *buffer, const char *text)
{
	buffer_bytes(buffer, text, strlen(text) + 1);
}

void buffer_patch_u32(struct buffer *buffer, size_t at, uint32_t value)
{
	if (!buffer->failed && buffer->n >= 4 && at <= buffer->n - 4)
		memcpy(buffer->data + at, &value, sizeof(value));
}
