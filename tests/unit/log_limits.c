/* Bounded memory on both sides, full disks, file size limits, and what happens to an existing file.
 */
#include <signal.h>
#include <sys/resource.h>

#include "tests/unit/log_fixture.h"

/* ---- memory ---- */

#define BULK_EVENTS    36000u      /* memory events of 64 KiB: 2.2 GiB */
#define BULK_CONTENTS  16384u      /* distinct pages among them: 64 MiB */
#define GROWTH_MAX_KIB (48 * 1024) /* bounds: 16 page chunks, columns, dedupe table */

static uint64_t resident_kib(void)
{
	char line[256];
	unsigned long long size, resident;
	int fd = open("/proc/self/statm", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	line[n] = 0;
	return sscanf(line, "%llu %llu", &size, &resident) == 2
		       ? resident * (uint64_t)sysconf(_SC_PAGESIZE) / 1024
		       : 0;
}

static struct event bulk_event(uint64_t i)
{
	static uint8_t memory[EVENT_MEMORY_MAX];
	uint64_t random = i + 1;
	/* Old and new contents mixed, so that the reader's cache misses too. */
	uint64_t first = fixture_random(&random) % (BULK_CONTENTS - 16);
	for (unsigned j = 0; j < 16; j++)
		bytes_put_le64(memory + j * FORMAT_PAGE_BYTES, first + j + 1);
	return (struct event){
		.kind = EVENT_MEMORY,
		.icount = i,
		.memory = {.gpa = i % 1000 << 16, .bytes = EVENT_MEMORY_MAX, .data = memory}};
}

static uint64_t write_bulk(const char *path)
{
	struct log_writer *writer = fixture_create(path, false);
	uint64_t early = 0, most = 0;
	for (uint64_t i = 0; i < BULK_EVENTS; i++) {
		struct event event = bulk_event(i);
		if (log_writer_append(writer, &event))
			abort();
		if (i % 500 == 499 && log_writer_cut(writer))
			abort();
		uint64_t now = i % 500 == 0 ? resident_kib() : 0;
		early = i == 1000 ? now : early;
		most = now > most ? now : most;
	}
	if (fixture_finish(writer, BULK_EVENTS))
		abort();
	return most - early;
}

static uint64_t read_bulk(const char *path, uint64_t *ret_bytes, bool *ret_equal)
{
	struct log_reader *reader;
	struct log_error error;
	struct event event;
	uint64_t early = 0, most = 0;
	*ret_bytes = 0;
	*ret_equal = log_reader_open(path, &reader, &error) == 0;
	for (uint64_t i = 0; *ret_equal && log_reader_next(reader, &event, &error) == 1; i++) {
		/* One in some dozens is compared: the test is about memory. */
		if (i % 37 == 0) {
			struct event expected = bulk_event(i);
			*ret_equal &= fixture_equal(&event, &expected);
		}
		*ret_bytes += event.memory.bytes;
		uint64_t now = i % 500 == 0 ? resident_kib() : 0;
		early = i == 0 ? now : early;
		most = now > most ? now : most;
	}
	log_reader_close(reader);
	return most - early;
}

static void test_memory(void)
{
	const char *path = fixture_path("bulk.rpz");
	uint64_t bytes;
	bool equal;
	uint64_t growth = write_bulk(path);
	tap_ok(growth < GROWTH_MAX_KIB, "writing 2 GiB of events takes %llu KiB more",
	       (unsigned long long)growth);
	growth = read_bulk(path, &bytes, &equal);
	tap_ok(equal && bytes == (uint64_t)BULK_EVENTS * EVENT_MEMORY_MAX,
	       "%llu MiB of events are read", (unsigned long long)bytes >> 20);
	tap_ok(growth < GROWTH_MAX_KIB, "reading them takes %llu KiB more",
	       (unsigned long long)growth);
}

/* Without a cut being asked for, chunks are cut all the same. */
static void test_uncut(void)
{
	const char *path = fixture_path("bulk.rpz");
	struct log_writer *writer = fixture_create(path, false);
	struct log_reader *reader;
	struct log_error error;
	struct log_chunk_info info;
	uint64_t random = 1, largest = 0, n_chunks = 0;
	bool wanted = false;
	for (unsigned i = 0; i < 2000000; i++) {
		struct event event = {.kind = EVENT_INPUT,
				      .icount = i,
				      .input = {CROSSING_RDRAND, 8, 0, fixture_random(&random)}};
		if (log_writer_append(writer, &event))
			abort();
		wanted |= log_writer_wants_cut(writer);
	}
	if (fixture_finish(writer, 2000000) || log_reader_open(path, &reader, &error))
		abort();
	for (uint64_t i = 0; log_reader_chunk(reader, i, &info); i++) {
		largest = info.raw_bytes > largest ? info.raw_bytes : largest;
		n_chunks += info.n_events > 0;
	}
	tap_ok(wanted && n_chunks > 1 && largest < FORMAT_RAW_MAX,
	       "a caller that never cuts gets %llu chunks", (unsigned long long)n_chunks);
	log_reader_close(reader);
}

/* ---- no space ---- */

static void test_device_full(void)
{
	struct log_writer *writer;
	struct log_error error = {0};
	Reprise__Machine machine = fixture_machine();
	Reprise__Header header = REPRISE__HEADER__INIT;
	header.machine = &machine;
	int result = log_writer_create("/dev/full", &header, true, &writer, &error);
	tap_ok(result == -ENOSPC && error.code == -ENOSPC && error.text[0],
	       "a full device is reported: %s", error.text);
	struct stat status;
	tap_ok(stat("/dev/full", &status) == 0 && S_ISCHR(status.st_mode),
	       "and the device is still there");
}

/* The file may grow to 100 kB only: what fits must replay, and the rest must not spoil it. */
static void test_size_limit(void)
{
	const char *path = fixture_path("bulk.rpz");
	struct rlimit old, small;
	struct log_error error;
	uint64_t random = 1, n_good = 0, n = 0, n_read = 0;
	struct log_writer *writer = fixture_create(path, true);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 100000;
	setrlimit(RLIMIT_FSIZE, &small);
	int result = 0;
	while (!result && n < 100000) {
		struct event event = {.kind = EVENT_INPUT,
				      .icount = n++,
				      .input = {CROSSING_RDSEED, 8, 0, fixture_random(&random)}};
		result = log_writer_append(writer, &event);
		if (!result && n % 1000 == 0) {
			result = log_writer_cut(writer);
			n_good = result ? n_good : n;
		}
	}
	setrlimit(RLIMIT_FSIZE, &old);
	tap_ok(result == -EFBIG && log_writer_error(writer)->code == -EFBIG,
	       "a file that cannot grow is reported: %s", log_writer_error(writer)->text);
	tap_ok(log_writer_cut(writer) == -EFBIG && fixture_finish(writer, n) == -EFBIG,
	       "and the error sticks when there is room again");

	struct log_reader *reader;
	struct event event;
	if (log_reader_open(path, &reader, &error))
		abort();
	while ((result = log_reader_next(reader, &event, &error)) > 0)
		n_read++;
	tap_ok(result == 0 && n_read == n_good && n_good > 0 && !log_reader_damage(reader) &&
		       !log_reader_trailer(reader),
	       "the chunk in progress is cut off again; %llu events are read",
	       (unsigned long long)n_read);
	log_reader_close(reader);
}

/* ---- existing files ---- */

static void test_replacing(void)
{
	const char *path = fixture_path("bulk.rpz");
	struct log_writer *writer = NULL;
	struct log_error error = {0};
	Reprise__Header header = REPRISE__HEADER__INIT;
	size_t n;
	fixture_store(path, (const uint8_t *)"precious", 8);
	int result = log_writer_create(path, &header, false, &writer, &error);
	uint8_t *data = fixture_load(path, &n);
	tap_ok(result == -EINVAL && n == 8 && !memcmp(data, "precious", 8),
	       "a header that cannot be written leaves the old file: %s", error.text);
	free(data);

	char link[128];
	strcpy(link, fixture_path("link.rpz"));
	if (symlink("bulk.rpz", link))
		abort();
	writer = fixture_create(link, false);
	log_writer_destroy(writer);
	struct stat status;
	data = fixture_load(fixture_path("bulk.rpz"), &n);
	tap_ok(lstat(link, &status) == 0 && S_ISLNK(status.st_mode) && n > 16 &&
		       !memcmp(data, FORMAT_MAGIC, 8),
	       "through a link the file is replaced and not the link");
	free(data);
	tap_ok(log_writer_create("/nonexistent/x.rpz", &header, false, &writer, &error) < 0,
	       "a directory that is not there is an error");
	tap_ok(log_writer_create(fixture_dir, &header, false, &writer, &error) < 0,
	       "a directory is not written to");
}

static void test_unreadable(void)
{
	struct log_reader *reader;
	struct log_error error = {0};
	tap_ok(log_reader_open("/nonexistent", &reader, &error) == -ENOENT && error.text[0],
	       "a file that is not there: %s", error.text);
	tap_ok(log_reader_open("/tmp", &reader, &error) == -EISDIR, "a directory: %s", error.text);
	tap_ok(log_reader_open("/dev/zero", &reader, &error) == -EINVAL, "a device: %s",
	       error.text);
}

int main(void)
{
	static const char *const files[] = {"bulk.rpz", "link.rpz"};
	fixture_begin();
	test_memory();
	test_uncut();
	test_device_full();
	test_size_limit();
	test_replacing();
	test_unreadable();
	fixture_end(files, 2);
	return tap_done();
}
