/* What the parts of the mmu share: address spaces and what is known of their tables. */
#ifndef REPRISE_VMM_MMU_SPACE_H
#define REPRISE_VMM_MMU_SPACE_H

#include "vmm/mmu/mmu.h"
#include "vmm/mmu/walk.h"

#define SPACE_NONE UINT64_MAX

enum tlb_variant { TLB_SUPERVISOR, TLB_USER, TLB_SUPERVISOR_AC, TLB_VARIANTS };

/* What walks found in front of their last table. The tables are tracked, and all A bits set. */
struct upper {
	uint64_t key; /* the linear address over UPPER_SHIFT; UPPER_NONE: empty */
	struct walk_upper walk;
};

#define UPPER_SHIFT   21
#define UPPER_ENTRIES 64u
#define UPPER_NONE    UINT64_MAX

struct space {
	uint64_t root; /* CR3's table address; SPACE_NONE: free */
	uint64_t bits; /* the control bits that translations depend on */
	uint64_t pdpte[4];
	uint64_t last_used;
	struct upper upper[UPPER_ENTRIES];
	struct tlb tlb[TLB_VARIANTS];
};

/* Slow writes to a tracked page since it was last walked before it is given up as a page table. */
#define TABLE_WRITES_MAX 128

struct table_info {
	uint64_t linear; /* where the range it maps begins */
	uint16_t spaces; /* bit n: space n may hold translations read from here */
	uint8_t level;   /* 0: not tracked */
	uint8_t entry_bytes;
	bool high;      /* below the top level, and walked for addresses from MMU_HIGH on */
	bool ambiguous; /* walked for more than one range or level */
	bool mixed;     /* walked with entries of both sizes: what a byte belongs to is unclear */
	uint8_t writes;
};

/* Linear pages through which a page may be in write arrays. */
#define WRITE_NOWHERE 0
#define WRITE_MANY    1 /* otherwise: the one linear page, plus 2 */

struct mmu {
	struct machine *machine;
	struct space *current;
	uint64_t uses;
	struct tlb never;          /* stays empty: every access takes the slow path */
	struct table_info *tables; /* by page number */
	uint64_t *write_linear;    /* by page number */
	bool no_writes;            /* all write arrays are empty */
	struct mmu_listener listeners[MMU_MAX_LISTENERS];
	unsigned n_listeners;
	struct space spaces[MMU_SPACES];
};

static inline enum tlb_variant variant_of(const struct cpu *cpu)
{
	if (cpu->cpl == 3)
		return TLB_USER;
	if ((cpu->cr4 & CR4_SMAP) && (cpu->rflags_rest & FLAG_AC))
		return TLB_SUPERVISOR_AC;
	return TLB_SUPERVISOR;
}

static inline struct tlb_watched *watched_slot(struct tlb *tlb, uint64_t linear)
{
	return &tlb->watched[(linear >> PAGE_SHIFT) % TLB_WATCHED_ENTRIES];
}

static inline struct tlb_slow *slow_slot(struct tlb *tlb, uint64_t linear)
{
	return &tlb->slow[(linear >> PAGE_SHIFT) % TLB_SLOW_ENTRIES];
}

static inline struct upper *upper_slot(struct space *space, uint64_t linear)
{
	return &space->upper[(linear >> UPPER_SHIFT) % UPPER_ENTRIES];
}

#endif
