/*
 * Makes dishonest recordings: chunks with changed content and checksums that match, so that what
 * stands behind the checksums has to bear it.
 *
 *	reforge FILE PREFIX FIRST COUNT
 *
 * Writes PREFIX and a number for each of COUNT numbers from FIRST on; the number is the seed.
 */
#include <inttypes.h>

#include "log-format/table.h"
#include "tests/unit/log_fixture.h"

#define CHUNKS_MAX 64u

struct part {
	Reprise__ChunkHeader header;
	struct column raw;
};

static struct part parts[CHUNKS_MAX];
static unsigned n_parts;

static void load_part(struct chunk_reader *reader, const struct chunk_header *header)
{
	struct part *part = &parts[n_parts++];
	struct log_error error;

	reprise__chunk_header__init(&part->header);
	part->header.kind = (Reprise__ChunkKind)header->chunk.kind;
	part->header.n_items = header->chunk.n_items;
	part->header.first_icount = header->chunk.first_icount;
	part->header.last_icount = header->chunk.last_icount;
	if (chunk_read_payload(reader, header, &part->raw, &error))
		abort();
}

/* All chunks but the index, which is made anew. */
static void load(const char *path)
{
	struct chunk_reader reader = {0};
	struct chunk_header header;
	struct log_error error;
	uint64_t offset = FORMAT_PREAMBLE_BYTES;

	if (chunk_reader_init(&reader, path, &error))
		abort();
	while (n_parts < CHUNKS_MAX && chunk_read_header(&reader, offset, &header, &error) == 0) {
		if (header.chunk.kind != REPRISE__CHUNK_KIND__CHUNK_INDEX)
			load_part(&reader, &header);
		offset += header.chunk.bytes;
	}
	chunk_reader_finish(&reader);
}

static void change_header(uint64_t *random, Reprise__ChunkHeader *header)
{
	uint64_t *const numbers[] = {&header->n_items, &header->first_icount, &header->last_icount};
	uint64_t *number = numbers[fixture_random(random) % 3];

	if (fixture_random(random) % 2)
		*number ^= UINT64_C(1) << fixture_random(random) % 64;
	else
		*number += fixture_random(random) % 2 ? 1 : UINT64_MAX;
}

/* Changes 1 to 8 bytes where there is something, rather than in a page's zeros. */
static void change_raw(uint64_t *random, struct column *raw)
{
	unsigned left = 1u << fixture_random(random) % 4;

	for (unsigned tries = 0; left && tries < 1000; tries++) {
		size_t at = fixture_random(random) % raw->bytes;
		if (!raw->data[at] && fixture_random(random) % 8)
			continue;
		if (fixture_random(random) % 2)
			raw->data[at] ^= (uint8_t)(1u << fixture_random(random) % 8);
		else
			raw->data[at] = (uint8_t)fixture_random(random);
		left--;
	}
}

/* A part with its change where it is the chosen one; its row goes into the table of the index. */
static void forge_part(struct forge *forge, const struct part *part, uint64_t *random, bool changed,
		       struct chunk_table *table)
{
	Reprise__ChunkHeader header = part->header;
	struct column raw = {.data = malloc(part->raw.bytes), .bytes = part->raw.bytes};
	struct log_error ignored;

	if (!raw.data)
		abort();
	memcpy(raw.data, part->raw.data, raw.bytes);
	if (changed && fixture_random(random) % 8 == 0)
		change_header(random, &header);
	else if (changed)
		change_raw(random, &raw);
	struct chunk chunk = {
		.kind = (uint8_t)header.kind,
		.offset = forge->bytes,
		.raw_bytes = raw.bytes,
		.n_items = header.n_items,
		.first_icount = header.first_icount,
		.last_icount = header.last_icount,
	};
	forge_chunk(forge, header, raw.data, raw.bytes);
	chunk.bytes = forge->bytes - chunk.offset;
	chunk_table_add(table, &chunk,
			&ignored); /* an impossible one: the index does not fit then */
	free(raw.data);
}

static void forge_index(struct forge *forge, const struct chunk_table *table, uint64_t *random,
			bool changed)
{
	Reprise__ChunkHeader header = REPRISE__CHUNK_HEADER__INIT;
	struct column raw = {0};
	uint8_t footer[FORMAT_FOOTER_BYTES];

	if (!table->n || chunk_table_encode(table, &raw))
		abort();
	if (changed)
		change_raw(random, &raw);
	bytes_put_le64(footer, forge->bytes);
	bytes_put_le64(footer + 8, XXH3_64bits(footer, 8));
	memcpy(footer + 16, FORMAT_FOOTER_MAGIC, 8);
	header.kind = REPRISE__CHUNK_KIND__CHUNK_INDEX;
	header.n_items = table->n;
	forge_chunk(forge, header, raw.data, raw.bytes);
	forge_bytes(forge, footer, sizeof(footer));
	column_finish(&raw);
}

static void forge_file(const char *path, uint64_t seed)
{
	uint64_t random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	unsigned changed = (unsigned)(fixture_random(&random) % (n_parts + 1));
	struct chunk_table table = {0};
	struct forge forge;

	forge_preamble(&forge);
	for (unsigned i = 0; i < n_parts; i++)
		forge_part(&forge, &parts[i], &random, i == changed, &table);
	forge_index(&forge, &table, &random, changed == n_parts);
	fixture_store(path, forge.data, forge.bytes);
	chunk_table_finish(&table);
	free(forge.data);
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	load(argv[1]);
	if (!n_parts)
		return 1;
	uint64_t first = strtoull(argv[3], NULL, 10), count = strtoull(argv[4], NULL, 10);
	for (uint64_t seed = first; seed < first + count; seed++) {
		char path[4096];
		snprintf(path, sizeof(path), "%s%" PRIu64, argv[2], seed);
		forge_file(path, seed);
	}
	for (unsigned i = 0; i < n_parts; i++)
		column_finish(&parts[i].raw);
	return 0;
}
