/*
 * The lowest layer: bytes at offsets of a file, and errors that name the offset. Knows nothing of
 * what the bytes mean.
 */
#ifndef REPRISE_LOG_FORMAT_BYTES_H
#define REPRISE_LOG_FORMAT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log-format/log.h"

/* Fills in *error (which may be NULL) and returns code. */
__attribute__((format(printf, 4, 5))) int log_error_set(struct log_error *error, int code,
							uint64_t offset, const char *format, ...);

/* ---- writing, at the end only ---- */

struct byte_sink {
	int fd;           /* -1: the bytes are counted and discarded */
	uint64_t bytes;   /* written so far */
	bool regular;     /* a half-written piece can be cut off again */
	bool replaces;    /* a file of the final name exists */
	char *final_path; /* resolved; NULL once the file has its final name */
	char *interim_path;
};

/*
 * Opens path for writing: a regular file under an interim name beside it until byte_sink_publish();
 * what is no regular file (a pipe, a device) as it is. path NULL: discards. Returns 0 or -errno.
 */
int byte_sink_open(struct byte_sink *sink, const char *path);
/* Appends n bytes, all or none: what was written in part is cut off again. Returns 0 or -errno. */
int byte_sink_append(struct byte_sink *sink, const void *data, size_t n);
/* Gives the file its final name, after a sync when it takes another file's place. 0 or -errno. */
int byte_sink_publish(struct byte_sink *sink, bool sync);
/* Cuts off what was appended since the sink held this many bytes, as far as the file allows. */
void byte_sink_rewind(struct byte_sink *sink, uint64_t bytes);
/* Leaves room for n bytes, which are 0 until byte_sink_seek() goes back there to write them. Only
 * of regular files, and of what is discarded. Returns 0 or -errno. */
int byte_sink_skip(struct byte_sink *sink, uint64_t n);
/* What is appended next goes to this offset, which was written or skipped before. 0 or -errno. */
int byte_sink_seek(struct byte_sink *sink, uint64_t offset);
/* Waits until the bytes are on disk. Returns 0 or -errno; 0 where there is nothing to wait for. */
int byte_sink_sync(const struct byte_sink *sink);
/* Closes; removes a file that was not published. Returns close()'s 0 or -errno. */
int byte_sink_close(struct byte_sink *sink);

/* ---- reading, anywhere ---- */

struct byte_source {
	int fd;
	uint64_t bytes; /* size when opened; nothing is read past it */
};

/* Opens a regular file. Returns 0 or a negative errno with *ret_error set. */
int byte_source_open(struct byte_source *source, const char *path, struct log_error *ret_error);
void byte_source_close(struct byte_source *source);
/* Reads exactly n bytes at offset. -EBADMSG when the file does not hold them. */
int byte_source_read(const struct byte_source *source, uint64_t offset, void *buffer, size_t n,
		     struct log_error *ret_error);

/* ---- little-endian numbers ---- */

void bytes_put_le32(uint8_t *at, uint32_t value);
void bytes_put_le64(uint8_t *at, uint64_t value);
uint32_t bytes_get_le32(const uint8_t *at);
uint64_t bytes_get_le64(const uint8_t *at);

#endif
