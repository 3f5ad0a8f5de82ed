/* The reader's inside, shared by the reader_*.c files and by nobody else. */
#ifndef REPRISE_LOG_FORMAT_READER_H
#define REPRISE_LOG_FORMAT_READER_H

#include "log-format/chunks.h"
#include "log-format/events.h"
#include "log-format/page_cache.h"
#include "log-format/table.h"

struct reader_attachment {
	uint64_t row;                 /* its chunk's number in the table */
	Reprise__Attachment *message; /* page_refs dropped */
};

struct log_reader {
	struct chunk_reader chunks;
	struct chunk_table table;
	bool has_index; /* the table came from the file's index */
	struct page_cache pages;
	struct column raw; /* scratch: the chunk being looked at, event chunks aside */

	Reprise__Header *header;
	Reprise__Trailer *trailer;
	struct reader_attachment *attachments;
	unsigned n_attachments;

	struct log_error damage; /* code 0: none known */
	uint64_t last_icount;    /* what can be read ends here */

	/* The place of log_reader_next(). */
	struct event_decoder *decoder;
	uint64_t row; /* the event chunk, or where to look for one */
	bool loaded;  /* decoder has begun with that chunk */
};

/* Reads a chunk of the table and begins to decode it. Returns 0 or a negative errno. */
int reader_load_events(struct log_reader *reader, uint64_t row, struct event_decoder *decoder,
		       struct log_error *ret_error);

/* Reads an attachment's message, with its page references checked. *ret_message is the caller's. */
int reader_load_attachment(struct log_reader *reader, uint64_t row,
			   Reprise__Attachment **ret_message, struct log_error *ret_error);

/* Checks a RAM chunk (fn NULL), or passes its pages to fn as log_reader_each_page() does. */
int reader_walk_ram(struct log_reader *reader, uint64_t row,
		    int (*fn)(void *ctx, uint64_t gpa, const uint8_t *page), void *ctx,
		    struct log_error *ret_error);

#endif
