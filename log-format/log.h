/*
 * Writing and reading .rpz files. The file's messages are specified in rpz.proto, its framing in
 * docs/file-format.md. Nothing here prints or exits.
 */
#ifndef REPRISE_LOG_FORMAT_LOG_H
#define REPRISE_LOG_FORMAT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log-format/rpz.pb-c.h"
#include "vmm/boundary.h"

/* What went wrong, for one line of output. */
struct log_error {
	int code;        /* negative errno; -EBADMSG: the file's content is damaged or dishonest */
	uint64_t offset; /* byte offset in the file */
	char text[160];  /* what, without the file's name, offset or a newline */
};

/* ---- writing ---- */

struct log_writer;
struct log_reader;

/*
 * Creates the file (replacing what is there only once the header is on disk) and writes the header.
 * path NULL: does all the work and discards the bytes. sync: fdatasync at the pace of the chunks,
 * off the caller's thread. Returns 0 or a negative errno with *ret_error set.
 */
int log_writer_create(const char *path, const Reprise__Header *header, bool sync,
		      struct log_writer **ret_writer, struct log_error *ret_error);

/*
 * All of these return 0 or the first error met (it sticks: later calls return it again and write
 * nothing).
 */

/* Before the first event: a page of the machine's initial RAM (4096 bytes at page-aligned gpa).
 * Pages of zeros are left out. */
int log_writer_add_page(struct log_writer *writer, uint64_t gpa, const uint8_t *page);
/*
 * Instead of pages, before anything else: the initial RAM of another file, whose chunks are copied
 * as they are stored. Its pages are not recognised when they come again.
 */
int log_writer_copy_image(struct log_writer *writer, struct log_reader *reader);
/*
 * As log_writer_copy_image(), but only room is left for the chunks, until log_writer_fill_image()
 * copies them from the same reader: a file that is thrown away in the end costs nothing for them.
 * Of a file that cannot be gone back in, the chunks are copied at once.
 */
int log_writer_reserve_image(struct log_writer *writer, struct log_reader *reader);
int log_writer_fill_image(struct log_writer *writer, struct log_reader *reader);

/* The attachment with the paths on the host that the guest read: each ends with a zero byte. */
#define LOG_ATTACHMENT_HOST_FILES "host-files"

/* The attachment that is a message Evidence (rpz.proto). */
#define LOG_ATTACHMENT_EVIDENCE "evidence"

/* At any time between chunks. */
int log_writer_add_attachment(struct log_writer *writer, const char *name, const uint8_t *build_id,
			      size_t build_id_bytes, const uint8_t *data, size_t bytes);
/* Events in order: icount never decreases. */
int log_writer_append(struct log_writer *writer, const struct event *event);
/* True when the chunk in progress is large enough to be cut. */
bool log_writer_wants_cut(const struct log_writer *writer);
/* Ends the chunk: compresses and writes it. Callers append an EVENT_DIGEST right before. */
int log_writer_cut(struct log_writer *writer);
/* Cuts, writes trailer and index, syncs and closes. trailer: end icount, exit status, counts. */
int log_writer_finish(struct log_writer *writer, const Reprise__Trailer *trailer);
/* The error that stuck, or code 0. */
const struct log_error *log_writer_error(const struct log_writer *writer);
/* Bytes written to the file so far, the initial RAM that was added included; of those, bytes of
 * event chunks. */
void log_writer_sizes(struct log_writer *writer, uint64_t *ret_file_bytes,
		      uint64_t *ret_event_bytes);
/* Frees; a file not finished stays as it is (complete chunks replay). Accepts NULL. */
void log_writer_destroy(struct log_writer *writer);

/* ---- reading ---- */

/*
 * Opens and checks header and index (rebuilding it by a scan when it is missing or wrong). Returns
 * 0, or a negative errno with *ret_error set: the file is not usable at all.
 */
int log_reader_open(const char *path, struct log_reader **ret_reader, struct log_error *ret_error);
void log_reader_close(struct log_reader *reader);

const Reprise__Header *log_reader_header(const struct log_reader *reader);
/* NULL when the recording was cut off before its end. */
const Reprise__Trailer *log_reader_trailer(const struct log_reader *reader);
/* The damage that ends what can be read, or NULL when the file is whole. A file that merely stops
 * after a complete chunk has none. */
const struct log_error *log_reader_damage(const struct log_reader *reader);
/* icount of the last event that can be read. */
uint64_t log_reader_last_icount(const struct log_reader *reader);

/* Each page of initial RAM. Returns 0, fn's non-zero value, or a negative errno. */
int log_reader_each_page(struct log_reader *reader,
			 int (*fn)(void *ctx, uint64_t gpa, const uint8_t *page), void *ctx,
			 struct log_error *ret_error);

/* The next event: returns 1 and sets *ret_event; 0 at the end of what is there; a negative errno
 * with *ret_error when the file is damaged here. Memory events' data stays valid until the next
 * call. */
int log_reader_next(struct log_reader *reader, struct event *ret_event,
		    struct log_error *ret_error);

/* Continues from the first event with event.icount >= icount. */
int log_reader_seek(struct log_reader *reader, uint64_t icount, struct log_error *ret_error);

/* A position that log_reader_next can be set back to exactly. */
struct log_position {
	uint64_t chunk;
	uint64_t event;
};
struct log_position log_reader_position(const struct log_reader *reader);
int log_reader_set_position(struct log_reader *reader, struct log_position position,
			    struct log_error *ret_error);

/* One row of the file's table of chunks, for info and check. Returns false past the last. */
struct log_chunk_info {
	uint64_t offset, compressed_bytes, raw_bytes;
	uint64_t first_icount, last_icount;
	uint64_t n_events;
	const char *kind; /* "events", "pages", "attachment" */
};
bool log_reader_chunk(const struct log_reader *reader, uint64_t n, struct log_chunk_info *ret_info);

/* Reads and checks every chunk without keeping it. Returns 0 or a negative errno with *ret_error.
 */
int log_reader_verify(struct log_reader *reader, struct log_error *ret_error);

struct log_attachment {
	const char *name;
	const uint8_t *build_id;
	size_t build_id_bytes;
	uint64_t bytes;
};
unsigned log_reader_attachments(const struct log_reader *reader);
void log_reader_attachment(const struct log_reader *reader, unsigned n,
			   struct log_attachment *ret_attachment);
/* Streams an attachment's bytes to fn in pieces. */
int log_reader_attachment_data(struct log_reader *reader, unsigned n,
			       int (*fn)(void *ctx, const uint8_t *data, size_t n), void *ctx,
			       struct log_error *ret_error);

#endif
