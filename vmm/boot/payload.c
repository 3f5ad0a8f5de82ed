#include "vmm/boot/payload.h"

#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define SIZE_BYTES 4u /* the unpacked size after the compressed data */

/* Decoder memory that a payload may ask for; Linux uses dictionaries of at most 128 MiB. */
#define XZ_MEMORY_MAX (UINT64_C(256) << 20)

/* LZ4's legacy frame: le32 magic, then { le32 compressed size, block } of 8 MiB unpacked each. */
#define LZ4_MAGIC_BYTES 4u
#define LZ4_BLOCK_BYTES (8u << 20)

/* Fills exactly out_bytes; n does not count the size that follows. Returns false for bad data. */
typedef bool unpack_fn(const uint8_t *in, size_t n, uint8_t *out, size_t out_bytes);

static uint32_t get_le32(const uint8_t *at)
{
	return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The size is gzip's own trailer, so it belongs to the data. */
static bool unpack_gzip(const uint8_t *in, size_t n, uint8_t *out, size_t out_bytes)
{
	z_stream stream = {.next_in = (uint8_t *)in, .avail_in = (uInt)(n + SIZE_BYTES)};
	bool ok;

	stream.next_out = out;
	stream.avail_out = (uInt)out_bytes;
	if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) /* 16: gzip, not zlib */
		return false;
	ok = inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.total_out == out_bytes;
	inflateEnd(&stream);
	return ok;
}

/* Both the .xz and the .lzma container. */
static bool unpack_xz(const uint8_t *in, size_t n, uint8_t *out, size_t out_bytes)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_ret ret;
	bool ok;

	if (lzma_auto_decoder(&stream, XZ_MEMORY_MAX, 0) != LZMA_OK)
		return false;
	stream.next_in = in;
	stream.avail_in = n;
	stream.next_out = out;
	stream.avail_out = out_bytes;
	ret = lzma_code(&stream, LZMA_FINISH);
	ok = ret == LZMA_STREAM_END && stream.total_out == out_bytes;
	lzma_end(&stream);
	return ok;
}

static bool unpack_zstd(const uint8_t *in, size_t n, uint8_t *out, size_t out_bytes)
{
	size_t got = ZSTD_decompress(out, out_bytes, in, n);

	return !ZSTD_isError(got) && got == out_bytes;
}

static bool unpack_lz4(const uint8_t *in, size_t n, uint8_t *out, size_t out_bytes)
{
	size_t at = LZ4_MAGIC_BYTES, done = 0;

	while (n - at >= 4) {
		uint32_t block = get_le32(in + at);
		size_t room =
			out_bytes - done < LZ4_BLOCK_BYTES ? out_bytes - done : LZ4_BLOCK_BYTES;
		int got;

		at += 4;
		if (block > n - at || block > INT_MAX)
			return false;
		got = LZ4_decompress_safe((const char *)in + at, (char *)out + done, (int)block,
					  (int)room);
		if (got < 0)
			return false;
		at += block;
		done += (size_t)got;
	}
	return done == out_bytes;
}

struct format_row {
	uint8_t magic[6];
	uint8_t n_magic;
	unpack_fn *unpack;
};

static const struct format_row formats[] = {
	{.magic = {0x1f, 0x8b}, .n_magic = 2, .unpack = unpack_gzip},
	{.magic = {0xfd, '7', 'z', 'X', 'Z', 0}, .n_magic = 6, .unpack = unpack_xz},
	{.magic = {0x5d, 0, 0}, .n_magic = 3, .unpack = unpack_xz},
	{.magic = {0x28, 0xb5, 0x2f, 0xfd}, .n_magic = 4, .unpack = unpack_zstd},
	{.magic = {0x02, 0x21, 0x4c, 0x18}, .n_magic = 4, .unpack = unpack_lz4},
};

static const struct format_row *find_format(const uint8_t *payload, size_t bytes)
{
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (bytes >= formats[i].n_magic + SIZE_BYTES &&
		    memcmp(payload, formats[i].magic, formats[i].n_magic) == 0)
			return &formats[i];
	return NULL;
}

bool payload_known(const uint8_t *payload, size_t bytes)
{
	return find_format(payload, bytes) != NULL;
}

int payload_unpack(const uint8_t *payload, size_t bytes, uint64_t max_bytes, uint8_t **ret_data,
		   size_t *ret_bytes, const char **ret_problem)
{
	const struct format_row *format = find_format(payload, bytes);
	size_t out_bytes = format ? get_le32(payload + bytes - SIZE_BYTES) : 0;
	uint8_t *out;

	*ret_problem = "the compressed kernel is damaged";
	if (out_bytes == 0)
		return -EINVAL;
	if (out_bytes > max_bytes)
		return -ENOMEM;
	out = malloc(out_bytes);
	if (!out)
		return -ENOMEM;
	if (!format->unpack(payload, bytes - SIZE_BYTES, out, out_bytes)) {
		free(out);
		return -EINVAL;
	}
	*ret_data = out;
	*ret_bytes = out_bytes;
	return 0;
}
