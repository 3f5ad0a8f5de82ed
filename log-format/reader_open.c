/* Opening a file: preamble, header, the table of chunks from the index or by a scan, trailer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "log-format/format.h"
#include "log-format/message.h"
#include "log-format/reader.h"

/* In files of up to this many chunks the index is compared with every chunk's header on opening; in
 * larger ones with each chunk's when it is read. */
#define OPEN_COMPARED_CHUNKS 4096u

static int check_preamble(const struct byte_source *source, uint32_t *ret_version,
			  struct log_error *ret_error)
{
	uint8_t preamble[FORMAT_PREAMBLE_BYTES];
	size_t n = source->bytes < sizeof(preamble) ? (size_t)source->bytes : sizeof(preamble);
	size_t n_magic = n < FORMAT_MAGIC_BYTES ? n : FORMAT_MAGIC_BYTES;
	int error = byte_source_read(source, 0, preamble, n, ret_error);
	if (error)
		return error;
	if (!n || memcmp(preamble, FORMAT_MAGIC, n_magic) != 0)
		return log_error_set(ret_error, -EBADMSG, 0, "not a reprise recording");
	if (n < sizeof(preamble))
		return log_error_set(ret_error, -EBADMSG, n, "the file ends inside its preamble");
	uint32_t version = bytes_get_le32(preamble + FORMAT_MAGIC_BYTES);
	if (version < FORMAT_VERSION_OLDEST || version > FORMAT_VERSION)
		return log_error_set(ret_error, -EBADMSG, FORMAT_MAGIC_BYTES,
				     "format version %u, this tool reads %u to %u", version,
				     FORMAT_VERSION_OLDEST, FORMAT_VERSION);
	*ret_version = version;
	if (bytes_get_le32(preamble + 12))
		return log_error_set(ret_error, -EBADMSG, 12, "preamble's last bytes are not 0");
	return 0;
}

static int read_header(struct log_reader *reader, uint32_t version, struct log_error *ret_error)
{
	struct chunk_header header;
	uint64_t offset = FORMAT_PREAMBLE_BYTES;
	if (reader->chunks.source.bytes == offset)
		return log_error_set(ret_error, -EBADMSG, offset,
				     "the file ends before its header");
	int error = chunk_read_header(&reader->chunks, offset, &header, ret_error);
	if (error)
		return error;
	if (header.chunk.kind != REPRISE__CHUNK_KIND__CHUNK_HEADER)
		return log_error_set(ret_error, -EBADMSG, offset,
				     "the file does not begin with its header");
	error = chunk_read_payload(&reader->chunks, &header, &reader->raw, ret_error);
	if (error)
		return error;
	reader->header =
		(Reprise__Header *)message_unpack(&reprise__header__descriptor, &reader->raw);
	if (!reader->header)
		return log_error_set(ret_error, -EBADMSG, offset,
				     "header is malformed or too large");
	const char *misfit = message_header_misfit(reader->header, version);
	return misfit ? log_error_set(ret_error, -EBADMSG, offset, "%s", misfit) : 0;
}

/* ---- the table ---- */

static bool rows_match(const struct log_reader *reader)
{
	const struct chunk_table *table = &reader->table;
	struct chunk_header header;
	struct log_error ignored;
	if (table->n > OPEN_COMPARED_CHUNKS)
		return true;
	for (uint64_t i = 0; i < table->n; i++) {
		const struct chunk *chunk = &table->rows[i].chunk;
		if (chunk_read_header(&reader->chunks, chunk->offset, &header, &ignored) ||
		    !chunk_equal(&header.chunk, chunk))
			return false;
	}
	return true;
}

/* Takes the table from the index. False, whatever the reason, when there is no index to rely on. */
static bool read_index(struct log_reader *reader)
{
	struct log_error ignored;
	struct chunk_header header;
	uint8_t footer[FORMAT_FOOTER_BYTES];
	uint64_t file_bytes = reader->chunks.source.bytes;
	if (file_bytes < FORMAT_PREAMBLE_BYTES + FORMAT_FOOTER_BYTES)
		return false;
	uint64_t footer_offset = file_bytes - FORMAT_FOOTER_BYTES;
	if (byte_source_read(&reader->chunks.source, footer_offset, footer, sizeof(footer),
			     &ignored) ||
	    memcmp(footer + 16, FORMAT_FOOTER_MAGIC, 8) != 0 ||
	    bytes_get_le64(footer + 8) != XXH3_64bits(footer, 8))
		return false;
	uint64_t offset = bytes_get_le64(footer);
	if (offset < FORMAT_PREAMBLE_BYTES || offset >= footer_offset ||
	    chunk_read_header(&reader->chunks, offset, &header, &ignored) ||
	    header.chunk.kind != REPRISE__CHUNK_KIND__CHUNK_INDEX ||
	    offset + header.chunk.bytes != footer_offset ||
	    chunk_read_payload(&reader->chunks, &header, &reader->raw, &ignored))
		return false;
	struct cursor cursor = {reader->raw.data, reader->raw.data + reader->raw.bytes};
	struct chunk_table *table = &reader->table;
	return chunk_table_decode(table, cursor, header.chunk.n_items, offset, &ignored) == 0 &&
	       table->rows[table->n - 1].chunk.kind == REPRISE__CHUNK_KIND__CHUNK_TRAILER &&
	       rows_match(reader);
}

/* Makes the table from the chunks themselves, up to the trailer, the file's end or damage. */
static int scan(struct log_reader *reader, struct log_error *ret_error)
{
	struct chunk_table *table = &reader->table;
	for (;;) {
		uint64_t offset = chunk_table_end(table);
		struct chunk_header header;
		struct log_error found;
		if (offset >= reader->chunks.source.bytes)
			return 0;
		int error = chunk_read_header(&reader->chunks, offset, &header, &found);
		if (!error)
			error = chunk_table_add(table, &header.chunk, &found);
		if (error == -EBADMSG) {
			reader->damage = found;
			return 0;
		}
		if (error) {
			*ret_error = found;
			return error;
		}
		/* What follows the trailer is an index that read_index() did not want. */
		if (header.chunk.kind == REPRISE__CHUNK_KIND__CHUNK_TRAILER)
			return 0;
	}
}

/* Ends what can be read before this chunk. */
static void cut_at(struct log_reader *reader, uint64_t row, const struct log_error *damage)
{
	reader->damage = *damage;
	chunk_table_cut(&reader->table, row);
}

/* ---- what is kept in memory: attachments' names, the trailer ---- */

static int keep_attachment(struct log_reader *reader, uint64_t row, struct log_error *ret_error)
{
	Reprise__Attachment *message;
	int error = reader_load_attachment(reader, row, &message, ret_error);
	if (error)
		return error;
	/* Many references for one name: they are read again when the data is asked for. */
	free(message->page_refs.data);
	message->page_refs = (ProtobufCBinaryData){0};
	reader->attachments[reader->n_attachments++] =
		(struct reader_attachment){.row = row, .message = message};
	return 0;
}

static int read_attachments(struct log_reader *reader, struct log_error *ret_error)
{
	const unsigned kind = REPRISE__CHUNK_KIND__CHUNK_ATTACHMENT;
	if (!reader->table.n_attachments)
		return 0;
	reader->attachments = calloc(reader->table.n_attachments, sizeof(*reader->attachments));
	if (!reader->attachments)
		return log_error_set(ret_error, -ENOMEM, 0, "out of memory");
	uint64_t row = chunk_table_find_kind(&reader->table, 0, kind);
	for (; row < reader->table.n; row = chunk_table_find_kind(&reader->table, row + 1, kind)) {
		int error = keep_attachment(reader, row, ret_error);
		if (error == -EBADMSG)
			cut_at(reader, row, ret_error);
		else if (error)
			return error;
	}
	return 0;
}

static int load_trailer(struct log_reader *reader, uint64_t row, struct log_error *ret_error)
{
	const struct chunk *chunk = &reader->table.rows[row].chunk;
	int error = chunk_read(&reader->chunks, chunk, &reader->raw, ret_error);
	if (error)
		return error;
	Reprise__Trailer *trailer =
		(Reprise__Trailer *)message_unpack(&reprise__trailer__descriptor, &reader->raw);
	if (!trailer)
		return log_error_set(ret_error, -EBADMSG, chunk->offset,
				     "trailer is malformed or too large");
	const char *misfit = NULL;
	if (trailer->n_events != reader->table.n_events)
		misfit = "trailer's count of events is not the file's";
	else if (trailer->end_icount < chunk_table_icount_before(&reader->table, row))
		misfit = "trailer's last instruction count lies before the last event";
	if (misfit) {
		message_free(&trailer->base);
		return log_error_set(ret_error, -EBADMSG, chunk->offset, "%s", misfit);
	}
	reader->trailer = trailer;
	return 0;
}

static int read_trailer(struct log_reader *reader, struct log_error *ret_error)
{
	/* No chunk at all: the file shrank since its header was read. */
	uint64_t last = reader->table.n ? reader->table.n - 1 : 0;
	if (!reader->table.n ||
	    reader->table.rows[last].chunk.kind != REPRISE__CHUNK_KIND__CHUNK_TRAILER)
		return 0;
	int error = load_trailer(reader, last, ret_error);
	if (error == -EBADMSG) {
		cut_at(reader, last, ret_error);
		return 0;
	}
	return error;
}

static int open_reader(struct log_reader *reader, const char *path, struct log_error *ret_error)
{
	uint32_t version = 0;
	int error = chunk_reader_init(&reader->chunks, path, ret_error);
	if (!error)
		error = check_preamble(&reader->chunks.source, &version, ret_error);
	if (!error)
		error = read_header(reader, version, ret_error);
	if (error)
		return error;
	reader->has_index = read_index(reader);
	if (!reader->has_index) {
		chunk_table_finish(&reader->table);
		error = scan(reader, ret_error);
	}
	if (!error)
		error = read_attachments(reader, ret_error);
	if (!error)
		error = read_trailer(reader, ret_error);
	if (!error && event_decoder_create(&reader->decoder))
		error = log_error_set(ret_error, -ENOMEM, 0, "out of memory");
	reader->last_icount = chunk_table_icount_before(&reader->table, reader->table.n);
	return error;
}

int log_reader_open(const char *path, struct log_reader **ret_reader, struct log_error *ret_error)
{
	struct log_error error = {0};
	struct log_reader *reader = calloc(1, sizeof(*reader));
	if (!reader)
		return log_error_set(ret_error, -ENOMEM, 0, "out of memory");
	reader->chunks.source.fd = -1;
	reader->pages.reader = &reader->chunks;
	reader->pages.table = &reader->table;
	if (open_reader(reader, path, &error)) {
		log_reader_close(reader);
		if (ret_error)
			*ret_error = error;
		return error.code;
	}
	*ret_reader = reader;
	return 0;
}

void log_reader_close(struct log_reader *reader)
{
	if (!reader)
		return;
	for (unsigned i = 0; i < reader->n_attachments; i++)
		message_free(&reader->attachments[i].message->base);
	free(reader->attachments);
	event_decoder_destroy(reader->decoder);
	page_cache_finish(&reader->pages);
	message_free(reader->header ? &reader->header->base : NULL);
	message_free(reader->trailer ? &reader->trailer->base : NULL);
	chunk_table_finish(&reader->table);
	column_finish(&reader->raw);
	chunk_reader_finish(&reader->chunks);
	free(reader);
}
