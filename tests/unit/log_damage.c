/*
 * Damaged files: cut at every byte, every bit flipped, the index removed or untrue. What stands
 * before the damage is read; the damage is reported; nothing else is ever returned.
 */
#include <sys/mman.h>

#include "log-format/reader.h"
#include "log-format/table.h"
#include "tests/unit/log_fixture.h"
#include "tests/unit/log_golden.h"

#define N_EVENTS  24
#define PER_CHUNK 8

/* The small file that is damaged: RAM, an attachment, three event chunks, trailer, index. */
static uint8_t *whole;
static size_t whole_bytes;
static uint64_t event_chunk_end[3]; /* offsets behind the event chunks */
static uint64_t trailer_end;

/* Of the file that is read; what version 1 did not have is not in its file. */
static uint32_t small_version = FORMAT_VERSION;

static struct event small_event(unsigned i)
{
	static uint8_t page[FORMAT_PAGE_BYTES];
	static const uint8_t kinds[] = {EVENT_INPUT, EVENT_CLOCK,  EVENT_MEMORY,    EVENT_INTERRUPT,
					EVENT_RESET, EVENT_MEMORY, EVENT_POWER_OFF, EVENT_DIGEST};
	struct event event = {.kind = kinds[i % 8], .icount = i * 10};
	if (i == 14 && small_version >= 2)
		event.kind = EVENT_OUTPUT;
	if (event.kind == EVENT_INPUT) {
		event.input.kind = CROSSING_RDRAND;
		event.input.size = 8;
		event.input.value = i * UINT64_C(0x123456789abcdef);
	} else if (event.kind == EVENT_CLOCK) {
		event.clock.base = i * 1000;
		event.clock.ratio = i;
	} else if (event.kind == EVENT_MEMORY) {
		fixture_page(i / 4, page);
		event.memory.gpa = i % 8 == 2 ? 0x5000 : 0x5ff0;
		event.memory.bytes = i % 8 == 2 ? FORMAT_PAGE_BYTES : 20;
		event.memory.data = page;
	} else if (event.kind == EVENT_INTERRUPT) {
		event.delivery.vcpu = i;
		event.delivery.vector = (uint8_t)(i + 32);
	} else if (event.kind == EVENT_OUTPUT) {
		event.output.gpa = 0x5ff0;
		event.output.bytes = 300;
		event.output.stream = 1;
	} else if (event.kind == EVENT_DIGEST) {
		event.digest.registers = event.digest.memory = event.digest.output = i;
	}
	return event;
}

static void make_whole(void)
{
	const char *path = fixture_path("whole.rpz");
	struct log_writer *writer = fixture_create(path, false);
	static uint8_t page[FORMAT_PAGE_BYTES];
	for (unsigned i = 1; i < 4; i++) {
		fixture_page(i, page);
		log_writer_add_page(writer, i * 0x10000, page);
	}
	log_writer_add_attachment(writer, "a", (const uint8_t *)"b", 1, page, 100);
	uint64_t event_bytes;
	for (unsigned i = 0; i < N_EVENTS; i++) {
		struct event event = small_event(i);
		log_writer_append(writer, &event);
		if (i % PER_CHUNK == PER_CHUNK - 1) {
			log_writer_cut(writer);
			log_writer_sizes(writer, &event_chunk_end[i / PER_CHUNK], &event_bytes);
		}
	}
	if (fixture_finish(writer, N_EVENTS * 10))
		abort();
	whole = fixture_load(path, &whole_bytes);

	struct log_reader *reader;
	struct log_error error;
	struct log_chunk_info info;
	if (log_reader_open(path, &reader, &error))
		abort();
	for (uint64_t i = 0; log_reader_chunk(reader, i, &info); i++)
		trailer_end = info.offset + info.compressed_bytes;
	log_reader_close(reader);
}

/* What reading a file through gave. */
struct outcome {
	int open_error, next_error, ram_error, verify_error;
	bool damage, trailer;
	unsigned n_events; /* equal to the original's, from the first on */
	unsigned n_pages;
	bool foreign; /* something was returned that was never written */
	bool vague;   /* an error without a text or past the file's end */
};

static int count_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	struct outcome *outcome = ctx;
	uint8_t expected[FORMAT_PAGE_BYTES];
	fixture_page(gpa / 0x10000, expected);
	if (gpa % 0x10000 || gpa / 0x10000 != ++outcome->n_pages ||
	    memcmp(expected, page, sizeof(expected)) != 0)
		outcome->foreign = true;
	return 0;
}

static int compare_data(void *ctx, const uint8_t *data, size_t n)
{
	struct outcome *outcome = ctx;
	uint8_t expected[FORMAT_PAGE_BYTES];
	fixture_page(3, expected);
	outcome->foreign |= n != 100 || memcmp(expected, data, n) != 0;
	return 0;
}

static void judge_error(struct outcome *outcome, int code, const struct log_error *error, size_t n)
{
	if (code && (error->code != code || !error->text[0] || error->offset > n ||
		     strchr(error->text, '\n')))
		outcome->vague = true;
}

static void read_all(struct log_reader *reader, size_t n, struct outcome *outcome)
{
	struct log_error error = {0};
	struct event event;
	outcome->ram_error = log_reader_each_page(reader, count_page, outcome, &error);
	judge_error(outcome, outcome->ram_error, &error, n);
	while ((outcome->next_error = log_reader_next(reader, &event, &error)) > 0) {
		struct event expected = small_event(outcome->n_events);
		if (outcome->n_events == N_EVENTS || !fixture_equal(&event, &expected))
			outcome->foreign = true;
		outcome->n_events++;
	}
	judge_error(outcome, outcome->next_error, &error, n);
	for (unsigned i = 0; i < log_reader_attachments(reader); i++)
		log_reader_attachment_data(reader, i, compare_data, outcome, &error);
	outcome->verify_error = log_reader_verify(reader, &error);
	judge_error(outcome, outcome->verify_error, &error, n);
	outcome->damage = log_reader_damage(reader) != NULL;
	outcome->trailer = log_reader_trailer(reader) != NULL;
	if (log_reader_last_icount(reader) != (outcome->n_events ? outcome->n_events - 1 : 0) * 10)
		outcome->foreign = true;
}

static struct outcome try_file(const uint8_t *data, size_t n)
{
	struct outcome outcome = {0};
	struct log_reader *reader;
	struct log_error error = {0};
	/* Thousands of files: they stay in memory. */
	char path[64];
	int fd = memfd_create("damaged", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		abort();
	outcome.open_error = log_reader_open(path, &reader, &error);
	close(fd);
	judge_error(&outcome, outcome.open_error, &error, n);
	if (outcome.open_error)
		return outcome;
	read_all(reader, n, &outcome);
	log_reader_close(reader);
	return outcome;
}

static void test_whole(void)
{
	struct outcome outcome = try_file(whole, whole_bytes);
	tap_ok(!outcome.open_error && !outcome.next_error && !outcome.ram_error &&
		       !outcome.verify_error && !outcome.damage && outcome.trailer &&
		       outcome.n_events == N_EVENTS && outcome.n_pages == 3 && !outcome.foreign,
	       "the whole file of %zu bytes reads", whole_bytes);
}

/* Files that earlier builds wrote. When one no longer reads, the format has changed: that needs a
 * new version, and the older ones must still be told apart. */
static void test_golden(void)
{
	static const struct {
		const uint8_t *data;
		size_t n;
	} files[] = {
		{log_golden_1, sizeof(log_golden_1)},
		{log_golden_2, sizeof(log_golden_2)},
	};

	for (uint32_t i = 0; i < FORMAT_VERSION; i++) {
		small_version = i + 1;
		struct outcome outcome = try_file(files[i].data, files[i].n);
		tap_ok(!outcome.open_error && !outcome.next_error && !outcome.ram_error &&
			       !outcome.verify_error && outcome.trailer &&
			       outcome.n_events == N_EVENTS && outcome.n_pages == 3 &&
			       !outcome.foreign,
		       "the golden file of version %u reads", small_version);
	}
}

/* ---- cuts ---- */

/* Events in the complete chunks of the first n bytes. */
static unsigned complete_events(size_t n)
{
	unsigned count = 0;
	for (unsigned i = 0; i < 3; i++)
		count += event_chunk_end[i] <= n ? PER_CHUNK : 0;
	return count;
}

static bool is_chunk_end(size_t n)
{
	uint64_t offset = FORMAT_PREAMBLE_BYTES;
	while (offset < n && offset < trailer_end) {
		uint32_t header_bytes = bytes_get_le32(whole + offset + 4);
		Reprise__ChunkHeader *header = reprise__chunk_header__unpack(
			NULL, header_bytes, whole + offset + FORMAT_FRAME_BYTES);
		if (!header)
			abort();
		offset += FORMAT_FRAME_BYTES + header_bytes + header->stored_bytes;
		reprise__chunk_header__free_unpacked(header, NULL);
	}
	return offset == n;
}

static void test_cuts(void)
{
	unsigned wrong = 0, opened = 0;
	for (size_t n = 0; n < whole_bytes; n++) {
		struct outcome outcome = try_file(whole, n);
		bool bad = outcome.foreign || outcome.vague;
		if (!outcome.open_error) {
			opened++;
			/* Behind the trailer only the index is missing. */
			bool clean = n >= trailer_end || is_chunk_end(n);
			bad |= outcome.n_events != complete_events(n);
			bad |= outcome.trailer != (n >= trailer_end);
			bad |= outcome.damage == clean;
			bad |= (outcome.next_error == 0) != clean;
			bad |= (outcome.verify_error == 0) != (clean && n < trailer_end);
		} else {
			bad |= outcome.open_error != -EBADMSG;
		}
		if (bad)
			tap_note("cut at %zu", n);
		wrong += bad;
	}
	tap_ok(wrong == 0 && opened > whole_bytes / 2,
	       "cut at every byte: complete chunks are read, and only those (%u of %zu opened)",
	       opened, whole_bytes);
}

/* ---- flips ---- */

static void test_flips(void)
{
	uint8_t *damaged = malloc(whole_bytes);
	unsigned wrong = 0, unopened = 0;
	if (!damaged)
		abort();
	memcpy(damaged, whole, whole_bytes);
	for (size_t bit = 0; bit < whole_bytes * 8; bit++) {
		damaged[bit / 8] ^= (uint8_t)(1u << bit % 8);
		struct outcome outcome = try_file(damaged, whole_bytes);
		damaged[bit / 8] ^= (uint8_t)(1u << bit % 8);
		bool bad = outcome.foreign || outcome.vague;
		unopened += outcome.open_error != 0;
		if (!outcome.open_error) {
			/* Every bit is under a checksum, so that verify must always see it. */
			bad |= !outcome.verify_error;
			/* What is not reported did no harm. */
			bad |= !outcome.next_error && outcome.n_events != N_EVENTS;
			bad |= outcome.n_events < complete_events(bit / 8) && !outcome.ram_error;
		}
		if (bad)
			tap_note("bit %zu of byte %zu", bit % 8, bit / 8);
		wrong += bad;
	}
	tap_ok(wrong == 0 && unopened < whole_bytes * 4,
	       "each of %zu bits flipped: noticed, and nothing untrue is read", whole_bytes * 8);
	free(damaged);
}

/* ---- the index ---- */

static void test_no_index(void)
{
	struct outcome outcome = try_file(whole, trailer_end);
	tap_ok(!outcome.open_error && outcome.n_events == N_EVENTS && outcome.trailer &&
		       !outcome.damage && !outcome.foreign && outcome.verify_error == -EBADMSG,
	       "without the index everything is read, and verify says that it is missing");
}

/* The whole file up to the trailer, with an index made from this table. */
static struct outcome try_table(const struct chunk_table *table)
{
	struct forge forge = {0};
	struct column raw = {0};
	uint8_t footer[FORMAT_FOOTER_BYTES];
	if (chunk_table_encode(table, &raw))
		abort();
	forge_bytes(&forge, whole, trailer_end);
	Reprise__ChunkHeader message = REPRISE__CHUNK_HEADER__INIT;
	message.kind = REPRISE__CHUNK_KIND__CHUNK_INDEX;
	message.n_items = table->n;
	forge_chunk(&forge, message, raw.data, raw.bytes);
	bytes_put_le64(footer, trailer_end);
	bytes_put_le64(footer + 8, XXH3_64bits(footer, 8));
	memcpy(footer + 16, FORMAT_FOOTER_MAGIC, 8);
	forge_bytes(&forge, footer, sizeof(footer));
	struct outcome outcome = try_file(forge.data, forge.bytes);
	free(forge.data);
	column_finish(&raw);
	return outcome;
}

static void lie_bytes(struct chunk_table *table, uint64_t row)
{
	table->rows[row].chunk.bytes++;
	table->rows[row + 1].chunk.bytes--;
}

static void lie_count(struct chunk_table *table, uint64_t row)
{
	table->rows[row].chunk.n_items++;
}

static void lie_icount(struct chunk_table *table, uint64_t row)
{
	table->rows[row].chunk.last_icount--;
}

static void lie_kind(struct chunk_table *table, uint64_t row)
{
	table->rows[row].chunk.kind = 99;
}

static void lie_raw(struct chunk_table *table, uint64_t row)
{
	table->rows[row].chunk.raw_bytes = UINT64_MAX;
}

static void lie_huge(struct chunk_table *table, uint64_t row)
{
	table->rows[row].chunk.bytes = UINT64_MAX - 5;
}

static void lie_missing(struct chunk_table *table, uint64_t row)
{
	table->n = row;
}

static void lie_merged(struct chunk_table *table, uint64_t row)
{
	table->rows[row].chunk.bytes += table->rows[row + 1].chunk.bytes;
	table->n--;
	memmove(&table->rows[row + 1], &table->rows[row + 2],
		(table->n - row - 1) * sizeof(*table->rows));
}

static void tell_truth(struct chunk_table *table, uint64_t row)
{
}

static void test_lying_index(void)
{
	static const struct {
		const char *name;
		void (*lie)(struct chunk_table *table, uint64_t row);
		bool true_index;
	} cases[] = {
		{"nothing", tell_truth, true},
		{"two chunks' lengths", lie_bytes, false},
		{"a count", lie_count, false},
		{"an instruction count", lie_icount, false},
		{"a kind", lie_kind, false},
		{"a decompressed size", lie_raw, false},
		{"a huge length", lie_huge, false},
		{"chunks that are there", lie_missing, false},
		{"two chunks as one", lie_merged, false},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct log_reader *reader;
		struct log_error error;
		if (log_reader_open(fixture_path("whole.rpz"), &reader, &error))
			abort();
		uint64_t row = chunk_table_find_icount(&reader->table, 0);
		cases[i].lie(&reader->table, row);
		struct outcome outcome = try_table(&reader->table);
		log_reader_close(reader);
		tap_ok(!outcome.open_error && outcome.n_events == N_EVENTS && !outcome.foreign &&
			       (outcome.verify_error == 0) == cases[i].true_index,
		       "an index that lies about %s is %s", cases[i].name,
		       cases[i].true_index ? "taken" : "rebuilt");
	}
}

/* Garbage behind a good file: not an index, so it is scanned, and the recording is whole. */
static void test_trailing(void)
{
	struct forge forge = {0};
	forge_bytes(&forge, whole, whole_bytes);
	forge_bytes(&forge, "garbage", 7);
	struct outcome outcome = try_file(forge.data, forge.bytes);
	tap_ok(!outcome.open_error && outcome.n_events == N_EVENTS && outcome.trailer &&
		       outcome.verify_error == -EBADMSG,
	       "bytes behind the end do no harm and are noticed by verify");
	free(forge.data);
}

int main(void)
{
	static const char *const files[] = {"whole.rpz"};
	fixture_begin();
	make_whole();
	test_whole();
	test_golden();
	test_cuts();
	test_flips();
	test_no_index();
	test_lying_index();
	test_trailing();
	free(whole);
	fixture_end(files, 1);
	return tap_done();
}
