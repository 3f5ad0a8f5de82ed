/* Page walks: SDM 3A chapter 4, without any cache. */
#ifndef REPRISE_VMM_MMU_WALK_H
#define REPRISE_VMM_MMU_WALK_H

#include "vmm/mmu/mmu.h"

#define PTE_P  0x1u
#define PTE_W  0x2u
#define PTE_U  0x4u
#define PTE_A  0x20u
#define PTE_D  0x40u
#define PTE_PS 0x80u
#define PTE_NX (UINT64_C(1) << 63)

#define WALK_MAX_LEVELS 4

/* Page-fault error code bits (SDM 3A 4.7). */
#define PF_PRESENT  0x1u
#define PF_WRITE    0x2u
#define PF_USER     0x4u
#define PF_RESERVED 0x8u
#define PF_FETCH    0x10u

/* One table the walk read. */
struct walk_step {
	uint64_t entry_gpa;
	uint64_t entry;
	uint8_t level;       /* 1: the table whose entries map 4 KiB pages */
	uint8_t entry_bytes; /* 4 or 8 */
	uint32_t page;       /* the table's number (memory.h), or UINT32_MAX */
};

struct walk {
	unsigned n_steps; /* 0 when paging is off */
	struct walk_step step[WALK_MAX_LEVELS];
	uint64_t gpa;                    /* of the linear address */
	bool user, writable, executable; /* what all levels together allow */
	bool dirty;                      /* D is set in the last entry (true when paging is off) */
};

/* What is translated: outside long mode 32 bits of the address. */
static inline uint64_t walk_linear(const struct cpu *cpu, uint64_t linear)
{
	return cpu_long_mode(cpu) ? linear : (uint32_t)linear;
}

/* What is walked for. */
struct walk_access {
	enum access_kind kind;
	bool user; /* made with user privilege */
	bool smap; /* SMAP applies if the page is a user page */
};

/*
 * Walks for an access. Returns true when it is allowed. Otherwise *ret_error is the page fault's
 * error code. Reads memory only; walk_commit() sets the bits.
 */
bool walk_tables(const struct cpu *cpu, uint64_t linear, const struct walk_access *access,
		 struct walk *ret_walk, uint32_t *ret_error);

/* What a walk found in front of its last table, whose entries map pages of 4 KiB. */
struct walk_upper {
	uint64_t table;                  /* the last one's address */
	bool user, writable, executable; /* what the levels in front of it allow */
};

/* Returns false when the walk has no such table, or nothing in front of it. */
bool walk_find_upper(const struct walk *walk, struct walk_upper *ret_upper);

/* As walk_tables(), from the last table on: its entry is the only step. */
bool walk_last(const struct cpu *cpu, uint64_t linear, const struct walk_access *access,
	       const struct walk_upper *upper, struct walk *ret_walk, uint32_t *ret_error);

/* Sets A at every level used and, for a write, D in the last. */
void walk_commit(const struct cpu *cpu, struct walk *walk, enum access_kind kind);

#endif
