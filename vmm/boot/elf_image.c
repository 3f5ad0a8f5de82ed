#include "vmm/boot/elf_image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "vmm/boot/loader.h"

#define NOTE_HEADER_BYTES 12u

/* The fields of either header that are of interest. */
struct elf_header {
	uint16_t machine;
	uint64_t phoff;
	uint16_t phentsize, phnum;
};

bool elf_image_recognize(const uint8_t *file, size_t bytes)
{
	return bytes >= EI_NIDENT && memcmp(file, ELFMAG, SELFMAG) == 0;
}

static bool parse_header(const uint8_t *file, size_t bytes, struct elf_image *image,
			 struct elf_header *ret_header)
{
	Elf64_Ehdr wide;
	Elf32_Ehdr narrow;

	image->is_64 = file[EI_CLASS] == ELFCLASS64;
	if (bytes < (image->is_64 ? sizeof(wide) : sizeof(narrow)))
		return false;
	if (image->is_64) {
		memcpy(&wide, file, sizeof(wide));
		image->entry = wide.e_entry;
		*ret_header = (struct elf_header){.machine = wide.e_machine,
						  .phoff = wide.e_phoff,
						  .phentsize = wide.e_phentsize,
						  .phnum = wide.e_phnum};
	} else {
		memcpy(&narrow, file, sizeof(narrow));
		image->entry = narrow.e_entry;
		*ret_header = (struct elf_header){.machine = narrow.e_machine,
						  .phoff = narrow.e_phoff,
						  .phentsize = narrow.e_phentsize,
						  .phnum = narrow.e_phnum};
	}
	return true;
}

/* Reads one program header; ret_offset: where its bytes lie in the file. */
static void parse_segment(const uint8_t *raw, bool is_64, struct elf_segment *ret_segment,
			  uint64_t *ret_offset)
{
	Elf64_Phdr wide;
	Elf32_Phdr narrow;

	if (is_64) {
		memcpy(&wide, raw, sizeof(wide));
		*ret_segment = (struct elf_segment){.type = wide.p_type,
						    .gva = wide.p_vaddr,
						    .gpa = wide.p_paddr,
						    .file_bytes = wide.p_filesz,
						    .memory_bytes = wide.p_memsz,
						    .align = wide.p_align};
		*ret_offset = wide.p_offset;
	} else {
		memcpy(&narrow, raw, sizeof(narrow));
		*ret_segment = (struct elf_segment){.type = narrow.p_type,
						    .gva = narrow.p_vaddr,
						    .gpa = narrow.p_paddr,
						    .file_bytes = narrow.p_filesz,
						    .memory_bytes = narrow.p_memsz,
						    .align = narrow.p_align};
		*ret_offset = narrow.p_offset;
	}
}

static int parse_segments(const uint8_t *file, size_t bytes, const struct elf_header *header,
			  struct elf_image *image, const char **ret_problem)
{
	image->n_segments = header->phnum;
	for (unsigned i = 0; i < header->phnum; i++) {
		struct elf_segment *segment = &image->segment[i];
		uint64_t offset;

		parse_segment(file + header->phoff + (size_t)i * header->phentsize, image->is_64,
			      segment, &offset);
		if (segment->type != PT_LOAD && segment->type != PT_NOTE)
			segment->file_bytes = 0;
		if (segment->file_bytes == 0)
			offset = 0;
		if (offset > bytes || segment->file_bytes > bytes - offset) {
			*ret_problem = "the ELF file is truncated: a segment lies past its end";
			return -EINVAL;
		}
		segment->data = file + offset;
	}
	return 0;
}

int elf_image_parse(const uint8_t *file, size_t bytes, struct elf_image *ret_image,
		    const char **ret_problem)
{
	struct elf_header header;
	size_t entry_bytes;

	*ret_problem = "the ELF header is truncated";
	if (!elf_image_recognize(file, bytes) || !parse_header(file, bytes, ret_image, &header))
		return -EINVAL;
	entry_bytes = ret_image->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	*ret_problem = "the ELF file is not for x86";
	if (file[EI_DATA] != ELFDATA2LSB ||
	    header.machine != (ret_image->is_64 ? EM_X86_64 : EM_386))
		return -EINVAL;
	*ret_problem = "the ELF file has no segments or too many";
	if (header.phnum == 0 || header.phnum > ELF_IMAGE_MAX_SEGMENTS)
		return -EINVAL;
	*ret_problem = "the ELF program headers lie outside the file";
	if (header.phentsize < entry_bytes || header.phoff > bytes ||
	    (uint64_t)header.phnum * header.phentsize > bytes - header.phoff)
		return -EINVAL;
	return parse_segments(file, bytes, &header, ret_image, ret_problem);
}

/* ---- notes ---- */

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) / align * align;
}

static uint32_t get_le32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Looks through one PT_NOTE: { namesz, descsz, type, name, desc }, name and desc padded. */
static bool find_note(const struct elf_segment *segment, const char *name, uint32_t type,
		      uint64_t *ret_value)
{
	uint64_t align = segment->align == 8 ? 8 : 4, at = 0;
	size_t name_bytes = strlen(name) + 1;

	while (segment->file_bytes - at >= NOTE_HEADER_BYTES) {
		const uint8_t *note = segment->data + at;
		uint64_t namesz = get_le32(note), descsz = get_le32(note + 4);
		uint64_t desc = align_up(NOTE_HEADER_BYTES + namesz, align);
		uint64_t next = align_up(desc + descsz, align);

		if (desc + descsz > segment->file_bytes - at)
			return false;
		if (get_le32(note + 8) == type && namesz == name_bytes &&
		    memcmp(note + NOTE_HEADER_BYTES, name, name_bytes) == 0 &&
		    (descsz == 4 || descsz == 8)) {
			*ret_value = 0;
			memcpy(ret_value, note + desc, descsz);
			return true;
		}
		if (next > segment->file_bytes - at)
			return false;
		at += next;
	}
	return false;
}

bool elf_image_note(const struct elf_image *image, const char *name, uint32_t type,
		    uint64_t *ret_value)
{
	for (unsigned i = 0; i < image->n_segments; i++)
		if (image->segment[i].type == PT_NOTE &&
		    find_note(&image->segment[i], name, type, ret_value))
			return true;
	return false;
}

int elf_image_load(const struct elf_image *image, struct loader *loader)
{
	for (unsigned i = 0; i < image->n_segments; i++) {
		const struct elf_segment *segment = &image->segment[i];
		int err;

		if (segment->type != PT_LOAD)
			continue;
		err = loader_put_segment(loader, segment->gpa, segment->data, segment->file_bytes,
					 segment->memory_bytes);
		if (err)
			return err;
	}
	return loader->kernel_end ? 0 : loader_fail(loader, -EINVAL, "kernel has nothing to load");
}
