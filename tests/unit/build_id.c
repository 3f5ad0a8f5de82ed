/* Build-ids are found among the notes of 64-bit files; whatever the bytes are, none beyond the end
 * is looked at. */
#include "log-format/build_id.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

#define FILE_BYTES 512
#define NOTES      256

static const uint8_t id[] = {0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5};

static size_t put_note(uint8_t *data, size_t at, const char *name, uint32_t type,
		       const void *content, uint32_t n)
{
	Elf64_Nhdr note = {(Elf64_Word)strlen(name) + 1, n, type};

	memcpy(data + at, &note, sizeof(note));
	at += sizeof(note);
	memcpy(data + at, name, note.n_namesz);
	at += (note.n_namesz + 3) & ~3u;
	memcpy(data + at, content, n);
	return at + ((n + 3) & ~3u);
}

/* A file with two segments, the second of notes: another vendor's, another of GNU's, the build-id.
 */
static void make_file(uint8_t data[FILE_BYTES])
{
	Elf64_Ehdr header = {
		.e_phoff = sizeof(header), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2};
	Elf64_Phdr segment[2] = {{.p_type = PT_LOAD}, {.p_type = PT_NOTE, .p_offset = NOTES}};
	size_t end = NOTES;

	memset(data, 0, FILE_BYTES);
	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS64;
	end = put_note(data, end, "Other", NT_GNU_BUILD_ID, "no", 3);
	end = put_note(data, end, "GNU", NT_GNU_ABI_TAG, "abi", 3);
	end = put_note(data, end, "GNU", NT_GNU_BUILD_ID, id, sizeof(id));
	segment[1].p_filesz = end - NOTES;
	memcpy(data, &header, sizeof(header));
	memcpy(data + sizeof(header), segment, sizeof(segment));
}

/* In a block of exactly n bytes, where a sanitizer sees a read beyond. */
static bool read_first(const uint8_t *data, size_t n, struct build_id *ret)
{
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, data, n);
	bool found = build_id_read(copy, n, ret);
	free(copy);
	return found;
}

static void test_found(const uint8_t *data)
{
	struct build_id found;

	tap_ok(read_first(data, FILE_BYTES, &found) && found.n == sizeof(id) &&
		       !memcmp(found.bytes, id, sizeof(id)),
	       "found behind other notes");
}

static void test_cut(const uint8_t *data)
{
	struct build_id found;
	unsigned n_found = 0, last = 0;

	for (size_t n = 0; n < FILE_BYTES; n++) {
		if (read_first(data, n, &found)) {
			n_found++;
		} else {
			last = (unsigned)n;
		}
	}
	tap_ok(n_found && n_found == FILE_BYTES - 1 - last,
	       "found from one length on, and not in less");
}

static void test_others(uint8_t *data)
{
	struct build_id found;

	data[EI_CLASS] = ELFCLASS32;
	tap_ok(!read_first(data, FILE_BYTES, &found), "not in a 32-bit file");
	data[EI_CLASS] = ELFCLASS64;
	data[0] = 0;
	tap_ok(!read_first(data, FILE_BYTES, &found), "not in what is no ELF file");
	make_file(data);
	((Elf64_Nhdr *)(void *)(data + NOTES))->n_descsz = UINT32_MAX;
	tap_ok(!read_first(data, FILE_BYTES, &found),
	       "not behind a note that is longer than all notes");
	make_file(data);
	((Elf64_Ehdr *)(void *)data)->e_phoff = UINT64_MAX - 8;
	tap_ok(!read_first(data, FILE_BYTES, &found), "not with segments beyond the end");
}

static void test_damage(uint8_t *data)
{
	struct build_id found;
	uint64_t random = 1;
	bool good = true;

	for (unsigned i = 0; i < 100000; i++) {
		make_file(data);
		for (unsigned j = 0; j < 3; j++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			data[(random >> 33) % FILE_BYTES] = (uint8_t)(random >> 20);
		}
		if (read_first(data, FILE_BYTES, &found))
			good &= found.n <= BUILD_ID_MAX;
	}
	tap_ok(good, "damaged files do no harm");
}

int main(void)
{
	static _Alignas(8) uint8_t data[FILE_BYTES];

	make_file(data);
	test_found(data);
	test_cut(data);
	test_others(data);
	test_damage(data);
	return tap_done();
}
