/*
 * Paging with the no-TLB rule (docs/machine.md): every access behaves as a page walk made at
 * that moment. Translations are cached all the same, in direct-mapped arrays kept per address space
 * across CR3 writes; each holds only what a walk would give now, because writes to the page-table
 * pages they were read from are seen (PAGE_TABLE) and drop what they change.
 */
#ifndef REPRISE_VMM_MMU_MMU_H
#define REPRISE_VMM_MMU_MMU_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu/exec.h"
#include "vmm/memory/memory.h"

#define TLB_ENTRIES      1024u
#define TLB_VICTIMS      16u
#define TLB_EXEC_ENTRIES 256u
#define PAGE_MASK        (~(uint64_t)(PAGE_BYTES - 1))

/*
 * A hit for an n-byte access is linear - tag <= PAGE_BYTES - n. An empty entry's tag is a page that
 * indexes elsewhere, so it never hits. The jit engine's code looks entries up by itself.
 */
struct tlb_entry {
	uint64_t tag;  /* linear page */
	uint8_t *host; /* where it is in the host */
};

struct tlb_exec_entry {
	uint64_t tag;
	uint64_t gpa; /* of the page */
};

/* A page with watchpoints on it: the arrays do not hold it for writing, nor for reading if reads
 * count, so that every such access is looked at; those beside the watchpoints find it here. */
struct tlb_watched {
	uint64_t tag; /* linear page; TLB_WATCHED_NONE: empty */
	uint64_t gpa; /* of the page */
	uint8_t *host;
	bool writable; /* the D bits are set */
};
#define TLB_WATCHED_ENTRIES 16u
#define TLB_WATCHED_NONE    1 /* no page begins there */

/* A page that is written through memory_write() alone, as long as its flag byte says so (it holds
 * page tables, mostly), and whose writes need nothing else: A and D bits are set. */
struct tlb_slow {
	uint64_t tag; /* linear page; TLB_SLOW_NONE: empty */
	uint64_t gpa; /* of the page */
	const uint8_t *flags;
};
#define TLB_SLOW_ENTRIES 32u
#define TLB_SLOW_NONE    1 /* no page begins there */

/* Flags of a page that a write alone takes off. */
#define MMU_FIRST_WRITE (PAGE_CLEAN | PAGE_KEPT)

/* The cached translations of one address space at one privilege. */
struct tlb {
	struct tlb_watched watched[TLB_WATCHED_ENTRIES];
	struct tlb_slow slow[TLB_SLOW_ENTRIES];
	/* Behind the arrays: victims, pages that others have taken the place of. */
	struct tlb_entry read[TLB_ENTRIES + TLB_VICTIMS];
	struct tlb_entry write[TLB_ENTRIES + TLB_VICTIMS];
	struct tlb_exec_entry exec[TLB_EXEC_ENTRIES];
};

static inline struct tlb_entry *tlb_slot(struct tlb_entry *entries, uint64_t linear)
{
	return &entries[(linear >> PAGE_SHIFT) % TLB_ENTRIES];
}

/* Where a page is if it is a victim. Pages of one place have different ones, mostly. */
static inline struct tlb_entry *tlb_victim(struct tlb_entry *entries, uint64_t linear)
{
	uint64_t page = linear >> PAGE_SHIFT;

	return &entries[TLB_ENTRIES + (page ^ page / TLB_ENTRIES) % TLB_VICTIMS];
}

static inline struct tlb_exec_entry *tlb_exec_slot(struct tlb *tlb, uint64_t linear)
{
	return &tlb->exec[(linear >> PAGE_SHIFT) % TLB_EXEC_ENTRIES];
}

/* Host address of n bytes at a linear address when the cached translation serves them, else NULL.
 */
static inline uint8_t *tlb_lookup(struct tlb_entry *entries, uint64_t linear, uint32_t n)
{
	const struct tlb_entry *entry = tlb_slot(entries, linear);
	if (__builtin_expect(linear - entry->tag <= PAGE_BYTES - n, 1))
		return entry->host + (linear - entry->tag);
	return NULL;
}

/* Whether n bytes at a linear address lie in a page that is known to be written by memory_write(),
 * at *ret_gpa. */
static inline bool tlb_is_slow(const struct tlb *tlb, uint64_t linear, uint32_t n,
			       uint64_t *ret_gpa)
{
	const struct tlb_slow *slow = &tlb->slow[(linear >> PAGE_SHIFT) % TLB_SLOW_ENTRIES];
	uint32_t offset = linear % PAGE_BYTES;

	if (slow->tag != (linear & PAGE_MASK) || offset + n > PAGE_BYTES ||
	    !(*slow->flags & ~MMU_FIRST_WRITE))
		return false;
	*ret_gpa = slow->gpa + offset;
	return true;
}

struct mmu;

/* What the last entry of a top-level table of long mode maps: a kernel's code, mostly. */
#define MMU_HIGH UINT64_C(0xffffff8000000000)

/* Address spaces whose translations are kept, numbered from 0. */
#define MMU_SPACES 16

/*
 * Whoever keeps translations of its own beside the mmu's, by its spaces, is told when they end: at
 * the moment at which the mmu's own end, before the run goes on. Must not write guest memory.
 * Mandatory but for flush_low.
 */
struct mmu_listener {
	/* Everything kept for the space; its number may come to mean another space. */
	void (*flush_space)(void *ctx, unsigned space);
	/* Likewise, but for what page tables below the top one, which are tracked as before, say of
	 * addresses from MMU_HIGH on. NULL: flush_space is called. */
	void (*flush_low)(void *ctx, unsigned space);
	/* The translation of one linear page of the space. */
	void (*drop_page)(void *ctx, unsigned space, uint64_t linear);
	/* Permissions to write to the guest-physical page past memory_write(), in every space. */
	void (*protect)(void *ctx, uint64_t gpa);
	void *ctx;
};

#define MMU_MAX_LISTENERS 4

/* Copies *listener. Returns 0 or -ENOSPC. */
int mmu_add_listener(struct mmu *mmu, const struct mmu_listener *listener);
void mmu_remove_listener(struct mmu *mmu, const void *ctx);

/* Registers itself as the memory's listener. Returns 0 or -ENOMEM. */
int mmu_create(struct machine *machine, struct mmu **ret_mmu);
void mmu_destroy(struct mmu *mmu);

/* Drops every cached translation: RAM or registers were changed wholesale. */
void mmu_flush(struct mmu *mmu);

/* Points cpu->tlb at the cached translations of its present address space and privilege. */
void mmu_select(struct cpu *cpu);

/* True when data accesses at CPL 3 must be aligned (SDM 3A 6.15, #AC). */
static inline bool mmu_alignment_checked(const struct cpu *cpu)
{
	return cpu->cpl == 3 && (cpu->cr0 & CR0_AM) && (cpu->rflags_rest & FLAG_AC);
}

/*
 * Host address of n bytes at a linear address in a page that is known to have watchpoints, for an
 * access that is beside them all and needs nothing else; NULL for any other, and where the arrays
 * may hold the page for it. Only while memory is watched.
 */
uint8_t *mmu_beside_watches(const struct cpu *cpu, uint64_t linear, uint32_t n,
			    enum access_kind kind);

/* The space that mmu_select() chose last. */
unsigned mmu_selected_space(const struct mmu *mmu);

struct walk;

/*
 * Makes what a successful walk from the selected space found fit to be kept: the tables that it
 * read are tracked. Returns false when it is not: an entry outside RAM or without its accessed bit.
 */
bool mmu_keep_walk(struct mmu *mmu, const struct walk *walk, uint64_t linear);

/* The cached translations that implicit supervisor accesses use, in the selected space. */
struct tlb *mmu_system_tlb(struct mmu *mmu);
/* Those that a supervisor's accesses use while AC lifts SMAP. */
struct tlb *mmu_lifted_tlb(struct mmu *mmu);

/*
 * Translates the page of a linear address for an access, setting accessed and dirty bits; fills the
 * caches. Returns false with a page fault recorded. *ret_gpa: the address's guest-physical one.
 */
bool mmu_translate(struct cpu *cpu, uint64_t linear, enum access_kind kind, enum privilege priv,
		   uint64_t *ret_gpa);

/*
 * Has a cached translation serve accesses to the page of a linear address, if that takes nothing
 * that the guest can see: the access is allowed, accessed and dirty bits are set, and a page that
 * is written has only not been written for a while. Returns false when it is not so, or one serves
 * already.
 */
bool mmu_fill_plain(struct cpu *cpu, uint64_t linear, enum access_kind kind);

/* Likewise for fetching code: translates, if accessed bits are set and it is allowed. */
bool mmu_fetch_plain(struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa);

/* Has a victim of an array of cached translations back in its place. Returns that, or NULL if the
 * page of a linear address is none. */
struct tlb_entry *mmu_recall(struct tlb_entry *entries, uint64_t linear);

/*
 * Whether writes to the page of a linear address change nothing but its bytes and what is known of
 * them: they are allowed, accessed and dirty bits are set, and the page holds neither the tables
 * that say so, nor those through which code at RIP is fetched, nor that code. *ret_gpa: the
 * address's guest-physical one.
 */
bool mmu_write_is_plain(const struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa);

/*
 * Translates without changing anything: for debuggers. Returns false when not mapped.
 */
bool mmu_peek(const struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa);

/* Reads n bytes in the same way. Returns false when some are not mapped to RAM or ROM; the buffer
 * then holds those before. */
bool mmu_peek_read(const struct cpu *cpu, uint64_t linear, void *buffer, size_t n);

/* Loads the four PAE PDPTEs from CR3 as MOV CR3 does (SDM 3A 4.4.1). Returns false when one has
 * reserved bits set: the caller raises #GP(0). Changes nothing then. */
bool mmu_load_pdptes(struct cpu *cpu, uint64_t cr3);

#endif
