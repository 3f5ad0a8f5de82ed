/*
 * What the log tests share: random events from a seed, a small complete file, comparing what is
 * read with what was written, and files put together by hand.
 */
#ifndef REPRISE_TESTS_UNIT_LOG_FIXTURE_H
#define REPRISE_TESTS_UNIT_LOG_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "log-format/chunks.h"
#include "log-format/format.h"
#include "log-format/log.h"
#include "log-format/message.h"
#include "tests/tap.h"

/* ---- a directory for the test's files ---- */

static char fixture_dir[64];

static inline const char *fixture_path(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", fixture_dir, name);
	return path;
}

static inline void fixture_begin(void)
{
	strcpy(fixture_dir, "/tmp/reprise-log-XXXXXX");
	if (!mkdtemp(fixture_dir))
		abort();
}

/* Removes the directory; a file of another name left in it makes the test fail. */
static inline void fixture_end(const char *const *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		unlink(fixture_path(names[i]));
	tap_ok(rmdir(fixture_dir) == 0, "no other file was left behind");
}

static inline void fixture_store(const char *path, const uint8_t *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, data, n) != (ssize_t)n || close(fd) < 0)
		abort();
}

static inline uint8_t *fixture_load(const char *path, size_t *ret_bytes)
{
	struct stat status;
	int fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &status) < 0)
		abort();
	uint8_t *data = malloc((size_t)status.st_size + 1);
	if (!data || read(fd, data, (size_t)status.st_size) != status.st_size)
		abort();
	close(fd);
	*ret_bytes = (size_t)status.st_size;
	return data;
}

/* ---- random events ---- */

/* xorshift64*: the same numbers everywhere. */
static inline uint64_t fixture_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

/* A page that depends on n alone; page 0 is all zeros. */
static inline void fixture_page(uint64_t n, uint8_t *page)
{
	memset(page, 0, FORMAT_PAGE_BYTES);
	if (n)
		bytes_put_le64(page + n % 500 * 8, n);
}

struct fixture_events {
	uint64_t random;
	uint64_t icount;
	uint32_t n_pages; /* distinct contents of whole pages */
	uint8_t memory[EVENT_MEMORY_MAX];
};

static inline uint64_t fixture_value(uint64_t *random)
{
	/* Any magnitude, the extremes included. */
	unsigned shift = (unsigned)(fixture_random(random) % 65);
	return shift == 64 ? 0 : fixture_random(random) >> shift;
}

static inline void fixture_next_input(struct fixture_events *events, struct event *event)
{
	static const uint8_t kinds[] = {CROSSING_PORT_READ, CROSSING_MMIO_READ, CROSSING_MSR_READ,
					CROSSING_CR8_READ,  CROSSING_RDRAND,    CROSSING_RDSEED};
	uint64_t *random = &events->random;
	event->input.kind = kinds[fixture_random(random) % sizeof(kinds)];
	event->input.size = (uint8_t)(1u << fixture_random(random) % 4);
	event->input.address =
		fixture_random(random) % 4 ? fixture_random(random) % 16 : fixture_value(random);
	event->input.value = fixture_value(random);
}

static inline void fixture_next_memory(struct fixture_events *events, struct event *event)
{
	uint64_t *random = &events->random;
	uint64_t gpa = fixture_random(random) % (UINT64_C(1) << 40);
	uint32_t bytes = (uint32_t)(fixture_random(random) % EVENT_MEMORY_MAX) + 1;
	if (fixture_random(random) % 2) {
		gpa &= ~UINT64_C(4095);
		bytes = (uint32_t)(fixture_random(random) % 16 + 1) * FORMAT_PAGE_BYTES;
	} else if (fixture_random(random) % 2) {
		bytes = (uint32_t)(fixture_random(random) % 64) + 1;
	}
	for (uint32_t at = 0; at < EVENT_MEMORY_MAX; at += FORMAT_PAGE_BYTES)
		fixture_page(fixture_random(random) % events->n_pages, events->memory + at);
	if (fixture_random(random) % 8 == 0)
		bytes = EVENT_MEMORY_MAX;
	event->memory.gpa = gpa;
	event->memory.bytes = bytes;
	event->memory.data = events->memory;
}

/* The next event of the sequence that the seed names. memory.data is valid until the next call. */
static inline struct event fixture_next(struct fixture_events *events)
{
	uint64_t *random = &events->random;
	struct event event = {0};
	event.kind = (uint8_t)(1 + fixture_random(random) % (EVENT_KIND_COUNT - 1));
	if (fixture_random(random) % 3)
		events->icount += fixture_random(random) % 100000;
	event.icount = events->icount;
	switch (event.kind) {
	case EVENT_INPUT:
		fixture_next_input(events, &event);
		break;
	case EVENT_CLOCK:
		event.clock.base = fixture_value(random);
		event.clock.ratio = fixture_value(random);
		break;
	case EVENT_MEMORY:
		fixture_next_memory(events, &event);
		break;
	case EVENT_DIGEST:
		event.digest.registers = fixture_value(random);
		event.digest.memory = fixture_value(random);
		event.digest.output = fixture_value(random);
		break;
	case EVENT_OUTPUT:
		event.output.gpa = fixture_value(random) >> 1;
		event.output.bytes = (uint32_t)(fixture_random(random) % EVENT_MEMORY_MAX) + 1;
		event.output.stream = (uint32_t)fixture_value(random);
		break;
	case EVENT_RESET:
	case EVENT_POWER_OFF:
		break;
	default:
		event.delivery.vcpu = (uint32_t)fixture_value(random);
		event.delivery.vector = (uint8_t)fixture_random(random);
	}
	return event;
}

static inline struct fixture_events fixture_events_from(uint64_t seed)
{
	return (struct fixture_events){.random = seed, .n_pages = 300};
}

static inline bool fixture_equal(const struct event *a, const struct event *b)
{
	if (a->kind != b->kind || a->icount != b->icount)
		return false;
	switch (a->kind) {
	case EVENT_INPUT:
		return a->input.kind == b->input.kind && a->input.size == b->input.size &&
		       a->input.address == b->input.address && a->input.value == b->input.value;
	case EVENT_CLOCK:
		return a->clock.base == b->clock.base && a->clock.ratio == b->clock.ratio;
	case EVENT_MEMORY:
		return a->memory.gpa == b->memory.gpa && a->memory.bytes == b->memory.bytes &&
		       memcmp(a->memory.data, b->memory.data, a->memory.bytes) == 0;
	case EVENT_DIGEST:
		return a->digest.registers == b->digest.registers &&
		       a->digest.memory == b->digest.memory && a->digest.output == b->digest.output;
	case EVENT_OUTPUT:
		return a->output.gpa == b->output.gpa && a->output.bytes == b->output.bytes &&
		       a->output.stream == b->output.stream;
	case EVENT_RESET:
	case EVENT_POWER_OFF:
		return true;
	default:
		return a->delivery.vcpu == b->delivery.vcpu &&
		       a->delivery.vector == b->delivery.vector;
	}
}

/* ---- headers ---- */

static inline Reprise__Machine fixture_machine(void)
{
	Reprise__Machine machine = REPRISE__MACHINE__INIT;
	machine.n_vcpus = 1;
	machine.cpu_model = (char *)"x86-64-v2";
	return machine;
}

static inline struct log_writer *fixture_create(const char *path, bool sync)
{
	struct log_writer *writer = NULL;
	struct log_error error;
	Reprise__Machine machine = fixture_machine();
	Reprise__Header header = REPRISE__HEADER__INIT;
	header.machine = &machine;
	header.tool_version = (char *)"test";
	if (log_writer_create(path, &header, sync, &writer, &error)) {
		tap_note("%s", error.text);
		abort();
	}
	return writer;
}

static inline int fixture_finish(struct log_writer *writer, uint64_t end_icount)
{
	Reprise__Trailer trailer = REPRISE__TRAILER__INIT;
	trailer.end_icount = end_icount;
	trailer.end_reason = (char *)"power-off";
	int error = log_writer_finish(writer, &trailer);
	log_writer_destroy(writer);
	return error;
}

/* ---- chunks put together by hand, with checksums that match ---- */

struct forge {
	uint8_t *data;
	size_t bytes;
};

static inline void forge_bytes(struct forge *forge, const void *data, size_t n)
{
	forge->data = realloc(forge->data, forge->bytes + n + 1);
	if (!forge->data)
		abort();
	if (n)
		memcpy(forge->data + forge->bytes, data, n);
	forge->bytes += n;
}

/* Frame, header and payload as they are given; only the checksums are made. */
static inline void forge_stored(struct forge *forge, Reprise__ChunkHeader message,
				const uint8_t *payload, size_t n)
{
	uint8_t header[512], frame[FORMAT_FRAME_BYTES];
	message.stored_xxh3 = XXH3_64bits(payload, n);
	size_t header_bytes = reprise__chunk_header__pack(&message, header);
	memcpy(frame, FORMAT_CHUNK_MAGIC, 4);
	bytes_put_le32(frame + 4, (uint32_t)header_bytes);
	bytes_put_le64(frame + 8, XXH3_64bits_withSeed(header, header_bytes, forge->bytes));
	forge_bytes(forge, frame, sizeof(frame));
	forge_bytes(forge, header, header_bytes);
	forge_bytes(forge, payload, n);
}

/* Compresses raw; sizes that the message leaves at 0 are filled in truthfully. */
static inline void forge_chunk(struct forge *forge, Reprise__ChunkHeader message,
			       const uint8_t *raw, size_t n)
{
	size_t bound = LZ4F_compressFrameBound(n, NULL);
	uint8_t *payload = malloc(bound);
	if (!payload)
		abort();
	size_t stored = LZ4F_compressFrame(payload, bound, raw, n, NULL);
	if (!message.stored_bytes)
		message.stored_bytes = stored;
	if (!message.raw_bytes)
		message.raw_bytes = n;
	forge_stored(forge, message, payload, stored);
	free(payload);
}

static inline void forge_message(struct forge *forge, unsigned kind,
				 const ProtobufCMessage *content)
{
	struct column raw = {0};
	Reprise__ChunkHeader message = REPRISE__CHUNK_HEADER__INIT;
	message.kind = (Reprise__ChunkKind)kind;
	if (message_pack(content, &raw))
		abort();
	forge_chunk(forge, message, raw.data, raw.bytes);
	column_finish(&raw);
}

static inline void forge_preamble(struct forge *forge)
{
	uint8_t preamble[FORMAT_PREAMBLE_BYTES] = {0};
	*forge = (struct forge){0};
	memcpy(preamble, FORMAT_MAGIC, FORMAT_MAGIC_BYTES);
	bytes_put_le32(preamble + FORMAT_MAGIC_BYTES, FORMAT_VERSION);
	forge_bytes(forge, preamble, sizeof(preamble));
}

/* Preamble and a good header. */
static inline void forge_begin(struct forge *forge)
{
	forge_preamble(forge);
	Reprise__Machine machine = fixture_machine();
	Reprise__Header header = REPRISE__HEADER__INIT;
	header.format_version = FORMAT_VERSION;
	header.machine = &machine;
	forge_message(forge, REPRISE__CHUNK_KIND__CHUNK_HEADER, &header.base);
}

#endif
