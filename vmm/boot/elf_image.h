/*
 * An ELF executable in memory, 32- or 64-bit, x86. Nothing in it is trusted: every offset and size
 * is checked against the file's length.
 */
#ifndef REPRISE_VMM_BOOT_ELF_IMAGE_H
#define REPRISE_VMM_BOOT_ELF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_IMAGE_MAX_SEGMENTS 128

struct elf_segment {
	uint32_t type; /* PT_LOAD, PT_NOTE, … */
	uint64_t gva, gpa;
	const uint8_t *data; /* file_bytes of them, in the file */
	uint64_t file_bytes, memory_bytes;
	uint64_t align;
};

struct elf_image {
	bool is_64;
	uint64_t entry;
	unsigned n_segments;
	struct elf_segment segment[ELF_IMAGE_MAX_SEGMENTS];
};

/* True when the file starts like an ELF file. */
bool elf_image_recognize(const uint8_t *file, size_t bytes);

/*
 * Reads header and program headers. Returns 0, or -EINVAL with *ret_problem: a few words. The image
 * points into the file.
 */
int elf_image_parse(const uint8_t *file, size_t bytes, struct elf_image *ret_image,
		    const char **ret_problem);

/* Finds a note and gives its value, 4 or 8 bytes wide. Returns false when there is none. */
bool elf_image_note(const struct elf_image *image, const char *name, uint32_t type,
		    uint64_t *ret_value);

struct loader;

/* Loads all PT_LOAD segments at their physical addresses; errors as loader_put_segment(). */
int elf_image_load(const struct elf_image *image, struct loader *loader);

#endif
