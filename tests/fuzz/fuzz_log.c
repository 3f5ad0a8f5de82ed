/*
 * libFuzzer target for the reader. Checksums would stop a fuzzer at the door, so the input is a
 * list of chunks that are framed truthfully here; an input that begins with an odd byte is a whole
 * file as it is. A record: kind, 2 bytes of count, first icount, range, 2 bytes of length, content.
 */
#include <sys/mman.h>

#include "tests/unit/log_fixture.h"

#define RECORD_BYTES 7u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int look_at_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	*(uint64_t *)ctx += page[0] + page[FORMAT_PAGE_BYTES - 1];
	return 0;
}

static int look_at_data(void *ctx, const uint8_t *data, size_t n)
{
	*(uint64_t *)ctx += data[n - 1];
	return 0;
}

static void read_everything(struct log_reader *reader)
{
	struct log_error error;
	struct event event;
	uint64_t sum = 0;
	/* A small file can name one page very often: what is new is found among the first events.
	 */
	unsigned left = 20000;
	log_reader_each_page(reader, look_at_page, &sum, &error);
	while (left-- && log_reader_next(reader, &event, &error) > 0) {
		if (event.kind == EVENT_MEMORY)
			sum += event.memory.data[event.memory.bytes - 1];
	}
	struct log_position position = log_reader_position(reader);
	log_reader_seek(reader, log_reader_last_icount(reader) / 2, &error);
	log_reader_next(reader, &event, &error);
	log_reader_set_position(reader, position, &error);
	for (unsigned i = 0; i < log_reader_attachments(reader); i++)
		log_reader_attachment_data(reader, i, look_at_data, &sum, &error);
	log_reader_verify(reader, &error);
}

static void add_chunks(struct forge *forge, const uint8_t *data, size_t n)
{
	while (n > RECORD_BYTES) {
		Reprise__ChunkHeader message = REPRISE__CHUNK_HEADER__INIT;
		size_t bytes = (size_t)data[5] | (size_t)data[6] << 8;
		bytes = bytes < n - RECORD_BYTES ? bytes : n - RECORD_BYTES;
		const uint8_t *raw = data + RECORD_BYTES;
		message.kind = (Reprise__ChunkKind)data[0];
		message.n_items = (uint64_t)data[1] | (uint64_t)data[2] << 8;
		message.first_icount = data[3];
		message.last_icount = (uint64_t)data[3] + data[4];
		uint8_t page[FORMAT_PAGE_BYTES] = {0};
		if (message.kind == REPRISE__CHUNK_KIND__CHUNK_PAGES) {
			memcpy(page, raw, bytes < sizeof(page) ? bytes : sizeof(page));
			message.n_items = 1;
			forge_chunk(forge, message, page, sizeof(page));
		} else if (bytes) {
			forge_chunk(forge, message, raw, bytes);
		}
		data += RECORD_BYTES + bytes;
		n -= RECORD_BYTES + bytes;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct forge forge = {0};
	if (!n)
		return 0;
	if (data[0] & 1) {
		forge_bytes(&forge, data + 1, n - 1);
	} else {
		forge_begin(&forge);
		add_chunks(&forge, data + 1, n - 1);
	}
	char path[64];
	int fd = memfd_create("fuzz", 0);
	if (fd < 0 || write(fd, forge.data, forge.bytes) != (ssize_t)forge.bytes)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct log_reader *reader;
	struct log_error error;
	if (log_reader_open(path, &reader, &error) == 0) {
		read_everything(reader);
		log_reader_close(reader);
	}
	close(fd);
	free(forge.data);
	return 0;
}
