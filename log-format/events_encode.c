#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "log-format/bytes.h"
#include "log-format/events.h"

/* Twice the classes: open addressing finds an empty slot soon. */
#define CLASS_SLOTS (2u * FORMAT_INPUT_CLASSES_MAX)

struct event_encoder {
	event_page_fn page_fn;
	void *ctx;
	uint64_t n_events, first_icount;
	struct column columns[COLUMN_COUNT];
	struct event_prediction prediction;
	uint16_t class_slots[CLASS_SLOTS]; /* 1 + the class's number; 0: empty */
};

int event_encoder_create(event_page_fn page_fn, void *ctx, struct event_encoder **ret_encoder)
{
	struct event_encoder *encoder = calloc(1, sizeof(*encoder));
	if (!encoder)
		return -ENOMEM;
	encoder->page_fn = page_fn;
	encoder->ctx = ctx;
	*ret_encoder = encoder;
	return 0;
}

void event_encoder_destroy(struct event_encoder *encoder)
{
	if (!encoder)
		return;
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		column_finish(&encoder->columns[i]);
	free(encoder);
}

size_t event_encoder_bytes(const struct event_encoder *encoder)
{
	size_t bytes = 0;
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		bytes += encoder->columns[i].bytes;
	return bytes;
}

uint64_t event_encoder_count(const struct event_encoder *encoder)
{
	return encoder->n_events;
}

void event_encoder_range(const struct event_encoder *encoder, uint64_t *ret_first_icount,
			 uint64_t *ret_last_icount)
{
	*ret_first_icount = encoder->first_icount;
	*ret_last_icount = encoder->prediction.icount;
}

static void put_difference(struct event_encoder *encoder, enum event_column column, uint64_t value,
			   uint64_t predicted)
{
	column_put_varint(&encoder->columns[column], zigzag_difference(value, predicted));
}

/* ---- inputs ---- */

static uint16_t *find_class(struct event_encoder *encoder, uint8_t kind, uint8_t size,
			    uint64_t address)
{
	const struct event_prediction *prediction = &encoder->prediction;
	uint8_t key[10] = {kind, size};
	bytes_put_le64(key + 2, address);
	uint32_t i = (uint32_t)XXH3_64bits(key, sizeof(key)) % CLASS_SLOTS;
	for (;; i = (i + 1) % CLASS_SLOTS) {
		uint16_t *slot = &encoder->class_slots[i];
		if (!*slot)
			return slot;
		const struct input_class *class = &prediction->classes[*slot - 1];
		if (class->kind == kind && class->size == size && class->address == address)
			return slot;
	}
}

/* A class not yet in the dictionary is spelled out, and joins it while there is room. */
static struct input_class *new_class(struct event_encoder *encoder, const struct event *event,
				     uint16_t *slot, struct input_class *spare)
{
	struct event_prediction *prediction = &encoder->prediction;
	struct column *dictionary = &encoder->columns[COLUMN_INPUT_DICTIONARY];
	column_put_byte(dictionary, event->input.kind);
	column_put_byte(dictionary, event->input.size);
	column_put_varint(dictionary, event->input.address);
	struct input_class *class = spare;
	if (prediction->n_classes < FORMAT_INPUT_CLASSES_MAX) {
		class = &prediction->classes[prediction->n_classes++];
		*slot = (uint16_t)prediction->n_classes;
	}
	*class = (struct input_class){.kind = event->input.kind,
				      .size = event->input.size,
				      .address = event->input.address};
	return class;
}

static int encode_input(struct event_encoder *encoder, const struct event *event)
{
	struct event_prediction *prediction = &encoder->prediction;
	uint16_t *slot =
		find_class(encoder, event->input.kind, event->input.size, event->input.address);
	struct input_class spare, *class;
	column_put_varint(&encoder->columns[COLUMN_INPUT_CLASS],
			  *slot ? *slot - 1u : prediction->n_classes);
	class = *slot ? &prediction->classes[*slot - 1] : new_class(encoder, event, slot, &spare);
	put_difference(encoder, COLUMN_INPUT_VALUE, event->input.value, class->last_value);
	class->last_value = event->input.value;
	return 0;
}

/* ---- the other kinds ---- */

static int encode_clock(struct event_encoder *encoder, const struct event *event)
{
	struct event_prediction *prediction = &encoder->prediction;
	put_difference(encoder, COLUMN_CLOCK_BASE, event->clock.base,
		       event_predict_clock(prediction, event->icount));
	put_difference(encoder, COLUMN_CLOCK_RATIO, event->clock.ratio, prediction->clock_ratio);
	prediction->clock_icount = event->icount;
	prediction->clock_base = event->clock.base;
	prediction->clock_ratio = event->clock.ratio;
	return 0;
}

static int encode_page(struct event_encoder *encoder, const uint8_t *page)
{
	uint64_t ref;
	int error = encoder->page_fn(encoder->ctx, page, &ref);
	if (error)
		return error;
	column_put_page_ref(&encoder->columns[COLUMN_MEMORY_PAGE], ref,
			    &encoder->prediction.page_ref);
	return 0;
}

static int encode_memory(struct event_encoder *encoder, const struct event *event)
{
	struct column *data_column = &encoder->columns[COLUMN_MEMORY_DATA];
	if (column_reserve(data_column, 2 * FORMAT_PAGE_BYTES))
		return -ENOMEM;
	uint64_t gpa = event->memory.gpa;
	put_difference(encoder, COLUMN_MEMORY_GPA, gpa, encoder->prediction.memory_gpa);
	column_put_varint(&encoder->columns[COLUMN_MEMORY_BYTES], event->memory.bytes);
	const uint8_t *data = event->memory.data;
	uint32_t left = event->memory.bytes;
	while (left) {
		uint32_t piece = event_memory_piece(gpa, left);
		int error = 0;
		if (piece == FORMAT_PAGE_BYTES)
			error = encode_page(encoder, data);
		else
			column_put_bytes(data_column, data, piece);
		if (error)
			return error;
		gpa += piece;
		data += piece;
		left -= piece;
	}
	encoder->prediction.memory_gpa = gpa;
	return 0;
}

static int encode_delivery(struct event_encoder *encoder, const struct event *event)
{
	column_put_varint(&encoder->columns[COLUMN_DELIVERY_VCPU], event->delivery.vcpu);
	column_put_byte(&encoder->columns[COLUMN_DELIVERY_VECTOR], event->delivery.vector);
	return 0;
}

static int encode_digest(struct event_encoder *encoder, const struct event *event)
{
	struct column *column = &encoder->columns[COLUMN_DIGEST];
	column_put_le64(column, event->digest.registers);
	column_put_le64(column, event->digest.memory);
	column_put_le64(column, event->digest.output);
	return 0;
}

/* Shares the columns of memory and delivery, with their predictions. */
static int encode_output(struct event_encoder *encoder, const struct event *event)
{
	struct event_prediction *prediction = &encoder->prediction;
	put_difference(encoder, COLUMN_MEMORY_GPA, event->output.gpa, prediction->memory_gpa);
	column_put_varint(&encoder->columns[COLUMN_MEMORY_BYTES], event->output.bytes);
	column_put_varint(&encoder->columns[COLUMN_DELIVERY_VCPU], event->output.stream);
	prediction->memory_gpa = event->output.gpa + event->output.bytes;
	return 0;
}

/* Kinds without a row have no columns of their own. */
static int (*const encoders[EVENT_KIND_COUNT])(struct event_encoder *, const struct event *) = {
	[EVENT_INPUT] = encode_input,   [EVENT_CLOCK] = encode_clock,
	[EVENT_MEMORY] = encode_memory, [EVENT_INTERRUPT] = encode_delivery,
	[EVENT_NMI] = encode_delivery,  [EVENT_INIT] = encode_delivery,
	[EVENT_SIPI] = encode_delivery, [EVENT_SWITCH] = encode_delivery,
	[EVENT_DIGEST] = encode_digest, [EVENT_OUTPUT] = encode_output,
};

/* Most that one event adds to a column, memory data aside: a digest, or 17 page references. */
#define EVENT_COLUMN_BYTES_MAX (VARINT_MAX_BYTES * (EVENT_MEMORY_MAX / FORMAT_PAGE_BYTES + 1))

int event_encoder_append(struct event_encoder *encoder, const struct event *event)
{
	for (unsigned i = 0; i < COLUMN_COUNT; i++) {
		if (column_reserve(&encoder->columns[i], EVENT_COLUMN_BYTES_MAX))
			return -ENOMEM;
	}
	if (!encoder->n_events)
		encoder->first_icount = encoder->prediction.icount = event->icount;
	column_put_byte(&encoder->columns[COLUMN_KIND], event->kind);
	column_put_varint(&encoder->columns[COLUMN_ICOUNT],
			  event->icount - encoder->prediction.icount);
	encoder->prediction.icount = event->icount;
	encoder->n_events++;
	return encoders[event->kind] ? encoders[event->kind](encoder, event) : 0;
}

/* The lengths of all columns, 32 bits each, then the columns. */
static int join_columns(const struct event_encoder *encoder, struct column *raw)
{
	column_clear(raw);
	if (column_reserve(raw, event_encoder_bytes(encoder) + 4 * COLUMN_COUNT))
		return -ENOMEM;
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		bytes_put_le32(raw->data + 4 * i, (uint32_t)encoder->columns[i].bytes);
	raw->bytes = 4 * COLUMN_COUNT;
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		column_put_bytes(raw, encoder->columns[i].data, encoder->columns[i].bytes);
	return 0;
}

int event_encoder_cut(struct event_encoder *encoder, struct column *raw)
{
	int error = join_columns(encoder, raw);
	if (error)
		return error;
	for (unsigned i = 0; i < COLUMN_COUNT; i++)
		column_clear(&encoder->columns[i]);
	encoder->n_events = 0;
	memset(&encoder->prediction, 0, offsetof(struct event_prediction, classes));
	memset(encoder->class_slots, 0, sizeof(encoder->class_slots));
	return 0;
}
