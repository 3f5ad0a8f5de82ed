/*
 * Chunks: the file's unit of writing, checking and compressing. A chunk is a frame, a ChunkHeader
 * and a payload: one LZ4 frame with a checksum over its stored bytes. What is in the payload is not
 * looked at here. docs/file-format.md draws the layout.
 */
#ifndef REPRISE_LOG_FORMAT_CHUNKS_H
#define REPRISE_LOG_FORMAT_CHUNKS_H

#include "log-format/bytes.h"
#include "log-format/column.h"

/* What the table of chunks holds of each. */
struct chunk {
	uint8_t kind;    /* Reprise__ChunkKind */
	uint64_t offset; /* of its frame in the file */
	uint64_t bytes;  /* in the file: frame, header and payload */
	uint64_t raw_bytes;
	uint64_t n_items;
	uint64_t first_icount, last_icount; /* event chunks; otherwise 0 */
};

/* The kind's name, "unknown" for a number that is none. */
const char *chunk_kind_name(unsigned kind);

/* What is impossible about this chunk on its own (sizes, counts, kind), or NULL. */
const char *chunk_misfit(const struct chunk *chunk);

/* ---- writing ---- */

/*
 * Compresses (LZ4 level: 0 fast, 3 and more HC) and appends a chunk. In: kind, n_items, icounts.
 * Out: offset, bytes, raw_bytes. stored is the caller's scratch memory. Returns 0 or -errno; the
 * sink is then as before.
 */
int chunk_write(struct byte_sink *sink, struct column *stored, struct chunk *chunk,
		const uint8_t *raw, size_t raw_bytes, int level);

struct chunk_reader;

/*
 * Appends a copy of another file's chunk, as it is stored there. In: the chunk of that file's
 * table; out: offset. stored as above. Returns 0 or a negative errno with *ret_error set; the sink
 * is then as before.
 */
int chunk_copy(struct byte_sink *sink, struct column *stored, struct chunk *chunk,
	       const struct chunk_reader *from, struct log_error *ret_error);

/* ---- reading ---- */

struct chunk_header {
	struct chunk chunk;
	uint64_t payload_offset, stored_bytes, stored_xxh3;
};

struct chunk_reader {
	struct byte_source source;
	struct LZ4F_dctx_s *decompressor;
	struct column stored;
};

int chunk_reader_init(struct chunk_reader *reader, const char *path, struct log_error *ret_error);
void chunk_reader_finish(struct chunk_reader *reader);

/* Reads and checks frame and header. Returns 0 or a negative errno with *ret_error set. */
int chunk_read_header(const struct chunk_reader *reader, uint64_t offset,
		      struct chunk_header *ret_header, struct log_error *ret_error);

/* Reads, checks and decompresses the payload into raw, raw->bytes == raw_bytes. */
int chunk_read_payload(struct chunk_reader *reader, const struct chunk_header *header,
		       struct column *raw, struct log_error *ret_error);

/* Both, for a chunk of the table: the chunk found there must be the one that the table names. */
int chunk_read(struct chunk_reader *reader, const struct chunk *chunk, struct column *raw,
	       struct log_error *ret_error);

bool chunk_equal(const struct chunk *a, const struct chunk *b);

#endif
