#include "log-format/chunks.h"

#include <errno.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "log-format/format.h"

static const struct chunk_kind {
	const char *name;
	uint32_t raw_max;
	uint32_t n_items_max;
	uint32_t item_bytes_min; /* raw bytes that an item takes at least; 0: no items */
} chunk_kinds[] = {
	[REPRISE__CHUNK_KIND__CHUNK_HEADER] = {"header", FORMAT_MESSAGE_MAX, 0, 0},
	[REPRISE__CHUNK_KIND__CHUNK_PAGES] = {"pages", FORMAT_PAGES_PER_CHUNK *FORMAT_PAGE_BYTES,
					      FORMAT_PAGES_PER_CHUNK, FORMAT_PAGE_BYTES},
	[REPRISE__CHUNK_KIND__CHUNK_RAM] = {"ram", FORMAT_RAW_MAX, FORMAT_RAW_MAX, 2},
	[REPRISE__CHUNK_KIND__CHUNK_EVENTS] = {"events", FORMAT_RAW_MAX, FORMAT_RAW_MAX, 2},
	[REPRISE__CHUNK_KIND__CHUNK_ATTACHMENT] = {"attachment", FORMAT_RAW_MAX, 0, 0},
	[REPRISE__CHUNK_KIND__CHUNK_TRAILER] = {"trailer", FORMAT_MESSAGE_MAX, 0, 0},
	[REPRISE__CHUNK_KIND__CHUNK_INDEX] = {"index", FORMAT_RAW_MAX, FORMAT_CHUNKS_MAX, 6},
};

#define N_CHUNK_KINDS (sizeof(chunk_kinds) / sizeof(chunk_kinds[0]))

const char *chunk_kind_name(unsigned kind)
{
	return kind < N_CHUNK_KINDS && chunk_kinds[kind].name ? chunk_kinds[kind].name : "unknown";
}

static const char *items_misfit(const struct chunk *chunk, const struct chunk_kind *kind)
{
	if (!kind->item_bytes_min)
		return chunk->n_items ? "a count in a chunk of a kind that has none" : NULL;
	if (!chunk->n_items)
		return "a count of 0";
	if (chunk->n_items > kind->n_items_max ||
	    chunk->n_items > chunk->raw_bytes / kind->item_bytes_min)
		return "a count larger than the chunk can hold";
	if (chunk->kind == REPRISE__CHUNK_KIND__CHUNK_PAGES &&
	    chunk->raw_bytes != chunk->n_items * FORMAT_PAGE_BYTES)
		return "a size that is not its pages'";
	return NULL;
}

const char *chunk_misfit(const struct chunk *chunk)
{
	if (chunk->kind >= N_CHUNK_KINDS || !chunk_kinds[chunk->kind].name)
		return "an unknown kind";
	const struct chunk_kind *kind = &chunk_kinds[chunk->kind];
	/* Only a trailer can say nothing: no events, no exit status. */
	bool may_be_empty = chunk->kind == REPRISE__CHUNK_KIND__CHUNK_TRAILER;
	if ((!chunk->raw_bytes && !may_be_empty) || chunk->raw_bytes > kind->raw_max)
		return "a decompressed size outside the limits";
	const char *misfit = items_misfit(chunk, kind);
	if (misfit)
		return misfit;
	if (chunk->kind != REPRISE__CHUNK_KIND__CHUNK_EVENTS)
		return chunk->first_icount || chunk->last_icount
			       ? "instruction counts in a chunk of a kind that has none"
			       : NULL;
	return chunk->first_icount > chunk->last_icount ? "instruction counts that run backwards"
							: NULL;
}

bool chunk_equal(const struct chunk *a, const struct chunk *b)
{
	return a->kind == b->kind && a->offset == b->offset && a->bytes == b->bytes &&
	       a->raw_bytes == b->raw_bytes && a->n_items == b->n_items &&
	       a->first_icount == b->first_icount && a->last_icount == b->last_icount;
}

/* ---- writing ---- */

/* Compresses into stored, behind room for the frame and the header. */
static int compress(struct column *stored, const uint8_t *raw, size_t raw_bytes, int level,
		    size_t *ret_stored_bytes)
{
	LZ4F_preferences_t preferences = {
		.frameInfo = {.blockSizeID = LZ4F_max1MB,
			      .blockMode = LZ4F_blockLinked,
			      .contentSize = raw_bytes},
		.compressionLevel = level,
	};
	size_t room = FORMAT_FRAME_BYTES + FORMAT_CHUNK_HEADER_MAX;
	size_t bound = LZ4F_compressFrameBound(raw_bytes, &preferences);
	column_clear(stored);
	if (column_reserve(stored, room + bound))
		return -ENOMEM;
	size_t n = LZ4F_compressFrame(stored->data + room, bound, raw, raw_bytes, &preferences);
	if (LZ4F_isError(n))
		return -ENOMEM;
	*ret_stored_bytes = n;
	return 0;
}

/* Packs the header, returns its length. The offset seeds the hash: a chunk fits in one place only.
 */
static size_t pack_header(const struct chunk *chunk, size_t stored_bytes, uint64_t stored_xxh3,
			  uint8_t *header)
{
	Reprise__ChunkHeader message = REPRISE__CHUNK_HEADER__INIT;
	message.kind = (Reprise__ChunkKind)chunk->kind;
	message.stored_bytes = stored_bytes;
	message.raw_bytes = chunk->raw_bytes;
	message.stored_xxh3 = stored_xxh3;
	message.n_items = chunk->n_items;
	message.first_icount = chunk->first_icount;
	message.last_icount = chunk->last_icount;
	return reprise__chunk_header__pack(&message, header);
}

/* Appends a chunk whose payload lies in stored behind room for the frame and the header, so that
 * one write carries them all. */
static int append_chunk(struct byte_sink *sink, struct column *stored, struct chunk *chunk,
			size_t stored_bytes, uint64_t stored_xxh3)
{
	uint8_t *payload = stored->data + FORMAT_FRAME_BYTES + FORMAT_CHUNK_HEADER_MAX;
	uint8_t header[FORMAT_CHUNK_HEADER_MAX];

	chunk->offset = sink->bytes;
	size_t header_bytes = pack_header(chunk, stored_bytes, stored_xxh3, header);
	uint8_t *frame = payload - header_bytes - FORMAT_FRAME_BYTES;
	memcpy(frame, FORMAT_CHUNK_MAGIC, FORMAT_CHUNK_MAGIC_BYTES);
	bytes_put_le32(frame + 4, (uint32_t)header_bytes);
	bytes_put_le64(frame + 8, XXH3_64bits_withSeed(header, header_bytes, chunk->offset));
	memcpy(payload - header_bytes, header, header_bytes);
	chunk->bytes = FORMAT_FRAME_BYTES + header_bytes + stored_bytes;
	return byte_sink_append(sink, frame, chunk->bytes);
}

int chunk_write(struct byte_sink *sink, struct column *stored, struct chunk *chunk,
		const uint8_t *raw, size_t raw_bytes, int level)
{
	size_t stored_bytes;
	int error = compress(stored, raw, raw_bytes, level, &stored_bytes);
	if (error)
		return error;
	const uint8_t *payload = stored->data + FORMAT_FRAME_BYTES + FORMAT_CHUNK_HEADER_MAX;
	chunk->raw_bytes = raw_bytes;
	if (chunk_misfit(chunk))
		return -EINVAL;
	return append_chunk(sink, stored, chunk, stored_bytes, XXH3_64bits(payload, stored_bytes));
}

int chunk_copy(struct byte_sink *sink, struct column *stored, struct chunk *chunk,
	       const struct chunk_reader *from, struct log_error *ret_error)
{
	size_t room = FORMAT_FRAME_BYTES + FORMAT_CHUNK_HEADER_MAX;
	struct chunk_header header;
	int error = chunk_read_header(from, chunk->offset, &header, ret_error);
	if (error)
		return error;
	size_t n = (size_t)header.stored_bytes;
	column_clear(stored);
	if (column_reserve(stored, room + n))
		return log_error_set(ret_error, -ENOMEM, 0, "out of memory");
	error = byte_source_read(&from->source, header.payload_offset, stored->data + room, n,
				 ret_error);
	if (error)
		return error;
	if (!chunk_equal(&header.chunk, chunk) ||
	    XXH3_64bits(stored->data + room, n) != header.stored_xxh3)
		return log_error_set(ret_error, -EBADMSG, chunk->offset,
				     "%s chunk to be copied is damaged",
				     chunk_kind_name(chunk->kind));
	error = append_chunk(sink, stored, chunk, n, header.stored_xxh3);
	return error ? log_error_set(ret_error, error, sink->bytes, "%s", strerror(-error)) : 0;
}

/* ---- reading ---- */

int chunk_reader_init(struct chunk_reader *reader, const char *path, struct log_error *ret_error)
{
	*reader = (struct chunk_reader){.source = {.fd = -1}};
	int error = byte_source_open(&reader->source, path, ret_error);
	if (error)
		return error;
	if (LZ4F_isError(LZ4F_createDecompressionContext(&reader->decompressor, LZ4F_VERSION))) {
		byte_source_close(&reader->source);
		return log_error_set(ret_error, -ENOMEM, 0, "out of memory");
	}
	return 0;
}

void chunk_reader_finish(struct chunk_reader *reader)
{
	byte_source_close(&reader->source);
	LZ4F_freeDecompressionContext(reader->decompressor);
	column_finish(&reader->stored);
}

static int unpack_header(const uint8_t *data, size_t n, uint64_t offset,
			 struct chunk_header *header, struct log_error *ret_error)
{
	Reprise__ChunkHeader *message = reprise__chunk_header__unpack(NULL, n, data);
	if (!message)
		return log_error_set(ret_error, -EBADMSG, offset, "chunk header is malformed");
	/* A kind too large for the field is as unknown as 0. */
	header->chunk.kind = message->kind < 0 || message->kind > UINT8_MAX
				     ? REPRISE__CHUNK_KIND__CHUNK_UNSPECIFIED
				     : (uint8_t)message->kind;
	header->chunk.raw_bytes = message->raw_bytes;
	header->chunk.n_items = message->n_items;
	header->chunk.first_icount = message->first_icount;
	header->chunk.last_icount = message->last_icount;
	header->stored_bytes = message->stored_bytes;
	header->stored_xxh3 = message->stored_xxh3;
	reprise__chunk_header__free_unpacked(message, NULL);
	return 0;
}

static int check_extent(const struct chunk_header *header, uint64_t file_bytes,
			struct log_error *ret_error)
{
	uint64_t offset = header->chunk.offset;
	const char *misfit = chunk_misfit(&header->chunk);
	if (misfit)
		return log_error_set(ret_error, -EBADMSG, offset, "%s chunk has %s",
				     chunk_kind_name(header->chunk.kind), misfit);
	if (!header->stored_bytes || header->stored_bytes > FORMAT_STORED_MAX)
		return log_error_set(ret_error, -EBADMSG, offset,
				     "%s chunk has a stored size outside the limits",
				     chunk_kind_name(header->chunk.kind));
	if (header->stored_bytes > file_bytes - header->payload_offset)
		return log_error_set(ret_error, -EBADMSG, offset, "the file ends inside a chunk");
	return 0;
}

int chunk_read_header(const struct chunk_reader *reader, uint64_t offset,
		      struct chunk_header *ret_header, struct log_error *ret_error)
{
	const struct byte_source *source = &reader->source;
	uint64_t left = offset < source->bytes ? source->bytes - offset : 0;
	/* The largest frame and header in one read. */
	uint8_t data[FORMAT_FRAME_BYTES + FORMAT_CHUNK_HEADER_MAX];
	size_t n = left < sizeof(data) ? (size_t)left : sizeof(data);
	int error = byte_source_read(source, offset, data, n, ret_error);
	if (error)
		return error;
	size_t magic_bytes = n < FORMAT_CHUNK_MAGIC_BYTES ? n : FORMAT_CHUNK_MAGIC_BYTES;
	if (memcmp(data, FORMAT_CHUNK_MAGIC, magic_bytes) != 0)
		return log_error_set(ret_error, -EBADMSG, offset, "no chunk begins here");
	if (n < FORMAT_FRAME_BYTES)
		return log_error_set(ret_error, -EBADMSG, offset, "the file ends inside a chunk");
	uint32_t header_bytes = bytes_get_le32(data + 4);
	if (!header_bytes || header_bytes > FORMAT_CHUNK_HEADER_MAX)
		return log_error_set(ret_error, -EBADMSG, offset,
				     "chunk header's length is outside the limits");
	if (header_bytes > n - FORMAT_FRAME_BYTES)
		return log_error_set(ret_error, -EBADMSG, offset, "the file ends inside a chunk");
	const uint8_t *message = data + FORMAT_FRAME_BYTES;
	if (XXH3_64bits_withSeed(message, header_bytes, offset) != bytes_get_le64(data + 8))
		return log_error_set(ret_error, -EBADMSG, offset,
				     "chunk header checksum does not match");

	struct chunk_header header = {.chunk = {.offset = offset}};
	error = unpack_header(message, header_bytes, offset, &header, ret_error);
	if (error)
		return error;
	header.payload_offset = offset + FORMAT_FRAME_BYTES + header_bytes;
	error = check_extent(&header, source->bytes, ret_error);
	if (error)
		return error;
	header.chunk.bytes = FORMAT_FRAME_BYTES + header_bytes + header.stored_bytes;
	*ret_header = header;
	return 0;
}

/* The payload must be one LZ4 frame, of exactly the stated size, and nothing more. */
static bool decompress(struct chunk_reader *reader, struct column *raw, size_t raw_bytes)
{
	size_t in = 0, out = 0, hint = 1;
	LZ4F_resetDecompressionContext(reader->decompressor);
	while (hint && in < reader->stored.bytes) {
		size_t n_in = reader->stored.bytes - in, n_out = raw_bytes - out;
		hint = LZ4F_decompress(reader->decompressor, raw->data + out, &n_out,
				       reader->stored.data + in, &n_in, NULL);
		if (LZ4F_isError(hint) || (!n_in && !n_out))
			return false;
		in += n_in;
		out += n_out;
	}
	return !hint && in == reader->stored.bytes && out == raw_bytes;
}

int chunk_read_payload(struct chunk_reader *reader, const struct chunk_header *header,
		       struct column *raw, struct log_error *ret_error)
{
	uint64_t offset = header->chunk.offset;
	size_t stored_bytes = (size_t)header->stored_bytes;
	size_t raw_bytes = (size_t)header->chunk.raw_bytes;
	column_clear(&reader->stored);
	column_clear(raw);
	/* One byte more: an empty chunk still needs an address to be decompressed to. */
	if (column_reserve(&reader->stored, stored_bytes) || column_reserve(raw, raw_bytes + 1))
		return log_error_set(ret_error, -ENOMEM, offset, "out of memory");
	int error = byte_source_read(&reader->source, header->payload_offset, reader->stored.data,
				     stored_bytes, ret_error);
	if (error)
		return error;
	reader->stored.bytes = stored_bytes;
	if (XXH3_64bits(reader->stored.data, stored_bytes) != header->stored_xxh3)
		return log_error_set(ret_error, -EBADMSG, offset,
				     "%s chunk checksum does not match",
				     chunk_kind_name(header->chunk.kind));
	if (!decompress(reader, raw, raw_bytes))
		return log_error_set(ret_error, -EBADMSG, offset,
				     "%s chunk does not decompress to its stated size",
				     chunk_kind_name(header->chunk.kind));
	raw->bytes = raw_bytes;
	return 0;
}

int chunk_read(struct chunk_reader *reader, const struct chunk *chunk, struct column *raw,
	       struct log_error *ret_error)
{
	struct chunk_header header;
	int error = chunk_read_header(reader, chunk->offset, &header, ret_error);
	if (error)
		return error;
	if (!chunk_equal(&header.chunk, chunk))
		return log_error_set(ret_error, -EBADMSG, chunk->offset,
				     "%s chunk is not as the index says",
				     chunk_kind_name(header.chunk.kind));
	return chunk_read_payload(reader, &header, raw, ret_error);
}
