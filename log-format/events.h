/*
 * Events as columns. Each chunk stands for itself: predictions and the dictionary of input classes
 * start anew in it. docs/file-format.md describes the columns; enum event_column is their order.
 */
#ifndef REPRISE_LOG_FORMAT_EVENTS_H
#define REPRISE_LOG_FORMAT_EVENTS_H

#include "log-format/column.h"
#include "log-format/format.h"
#include "log-format/page_cache.h"
#include "vmm/boundary.h"

enum event_column {
	COLUMN_KIND,
	COLUMN_ICOUNT,
	COLUMN_INPUT_CLASS,
	COLUMN_INPUT_DICTIONARY,
	COLUMN_INPUT_VALUE,
	COLUMN_CLOCK_BASE,
	COLUMN_CLOCK_RATIO,
	COLUMN_MEMORY_GPA,
	COLUMN_MEMORY_BYTES,
	COLUMN_MEMORY_PAGE,
	COLUMN_MEMORY_DATA,
	COLUMN_DELIVERY_VCPU,
	COLUMN_DELIVERY_VECTOR,
	COLUMN_DIGEST,
	COLUMN_COUNT,
};

/* A kind of input: who was asked for how much. Its values are coded against each other. */
struct input_class {
	uint8_t kind; /* enum crossing_kind */
	uint8_t size;
	uint64_t address;
	uint64_t last_value;
};

/* What both sides predict the next event from. */
struct event_prediction {
	uint64_t icount;
	uint64_t clock_icount, clock_base, clock_ratio;
	uint64_t memory_gpa; /* behind the last memory or output event */
	uint64_t page_ref;
	uint32_t n_classes;
	struct input_class classes[FORMAT_INPUT_CLASSES_MAX];
};

/* The clock's value at icount if the last clock event still held. */
uint64_t event_predict_clock(const struct event_prediction *prediction, uint64_t icount);

/*
 * A memory event is cut at page boundaries: a page in part (or at most a head and a tail) goes to
 * the data column, whole pages become references. Length of the piece at the start of [gpa, gpa +
 * bytes).
 */
static inline uint32_t event_memory_piece(uint64_t gpa, uint32_t bytes)
{
	uint32_t to_boundary = FORMAT_PAGE_BYTES - (uint32_t)(gpa % FORMAT_PAGE_BYTES);
	return bytes < to_boundary ? bytes : to_boundary;
}

/* What no event may be, or NULL: kinds, sizes and lengths. */
const char *event_misfit(const struct event *event);

/* ---- writing ---- */

/* Gives a page its reference. Returns 0 or a negative errno. */
typedef int (*event_page_fn)(void *ctx, const uint8_t *page, uint64_t *ret_ref);

struct event_encoder;

int event_encoder_create(event_page_fn page_fn, void *ctx, struct event_encoder **ret_encoder);
void event_encoder_destroy(struct event_encoder *encoder);

/* The event must have no misfit and not go back in icount. Returns 0 or page_fn's error, -ENOMEM.
 */
int event_encoder_append(struct event_encoder *encoder, const struct event *event);
/* Bytes of all columns so far. */
size_t event_encoder_bytes(const struct event_encoder *encoder);
uint64_t event_encoder_count(const struct event_encoder *encoder);
void event_encoder_range(const struct event_encoder *encoder, uint64_t *ret_first_icount,
			 uint64_t *ret_last_icount);
/* Writes the chunk's content to raw and starts the next chunk. Returns 0 or -ENOMEM. */
int event_encoder_cut(struct event_encoder *encoder, struct column *raw);

/* ---- reading ---- */

struct event_decoder;

int event_decoder_create(struct event_decoder **ret_decoder);
void event_decoder_destroy(struct event_decoder *decoder);

/* Where the chunk's content is to be put before event_decoder_start(). */
struct column *event_decoder_raw(struct event_decoder *decoder);
/*
 * Begins with the chunk in raw. n_pages: pages that stand before it in the file, which it may refer
 * to. May be called again to begin anew. Returns 0 or -EBADMSG with *ret_error.
 */
int event_decoder_start(struct event_decoder *decoder, const struct chunk *chunk, uint64_t n_pages,
			struct log_error *ret_error);
/*
 * The next event: 1; 0 after the last; or a negative errno with *ret_error, again at each call.
 * pages NULL: whole pages of memory events are not looked up and memory.data is NULL.
 */
int event_decoder_next(struct event_decoder *decoder, struct page_cache *pages,
		       struct event *ret_event, struct log_error *ret_error);
/* The number in the chunk of the event that comes next. */
uint64_t event_decoder_position(const struct event_decoder *decoder);
/* icount of the event that came last; the chunk's first icount before that. */
uint64_t event_decoder_icount(const struct event_decoder *decoder);
/* The number in the chunk of its first event at or after icount; the count of events if there is
 * none. Only after event_decoder_start(); moves nothing. */
uint64_t event_decoder_find(const struct event_decoder *decoder, uint64_t icount);

#endif
