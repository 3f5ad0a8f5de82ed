#include "gdbstub/linux/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Physical and linear addresses of a kernel differ by a multiple of this (CONFIG_PHYSICAL_ALIGN;
 * Linux Documentation/arch/x86/boot.rst, kernel_alignment). */
#define IMAGE_ALIGN     (UINT64_C(2) << 20)
#define IMAGE_MAX_BYTES (UINT64_C(512) << 20)

static const char banner_start[] = "Linux version ";

static bool holds_banner(const struct kernel_image *image, uint64_t banner)
{
	char text[sizeof(banner_start) - 1];

	return kernel_image_read(image, banner, text, sizeof(text)) &&
	       !memcmp(text, banner_start, sizeof(text));
}

bool kernel_image_find(const struct memory *memory, const struct kallsyms *symbols,
		       uint64_t part_gpa, struct kernel_image *ret_image)
{
	struct kernel_image image = {.memory = memory};
	uint64_t banner;

	if (!kallsyms_address(symbols, "_text", &image.start) ||
	    !kallsyms_address(symbols, "_end", &image.end) ||
	    !kallsyms_address(symbols, "linux_banner", &banner) || image.end <= image.start ||
	    image.end - image.start > IMAGE_MAX_BYTES)
		return false;
	/* _text is at a multiple of the alignment plus what it is linked at. */
	uint64_t bytes = image.end - image.start;
	uint64_t last = part_gpa - (part_gpa - image.start) % IMAGE_ALIGN;
	for (uint64_t gpa = last; gpa <= part_gpa && part_gpa - gpa < bytes; gpa -= IMAGE_ALIGN) {
		image.gpa = gpa;
		if (holds_banner(&image, banner)) {
			*ret_image = image;
			return true;
		}
	}
	return false;
}

bool kernel_image_read(const struct kernel_image *image, uint64_t address, void *buffer, uint64_t n)
{
	if (address < image->start || address > image->end || n > image->end - address)
		return false;
	uint64_t gpa = image->gpa + (address - image->start);
	if (!memory_is_ram(image->memory, gpa, n))
		return false;
	memory_read(image->memory, gpa, buffer, n);
	return true;
}

int kernel_image_copy(const struct kernel_image *image, const struct kallsyms *symbols,
		      const char *from, const char *to, uint64_t max, uint8_t **ret_data,
		      uint64_t *ret_bytes)
{
	uint64_t start, end;

	if (!kallsyms_address(symbols, from, &start) || !kallsyms_address(symbols, to, &end) ||
	    end <= start || end - start > max)
		return -ENOENT;
	uint8_t *data = malloc(end - start);
	if (!data)
		return -ENOMEM;
	if (!kernel_image_read(image, start, data, end - start)) {
		free(data);
		return -ENOENT;
	}
	*ret_data = data;
	*ret_bytes = end - start;
	return 0;
}
