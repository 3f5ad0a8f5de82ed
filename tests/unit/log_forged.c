/*
 * Dishonest files: every checksum matches, and the content lies. Each must be refused with the
 * offset of the chunk at fault and words that name the lie.
 */
#include "log-format/events.h"
#include "tests/unit/log_fixture.h"

#define KIND(name) REPRISE__CHUNK_KIND__CHUNK_##name

static int ignore_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	return 0;
}

static int read_through(struct log_reader *reader, struct log_error *ret_error)
{
	struct event event;
	int result = log_reader_each_page(reader, ignore_page, NULL, ret_error);
	while (result == 0 && (result = log_reader_next(reader, &event, ret_error)) > 0)
		result = 0;
	/* verify must find by itself whatever reading finds. */
	struct log_error again = {0};
	if (result && log_reader_verify(reader, &again) != result)
		tap_ok(false, "verify missed: %s", ret_error->text);
	return result;
}

/* Opens what was forged and reads all of it; the first error found. */
static int read_forged(const struct forge *forge, struct log_error *ret_error)
{
	const char *path = fixture_path("forged.rpz");
	struct log_reader *reader;
	fixture_store(path, forge->data, forge->bytes);
	int result = log_reader_open(path, &reader, ret_error);
	if (result)
		return result;
	result = read_through(reader, ret_error);
	log_reader_close(reader);
	return result;
}

/* Checks the outcome and frees the file. at: the offset that the error must name. */
static void expect(struct forge *forge, const char *name, uint64_t at, const char *text)
{
	struct log_error error = {0};
	int result = read_forged(forge, &error);
	bool ok = text ? result == -EBADMSG && error.code == result && strstr(error.text, text) &&
				  error.offset == at
		       : result == 0;
	if (!ok)
		tap_note("%d at %llu, expected %llu: %s", result, (unsigned long long)error.offset,
			 (unsigned long long)at, error.text);
	tap_ok(ok, "%s", name);
	free(forge->data);
}

/* ---- framing ---- */

static void test_preamble(void)
{
	struct forge forge = {0};
	expect(&forge, "an empty file", 0, "not a reprise recording");
	forge = (struct forge){0};
	forge_bytes(&forge,
		    "\x7f"
		    "ELF and so on and so on",
		    24);
	expect(&forge, "another kind of file", 0, "not a reprise recording");
	forge_begin(&forge);
	bytes_put_le32(forge.data + FORMAT_MAGIC_BYTES, 7);
	expect(&forge, "another version", 8, "format version 7, this tool reads 1 to 2");
	forge_preamble(&forge);
	expect(&forge, "nothing but a preamble", 16, "ends before its header");
	forge_begin(&forge);
	expect(&forge, "a header alone is a file", 0, NULL);
}

static void test_chunk_lies(void)
{
	static const struct {
		const char *name;
		Reprise__ChunkHeader message;
		const char *text;
	} cases[] = {
		{"an unknown kind", {.kind = 99}, "an unknown kind"},
		{"no kind", {.kind = 0}, "an unknown kind"},
		{"a kind past 8 bits", {.kind = 256 + 2, .n_items = 2}, "an unknown kind"},
		{"a bomb",
		 {.kind = KIND(RAM), .raw_bytes = FORMAT_RAW_MAX + 1, .n_items = 1},
		 "decompressed size outside the limits"},
		{"a larger bomb",
		 {.kind = KIND(RAM), .raw_bytes = UINT64_MAX, .n_items = 1},
		 "decompressed size outside the limits"},
		{"a size larger than the content's",
		 {.kind = KIND(RAM), .raw_bytes = FORMAT_RAW_MAX, .n_items = 1},
		 "does not decompress"},
		{"a size smaller than the content's",
		 {.kind = KIND(RAM), .raw_bytes = 100, .n_items = 1},
		 "does not decompress"},
		{"a length past the file's end",
		 {.kind = KIND(PAGES), .stored_bytes = 1u << 20, .n_items = 2},
		 "the file ends inside a chunk"},
		{"a length past all limits",
		 {.kind = KIND(PAGES), .stored_bytes = UINT64_MAX, .n_items = 2},
		 "stored size outside the limits"},
		{"a count of 0", {.kind = KIND(PAGES)}, "a count of 0"},
		{"too large a count", {.kind = KIND(RAM), .n_items = 1u << 30}, "a count larger"},
		{"one page too many", {.kind = KIND(PAGES), .n_items = 3}, "a count larger"},
		{"one page too few", {.kind = KIND(PAGES), .n_items = 1}, "not its pages'"},
		{"a count where none belongs", {.kind = KIND(ATTACHMENT), .n_items = 1}, "a count"},
		{"icounts where none belong",
		 {.kind = KIND(PAGES), .n_items = 2, .last_icount = 5},
		 "instruction counts in a chunk"},
		{"icounts that run backwards",
		 {.kind = KIND(EVENTS), .n_items = 2, .first_icount = 5, .last_icount = 4},
		 "run backwards"},
		{"a second header", {.kind = KIND(HEADER)}, "twice"},
		{"an index in the middle", {.kind = KIND(INDEX), .n_items = 1}, "has not ended"},
	};
	static const uint8_t raw[2 * FORMAT_PAGE_BYTES];
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct forge forge;
		forge_begin(&forge);
		uint64_t at = forge.bytes;
		Reprise__ChunkHeader message = cases[i].message;
		reprise__chunk_header__init(&message);
		message.kind = cases[i].message.kind;
		message.raw_bytes = cases[i].message.raw_bytes;
		message.stored_bytes = cases[i].message.stored_bytes;
		message.n_items = cases[i].message.n_items;
		message.first_icount = cases[i].message.first_icount;
		message.last_icount = cases[i].message.last_icount;
		forge_chunk(&forge, message, raw, sizeof(raw));
		expect(&forge, cases[i].name, at, cases[i].text);
	}
}

static void test_payloads(void)
{
	Reprise__ChunkHeader message = REPRISE__CHUNK_HEADER__INIT;
	message.kind = KIND(RAM);
	message.n_items = 1;
	message.raw_bytes = 100;
	message.stored_bytes = 40;
	struct forge forge;
	static const uint8_t noise[40] = {1, 2, 3};
	forge_begin(&forge);
	uint64_t at = forge.bytes;
	forge_stored(&forge, message, noise, sizeof(noise));
	expect(&forge, "a payload that is no LZ4 frame", at, "does not decompress");

	static const uint8_t zeros[100];
	uint8_t payload[200];
	size_t n = LZ4F_compressFrame(payload, sizeof(payload) - 1, zeros, sizeof(zeros), NULL);
	payload[n] = 0;
	message.stored_bytes = n + 1;
	forge_begin(&forge);
	forge_stored(&forge, message, payload, n + 1);
	expect(&forge, "a payload with more behind its frame", at, "does not decompress");
	message.stored_bytes = n - 1;
	forge_begin(&forge);
	forge_stored(&forge, message, payload, n - 1);
	expect(&forge, "a payload that is cut", at, "does not decompress");
	forge_begin(&forge);
	message.stored_bytes = n;
	forge_stored(&forge, message, payload, n);
	forge.data[forge.bytes - 1] ^= 1;
	expect(&forge, "a payload that was changed", at, "ram chunk checksum does not match");
}

/* ---- messages ---- */

static void expect_header(const Reprise__Header *header, const char *name, const char *text)
{
	struct forge forge;
	forge_preamble(&forge);
	forge_message(&forge, KIND(HEADER), &header->base);
	expect(&forge, name, FORMAT_PREAMBLE_BYTES, text);
}

static void test_headers(void)
{
	Reprise__Machine machine = fixture_machine();
	Reprise__Header header = REPRISE__HEADER__INIT;
	header.format_version = FORMAT_VERSION;
	expect_header(&header, "a header without a machine", "no machine");
	header.machine = &machine;
	header.format_version = FORMAT_VERSION_OLDEST;
	expect_header(&header, "a header of another version", "format version");
	header.format_version = FORMAT_VERSION;
	header.clock_mode = (Reprise__ClockMode)9;
	expect_header(&header, "an unknown clock", "unknown clock");
	header.clock_mode = REPRISE__CLOCK_MODE__CLOCK_HOST;

	Reprise__Region region = REPRISE__REGION__INIT, *regions[] = {&region};
	machine.n_regions = 1;
	machine.regions = regions;
	expect_header(&header, "a region of no kind", "region of unknown kind");
	region.kind = REPRISE__REGION_KIND__REGION_RAM;
	region.bytes = 100;
	expect_header(&header, "a region of part of a page", "not of whole pages");
	region.gpa = UINT64_MAX - FORMAT_PAGE_BYTES + 1;
	region.bytes = 2 * FORMAT_PAGE_BYTES;
	expect_header(&header, "a region that wraps around", "wraps around");
	region.bytes = FORMAT_PAGE_BYTES;
	expect_header(&header, "a region up to the last byte", NULL);

	Reprise__PortRange range = REPRISE__PORT_RANGE__INIT, *ranges[] = {&range};
	range.first = 0xffff;
	range.count = 2;
	machine.n_ports = 1;
	machine.ports = ranges;
	expect_header(&header, "ports past the last", "past 0xffff");
}

/* Two bytes a region in the file, dozens in memory. */
static void test_header_bomb(void)
{
	size_t n = FORMAT_MESSAGE_MAX & ~1u;
	uint8_t *machine = malloc(n), prefix[16];
	struct column raw = {0};
	if (!machine || column_reserve(&raw, n + sizeof(prefix)))
		abort();
	n -= sizeof(prefix);
	for (size_t i = 0; i < n; i += 2) {
		machine[i] = 0x1a; /* Machine.regions, of no bytes */
		machine[i + 1] = 0;
	}
	column_put_byte(&raw, 0x22); /* Header.machine */
	column_put_varint(&raw, n);
	column_put_bytes(&raw, machine, n);
	struct forge forge;
	forge_preamble(&forge);
	Reprise__ChunkHeader message = REPRISE__CHUNK_HEADER__INIT;
	message.kind = KIND(HEADER);
	forge_chunk(&forge, message, raw.data, raw.bytes);
	expect(&forge, "a header of two million regions", FORMAT_PREAMBLE_BYTES, "too large");
	free(machine);
	column_finish(&raw);
}

static void test_trailer(void)
{
	Reprise__Trailer trailer = REPRISE__TRAILER__INIT;
	trailer.n_events = 5;
	struct forge forge;
	forge_begin(&forge);
	uint64_t at = forge.bytes;
	forge_message(&forge, KIND(TRAILER), &trailer.base);
	expect(&forge, "a trailer that counts events that are not there", at, "count of events");
}

/* ---- events ---- */

/* A chunk of events made from columns; one page stands before it. */
struct event_forge {
	struct column columns[COLUMN_COUNT];
	Reprise__ChunkHeader message;
};

static void put(struct event_forge *forge, enum event_column column, const void *data, size_t n)
{
	if (column_reserve(&forge->columns[column], n))
		abort();
	column_put_bytes(&forge->columns[column], data, n);
}

static void put_varint(struct event_forge *forge, enum event_column column, uint64_t value)
{
	if (column_reserve(&forge->columns[column], VARINT_MAX_BYTES))
		abort();
	column_put_varint(&forge->columns[column], value);
}

static void put_event(struct event_forge *forge, uint8_t kind, uint64_t step)
{
	put(forge, COLUMN_KIND, &kind, 1);
	put_varint(forge, COLUMN_ICOUNT, step);
	forge->message.n_items++;
}

static void expect_events(struct event_forge *events, const char *name, const char *text)
{
	struct forge forge;
	uint8_t raw[4096];
	size_t n = 4 * COLUMN_COUNT;
	for (unsigned i = 0; i < COLUMN_COUNT; i++) {
		struct column *column = &events->columns[i];
		bytes_put_le32(raw + 4 * i, (uint32_t)column->bytes);
		if (column->bytes)
			memcpy(raw + n, column->data, column->bytes);
		n += column->bytes;
		column_finish(column);
	}
	forge_begin(&forge);
	Reprise__ChunkHeader pages = REPRISE__CHUNK_HEADER__INIT;
	static const uint8_t page[FORMAT_PAGE_BYTES] = {1};
	pages.kind = KIND(PAGES);
	pages.n_items = 1;
	forge_chunk(&forge, pages, page, sizeof(page));
	uint64_t at = forge.bytes;
	forge_chunk(&forge, events->message, raw, n);
	expect(&forge, name, at, text);
}

static struct event_forge begin_events(void)
{
	struct event_forge events = {.message = REPRISE__CHUNK_HEADER__INIT};
	events.message.kind = KIND(EVENTS);
	events.message.first_icount = 100;
	events.message.last_icount = 100;
	return events;
}

static void test_kinds(void)
{
	struct event_forge events = begin_events();
	put_event(&events, EVENT_RESET, 0);
	expect_events(&events, "an event put together by hand", NULL);
	events = begin_events();
	put_event(&events, EVENT_UNSPECIFIED, 0);
	expect_events(&events, "an event of kind 0", "event 0 of the chunk has an unknown kind");
	events = begin_events();
	put_event(&events, EVENT_RESET, 0);
	put_event(&events, EVENT_KIND_COUNT, 0);
	expect_events(&events, "an event of unknown kind", "event 1 of the chunk has an unknown");
	events = begin_events();
	put_event(&events, 255, 0);
	expect_events(&events, "an event of kind 255", "unknown kind");
}

static void test_icounts(void)
{
	struct event_forge events = begin_events();
	put_event(&events, EVENT_RESET, 1);
	expect_events(&events, "an event past the range", "past the chunk's range");
	events = begin_events();
	events.message.last_icount = 200;
	put_event(&events, EVENT_RESET, 1);
	expect_events(&events, "a first event past the first count", "not the chunk's first");
	events = begin_events();
	events.message.last_icount = 200;
	put_event(&events, EVENT_RESET, 0);
	put_event(&events, EVENT_RESET, 99);
	expect_events(&events, "a range larger than the events'", "not its last event's");
	events = begin_events();
	put_event(&events, EVENT_RESET, 0);
	put_event(&events, EVENT_RESET, UINT64_MAX);
	expect_events(&events, "a count that wraps around", "past the chunk's range");
	events = begin_events();
	put_event(&events, EVENT_RESET, 0);
	events.message.n_items = 2;
	expect_events(&events, "fewer events than the count", "do not add up");
	events = begin_events();
	put_event(&events, EVENT_RESET, 0);
	put(&events, COLUMN_ICOUNT, "", 1);
	expect_events(&events, "more counts than events", "column 1 has more");
}

static void test_inputs(void)
{
	static const struct {
		const char *name;
		uint8_t kind, size;
		uint64_t class;
		const char *text;
	} cases[] = {
		{"a good input", CROSSING_PORT_READ, 1, 0, NULL},
		{"an input of size 0", CROSSING_PORT_READ, 0, 0, "input size"},
		{"an input of size 3", CROSSING_PORT_READ, 3, 0, "input size"},
		{"an input of size 16", CROSSING_PORT_READ, 16, 0, "input size"},
		{"an input of kind 0", 0, 1, 0, "input of unknown kind"},
		{"a write as input", CROSSING_MMIO_WRITE, 1, 0, "input of unknown kind"},
		{"an input of unknown kind", 200, 1, 0, "input of unknown kind"},
		{"a class that is not there", CROSSING_PORT_READ, 1, 1, "not in the dictionary"},
		{"a class far away", CROSSING_PORT_READ, 1, UINT64_MAX, "not in the dictionary"},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event_forge events = begin_events();
		put_event(&events, EVENT_INPUT, 0);
		put_varint(&events, COLUMN_INPUT_CLASS, cases[i].class);
		put(&events, COLUMN_INPUT_DICTIONARY, &cases[i].kind, 1);
		put(&events, COLUMN_INPUT_DICTIONARY, &cases[i].size, 1);
		put_varint(&events, COLUMN_INPUT_DICTIONARY, 0x60);
		put_varint(&events, COLUMN_INPUT_VALUE, 2);
		expect_events(&events, cases[i].name, cases[i].text);
	}
	struct event_forge events = begin_events();
	put_event(&events, EVENT_INPUT, 0);
	put_varint(&events, COLUMN_INPUT_CLASS, 0);
	expect_events(&events, "a dictionary that ends", "not in the dictionary");
}

static void test_memory(void)
{
	static const struct {
		const char *name;
		uint64_t gpa, bytes;
		uint64_t ref; /* put where the length asks for pages */
		uint32_t n_refs, n_data;
		const char *text;
	} cases[] = {
		{"known pages", 0x1000, 8192, 1, 2, 0, NULL},
		{"a page of zeros", 0x1000, 4096, 0, 1, 0, NULL},
		{"parts of two pages", 0xff0, 32, 0, 0, 32, NULL},
		{"a length of 0", 0x1000, 0, 0, 0, 0, "memory length"},
		{"a length too large", 0x1000, EVENT_MEMORY_MAX + 1, 1, 17, 1, "memory length"},
		{"a length past 32 bits", 0x1000, (UINT64_C(1) << 32) + 1, 0, 0, 1,
		 "memory length"},
		{"an address that wraps", UINT64_MAX, 2, 0, 0, 2, "wraps around"},
		{"a page that is not there", 0x1000, 4096, 2, 1, 0, "not before it"},
		{"a page far away", 0x1000, 4096, UINT64_MAX, 1, 0, "not before it"},
		{"too little data", 0x1001, 5, 0, 0, 4, "less memory data"},
		{"too much data", 0x1001, 5, 0, 0, 6, "column 10 has more"},
		{"too few pages", 0x1000, 8192, 1, 1, 0, "no page reference"},
		{"too many pages", 0x1000, 4096, 1, 2, 0, "column 9 has more"},
	};
	static const uint8_t zeros[64];
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event_forge events = begin_events();
		uint64_t previous = 0;
		put_event(&events, EVENT_MEMORY, 0);
		put_varint(&events, COLUMN_MEMORY_GPA, zigzag_difference(cases[i].gpa, 0));
		put_varint(&events, COLUMN_MEMORY_BYTES, cases[i].bytes);
		for (uint32_t j = 0; j < cases[i].n_refs; j++) {
			put_varint(&events, COLUMN_MEMORY_PAGE,
				   zigzag_difference(cases[i].ref, previous + 1));
			previous = cases[i].ref;
		}
		put(&events, COLUMN_MEMORY_DATA, zeros, cases[i].n_data);
		expect_events(&events, cases[i].name, cases[i].text);
	}
}

static void test_other_kinds(void)
{
	struct event_forge events = begin_events();
	put_event(&events, EVENT_INTERRUPT, 0);
	put_varint(&events, COLUMN_DELIVERY_VCPU, UINT64_C(1) << 32);
	put(&events, COLUMN_DELIVERY_VECTOR, "a", 1);
	expect_events(&events, "a vCPU past 32 bits", "vCPU number");
	events = begin_events();
	put_event(&events, EVENT_SIPI, 0);
	put_varint(&events, COLUMN_DELIVERY_VCPU, 1);
	expect_events(&events, "a vector that is missing", "no vCPU and vector");
	events = begin_events();
	put_event(&events, EVENT_DIGEST, 0);
	put(&events, COLUMN_DIGEST, "12345678abcdefgh1234567", 23);
	expect_events(&events, "a digest that is cut", "no digest");
	events = begin_events();
	put_event(&events, EVENT_CLOCK, 0);
	put_varint(&events, COLUMN_CLOCK_BASE, 1);
	expect_events(&events, "a clock without a ratio", "no clock values");
	events = begin_events();
	put_event(&events, EVENT_CLOCK, 0);
	put(&events, COLUMN_CLOCK_BASE, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10);
	put_varint(&events, COLUMN_CLOCK_RATIO, 1);
	expect_events(&events, "a number past 64 bits", "no clock values");
}

static void test_column_lengths(void)
{
	static const uint32_t lengths[] = {3, 5, 1000, UINT32_MAX};
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint8_t raw[4 * COLUMN_COUNT + 4] = {0};
		struct forge forge;
		Reprise__ChunkHeader message = begin_events().message;
		bytes_put_le32(raw + 4 * COLUMN_DIGEST, lengths[i]);
		message.n_items = 2;
		forge_begin(&forge);
		uint64_t at = forge.bytes;
		forge_chunk(&forge, message, raw, sizeof(raw));
		expect(&forge, "a column's length that does not fit", at, "do not add up");
	}
	struct forge forge;
	Reprise__ChunkHeader message = begin_events().message;
	message.n_items = 1;
	forge_begin(&forge);
	uint64_t at = forge.bytes;
	forge_chunk(&forge, message, (const uint8_t *)"1234", 4);
	expect(&forge, "a chunk too small for its columns", at, "do not add up");
}

/* ---- order, RAM, attachments ---- */

static void test_order(void)
{
	uint8_t raw[4 * COLUMN_COUNT + 2] = {0};
	bytes_put_le32(raw + 4 * COLUMN_KIND, 1);
	bytes_put_le32(raw + 4 * COLUMN_ICOUNT, 1);
	raw[4 * COLUMN_COUNT] = EVENT_RESET;
	Reprise__ChunkHeader events = begin_events().message;
	events.n_items = 1;
	struct forge forge;
	forge_begin(&forge);
	forge_chunk(&forge, events, raw, sizeof(raw));
	uint64_t at = forge.bytes;
	events.first_icount = events.last_icount = 99;
	forge_chunk(&forge, events, raw, sizeof(raw));
	expect(&forge, "events that go back", at, "goes back in instruction counts");

	forge_begin(&forge);
	forge_chunk(&forge, events, raw, sizeof(raw));
	Reprise__ChunkHeader ram = REPRISE__CHUNK_HEADER__INIT;
	ram.kind = KIND(RAM);
	ram.n_items = 1;
	forge_chunk(&forge, ram, (const uint8_t *)"12", 2);
	expect(&forge, "RAM behind events", at, "follows the first events");
}

static void expect_ram(const char *name, uint64_t page, uint64_t ref, unsigned extra,
		       const char *text)
{
	struct forge forge;
	struct column raw = {0};
	uint64_t previous = 0;
	if (column_reserve(&raw, 64))
		abort();
	column_put_varint(&raw, zigzag_difference(page, 0));
	column_put_page_ref(&raw, ref, &previous);
	while (extra--)
		column_put_byte(&raw, 0);
	forge_begin(&forge);
	Reprise__ChunkHeader message = REPRISE__CHUNK_HEADER__INIT;
	static const uint8_t content[FORMAT_PAGE_BYTES] = {1};
	message.n_items = 1;
	message.kind = KIND(PAGES);
	forge_chunk(&forge, message, content, sizeof(content));
	uint64_t at = forge.bytes;
	message.kind = KIND(RAM);
	forge_chunk(&forge, message, raw.data, raw.bytes);
	expect(&forge, name, at, text);
	column_finish(&raw);
}

static void test_ram(void)
{
	expect_ram("a page of RAM", 5, 1, 0, NULL);
	expect_ram("RAM at the last address", UINT64_MAX / FORMAT_PAGE_BYTES, 1, 0, NULL);
	expect_ram("RAM past the last address", UINT64_MAX / FORMAT_PAGE_BYTES + 1, 1, 0,
		   "impossible");
	expect_ram("RAM of a page that is not there", 5, 2, 0, "impossible");
	expect_ram("RAM of the page of zeros", 5, 0, 0, "impossible");
	expect_ram("RAM with a byte too many", 5, 1, 1, "more than its rows");
}

static void expect_attachment(const char *name, const char *file, size_t build_id_bytes,
			      uint64_t bytes, size_t refs_bytes, const char *text)
{
	static uint8_t zeros[4096];
	struct forge forge;
	Reprise__Attachment attachment = REPRISE__ATTACHMENT__INIT;
	attachment.name = (char *)file;
	attachment.build_id.data = zeros;
	attachment.build_id.len = build_id_bytes;
	attachment.bytes = bytes;
	memset(zeros, 1, sizeof(zeros)); /* 1 is -1: the page of zeros again and again */
	attachment.page_refs.data = zeros;
	attachment.page_refs.len = refs_bytes;
	forge_begin(&forge);
	uint64_t at = forge.bytes;
	forge_message(&forge, KIND(ATTACHMENT), &attachment.base);
	expect(&forge, name, at, text);
}

static void test_attachments(void)
{
	expect_attachment("an attachment", "a", 20, 5000, 2, NULL);
	expect_attachment("an attachment without a name", "", 1, 0, 0, "name is empty");
	expect_attachment("too long a build id", "a", 65, 0, 0, "build id is too long");
	expect_attachment("pages that are missing", "a", 0, 5000, 1, "fewer pages");
	expect_attachment("a size of terabytes", "a", 0, UINT64_C(1) << 42, 1, "too large");
	expect_attachment("a size of 4 GiB in no pages", "a", 0, UINT64_C(1) << 32, 4, "fewer");
	expect_attachment("pages left over", "a", 0, 1, 2, "more pages");
}

int main(void)
{
	static const char *const files[] = {"forged.rpz"};
	fixture_begin();
	test_preamble();
	test_chunk_lies();
	test_payloads();
	test_headers();
	test_header_bomb();
	test_trailer();
	test_kinds();
	test_icounts();
	test_inputs();
	test_memory();
	test_other_kinds();
	test_column_lengths();
	test_order();
	test_ram();
	test_attachments();
	fixture_end(files, 1);
	return tap_done();
}
