/*
 * The writer. Content goes to the file in this order, so that whatever a chunk refers to stands
 * before it: page chunks as they fill; the RAM chunks before the first events; event chunks as they
 * are cut; attachments at any time; trailer, index and footer at the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <lz4hc.h>
#include <xxhash.h>

#include "log-format/chunk_queue.h"
#include "log-format/chunks.h"
#include "log-format/events.h"
#include "log-format/message.h"
#include "log-format/page_store.h"
#include "log-format/reader.h"
#include "log-format/sync.h"
#include "log-format/table.h"

struct log_writer {
	struct log_error error; /* code 0: none yet */
	struct byte_sink sink;
	struct log_sync *sync; /* NULL: not asked for, or nothing to sync */
	/* Of initial RAM, while it comes and a bit longer; the sink is its own meanwhile. NULL: all
	 * is in the file and the table. */
	struct chunk_queue *queue;
	struct chunk_table table;
	struct page_store pages;
	struct event_encoder *encoder;

	struct column ram; /* rows of the RAM chunk in progress */
	uint64_t n_ram, ram_page, ram_ref;
	bool image_done; /* an event came: no more initial RAM */
	bool image_reserved;
	uint64_t image_offset; /* where the room begins that was left for it */
	bool finished;

	uint64_t last_icount;
	uint64_t event_bytes;
	struct column raw, stored; /* scratch of the chunk being written */
};

/*
 * The initial RAM is written once and makes most of a short recording's bytes: it is worth LZ4 HC,
 * by a thread of its own, which the guest need not wait for. What is written while the guest runs
 * must not slow it down.
 */
#define IMAGE_LEVEL LZ4HC_CLEVEL_MIN
#define GUEST_LEVEL 0

static int drain(struct log_writer *writer);

/* Where: at the file's end, which is known once nobody else writes. */
static int fail(struct log_writer *writer, int code, const char *what)
{
	drain(writer);
	if (writer->error.code)
		return writer->error.code;
	return log_error_set(&writer->error, code, writer->sink.bytes, "%s", what);
}

static int fail_system(struct log_writer *writer, int code)
{
	return writer->error.code ? writer->error.code : fail(writer, code, strerror(-code));
}

/* The last place is the trailer's. */
static int check_room(struct log_writer *writer, const struct chunk *chunk)
{
	uint64_t n = writer->table.n + (writer->queue ? chunk_queue_count(writer->queue) : 0);

	if (n >= FORMAT_CHUNKS_MAX - 1 && chunk->kind != REPRISE__CHUNK_KIND__CHUNK_TRAILER)
		return fail(writer, -EFBIG, "the file has as many chunks as a file may have");
	return 0;
}

static int note_chunk(void *ctx, const struct chunk *chunk)
{
	struct log_writer *writer = ctx;

	return chunk_table_add(&writer->table, chunk, &writer->error);
}

/* Waits for what the thread writes. */
static int drain(struct log_writer *writer)
{
	struct chunk_queue *queue = writer->queue;

	writer->queue = NULL;
	int error = chunk_queue_finish(queue, note_chunk, writer);
	return error ? fail_system(writer, error) : 0;
}

/* Compresses and appends one chunk, and adds it to the table. */
static int write_chunk(struct log_writer *writer, struct chunk *chunk, const struct column *raw)
{
	int error = drain(writer);

	if (!error)
		error = check_room(writer, chunk);
	if (error)
		return error;
	error = chunk_write(&writer->sink, &writer->stored, chunk, raw->data, raw->bytes,
			    GUEST_LEVEL);
	if (error)
		return fail_system(writer, error);
	return chunk_table_add(&writer->table, chunk, &writer->error);
}

/* Likewise one of pages or RAM, which is empty afterwards: by the thread while initial RAM comes.
 */
static int write_memory_chunk(struct log_writer *writer, struct chunk *chunk, struct column *raw)
{
	int error;

	if (writer->image_done) {
		error = write_chunk(writer, chunk, raw);
		column_clear(raw);
		return error;
	}
	error = check_room(writer, chunk);
	if (!error && !writer->queue)
		error = chunk_queue_create(&writer->sink, IMAGE_LEVEL, &writer->queue);
	if (!error)
		error = chunk_queue_push(writer->queue, chunk, raw);
	return error ? fail_system(writer, error) : 0;
}

static int write_message(struct log_writer *writer, uint8_t kind, const ProtobufCMessage *message)
{
	if (message_pack(message, &writer->raw))
		return fail_system(writer, -ENOMEM);
	struct chunk chunk = {.kind = kind};
	return write_chunk(writer, &chunk, &writer->raw);
}

/* ---- pages ---- */

static int write_pages(struct log_writer *writer)
{
	struct chunk chunk = {.kind = REPRISE__CHUNK_KIND__CHUNK_PAGES,
			      .n_items = page_store_pending(&writer->pages)};
	if (!chunk.n_items)
		return 0;
	return write_memory_chunk(writer, &chunk, &writer->pages.pending);
}

static int refer_page(void *ctx, const uint8_t *page, uint64_t *ret_ref)
{
	struct log_writer *writer = ctx;
	int error = page_store_is_full(&writer->pages) ? write_pages(writer) : 0;
	if (error)
		return error;
	return page_store_add(&writer->pages, page, ret_ref) ? fail_system(writer, -ENOMEM) : 0;
}

/* ---- initial RAM ---- */

static int write_ram(struct log_writer *writer)
{
	if (!writer->n_ram)
		return 0;
	int error = write_pages(writer);
	if (error)
		return error;
	struct chunk chunk = {.kind = REPRISE__CHUNK_KIND__CHUNK_RAM, .n_items = writer->n_ram};
	error = write_memory_chunk(writer, &chunk, &writer->ram);
	writer->n_ram = writer->ram_page = writer->ram_ref = 0;
	return error;
}

static int end_image(struct log_writer *writer)
{
	if (writer->image_done)
		return 0;
	int error = write_ram(writer);
	writer->image_done = true;
	return error;
}

int log_writer_add_page(struct log_writer *writer, uint64_t gpa, const uint8_t *page)
{
	if (writer->error.code)
		return writer->error.code;
	if (writer->image_done || gpa % FORMAT_PAGE_BYTES)
		return fail(writer, -EINVAL, "a page of initial RAM is misaligned or too late");
	uint64_t ref;
	int error = refer_page(writer, page, &ref);
	if (error || ref == FORMAT_ZERO_PAGE_REF)
		return error;
	if (column_reserve(&writer->ram, 2 * VARINT_MAX_BYTES))
		return fail_system(writer, -ENOMEM);
	uint64_t number = gpa / FORMAT_PAGE_BYTES;
	column_put_varint(&writer->ram, zigzag_difference(number, writer->ram_page));
	column_put_page_ref(&writer->ram, ref, &writer->ram_ref);
	writer->ram_page = number + 1;
	writer->n_ram++;
	return writer->ram.bytes >= FORMAT_CUT_BYTES ? write_ram(writer) : 0;
}

/* The last chunk of initial RAM in the table, or -1. */
static int64_t last_ram_row(const struct chunk_table *table)
{
	const unsigned kind = REPRISE__CHUNK_KIND__CHUNK_RAM;
	int64_t last = -1;
	uint64_t row = chunk_table_find_kind(table, 0, kind);
	for (; row < table->n; row = chunk_table_find_kind(table, row + 1, kind))
		last = (int64_t)row;
	return last;
}

static bool is_of_image(const struct chunk *chunk)
{
	return chunk->kind == REPRISE__CHUNK_KIND__CHUNK_PAGES ||
	       chunk->kind == REPRISE__CHUNK_KIND__CHUNK_RAM;
}

/* Copies the chunk to the end of the file. Out: its place there. */
static int copy_chunk(struct log_writer *writer, struct chunk *chunk, struct log_reader *reader)
{
	return chunk_copy(&writer->sink, &writer->stored, chunk, &reader->chunks, &writer->error);
}

/* A copy has the same header, and so the same length. */
static int skip_chunk(struct log_writer *writer, struct chunk *chunk, struct log_reader *reader)
{
	(void)reader;
	chunk->offset = writer->sink.bytes;
	int error = byte_sink_skip(&writer->sink, chunk->bytes);
	return error ? fail_system(writer, error) : 0;
}

/* Page numbers stay as they were, since no page comes before these. */
static int take_image(struct log_writer *writer, struct log_reader *reader,
		      int (*take)(struct log_writer *writer, struct chunk *chunk,
				  struct log_reader *reader))
{
	if (writer->error.code)
		return writer->error.code;
	if (writer->image_done || writer->n_ram || writer->pages.n_pages || writer->queue)
		return fail(writer, -EINVAL, "an image is copied too late");
	writer->image_offset = writer->sink.bytes;
	int64_t last = last_ram_row(&reader->table);
	for (int64_t row = 0; row <= last; row++) {
		struct chunk chunk = reader->table.rows[row].chunk;
		int error = 0;
		if (!is_of_image(&chunk))
			continue;
		error = take(writer, &chunk, reader);
		if (!error)
			error = chunk_table_add(&writer->table, &chunk, &writer->error);
		if (error)
			return error;
	}
	if (last >= 0)
		writer->pages.n_pages = reader->table.rows[last].pages_after;
	writer->image_done = true;
	return 0;
}

int log_writer_copy_image(struct log_writer *writer, struct log_reader *reader)
{
	return take_image(writer, reader, copy_chunk);
}

int log_writer_reserve_image(struct log_writer *writer, struct log_reader *reader)
{
	if (writer->sink.fd >= 0 && !writer->sink.regular)
		return log_writer_copy_image(writer, reader);
	writer->image_reserved = true;
	return take_image(writer, reader, skip_chunk);
}

int log_writer_fill_image(struct log_writer *writer, struct log_reader *reader)
{
	const uint64_t end = writer->sink.bytes;
	if (writer->error.code || !writer->image_reserved)
		return writer->error.code;
	writer->image_reserved = false;
	int64_t last = last_ram_row(&reader->table);
	int error = byte_sink_seek(&writer->sink, writer->image_offset);
	for (int64_t row = 0; row <= last && !error; row++) {
		struct chunk chunk = reader->table.rows[row].chunk;
		const uint64_t bytes = chunk.bytes;
		if (!is_of_image(&chunk))
			continue;
		error = copy_chunk(writer, &chunk, reader);
		if (!error && chunk.bytes != bytes)
			error = -EPROTO;
	}
	if (!error)
		error = byte_sink_seek(&writer->sink, end);
	return error ? fail_system(writer, error) : 0;
}

/* ---- attachments ---- */

/* References of all pages of the data, the last one filled up with zeros. */
static int refer_data(struct log_writer *writer, const uint8_t *data, size_t bytes,
		      struct column *refs)
{
	uint64_t previous = FORMAT_ZERO_PAGE_REF, ref;
	uint8_t last[FORMAT_PAGE_BYTES] = {0};
	for (size_t at = 0; at < bytes; at += FORMAT_PAGE_BYTES) {
		const uint8_t *page = data + at;
		if (bytes - at < FORMAT_PAGE_BYTES)
			page = memcpy(last, page, bytes - at);
		int error = refer_page(writer, page, &ref);
		if (error)
			return error;
		if (column_reserve(refs, VARINT_MAX_BYTES))
			return fail_system(writer, -ENOMEM);
		column_put_page_ref(refs, ref, &previous);
	}
	return write_pages(writer);
}

int log_writer_add_attachment(struct log_writer *writer, const char *name, const uint8_t *build_id,
			      size_t build_id_bytes, const uint8_t *data, size_t bytes)
{
	if (writer->error.code)
		return writer->error.code;
	Reprise__Attachment message = REPRISE__ATTACHMENT__INIT;
	message.name = (char *)name;
	message.build_id.data = (uint8_t *)build_id;
	message.build_id.len = build_id_bytes;
	message.bytes = bytes;
	const char *misfit = message_attachment_misfit(&message);
	if (misfit || writer->table.n_attachments >= FORMAT_ATTACHMENTS_MAX)
		return fail(writer, -EINVAL, misfit ? misfit : "too many attachments");
	struct column refs = {0};
	int error = refer_data(writer, data, bytes, &refs);
	message.page_refs.data = refs.data;
	message.page_refs.len = refs.bytes;
	if (!error)
		error = write_message(writer, REPRISE__CHUNK_KIND__CHUNK_ATTACHMENT, &message.base);
	column_finish(&refs);
	return error;
}

/* ---- events ---- */

int log_writer_append(struct log_writer *writer, const struct event *event)
{
	if (writer->error.code)
		return writer->error.code;
	if (event_misfit(event))
		return fail(writer, -EINVAL, event_misfit(event));
	if (event->icount < writer->last_icount)
		return fail(writer, -EINVAL, "an event goes back in instruction counts");
	int error = end_image(writer);
	if (error)
		return error;
	writer->last_icount = event->icount;
	error = event_encoder_append(writer->encoder, event);
	if (error)
		return fail_system(writer, error);
	if (event_encoder_bytes(writer->encoder) >= FORMAT_CUT_BYTES_HARD)
		return log_writer_cut(writer);
	return 0;
}

bool log_writer_wants_cut(const struct log_writer *writer)
{
	return event_encoder_bytes(writer->encoder) >= FORMAT_CUT_BYTES;
}

static int write_events(struct log_writer *writer)
{
	struct chunk chunk = {.kind = REPRISE__CHUNK_KIND__CHUNK_EVENTS,
			      .n_items = event_encoder_count(writer->encoder)};
	if (!chunk.n_items)
		return 0;
	int error = write_pages(writer);
	if (error)
		return error;
	event_encoder_range(writer->encoder, &chunk.first_icount, &chunk.last_icount);
	if (event_encoder_cut(writer->encoder, &writer->raw))
		return fail_system(writer, -ENOMEM);
	error = write_chunk(writer, &chunk, &writer->raw);
	if (!error)
		writer->event_bytes += chunk.bytes;
	return error;
}

int log_writer_cut(struct log_writer *writer)
{
	if (writer->error.code)
		return writer->error.code;
	int error = end_image(writer);
	if (!error)
		error = write_events(writer);
	if (error || !writer->sync)
		return error;
	error = log_sync_request(writer->sync);
	return error ? fail_system(writer, error) : 0;
}

/* ---- beginning and end ---- */

static int write_preamble(struct log_writer *writer)
{
	uint8_t preamble[FORMAT_PREAMBLE_BYTES] = {0};
	memcpy(preamble, FORMAT_MAGIC, FORMAT_MAGIC_BYTES);
	bytes_put_le32(preamble + FORMAT_MAGIC_BYTES, FORMAT_VERSION);
	int error = byte_sink_append(&writer->sink, preamble, sizeof(preamble));
	return error ? fail_system(writer, error) : 0;
}

/* Everything up to a file of its final name with a header in it. */
static int begin(struct log_writer *writer, const char *path, const Reprise__Header *header,
		 bool sync)
{
	Reprise__Header stamped = *header;
	stamped.format_version = FORMAT_VERSION;
	const char *misfit = message_header_misfit(&stamped, FORMAT_VERSION);
	if (misfit)
		return fail(writer, -EINVAL, misfit);
	int error = event_encoder_create(refer_page, writer, &writer->encoder);
	if (!error)
		error = byte_sink_open(&writer->sink, path);
	if (error)
		return fail_system(writer, error);
	error = write_preamble(writer);
	if (!error)
		error = write_message(writer, REPRISE__CHUNK_KIND__CHUNK_HEADER, &stamped.base);
	if (error)
		return error;
	error = byte_sink_publish(&writer->sink, sync);
	if (!error && sync && writer->sink.regular)
		error = log_sync_create(writer->sink.fd, &writer->sync);
	return error ? fail_system(writer, error) : 0;
}

int log_writer_create(const char *path, const Reprise__Header *header, bool sync,
		      struct log_writer **ret_writer, struct log_error *ret_error)
{
	struct log_writer *writer = calloc(1, sizeof(*writer));
	if (!writer)
		return log_error_set(ret_error, -ENOMEM, 0, "out of memory");
	writer->sink.fd = -1;
	int error = begin(writer, path, header, sync);
	if (error) {
		if (ret_error)
			*ret_error = writer->error;
		log_writer_destroy(writer);
		return error;
	}
	*ret_writer = writer;
	return 0;
}

/* The index and, last of all, the footer that says where it is. A table too large for a chunk stays
 * out: readers then scan. */
static int write_index(struct log_writer *writer)
{
	column_clear(&writer->raw);
	int error = chunk_table_encode(&writer->table, &writer->raw);
	if (error)
		return error == -EFBIG ? 0 : fail_system(writer, error);
	struct chunk chunk = {.kind = REPRISE__CHUNK_KIND__CHUNK_INDEX, .n_items = writer->table.n};
	error = chunk_write(&writer->sink, &writer->stored, &chunk, writer->raw.data,
			    writer->raw.bytes, 0);
	if (error)
		return fail_system(writer, error);
	uint8_t footer[FORMAT_FOOTER_BYTES];
	bytes_put_le64(footer, chunk.offset);
	bytes_put_le64(footer + 8, XXH3_64bits(footer, 8));
	memcpy(footer + 16, FORMAT_FOOTER_MAGIC, 8);
	error = byte_sink_append(&writer->sink, footer, sizeof(footer));
	return error ? fail_system(writer, error) : 0;
}

static int close_file(struct log_writer *writer)
{
	int sync_error = log_sync_destroy(writer->sync);
	writer->sync = NULL;
	int error = byte_sink_sync(&writer->sink);
	int close_error = byte_sink_close(&writer->sink);
	if (!error)
		error = sync_error ? sync_error : close_error;
	return error ? fail_system(writer, error) : 0;
}

int log_writer_finish(struct log_writer *writer, const Reprise__Trailer *trailer)
{
	if (!writer->error.code && writer->finished)
		return fail(writer, -EINVAL, "the file is already finished");
	writer->finished = true;
	int error = log_writer_cut(writer);
	if (!error) {
		Reprise__Trailer counted = *trailer;
		counted.n_events = writer->table.n_events;
		error = write_message(writer, REPRISE__CHUNK_KIND__CHUNK_TRAILER, &counted.base);
	}
	if (!error)
		error = write_index(writer);
	int close_error = close_file(writer);
	return error ? error : close_error;
}

const struct log_error *log_writer_error(const struct log_writer *writer)
{
	return &writer->error;
}

void log_writer_sizes(struct log_writer *writer, uint64_t *ret_file_bytes,
		      uint64_t *ret_event_bytes)
{
	drain(writer);
	*ret_file_bytes = writer->sink.bytes;
	*ret_event_bytes = writer->event_bytes;
}

void log_writer_destroy(struct log_writer *writer)
{
	if (!writer)
		return;
	drain(writer);
	log_sync_destroy(writer->sync);
	byte_sink_close(&writer->sink);
	chunk_table_finish(&writer->table);
	page_store_finish(&writer->pages);
	event_encoder_destroy(writer->encoder);
	column_finish(&writer->ram);
	column_finish(&writer->raw);
	column_finish(&writer->stored);
	free(writer);
}
