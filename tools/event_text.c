/*
 * One table says which fields an event kind has; JSON and text are two ways to print them.
 */
#include "tools/event_text.h"

#include <inttypes.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char *const crossing_names[] = {
	[CROSSING_PORT_READ] = "port", [CROSSING_MMIO_READ] = "mmio", [CROSSING_MSR_READ] = "msr",
	[CROSSING_CR8_READ] = "cr8",   [CROSSING_RDRAND] = "rdrand",  [CROSSING_RDSEED] = "rdseed",
};

/* Where the fields of an event go: a JSON object, or a line of text. */
struct field_sink {
	struct json *json; /* NULL: text */
	FILE *out;
};

static void put_string(const struct field_sink *sink, const char *key, const char *value)
{
	if (sink->json)
		json_string(sink->json, key, value);
	else
		fprintf(sink->out, " %s %s", key, value);
}

static void put_number(const struct field_sink *sink, const char *key, uint64_t value)
{
	if (sink->json)
		json_number(sink->json, key, value);
	else
		fprintf(sink->out, " %s %" PRIu64, key, value);
}

static void put_hex(const struct field_sink *sink, const char *key, uint64_t value)
{
	if (sink->json)
		json_hex(sink->json, key, value);
	else
		fprintf(sink->out, " %s 0x%" PRIx64, key, value);
}

static void put_bytes(const struct field_sink *sink, const char *key, const uint8_t *data, size_t n)
{
	if (sink->json) {
		json_bytes(sink->json, key, data, n);
		return;
	}
	fprintf(sink->out, " %s ", key);
	for (size_t i = 0; i < n; i++)
		fprintf(sink->out, "%02x", data[i]);
}

static void put_input(const struct field_sink *sink, const struct event *event, bool data)
{
	unsigned kind = event->input.kind;
	const char *name = kind < sizeof(crossing_names) / sizeof(crossing_names[0])
				   ? crossing_names[kind]
				   : NULL;

	(void)data;
	put_string(sink, "source", name ? name : "unknown");
	put_number(sink, "size", event->input.size);
	put_hex(sink, "address", event->input.address);
	put_hex(sink, "value", event->input.value);
}

static void put_clock(const struct field_sink *sink, const struct event *event, bool data)
{
	(void)data;
	put_number(sink, "base", event->clock.base);
	put_number(sink, "ratio", event->clock.ratio);
}

static void put_memory(const struct field_sink *sink, const struct event *event, bool data)
{
	put_hex(sink, "gpa", event->memory.gpa);
	put_number(sink, "bytes", event->memory.bytes);
	put_hex(sink, "xxh3", XXH3_64bits(event->memory.data, event->memory.bytes));
	if (data)
		put_bytes(sink, "data", event->memory.data, event->memory.bytes);
}

static void put_vcpu(const struct field_sink *sink, const struct event *event, bool data)
{
	(void)data;
	put_number(sink, "vcpu", event->delivery.vcpu);
}

static void put_vector(const struct field_sink *sink, const struct event *event, bool data)
{
	put_vcpu(sink, event, data);
	put_number(sink, "vector", event->delivery.vector);
}

static void put_digest(const struct field_sink *sink, const struct event *event, bool data)
{
	(void)data;
	put_hex(sink, "registers", event->digest.registers);
	put_hex(sink, "memory", event->digest.memory);
	put_hex(sink, "output", event->digest.output);
}

static void put_output(const struct field_sink *sink, const struct event *event, bool data)
{
	(void)data;
	put_number(sink, "stream", event->output.stream);
	put_hex(sink, "gpa", event->output.gpa);
	put_number(sink, "bytes", event->output.bytes);
}

static const struct event_form {
	const char *name;
	/* Optional: puts what the kind has beside its icount. */
	void (*put)(const struct field_sink *sink, const struct event *event, bool data);
} event_forms[EVENT_KIND_COUNT] = {
	[EVENT_INPUT] = {"input", put_input},    [EVENT_CLOCK] = {"clock", put_clock},
	[EVENT_MEMORY] = {"memory", put_memory}, [EVENT_INTERRUPT] = {"interrupt", put_vector},
	[EVENT_NMI] = {"nmi", put_vcpu},         [EVENT_INIT] = {"init", put_vcpu},
	[EVENT_SIPI] = {"sipi", put_vector},     [EVENT_SWITCH] = {"switch", put_vcpu},
	[EVENT_RESET] = {"reset", NULL},         [EVENT_POWER_OFF] = {"power-off", NULL},
	[EVENT_DIGEST] = {"digest", put_digest}, [EVENT_OUTPUT] = {"output", put_output},
};

static const struct event_form *find_form(const struct event *event)
{
	static const struct event_form unknown = {"unknown", NULL};

	if (event->kind >= EVENT_KIND_COUNT || !event_forms[event->kind].name)
		return &unknown;
	return &event_forms[event->kind];
}

void event_text_json(struct json *json, const struct event *event, bool data)
{
	const struct event_form *form = find_form(event);
	const struct field_sink sink = {.json = json};

	json_number(json, "icount", event->icount);
	json_string(json, "kind", form->name);
	if (form->put)
		form->put(&sink, event, data);
}

void event_text_print(FILE *out, const struct event *event, bool data)
{
	const struct event_form *form = find_form(event);
	const struct field_sink sink = {.out = out};

	fprintf(out, "%14" PRIu64 "  %-9s", event->icount, form->name);
	if (form->put)
		form->put(&sink, event, data);
	fputc('\n', out);
}
