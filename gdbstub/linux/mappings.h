/*
 * What a Linux process has mapped, and the content of mapped files as far as the guest has it in
 * its page cache, whether or not the process has touched it.
 */
#ifndef REPRISE_GDBSTUB_LINUX_MAPPINGS_H
#define REPRISE_GDBSTUB_LINUX_MAPPINGS_H

#include "gdbstub/linux/guest.h"

/* Bits of flags (Linux include/linux/mm.h). */
enum mapping_flags {
	MAPPING_READ = 1,
	MAPPING_WRITE = 2,
	MAPPING_EXEC = 4,
	MAPPING_SHARED = 8,
	MAPPING_SPECIAL = 0x10004400, /* not ordinary pages: PFNMAP, IO, MIXEDMAP */
};

struct mapping {
	uint64_t start, end;
	uint64_t flags;
	uint64_t offset; /* of start in the file, in bytes */
	uint64_t file;   /* address of the struct file; 0: anonymous, or the kernel's own */
};

/* The mapping at an address of the process whose memory map (struct mm_struct) it is. Returns
 * false when nothing is mapped there, with *ret_next the next address at which something may be;
 * UINT64_MAX: none. Kernels before 6.1 keep no such tree: false. */
bool mapping_find(const struct linux_guest *guest, uint64_t mm, uint64_t address,
		  struct mapping *ret, uint64_t *ret_next);

/* Calls fn for each, by ascending address, until it returns false. */
void mapping_each(const struct linux_guest *guest, uint64_t mm,
		  bool (*fn)(void *ctx, const struct mapping *mapping), void *ctx);

/* The guest-physical address of the page of the page cache that holds a byte of an open file.
 * Returns false when it is not there or not read yet. */
bool mapping_cached_page(const struct linux_guest *guest, uint64_t file, uint64_t offset,
			 uint64_t *ret_gpa);

/* How long an open file is. */
uint64_t mapping_file_bytes(const struct linux_guest *guest, uint64_t file);

#endif
