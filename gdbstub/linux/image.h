/* Where a guest kernel's image lies. It is one piece, both in linear and in physical memory. */
#ifndef REPRISE_GDBSTUB_LINUX_IMAGE_H
#define REPRISE_GDBSTUB_LINUX_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "gdbstub/linux/kallsyms.h"

struct kernel_image {
	const struct memory *memory;
	uint64_t start, end; /* linear: of _text; behind _end */
	uint64_t gpa;        /* of start */
};

/*
 * Finds where the image of these symbols lies; part_gpa is in it. Returns false when there is no
 * place at which the memory holds what the symbols say.
 */
bool kernel_image_find(const struct memory *memory, const struct kallsyms *symbols,
		       uint64_t part_gpa, struct kernel_image *ret_image);

/* Copies n bytes at a linear address. Returns false when they do not lie in the image and in RAM.
 */
bool kernel_image_read(const struct kernel_image *image, uint64_t address, void *buffer,
		       uint64_t n);

/*
 * Copies what lies between two symbols into allocated memory. Returns 0, -ENOENT when a symbol is
 * missing or it is no more than max bytes in the image, -ENOMEM.
 */
int kernel_image_copy(const struct kernel_image *image, const struct kallsyms *symbols,
		      const char *from, const char *to, uint64_t max, uint8_t **ret_data,
		      uint64_t *ret_bytes);

#endif
