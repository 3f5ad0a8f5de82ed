/* What is written is read: events of every kind, initial RAM, attachments, positions. */
#include "log-format/page_cache.h"
#include "tests/unit/log_fixture.h"

/* Writes n random events, cutting now and then; destroy without finish when !finish. */
static void write_random(const char *path, uint64_t seed, uint64_t n, uint64_t per_chunk, bool sync)
{
	struct log_writer *writer = fixture_create(path, sync);
	static struct fixture_events events;
	events = fixture_events_from(seed);
	for (uint64_t i = 0; i < n; i++) {
		struct event event = fixture_next(&events);
		if (log_writer_append(writer, &event))
			abort();
		if ((i + 1) % per_chunk == 0 && log_writer_cut(writer))
			abort();
	}
	tap_ok(fixture_finish(writer, events.icount) == 0, "seed %llu is written",
	       (unsigned long long)seed);
}

static struct log_reader *open_reader(const char *path)
{
	struct log_reader *reader;
	struct log_error error;
	if (log_reader_open(path, &reader, &error)) {
		tap_note("%s", error.text);
		abort();
	}
	return reader;
}

static void test_random(uint64_t seed, uint64_t n, uint64_t per_chunk)
{
	const char *path = fixture_path("random.rpz");
	write_random(path, seed, n, per_chunk, seed % 2);
	struct log_reader *reader = open_reader(path);
	struct log_error error;
	struct event event;
	static struct fixture_events events;
	events = fixture_events_from(seed);
	uint64_t equal = 0, kinds = 0;
	int result;
	while ((result = log_reader_next(reader, &event, &error)) > 0) {
		struct event expected = fixture_next(&events);
		equal += fixture_equal(&event, &expected);
		kinds |= UINT64_C(1) << event.kind;
	}
	tap_ok(result == 0 && equal == n, "seed %llu: %llu of %llu events are equal",
	       (unsigned long long)seed, (unsigned long long)equal, (unsigned long long)n);
	tap_ok(kinds == (UINT64_C(1) << EVENT_KIND_COUNT) - 2, "every kind was among them");
	tap_ok(log_reader_verify(reader, &error) == 0, "verify accepts it");
	const Reprise__Trailer *trailer = log_reader_trailer(reader);
	tap_ok(trailer && trailer->n_events == n && !strcmp(trailer->end_reason, "power-off") &&
		       log_reader_last_icount(reader) == events.icount,
	       "the trailer and the last instruction count are there");
	tap_ok(log_reader_damage(reader) == NULL, "there is no damage");
	log_reader_close(reader);
}

/* Seeks to random counts and compares with what a plain read finds there. */
static void test_seek(void)
{
	const uint64_t n = 3000;
	const char *path = fixture_path("random.rpz");
	write_random(path, 11, n, 100, false);
	struct log_reader *reader = open_reader(path);
	struct log_error error;
	struct event event;
	static struct log_position positions[3001];
	static uint64_t icounts[3001];
	for (uint64_t i = 0; i < n; i++) {
		positions[i] = log_reader_position(reader);
		if (log_reader_next(reader, &event, &error) != 1)
			abort();
		icounts[i] = event.icount;
	}
	positions[n] = log_reader_position(reader);

	uint64_t random = 5, wrong = 0;
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t icount = fixture_random(&random) % (icounts[n - 1] + 2), first = 0;
		while (first < n && icounts[first] < icount)
			first++;
		if (log_reader_seek(reader, icount, &error))
			wrong++;
		struct log_position position = log_reader_position(reader);
		int result = log_reader_next(reader, &event, &error);
		wrong += result != (first < n);
		if (first == n)
			continue;
		wrong += event.icount != icounts[first];
		/* The first of several at one count: its position is the one found. At a chunk's
		 * start a position can also be the end of the chunk before. */
		if (positions[first].chunk == position.chunk)
			wrong += positions[first].event != position.event;
		else
			wrong += position.event != 0;
	}
	tap_ok(wrong == 0, "seek finds the first event at or after a count");

	static struct fixture_events events;
	wrong = 0;
	for (unsigned i = 0; i < 60; i++) {
		uint64_t at = fixture_random(&random) % (n + 1);
		wrong += log_reader_set_position(reader, positions[at], &error) != 0;
		events = fixture_events_from(11);
		for (uint64_t j = 0; j < at; j++)
			fixture_next(&events);
		for (uint64_t j = at; j < n && j < at + 5; j++) {
			struct event expected = fixture_next(&events);
			wrong += log_reader_next(reader, &event, &error) != 1 ||
				 !fixture_equal(&event, &expected);
		}
	}
	tap_ok(wrong == 0, "a position is returned to exactly, contents of pages included");
	struct log_position nowhere = {.chunk = UINT64_MAX};
	tap_ok(log_reader_set_position(reader, nowhere, &error) == -EINVAL,
	       "a position that is none is refused");
	nowhere = (struct log_position){positions[0].chunk, 101};
	tap_ok(log_reader_set_position(reader, nowhere, &error) == -EINVAL,
	       "a position past the chunk's events is refused");
	log_reader_close(reader);
}

/* ---- pages ---- */

static int check_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	uint8_t expected[FORMAT_PAGE_BYTES];
	uint64_t *count = ctx;
	fixture_page(gpa / FORMAT_PAGE_BYTES % 1000, expected);
	*count += memcmp(page, expected, sizeof(expected)) == 0;
	return 0;
}

static int stop_at_once(void *ctx, uint64_t gpa, const uint8_t *page)
{
	return 77;
}

struct attachment_check {
	const uint8_t *data;
	size_t at;
	bool equal;
};

static int check_data(void *ctx, const uint8_t *data, size_t n)
{
	struct attachment_check *check = ctx;
	check->equal &= memcmp(check->data + check->at, data, n) == 0;
	check->at += n;
	return 0;
}

static uint64_t count_pages_in_chunks(const struct log_reader *reader)
{
	uint64_t raw_bytes = 0;
	struct log_chunk_info info;
	for (uint64_t i = 0; log_reader_chunk(reader, i, &info); i++)
		raw_bytes += strcmp(info.kind, "pages") == 0 ? info.raw_bytes : 0;
	return raw_bytes / FORMAT_PAGE_BYTES;
}

/* Initial RAM of 5000 pages, an attachment and DMA: of 1000 contents each stands once. */
static void test_pages(void)
{
	const char *path = fixture_path("pages.rpz");
	struct log_writer *writer = fixture_create(path, false);
	static uint8_t page[FORMAT_PAGE_BYTES], file[20 * FORMAT_PAGE_BYTES];
	const uint64_t base = UINT64_C(1) << 39;
	for (uint64_t i = 5000; i-- > 0;) {
		uint64_t gpa = base + i * FORMAT_PAGE_BYTES;
		fixture_page(gpa / FORMAT_PAGE_BYTES % 1000, page);
		if (log_writer_add_page(writer, gpa, page))
			abort();
	}
	for (unsigned i = 0; i < 20; i++)
		fixture_page(i + 1, file + i * FORMAT_PAGE_BYTES);
	static const uint8_t build_id[] = {1, 2, 3, 0, 5};
	if (log_writer_add_attachment(writer, "/bin/x", build_id, 5, file, sizeof(file) - 100) ||
	    log_writer_add_attachment(writer, "empty", NULL, 0, NULL, 0))
		abort();
	struct event event = {.kind = EVENT_MEMORY,
			      .icount = 9,
			      .memory = {.gpa = 0x3000, .bytes = 40960, .data = file}};
	if (log_writer_append(writer, &event) || fixture_finish(writer, 10))
		abort();

	struct log_reader *reader = open_reader(path);
	struct log_error error;
	uint64_t count = 0;
	tap_ok(log_reader_each_page(reader, check_page, &count, &error) == 0 && count == 4995,
	       "initial RAM is read: %llu pages, those of zeros left out",
	       (unsigned long long)count);
	tap_ok(log_reader_each_page(reader, stop_at_once, NULL, &error) == 77,
	       "the callback's value ends it and is returned");
	uint64_t distinct = count_pages_in_chunks(reader);
	/* 999 contents that are not zero; the attachment's last page, cut short, may be one more.
	 */
	tap_ok(distinct >= 999 && distinct <= 1000, "each content stands once: %llu pages",
	       (unsigned long long)distinct);
	tap_ok(log_reader_next(reader, &event, &error) == 1 && event.memory.bytes == 40960 &&
		       memcmp(event.memory.data, file, 40960) == 0,
	       "a memory event made of known pages is read");
	tap_ok(log_reader_attachments(reader) == 2, "there are two attachments");
	struct log_attachment attachment;
	log_reader_attachment(reader, 0, &attachment);
	tap_ok(!strcmp(attachment.name, "/bin/x") && attachment.build_id_bytes == 5 &&
		       !memcmp(attachment.build_id, build_id, 5) &&
		       attachment.bytes == sizeof(file) - 100,
	       "name, build id and size are there");
	struct attachment_check check = {.data = file, .equal = true};
	tap_ok(log_reader_attachment_data(reader, 0, check_data, &check, &error) == 0 &&
		       check.equal && check.at == attachment.bytes,
	       "its data is read");
	check = (struct attachment_check){.data = file, .equal = true};
	tap_ok(log_reader_attachment_data(reader, 1, check_data, &check, &error) == 0 && !check.at,
	       "an empty attachment is read");
	tap_ok(log_reader_verify(reader, &error) == 0, "verify accepts it");
	log_reader_close(reader);
}

/* ---- the writer's edges ---- */

static void test_discard(void)
{
	uint64_t file_bytes[2], event_bytes[2];
	for (unsigned i = 0; i < 2; i++) {
		struct log_writer *writer =
			fixture_create(i ? NULL : fixture_path("random.rpz"), false);
		static struct fixture_events events;
		events = fixture_events_from(3);
		for (unsigned j = 0; j < 500; j++) {
			struct event event = fixture_next(&events);
			log_writer_append(writer, &event);
		}
		log_writer_cut(writer);
		log_writer_sizes(writer, &file_bytes[i], &event_bytes[i]);
		tap_ok(fixture_finish(writer, events.icount) == 0, "%s: finished",
		       i ? "discarded" : "kept");
	}
	tap_ok(file_bytes[0] == file_bytes[1] && event_bytes[0] == event_bytes[1] && event_bytes[0],
	       "discarding does the same work: %llu bytes", (unsigned long long)file_bytes[1]);
}

static void test_same_input_same_file(void)
{
	size_t bytes[2];
	uint8_t *data[2];
	for (unsigned i = 0; i < 2; i++) {
		write_random(fixture_path("random.rpz"), 21, 2000, 300, i == 0);
		data[i] = fixture_load(fixture_path("random.rpz"), &bytes[i]);
	}
	tap_ok(bytes[0] == bytes[1] && memcmp(data[0], data[1], bytes[0]) == 0,
	       "the same input makes the same file");
	free(data[0]);
	free(data[1]);
}

static void test_refusals(void)
{
	static const struct {
		const char *name;
		struct event event;
	} cases[] = {
		{"kind 0", {.kind = EVENT_UNSPECIFIED, .icount = 9}},
		{"kind too large", {.kind = EVENT_KIND_COUNT, .icount = 9}},
		{"input size 3",
		 {.kind = EVENT_INPUT, .icount = 9, .input = {CROSSING_PORT_READ, 3, 0, 0}}},
		{"a write as input",
		 {.kind = EVENT_INPUT, .icount = 9, .input = {CROSSING_PORT_WRITE, 1, 0, 0}}},
		{"memory of 0 bytes", {.kind = EVENT_MEMORY, .icount = 9}},
		{"memory too long",
		 {.kind = EVENT_MEMORY, .icount = 9, .memory = {0, EVENT_MEMORY_MAX + 1, NULL}}},
		{"back in time", {.kind = EVENT_NMI, .icount = 7}},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct log_writer *writer = fixture_create(NULL, false);
		struct event first = {.kind = EVENT_NMI, .icount = 8};
		struct event later = {.kind = EVENT_NMI, .icount = 10};
		log_writer_append(writer, &first);
		int error = log_writer_append(writer, &cases[i].event);
		tap_ok(error == -EINVAL && log_writer_append(writer, &later) == -EINVAL &&
			       log_writer_error(writer)->code == -EINVAL,
		       "writer refuses %s, and the error sticks", cases[i].name);
		log_writer_destroy(writer);
	}
}

/* More classes of input than the dictionary takes. */
static void test_full_dictionary(void)
{
	const char *path = fixture_path("random.rpz");
	struct log_writer *writer = fixture_create(path, false);
	const uint64_t n = 3 * FORMAT_INPUT_CLASSES_MAX;
	for (uint64_t i = 0; i < n; i++) {
		struct event event = {.kind = EVENT_INPUT,
				      .icount = i,
				      .input = {CROSSING_MMIO_READ, 4, i % (n / 2) * 8, i * 3}};
		if (log_writer_append(writer, &event))
			abort();
	}
	fixture_finish(writer, n);
	struct log_reader *reader = open_reader(path);
	struct log_error error;
	struct event event;
	uint64_t equal = 0;
	for (uint64_t i = 0; log_reader_next(reader, &event, &error) == 1; i++)
		equal += event.input.address == i % (n / 2) * 8 && event.input.value == i * 3;
	tap_ok(equal == n, "inputs that the dictionary has no room for are read");
	log_reader_close(reader);
}

/* A recording in which nothing happened: its trailer packs to no bytes at all. */
static void test_nothing(void)
{
	const char *path = fixture_path("random.rpz");
	struct log_writer *writer = fixture_create(path, false);
	Reprise__Trailer trailer = REPRISE__TRAILER__INIT;
	tap_ok(log_writer_finish(writer, &trailer) == 0, "an empty recording is written");
	tap_ok(log_writer_finish(writer, &trailer) == -EINVAL, "and not finished twice");
	log_writer_destroy(writer);
	struct log_reader *reader = open_reader(path);
	struct log_error error;
	struct event event;
	tap_ok(log_reader_trailer(reader) && log_reader_next(reader, &event, &error) == 0 &&
		       log_reader_seek(reader, 0, &error) == 0 &&
		       log_reader_seek(reader, 5, &error) == 0 &&
		       log_reader_next(reader, &event, &error) == 0 &&
		       log_reader_verify(reader, &error) == 0 && !log_reader_damage(reader),
	       "an empty recording is read");
	log_reader_close(reader);
}

/* A copied image, and one whose room was left and filled at the end: the same bytes. */
static void write_copy(struct log_reader *image, const char *path, bool reserve)
{
	struct log_writer *writer = fixture_create(path, false);
	static struct fixture_events events;
	events = fixture_events_from(21);
	int error = reserve ? log_writer_reserve_image(writer, image)
			    : log_writer_copy_image(writer, image);
	for (unsigned i = 0; i < 500 && !error; i++) {
		struct event event = fixture_next(&events);
		error = log_writer_append(writer, &event);
	}
	if (!error)
		error = log_writer_cut(writer);
	if (!error)
		error = log_writer_fill_image(writer, image);
	tap_ok(!error && fixture_finish(writer, events.icount) == 0, "an image is %s",
	       reserve ? "filled in at the end" : "copied");
}

static void test_reserved(void)
{
	const uint64_t n = 2000;
	uint64_t random = 9;
	char image_path[128], copy_path[128];
	strcpy(image_path, fixture_path("pages.rpz"));
	strcpy(copy_path, fixture_path("copy.rpz"));
	struct log_writer *writer = fixture_create(image_path, false);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t page[FORMAT_PAGE_BYTES / 8] = {fixture_random(&random), i};
		if (log_writer_add_page(writer, i * FORMAT_PAGE_BYTES, (const uint8_t *)page))
			abort();
	}
	fixture_finish(writer, 0);
	struct log_reader *image = open_reader(image_path);
	write_copy(image, copy_path, false);
	write_copy(image, fixture_path("random.rpz"), true);
	log_reader_close(image);
	size_t n_copied, n_filled;
	uint8_t *copied = fixture_load(copy_path, &n_copied);
	uint8_t *filled = fixture_load(fixture_path("random.rpz"), &n_filled);
	tap_ok(n_copied == n_filled && n_copied > n && !memcmp(copied, filled, n_copied),
	       "both ways give one file");
	free(copied);
	free(filled);
}

int main(void)
{
	static const char *const files[] = {"random.rpz", "pages.rpz", "copy.rpz"};
	fixture_begin();
	test_random(1, 20000, 777);
	test_random(2, 3000, 1000000);
	test_random(3, 500, 1);
	test_seek();
	test_pages();
	test_discard();
	test_same_input_same_file();
	test_refusals();
	test_full_dictionary();
	test_nothing();
	test_reserved();
	fixture_end(files, 3);
	return tap_done();
}
