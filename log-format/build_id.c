#include "log-format/build_id.h"

#include <elf.h>
#include <string.h>

#define MAX_SEGMENTS 256

/* The notes in [at, end): name and content, each aligned to 4 bytes. */
static bool find_note(const uint8_t *data, size_t at, size_t end, struct build_id *ret)
{
	while (end - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		memcpy(&note, data + at, sizeof(note));
		at += sizeof(note);
		size_t name = ((size_t)note.n_namesz + 3) & ~(size_t)3;
		size_t content = ((size_t)note.n_descsz + 3) & ~(size_t)3;
		if (name > end - at || content > end - at - name)
			return false;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    !memcmp(data + at, "GNU", 4) && note.n_descsz <= sizeof(ret->bytes)) {
			memcpy(ret->bytes, data + at + name, note.n_descsz);
			ret->n = note.n_descsz;
			return true;
		}
		at += name + content;
	}
	return false;
}

bool build_id_read(const uint8_t *data, size_t n, struct build_id *ret)
{
	Elf64_Ehdr header;

	if (n < sizeof(header))
		return false;
	memcpy(&header, data, sizeof(header));
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > MAX_SEGMENTS)
		return false;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment;
		if (header.e_phoff > n || n - header.e_phoff < (i + 1) * sizeof(segment))
			return false;
		memcpy(&segment, data + header.e_phoff + i * sizeof(segment), sizeof(segment));
		if (segment.p_type == PT_NOTE && segment.p_offset <= n &&
		    segment.p_filesz <= n - segment.p_offset &&
		    find_note(data, segment.p_offset, segment.p_offset + segment.p_filesz, ret))
			return true;
	}
	return false;
}
