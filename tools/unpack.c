#include "tools/unpack.h"

#include <errno.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define XZ_MEMORY_MAX (UINT64_C(256) << 20)

/* How far a decoder came with the room that it had. */
enum progress { PROGRESS_DONE, PROGRESS_FULL, PROGRESS_BAD };

/* Unpacks from the start into room bytes at out; sets *ret_bytes when done. */
typedef enum progress decode_fn(const uint8_t *data, size_t n, uint8_t *out, size_t room,
				size_t *ret_bytes);

static enum progress decode_gzip(const uint8_t *data, size_t n, uint8_t *out, size_t room,
				 size_t *ret_bytes)
{
	z_stream stream = {.next_in = (uint8_t *)data, .avail_in = (uInt)n};

	if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) /* 16: gzip, not zlib */
		return PROGRESS_BAD;
	stream.next_out = out;
	stream.avail_out = (uInt)room;
	int result = inflate(&stream, Z_FINISH);
	*ret_bytes = stream.total_out;
	bool full = !stream.avail_out;
	inflateEnd(&stream);
	if (result == Z_STREAM_END)
		return PROGRESS_DONE;
	return full ? PROGRESS_FULL : PROGRESS_BAD;
}

static enum progress decode_xz(const uint8_t *data, size_t n, uint8_t *out, size_t room,
			       size_t *ret_bytes)
{
	lzma_stream stream = LZMA_STREAM_INIT;

	if (lzma_stream_decoder(&stream, XZ_MEMORY_MAX, 0) != LZMA_OK)
		return PROGRESS_BAD;
	stream.next_in = data;
	stream.avail_in = n;
	stream.next_out = out;
	stream.avail_out = room;
	lzma_ret result = lzma_code(&stream, LZMA_FINISH);
	*ret_bytes = stream.total_out;
	bool full = !stream.avail_out;
	lzma_end(&stream);
	if (result == LZMA_STREAM_END)
		return PROGRESS_DONE;
	return full ? PROGRESS_FULL : PROGRESS_BAD;
}

static enum progress decode_zstd(const uint8_t *data, size_t n, uint8_t *out, size_t room,
				 size_t *ret_bytes)
{
	ZSTD_DCtx *decoder = ZSTD_createDCtx();
	ZSTD_inBuffer in = {.src = data, .size = n};
	ZSTD_outBuffer to = {.dst = out, .size = room};

	if (!decoder)
		return PROGRESS_BAD;
	size_t result = ZSTD_decompressStream(decoder, &to, &in);
	ZSTD_freeDCtx(decoder);
	*ret_bytes = to.pos;
	if (!result)
		return PROGRESS_DONE;
	return !ZSTD_isError(result) && to.pos == room ? PROGRESS_FULL : PROGRESS_BAD;
}

static const struct {
	uint8_t magic[6];
	uint8_t n_magic;
	decode_fn *decode;
} formats[] = {
	{.magic = {0x1f, 0x8b}, .n_magic = 2, .decode = decode_gzip},
	{.magic = {0xfd, '7', 'z', 'X', 'Z', 0}, .n_magic = 6, .decode = decode_xz},
	{.magic = {0x28, 0xb5, 0x2f, 0xfd}, .n_magic = 4, .decode = decode_zstd},
};

static decode_fn *find_decoder(const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (n >= formats[i].n_magic && !memcmp(data, formats[i].magic, formats[i].n_magic))
			return formats[i].decode;
	return NULL;
}

static int copy(const uint8_t *data, size_t n, size_t max_bytes, uint8_t **ret_data,
		size_t *ret_bytes)
{
	if (n > max_bytes)
		return -EFBIG;
	*ret_data = malloc(n + 1);
	if (!*ret_data)
		return -ENOMEM;
	memcpy(*ret_data, data, n);
	*ret_bytes = n;
	return 0;
}

int unpack(const uint8_t *data, size_t n, size_t max_bytes, uint8_t **ret_data, size_t *ret_bytes)
{
	decode_fn *decode = find_decoder(data, n);

	if (!decode)
		return copy(data, n, max_bytes, ret_data, ret_bytes);
	/* From the start again with more room: the files are small. */
	for (size_t room = 8 * n + 4096;; room *= 2) {
		uint8_t *out = malloc(room > max_bytes ? max_bytes : room);

		if (!out)
			return -ENOMEM;
		enum progress progress =
			decode(data, n, out, room > max_bytes ? max_bytes : room, ret_bytes);
		if (progress == PROGRESS_DONE) {
			*ret_data = out;
			return 0;
		}
		free(out);
		if (progress == PROGRESS_BAD)
			return -EBADMSG;
		if (room >= max_bytes)
			return -EFBIG;
	}
}
