#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log-format/bytes.h"
#include "log-format/events.h"

struct event_decoder {
	struct column raw;
	struct chunk chunk;
	uint64_t n_pages;
	uint64_t position;
	struct log_error error; /* sticks until the decoder starts anew */
	struct cursor columns[COLUMN_COUNT];
	struct event_prediction prediction;
	uint8_t memory[EVENT_MEMORY_MAX];
};

uint64_t event_predict_clock(const struct event_prediction *prediction, uint64_t icount)
{
	uint64_t steps = icount - prediction->clock_icount;
	return prediction->clock_base +
	       (uint64_t)((unsigned __int128)steps * prediction->clock_ratio >> 32);
}

static const char *input_misfit(const struct event *event)
{
	if (!crossing_is_read(event->input.kind))
		return "an input of unknown kind";
	uint8_t size = event->input.size;
	if (size != 1 && size != 2 && size != 4 && size != 8)
		return "an input size that is not 1, 2, 4 or 8";
	return NULL;
}

static const char *memory_misfit(const struct event *event)
{
	if (!event->memory.bytes || event->memory.bytes > EVENT_MEMORY_MAX)
		return "a memory length outside 1 to 65536";
	if (event->memory.bytes - 1 > UINT64_MAX - event->memory.gpa)
		return "a memory address that wraps around";
	return NULL;
}

static const char *output_misfit(const struct event *event)
{
	if (!event->output.bytes || event->output.bytes > EVENT_MEMORY_MAX)
		return "an output length outside 1 to 65536";
	if (event->output.bytes - 1 > UINT64_MAX - event->output.gpa)
		return "an output address that wraps around";
	return NULL;
}

const char *event_misfit(const struct event *event)
{
	if (event->kind == EVENT_UNSPECIFIED || event->kind >= EVENT_KIND_COUNT)
		return "an unknown kind";
	if (event->kind == EVENT_INPUT)
		return input_misfit(event);
	if (event->kind == EVENT_OUTPUT)
		return output_misfit(event);
	return event->kind == EVENT_MEMORY ? memory_misfit(event) : NULL;
}

int event_decoder_create(struct event_decoder **ret_decoder)
{
	*ret_decoder = calloc(1, sizeof(**ret_decoder));
	return *ret_decoder ? 0 : -ENOMEM;
}

void event_decoder_destroy(struct event_decoder *decoder)
{
	if (!decoder)
		return;
	column_finish(&decoder->raw);
	free(decoder);
}

struct column *event_decoder_raw(struct event_decoder *decoder)
{
	return &decoder->raw;
}

uint64_t event_decoder_position(const struct event_decoder *decoder)
{
	return decoder->position;
}

uint64_t event_decoder_icount(const struct event_decoder *decoder)
{
	return decoder->prediction.icount;
}

/* Sets the sticking error, for the event at hand. */
static int fail(struct event_decoder *decoder, const char *what)
{
	return log_error_set(&decoder->error, -EBADMSG, decoder->chunk.offset,
			     "event %llu of the chunk has %s",
			     (unsigned long long)decoder->position, what);
}

int event_decoder_start(struct event_decoder *decoder, const struct chunk *chunk, uint64_t n_pages,
			struct log_error *ret_error)
{
	decoder->chunk = *chunk;
	decoder->n_pages = n_pages;
	decoder->position = 0;
	decoder->error = (struct log_error){0};
	memset(&decoder->prediction, 0, offsetof(struct event_prediction, classes));
	decoder->prediction.icount = chunk->first_icount;

	const struct column *raw = &decoder->raw;
	struct cursor rest = {raw->data, raw->data + raw->bytes};
	const uint8_t *lengths;
	bool fits = cursor_bytes(&rest, 4 * COLUMN_COUNT, &lengths);
	for (unsigned i = 0; fits && i < COLUMN_COUNT; i++) {
		size_t n = bytes_get_le32(lengths + 4 * i);
		fits = cursor_bytes(&rest, n, &decoder->columns[i].at);
		if (fits)
			decoder->columns[i].end = rest.at;
	}
	const struct cursor *kinds = &decoder->columns[COLUMN_KIND];
	if (!fits || !cursor_at_end(&rest) ||
	    (uint64_t)(kinds->end - kinds->at) != chunk->n_items) {
		log_error_set(&decoder->error, -EBADMSG, chunk->offset,
			      "event chunk's columns do not add up to its size and count");
		*ret_error = decoder->error;
		return -EBADMSG;
	}
	return 0;
}

static bool get_difference(struct event_decoder *decoder, enum event_column column,
			   uint64_t predicted, uint64_t *ret_value)
{
	uint64_t folded;
	if (!cursor_varint(&decoder->columns[column], &folded))
		return false;
	*ret_value = zigzag_apply(folded, predicted);
	return true;
}

/* ---- one function a kind: 0, or fail()'s or the page cache's error ---- */

/* Finds the class by its number; the number after the last one brings a new one. */
static struct input_class *get_class(struct event_decoder *decoder, struct input_class *spare)
{
	struct event_prediction *prediction = &decoder->prediction;
	uint64_t number;
	if (!cursor_varint(&decoder->columns[COLUMN_INPUT_CLASS], &number) ||
	    number > prediction->n_classes)
		return NULL;
	if (number < prediction->n_classes)
		return &prediction->classes[number];
	struct cursor *dictionary = &decoder->columns[COLUMN_INPUT_DICTIONARY];
	struct input_class new = {0};
	if (!cursor_byte(dictionary, &new.kind) || !cursor_byte(dictionary, &new.size) ||
	    !cursor_varint(dictionary, &new.address))
		return NULL;
	struct input_class *class = spare;
	if (prediction->n_classes < FORMAT_INPUT_CLASSES_MAX)
		class = &prediction->classes[prediction->n_classes++];
	*class = new;
	return class;
}

static int decode_input(struct event_decoder *decoder, struct page_cache *pages,
			struct event *event)
{
	struct input_class spare, *class = get_class(decoder, &spare);
	if (!class)
		return fail(decoder, "an input class that is not in the dictionary");
	if (!get_difference(decoder, COLUMN_INPUT_VALUE, class->last_value, &event->input.value))
		return fail(decoder, "no input value");
	class->last_value = event->input.value;
	event->input.kind = class->kind;
	event->input.size = class->size;
	event->input.address = class->address;
	return 0;
}

static int decode_clock(struct event_decoder *decoder, struct page_cache *pages,
			struct event *event)
{
	struct event_prediction *prediction = &decoder->prediction;
	if (!get_difference(decoder, COLUMN_CLOCK_BASE,
			    event_predict_clock(prediction, event->icount), &event->clock.base) ||
	    !get_difference(decoder, COLUMN_CLOCK_RATIO, prediction->clock_ratio,
			    &event->clock.ratio))
		return fail(decoder, "no clock values");
	prediction->clock_icount = event->icount;
	prediction->clock_base = event->clock.base;
	prediction->clock_ratio = event->clock.ratio;
	return 0;
}

/* Gets the piece at `at` of the event's memory; a whole page only when pages is there to look in.
 */
static int decode_piece(struct event_decoder *decoder, struct page_cache *pages, uint32_t at,
			uint32_t piece)
{
	const uint8_t *data = NULL;
	uint64_t ref;
	if (piece < FORMAT_PAGE_BYTES) {
		if (!cursor_bytes(&decoder->columns[COLUMN_MEMORY_DATA], piece, &data))
			return fail(decoder, "less memory data than its length");
	} else {
		if (!cursor_page_ref(&decoder->columns[COLUMN_MEMORY_PAGE],
				     &decoder->prediction.page_ref, &ref))
			return fail(decoder, "no page reference");
		if (ref > decoder->n_pages)
			return fail(decoder, "a reference to a page that is not before it");
		int error = pages ? page_cache_get(pages, ref, &data, &decoder->error) : 0;
		if (error)
			return error;
	}
	if (data)
		memcpy(decoder->memory + at, data, piece);
	return 0;
}

static int decode_memory(struct event_decoder *decoder, struct page_cache *pages,
			 struct event *event)
{
	uint64_t bytes;
	if (!get_difference(decoder, COLUMN_MEMORY_GPA, decoder->prediction.memory_gpa,
			    &event->memory.gpa) ||
	    !cursor_varint(&decoder->columns[COLUMN_MEMORY_BYTES], &bytes))
		return fail(decoder, "no memory address and length");
	/* Too large a length stays too large. */
	event->memory.bytes = bytes > EVENT_MEMORY_MAX ? 0 : (uint32_t)bytes;
	const char *misfit = memory_misfit(event);
	if (misfit)
		return fail(decoder, misfit);
	for (uint32_t at = 0; at < event->memory.bytes;) {
		uint32_t piece =
			event_memory_piece(event->memory.gpa + at, event->memory.bytes - at);
		int error = decode_piece(decoder, pages, at, piece);
		if (error)
			return error;
		at += piece;
	}
	decoder->prediction.memory_gpa = event->memory.gpa + event->memory.bytes;
	event->memory.data = pages ? decoder->memory : NULL;
	return 0;
}

static int decode_delivery(struct event_decoder *decoder, struct page_cache *pages,
			   struct event *event)
{
	uint64_t vcpu;
	if (!cursor_varint(&decoder->columns[COLUMN_DELIVERY_VCPU], &vcpu) ||
	    !cursor_byte(&decoder->columns[COLUMN_DELIVERY_VECTOR], &event->delivery.vector))
		return fail(decoder, "no vCPU and vector");
	if (vcpu > UINT32_MAX)
		return fail(decoder, "a vCPU number past 32 bits");
	event->delivery.vcpu = (uint32_t)vcpu;
	return 0;
}

static int decode_digest(struct event_decoder *decoder, struct page_cache *pages,
			 struct event *event)
{
	struct cursor *column = &decoder->columns[COLUMN_DIGEST];
	if (!cursor_le64(column, &event->digest.registers) ||
	    !cursor_le64(column, &event->digest.memory) ||
	    !cursor_le64(column, &event->digest.output))
		return fail(decoder, "no digest");
	return 0;
}

/* Shares the columns of memory and delivery, with their predictions. */
static int decode_output(struct event_decoder *decoder, struct page_cache *pages,
			 struct event *event)
{
	uint64_t bytes, stream;
	if (!get_difference(decoder, COLUMN_MEMORY_GPA, decoder->prediction.memory_gpa,
			    &event->output.gpa) ||
	    !cursor_varint(&decoder->columns[COLUMN_MEMORY_BYTES], &bytes) ||
	    !cursor_varint(&decoder->columns[COLUMN_DELIVERY_VCPU], &stream))
		return fail(decoder, "no output address, length and stream");
	if (stream > UINT32_MAX)
		return fail(decoder, "a stream number past 32 bits");
	event->output.stream = (uint32_t)stream;
	/* Too large a length stays too large. */
	event->output.bytes = bytes > EVENT_MEMORY_MAX ? 0 : (uint32_t)bytes;
	decoder->prediction.memory_gpa = event->output.gpa + event->output.bytes;
	return 0;
}

/* Kinds without a row have no columns of their own. */
static int (*const decoders[EVENT_KIND_COUNT])(struct event_decoder *, struct page_cache *,
					       struct event *) = {
	[EVENT_INPUT] = decode_input,   [EVENT_CLOCK] = decode_clock,
	[EVENT_MEMORY] = decode_memory, [EVENT_INTERRUPT] = decode_delivery,
	[EVENT_NMI] = decode_delivery,  [EVENT_INIT] = decode_delivery,
	[EVENT_SIPI] = decode_delivery, [EVENT_SWITCH] = decode_delivery,
	[EVENT_DIGEST] = decode_digest, [EVENT_OUTPUT] = decode_output,
};

static int decode_event(struct event_decoder *decoder, struct page_cache *pages,
			struct event *event)
{
	uint64_t step;
	if (!cursor_byte(&decoder->columns[COLUMN_KIND], &event->kind) ||
	    !cursor_varint(&decoder->columns[COLUMN_ICOUNT], &step))
		return fail(decoder, "no kind and instruction count");
	if (event->kind == EVENT_UNSPECIFIED || event->kind >= EVENT_KIND_COUNT)
		return fail(decoder, "an unknown kind");
	if (step > decoder->chunk.last_icount - decoder->prediction.icount)
		return fail(decoder, "an instruction count past the chunk's range");
	event->icount = decoder->prediction.icount + step;
	if (decoder->position == 0 && step != 0)
		return fail(decoder, "an instruction count that is not the chunk's first");
	int error = decoders[event->kind] ? decoders[event->kind](decoder, pages, event) : 0;
	if (error)
		return error;
	const char *misfit = event_misfit(event);
	if (misfit)
		return fail(decoder, misfit);
	decoder->prediction.icount = event->icount;
	return 0;
}

/* After the last event nothing may be left over, and the range must have been used up. */
static int check_end(struct event_decoder *decoder)
{
	for (unsigned i = 0; i < COLUMN_COUNT; i++) {
		if (!cursor_at_end(&decoder->columns[i]))
			return log_error_set(&decoder->error, -EBADMSG, decoder->chunk.offset,
					     "column %u has more than the chunk's events", i);
	}
	if (decoder->prediction.icount != decoder->chunk.last_icount)
		return log_error_set(&decoder->error, -EBADMSG, decoder->chunk.offset,
				     "the chunk's last instruction count is not its last event's");
	return 0;
}

int event_decoder_next(struct event_decoder *decoder, struct page_cache *pages,
		       struct event *ret_event, struct log_error *ret_error)
{
	int error = decoder->error.code;
	bool at_end = decoder->position == decoder->chunk.n_items;
	struct event event = {0};
	if (!error)
		error = at_end ? check_end(decoder) : decode_event(decoder, pages, &event);
	if (error) {
		*ret_error = decoder->error;
		return error;
	}
	if (at_end)
		return 0;
	decoder->position++;
	*ret_event = event;
	return 1;
}

uint64_t event_decoder_find(const struct event_decoder *decoder, uint64_t icount)
{
	const uint8_t *begin = decoder->raw.data + 4 * COLUMN_COUNT + decoder->chunk.n_items;
	struct cursor icounts = {begin, decoder->columns[COLUMN_ICOUNT].end};
	uint64_t at = decoder->chunk.first_icount, step, n = 0;
	while (n < decoder->chunk.n_items && cursor_varint(&icounts, &step)) {
		at += step;
		if (at >= icount)
			return n;
		n++;
	}
	return decoder->chunk.n_items;
}
