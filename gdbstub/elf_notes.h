/* Build-ids of ELF files (gABI 5, "Note Section"; GNU property NT_GNU_BUILD_ID). */
#ifndef REPRISE_GDBSTUB_ELF_NOTES_H
#define REPRISE_GDBSTUB_ELF_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_BUILD_ID_MAX 64

struct elf_build_id {
	uint8_t bytes[ELF_BUILD_ID_MAX];
	size_t n;
};

/* Of a 64-bit file; the first n of its bytes are enough when the note lies among them, and any
 * bytes are taken. Returns false when it has none. */
bool elf_read_build_id(const uint8_t *data, size_t n, struct elf_build_id *ret);

#endif
