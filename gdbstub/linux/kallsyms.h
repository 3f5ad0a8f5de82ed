/*
 * A guest kernel's own symbol table (Linux kernel/kallsyms.c, scripts/kallsyms.c), found in guest
 * memory by its structure and copied out.
 *
 * Names are printable ASCII without blanks. Addresses are those of the running kernel: its table is
 * relocated with it.
 */
#ifndef REPRISE_GDBSTUB_LINUX_KALLSYMS_H
#define REPRISE_GDBSTUB_LINUX_KALLSYMS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/memory/memory.h"

struct kallsyms_symbol {
	uint64_t address; /* per-CPU variables: their offset in each CPU's area */
	uint32_t name;    /* see kallsyms_name() */
	char type;        /* as nm prints it: T, t, D, … */
};

struct kallsyms;

/* A search through guest-physical memory. What it may take is limited, whatever lies there. */
struct kallsyms_search {
	const struct memory *memory;
	uint64_t gpa, end_gpa;        /* still to be looked through; multiples of the page size */
	uint32_t candidates, windows; /* how many more may be looked at, coarsely and closely */
	uint64_t names;               /* how many more may be counted */
};

void kallsyms_search_start(struct kallsyms_search *search, const struct memory *memory,
			   uint64_t gpa, uint64_t end_gpa);

/*
 * Goes on to the next tables that hold together. Returns 0, -ENOENT when there are no more, or
 * -ENOMEM. *ret_gpa: where a part of them lies, inside the kernel's image.
 */
int kallsyms_search_next(struct kallsyms_search *search, struct kallsyms **ret_kallsyms,
			 uint64_t *ret_gpa);
void kallsyms_destroy(struct kallsyms *kallsyms);

/* The symbols by ascending address. */
uint32_t kallsyms_count(const struct kallsyms *kallsyms);
const struct kallsyms_symbol *kallsyms_symbol(const struct kallsyms *kallsyms, uint32_t n);
const char *kallsyms_name(const struct kallsyms *kallsyms, const struct kallsyms_symbol *symbol);

/* The first symbol of the name; NULL: there is none. */
const struct kallsyms_symbol *kallsyms_find_name(const struct kallsyms *kallsyms, const char *name);
bool kallsyms_address(const struct kallsyms *kallsyms, const char *name, uint64_t *ret_address);
/* The last symbol at or before the address; NULL: there is none. */
const struct kallsyms_symbol *kallsyms_find_address(const struct kallsyms *kallsyms,
						    uint64_t address);
/* Bytes up to the next greater address of a symbol; 0 for the last. */
uint64_t kallsyms_distance(const struct kallsyms *kallsyms, const struct kallsyms_symbol *symbol);

#endif
