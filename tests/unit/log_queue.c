/* Chunks that a thread writes: in order, all of them, or none behind one that failed. */
#include "log-format/chunk_queue.h"
#include "tests/unit/log_fixture.h"

/* More than may wait at once. */
#define CHUNKS 200
#define BYTES  20000

static struct column content(unsigned n)
{
	struct column raw = {0};

	if (column_reserve(&raw, BYTES))
		abort();
	for (unsigned i = 0; i < BYTES; i++)
		column_put_byte(&raw, (uint8_t)(i * i / (n + 1)));
	return raw;
}

struct written {
	struct chunk chunk[CHUNKS];
	unsigned n, stop; /* at which one to fail */
};

static int note(void *ctx, const struct chunk *chunk)
{
	struct written *written = ctx;

	if (written->n == written->stop)
		return -EPROTO;
	written->chunk[written->n++] = *chunk;
	return 0;
}

/* Returns the last answer. */
static int push_all(struct chunk_queue *queue)
{
	int error = 0;

	for (unsigned i = 0; i < CHUNKS && !error; i++) {
		struct chunk chunk = {.kind = REPRISE__CHUNK_KIND__CHUNK_RAM, .n_items = i + 1};
		struct column raw = content(i);
		error = chunk_queue_push(queue, &chunk, &raw);
		if (!error && (raw.data || raw.bytes))
			abort(); /* it is the queue's */
		column_finish(&raw);
	}
	return error;
}

static bool reads_back(struct chunk_reader *reader, const struct chunk *chunk, unsigned n)
{
	struct column raw = {0}, expected = content(n);
	struct log_error error;
	bool same = !chunk_read(reader, chunk, &raw, &error) && raw.bytes == BYTES &&
		    !memcmp(raw.data, expected.data, BYTES) && chunk->n_items == n + 1;

	column_finish(&raw);
	column_finish(&expected);
	return same;
}

static void test_order(const char *path)
{
	static struct written written;
	struct chunk_queue *queue;
	struct byte_sink sink;
	struct chunk_reader reader;
	struct log_error error;
	bool ascending = true, same = true;

	written = (struct written){.stop = CHUNKS};
	if (byte_sink_open(&sink, path) || chunk_queue_create(&sink, 3, &queue))
		abort();
	tap_ok(!push_all(queue) && chunk_queue_count(queue) == CHUNKS, "all are taken");
	tap_ok(!chunk_queue_finish(queue, note, &written) && written.n == CHUNKS, "and written");
	if (byte_sink_publish(&sink, false) || byte_sink_close(&sink) ||
	    chunk_reader_init(&reader, path, &error))
		abort();
	for (unsigned i = 0; i < CHUNKS; i++) {
		uint64_t end = i ? written.chunk[i - 1].offset + written.chunk[i - 1].bytes : 0;
		ascending &= written.chunk[i].offset == end;
		same &= reads_back(&reader, &written.chunk[i], i);
	}
	tap_ok(ascending, "one behind the other");
	tap_ok(same, "with what they held");
	chunk_reader_finish(&reader);
}

static void test_answer(void)
{
	static struct written written;
	struct chunk_queue *queue;
	struct byte_sink sink = {.fd = -1};

	written = (struct written){.stop = 5};
	if (chunk_queue_create(&sink, 0, &queue))
		abort();
	push_all(queue);
	tap_ok(chunk_queue_finish(queue, note, &written) == -EPROTO && written.n == 5,
	       "what the listener answers ends it");
	tap_ok(!chunk_queue_finish(NULL, note, &written), "none is finished at once");
}

/* More chunks than may wait: who pushes does not wait for ever. */
static void test_full_disk(void)
{
	static struct written written;
	struct chunk_queue *queue;
	struct byte_sink sink = {.fd = open("/dev/full", O_WRONLY)};

	written = (struct written){.stop = CHUNKS};
	if (sink.fd < 0 || chunk_queue_create(&sink, 0, &queue))
		abort();
	tap_ok(push_all(queue) == -ENOSPC, "a full disk is told of to who pushes on");
	tap_ok(chunk_queue_finish(queue, note, &written) == -ENOSPC && !written.n,
	       "and in the end, with no chunk written");
	close(sink.fd);
}

int main(void)
{
	static const char *const names[] = {"queue"};

	fixture_begin();
	test_order(fixture_path("queue"));
	test_answer();
	test_full_disk();
	fixture_end(names, 1);
	return tap_done();
}
