#include "vmm/mmu/walk.h"

#include <string.h>

#include "vmm/machine.h"

#define GPA_MASK ((UINT64_C(1) << GPA_BITS) - 1)

/* The geometry of a paging mode: where the walk starts and how entries look. */
struct paging {
	uint8_t levels;      /* tables that are read from memory */
	uint8_t entry_bytes; /* 4 or 8 */
	uint8_t index_bits;
	bool nx;       /* EFER.NXE counts */
	uint64_t root; /* guest-physical address of the first table */
	bool root_present;
};

static struct paging paging_of(const struct cpu *cpu, uint64_t linear)
{
	bool nx = cpu->efer & EFER_NXE;

	if (cpu_long_mode(cpu))
		return (struct paging){4, 8, 9, nx, cpu->cr3 & GPA_MASK & PAGE_MASK, true};
	if (cpu->cr4 & CR4_PAE) {
		uint64_t pdpte = cpu->pdpte[(linear >> 30) & 3];
		return (struct paging){2, 8, 9, nx, pdpte & GPA_MASK & PAGE_MASK, pdpte & PTE_P};
	}
	return (struct paging){2, 4, 10, false, cpu->cr3 & UINT64_C(0xfffff000), true};
}

/* Entries outside RAM and ROM read as 0; a walk never crosses the boundary. */
static void read_entry(const struct cpu *cpu, struct walk_step *step)
{
	uint8_t *page;
	uint32_t low;

	step->entry = 0;
	step->page = memory_find_page(cpu->machine->memory, step->entry_gpa, &page);
	if (step->page == UINT32_MAX)
		return;
	page += step->entry_gpa % PAGE_BYTES;
	if (step->entry_bytes == 8) {
		memcpy(&step->entry, page, 8);
	} else {
		memcpy(&low, page, 4);
		step->entry = low;
	}
}

/* log2 of the bytes that one entry of a level maps. */
static unsigned level_shift(const struct paging *paging, unsigned level)
{
	return PAGE_SHIFT + (level - 1) * paging->index_bits;
}

static bool maps_page(const struct cpu *cpu, const struct paging *paging, unsigned level,
		      uint64_t entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_PS) || level == 4)
		return false;
	return paging->entry_bytes == 8 || (cpu->cr4 & CR4_PSE);
}

/* The page frame of an entry that maps a page of 1 << shift bytes (32-bit mode: PSE-36). */
static uint64_t frame_of(const struct paging *paging, uint64_t entry, unsigned shift)
{
	uint64_t mask = ~((UINT64_C(1) << shift) - 1);
	if (paging->entry_bytes == 8)
		return entry & GPA_MASK & mask;
	uint64_t high = shift == 22 ? ((entry >> 13) & 0xff) << 32 : 0;
	return ((entry & mask & UINT64_C(0xffffffff)) | high) & GPA_MASK;
}

/* Reserved bits of a present entry (SDM 3A tables 4-14 to 4-19 and 4-8 to 4-11, figure 4-4). */
static bool reserved_set(const struct paging *paging, unsigned level, uint64_t entry, bool leaf,
			 unsigned shift)
{
	if (paging->entry_bytes == 4)
		return leaf && level == 2 && (entry & (UINT64_C(1) << 21));
	uint64_t reserved = UINT64_C(0x000fffffffffffff) & ~GPA_MASK;
	if (!paging->nx)
		reserved |= PTE_NX;
	if (paging->levels == 2) /* PAE: bits 62 to 52 too */
		reserved |= UINT64_C(0x7ff0000000000000);
	if (level == 4)
		reserved |= PTE_PS;
	if (leaf && level > 1) /* bit 12 is PAT */
		reserved |= ((UINT64_C(1) << shift) - 1) & PAGE_MASK & ~UINT64_C(0x1000);
	return entry & reserved;
}

static bool access_allowed(const struct cpu *cpu, const struct walk *walk, enum access_kind kind,
			   bool user, bool smap)
{
	if (user && !walk->user)
		return false;
	if (kind == ACCESS_EXEC)
		return walk->executable && !(!user && walk->user && (cpu->cr4 & CR4_SMEP));
	if (!user && walk->user && smap)
		return false;
	return kind == ACCESS_READ || walk->writable || (!user && !(cpu->cr0 & CR0_WP));
}

static uint32_t error_code(const struct cpu *cpu, enum access_kind kind, bool user)
{
	bool fetch_bit = (cpu->cr4 & CR4_SMEP) || ((cpu->efer & EFER_NXE) && (cpu->cr4 & CR4_PAE));
	return (kind == ACCESS_WRITE ? PF_WRITE : 0) | (user ? PF_USER : 0) |
	       (kind == ACCESS_EXEC && fetch_bit ? PF_FETCH : 0);
}

/* Steps are written as they are taken: to clear them all first takes as long as a walk. */
static void begin(struct walk *walk)
{
	walk->n_steps = 0;
	walk->gpa = 0;
	walk->user = walk->writable = walk->executable = walk->dirty = true;
}

/* Where a walk is: the table that is read next. */
struct place {
	unsigned level;
	uint64_t table;
};

static bool walk_from(const struct cpu *cpu, const struct paging *paging, struct place at,
		      uint64_t linear, const struct walk_access *access, struct walk *walk,
		      uint32_t *ret_error)
{
	uint32_t error = error_code(cpu, access->kind, access->user);

	for (*ret_error = error;; at.level--) {
		unsigned shift = level_shift(paging, at.level);
		uint64_t index = (linear >> shift) & ((1u << paging->index_bits) - 1);
		struct walk_step *step = &walk->step[walk->n_steps++];
		step->entry_gpa = at.table + index * paging->entry_bytes;
		step->level = (uint8_t)at.level;
		step->entry_bytes = paging->entry_bytes;
		read_entry(cpu, step);
		if (!(step->entry & PTE_P))
			return false;
		bool leaf = maps_page(cpu, paging, at.level, step->entry);
		if (reserved_set(paging, at.level, step->entry, leaf, shift)) {
			*ret_error = error | PF_PRESENT | PF_RESERVED;
			return false;
		}
		walk->user &= !!(step->entry & PTE_U);
		walk->writable &= !!(step->entry & PTE_W);
		walk->executable &= !(paging->nx && (step->entry & PTE_NX));
		if (leaf) {
			walk->dirty = step->entry & PTE_D;
			walk->gpa = frame_of(paging, step->entry, shift) |
				    (linear & ((UINT64_C(1) << shift) - 1));
			break;
		}
		at.table = frame_of(paging, step->entry, PAGE_SHIFT);
	}
	*ret_error = error | PF_PRESENT;
	return access_allowed(cpu, walk, access->kind, access->user, access->smap);
}

bool walk_tables(const struct cpu *cpu, uint64_t linear, const struct walk_access *access,
		 struct walk *ret_walk, uint32_t *ret_error)
{
	begin(ret_walk);
	if (!(cpu->cr0 & CR0_PG)) {
		ret_walk->gpa = linear & UINT64_C(0xffffffff);
		return true;
	}
	struct paging paging = paging_of(cpu, linear);
	if (!paging.root_present) {
		*ret_error = error_code(cpu, access->kind, access->user);
		return false;
	}
	return walk_from(cpu, &paging, (struct place){paging.levels, paging.root}, linear, access,
			 ret_walk, ret_error);
}

bool walk_last(const struct cpu *cpu, uint64_t linear, const struct walk_access *access,
	       const struct walk_upper *upper, struct walk *ret_walk, uint32_t *ret_error)
{
	struct paging paging = paging_of(cpu, linear);

	begin(ret_walk);
	ret_walk->user = upper->user;
	ret_walk->writable = upper->writable;
	ret_walk->executable = upper->executable;
	return walk_from(cpu, &paging, (struct place){1, upper->table}, linear, access, ret_walk,
			 ret_error);
}

bool walk_find_upper(const struct walk *walk, struct walk_upper *ret_upper)
{
	unsigned last = walk->n_steps - 1;

	if (walk->n_steps < 2 || walk->step[last].level != 1)
		return false;
	uint64_t all = UINT64_MAX, any = 0;
	for (unsigned i = 0; i < last; i++) {
		all &= walk->step[i].entry;
		any |= walk->step[i].entry;
	}
	*ret_upper = (struct walk_upper){
		.table = walk->step[last].entry_gpa & PAGE_MASK,
		.user = all & PTE_U,
		.writable = all & PTE_W,
		.executable = !(any & PTE_NX),
	};
	return true;
}

void walk_commit(const struct cpu *cpu, struct walk *walk, enum access_kind kind)
{
	for (unsigned i = 0; i < walk->n_steps; i++) {
		struct walk_step *step = &walk->step[i];
		uint64_t wanted = PTE_A;
		if (kind == ACCESS_WRITE && i == walk->n_steps - 1)
			wanted |= PTE_D;
		if ((step->entry & wanted) == wanted)
			continue;
		step->entry |= wanted;
		memory_write(cpu->machine->memory, step->entry_gpa, &step->entry,
			     step->entry_bytes);
	}
	if (kind == ACCESS_WRITE)
		walk->dirty = true;
}
