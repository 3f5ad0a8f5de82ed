/*
 * What the loaders share: the error text, places in guest RAM, the memory map that kernels are
 * told.
 *
 * Tables, command lines and the like go to the boot area, at the top of the RAM below 640 KiB,
 * where no kernel may have a segment.
 */
#ifndef REPRISE_VMM_BOOT_LOADER_H
#define REPRISE_VMM_BOOT_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/boot.h"

#define BOOT_AREA_GPA 0x90000u
#define BOOT_AREA_END 0x9f000u

struct loader {
	struct machine *machine;
	const struct boot_config *config;
	struct boot_error *error;
	uint64_t area_gpa;    /* the boot area's next free byte */
	uint64_t kernel_end;  /* end of the highest segment loaded so far; 0: none */
	uint64_t low_ram_end; /* end of the RAM that starts at 1 MiB */
	uint64_t high_end;    /* images placed high lie above this; 0: none yet */
};

/* Sets loader->error and returns code. */
__attribute__((format(printf, 3, 4))) int loader_fail(const struct loader *loader, int code,
						      const char *format, ...);

/* Returns 0, or -EINVAL when the machine has no RAM where every loader needs it. */
int loader_init(struct loader *loader, struct machine *machine, const struct boot_config *config,
		struct boot_error *error);

/* Copies n bytes to the boot area at a multiple of align. Returns 0 or -EINVAL: it is full. */
int loader_put(struct loader *loader, const void *data, size_t n, size_t align, uint64_t *ret_gpa);

/* The same for a string with its NUL; NULL is the empty string. */
int loader_put_string(struct loader *loader, const char *text, uint64_t *ret_gpa);

/*
 * Loads a piece of a kernel at gpa: n bytes of data, then zeros up to memory_bytes. Returns 0,
 * -EINVAL for an address that cannot be, or -ENOMEM when the guest has no RAM there.
 */
int loader_put_segment(struct loader *loader, uint64_t gpa, const void *data, uint64_t n,
		       uint64_t memory_bytes);

/*
 * Copies an image as high as possible below limit_gpa, page aligned, above the kernel. The first
 * call fixes the top, further images lie below. Returns 0 or -ENOMEM.
 */
int loader_put_high(struct loader *loader, const void *data, size_t n, uint64_t limit_gpa,
		    uint64_t *ret_gpa);

/* ---- the memory map ---- */

/* E820 types, which PVH and multiboot use too. */
enum map_type { MAP_RAM = 1, MAP_RESERVED = 2, MAP_ACPI = 3 };

struct map_entry {
	uint64_t gpa, bytes;
	uint32_t type; /* enum map_type */
};

/* Each region of RAM or ROM, the ACPI tables' pages apart. */
#define MAP_MAX_ENTRIES (MEMORY_MAX_REGIONS + 2)

/* Fills in the map, ascending; returns the number of entries. */
unsigned loader_memory_map(const struct loader *loader, struct map_entry map[MAP_MAX_ENTRIES]);

/* ---- the kinds; each as boot_load() ---- */

bool bzimage_recognize(const uint8_t *kernel, size_t bytes);
int bzimage_load(struct loader *loader);
bool pvh_recognize(const uint8_t *kernel, size_t bytes);
int pvh_load(struct loader *loader);
bool multiboot_recognize(const uint8_t *kernel, size_t bytes);
int multiboot_load(struct loader *loader);

#endif
