/* Walks that have cached translations serve what comes after them. */
#include <string.h>

#include "vmm/machine.h"
#include "vmm/mmu/space.h"

static void track_table(struct mmu *mmu, const struct walk_step *step, uint64_t linear)
{
	uint64_t table = step->entry_gpa & PAGE_MASK;
	struct table_info *info = &mmu->tables[step->page];
	unsigned index_bits = step->entry_bytes == 8 ? 9 : 10;
	uint64_t start = linear & ~((UINT64_C(1) << (PAGE_SHIFT + step->level * index_bits)) - 1);

	if (step->level == WALK_MAX_LEVELS)
		start = 0; /* both halves are its own */
	if (!info->level) {
		info->level = step->level;
		info->entry_bytes = step->entry_bytes;
		info->linear = start;
		memory_protect(mmu->machine->memory, table, PAGE_TABLE);
	} else if (info->level != step->level || info->linear != start ||
		   info->entry_bytes != step->entry_bytes) {
		info->ambiguous = true;
		info->mixed |= info->entry_bytes != step->entry_bytes;
	}
	info->spaces |= 1u << (mmu->current - mmu->spaces);
	info->high |= step->level < WALK_MAX_LEVELS && linear >= MMU_HIGH;
	info->writes = 0;
}

bool mmu_keep_walk(struct mmu *mmu, const struct walk *walk, uint64_t linear)
{
	for (unsigned i = 0; i < walk->n_steps; i++)
		if (walk->step[i].page == UINT32_MAX || !(walk->step[i].entry & PTE_A))
			return false;
	for (unsigned i = 0; i < walk->n_steps; i++)
		track_table(mmu, &walk->step[i], linear);
	return true;
}

unsigned mmu_selected_space(const struct mmu *mmu)
{
	return (unsigned)(mmu->current - mmu->spaces);
}

static void fill_watched(struct tlb *tlb, uint64_t page, uint64_t gpa, uint8_t *host, bool writable)
{
	struct tlb_watched *watched = watched_slot(tlb, page);
	bool was_writable = watched->tag == page && watched->gpa == gpa && watched->writable;

	*watched = (struct tlb_watched){page, gpa, host, writable || was_writable};
}

/* The page whose place it takes becomes a victim. */
static void put(struct tlb_entry *entries, struct tlb_entry entry)
{
	struct tlb_entry *at = tlb_slot(entries, entry.tag);

	if (at->tag != entry.tag && tlb_slot(entries, at->tag) == at)
		*tlb_victim(entries, at->tag) = *at;
	*at = entry;
}

struct tlb_entry *mmu_recall(struct tlb_entry *entries, uint64_t linear)
{
	const struct tlb_entry *victim = tlb_victim(entries, linear);

	if (victim->tag != (linear & PAGE_MASK))
		return NULL;
	put(entries, *victim);
	return tlb_slot(entries, linear);
}

static void fill_data(struct mmu *mmu, struct tlb *tlb, uint64_t page, const struct walk *walk,
		      bool write)
{
	uint64_t gpa = walk->gpa & PAGE_MASK;
	uint8_t *host;
	uint32_t number = memory_find_page(mmu->machine->memory, gpa, &host);

	if (number == UINT32_MAX)
		return;
	const uint8_t *flags = memory_flags_of(mmu->machine->memory, number);
	struct tlb_entry entry = {page, host};
	if (*flags & PAGE_WATCH)
		fill_watched(tlb, page, gpa, host, write && walk->dirty);
	if (!memory_reads_are_watched(mmu->machine->memory, gpa, *flags))
		put(tlb->read, entry);
	if (!write || !walk->dirty || (*flags & PAGE_WATCH))
		return;
	if (*flags) {
		*slow_slot(tlb, page) = (struct tlb_slow){page, gpa, flags};
		return;
	}
	put(tlb->write, entry);
	mmu->no_writes = false;
	uint64_t *where = &mmu->write_linear[number];
	if (*where == WRITE_NOWHERE)
		*where = page + 2;
	else if (*where != page + 2)
		*where = WRITE_MANY;
}

/* ---- walks ---- */

static struct walk_access access_by(const struct cpu *cpu, enum access_kind kind,
				    enum tlb_variant variant)
{
	return (struct walk_access){
		.kind = kind,
		.user = variant == TLB_USER,
		.smap = (cpu->cr4 & CR4_SMAP) && variant == TLB_SUPERVISOR,
	};
}

/* From the last table on, where that is known. */
static bool walk_shortly(const struct cpu *cpu, uint64_t linear, const struct walk_access *access,
			 struct walk *ret_walk, uint32_t *ret_error)
{
	const struct upper *upper = upper_slot(cpu->machine->mmu->current, linear);

	if (upper->key == linear >> UPPER_SHIFT)
		return walk_last(cpu, linear, access, &upper->walk, ret_walk, ret_error);
	return walk_tables(cpu, linear, access, ret_walk, ret_error);
}

/* After a walk that is kept. */
static void note_upper(struct mmu *mmu, uint64_t linear, const struct walk *walk)
{
	struct upper *upper = upper_slot(mmu->current, linear);

	if (walk_find_upper(walk, &upper->walk))
		upper->key = linear >> UPPER_SHIFT;
}

static void fill(struct cpu *cpu, uint64_t linear, enum access_kind kind, enum tlb_variant variant,
		 const struct walk *walk)
{
	struct mmu *mmu = cpu->machine->mmu;
	struct tlb *tlb = &mmu->current->tlb[variant];
	uint64_t page = linear & PAGE_MASK;

	/* Whoever hits a cached translation is spared the check of the address. */
	if (cpu_long_mode(cpu) && !address_is_canonical(linear))
		return;
	if (!mmu_keep_walk(mmu, walk, linear))
		return;
	note_upper(mmu, linear, walk);
	if (kind == ACCESS_EXEC)
		*tlb_exec_slot(tlb, page) = (struct tlb_exec_entry){page, walk->gpa & PAGE_MASK};
	else
		fill_data(mmu, tlb, page, walk, kind == ACCESS_WRITE);
}

bool mmu_translate(struct cpu *cpu, uint64_t linear, enum access_kind kind, enum privilege priv,
		   uint64_t *ret_gpa)
{
	enum tlb_variant variant = priv == PRIVILEGE_SYSTEM ? TLB_SUPERVISOR : variant_of(cpu);
	struct walk_access access = access_by(cpu, kind, variant);
	struct walk walk;
	uint32_t error = 0;

	linear = walk_linear(cpu, linear);
	if (!walk_shortly(cpu, linear, &access, &walk, &error))
		return raise_page_fault(cpu, linear, error);
	walk_commit(cpu, &walk, kind);
	fill(cpu, linear, kind, variant, &walk);
	*ret_gpa = walk.gpa;
	return true;
}

static bool make_writable(struct memory *memory, const struct walk *walk)
{
	const uint8_t *flags = memory_flags(memory, walk->gpa);

	if (!walk->dirty || !flags || (*flags & ~MMU_FIRST_WRITE))
		return false;
	if (*flags)
		memory_mark_written(memory, walk->gpa);
	return true;
}

/* Whether an access that walked leaves all accessed bits as they are. */
static bool is_accessed(const struct walk *walk)
{
	for (unsigned i = 0; i < walk->n_steps; i++)
		if (!(walk->step[i].entry & PTE_A))
			return false;
	return true;
}

/* Walks for an access that does. whole: with all steps. False: it is not so, or not allowed. */
static bool walk_plain(const struct cpu *cpu, uint64_t linear, enum access_kind kind, bool whole,
		       struct walk *ret_walk)
{
	struct walk_access access = access_by(cpu, kind, variant_of(cpu));
	uint32_t error;

	if (!address_is_canonical(linear))
		return false;
	bool allowed = whole ? walk_tables(cpu, linear, &access, ret_walk, &error)
			     : walk_shortly(cpu, linear, &access, ret_walk, &error);
	return allowed && is_accessed(ret_walk);
}

static bool reads_from(const struct walk *walk, uint64_t page)
{
	for (unsigned i = 0; i < walk->n_steps; i++)
		if ((walk->step[i].entry_gpa & PAGE_MASK) == page)
			return true;
	return false;
}

bool mmu_write_is_plain(const struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa)
{
	struct walk data, code;

	if (cpu->tlb == &cpu->machine->mmu->never ||
	    !walk_plain(cpu, linear, ACCESS_WRITE, true, &data) || !data.dirty ||
	    !walk_plain(cpu, cpu->rip, ACCESS_EXEC, true, &code))
		return false;
	uint64_t page = data.gpa & PAGE_MASK;
	*ret_gpa = data.gpa;
	return (code.gpa & PAGE_MASK) != page && !reads_from(&code, page) &&
	       !reads_from(&data, page);
}

bool mmu_fill_plain(struct cpu *cpu, uint64_t linear, enum access_kind kind)
{
	struct mmu *mmu = cpu->machine->mmu;
	struct tlb_entry *entries = kind == ACCESS_WRITE ? cpu->tlb->write : cpu->tlb->read;
	struct walk walk;
	uint64_t gpa;

	if (tlb_lookup(entries, linear, 1) || cpu->tlb == &mmu->never ||
	    (kind == ACCESS_WRITE && tlb_is_slow(cpu->tlb, linear, 1, &gpa)) ||
	    !walk_plain(cpu, linear, kind, false, &walk))
		return false;
	if (kind == ACCESS_WRITE && !make_writable(cpu->machine->memory, &walk))
		return false;
	fill(cpu, linear, kind, variant_of(cpu), &walk);
	return tlb_lookup(entries, linear, 1) != NULL;
}

bool mmu_fetch_plain(struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa)
{
	struct walk walk;

	if (!walk_plain(cpu, linear, ACCESS_EXEC, false, &walk))
		return false;
	fill(cpu, linear, ACCESS_EXEC, variant_of(cpu), &walk);
	*ret_gpa = walk.gpa;
	return true;
}

uint8_t *mmu_beside_watches(const struct cpu *cpu, uint64_t linear, uint32_t n,
			    enum access_kind kind)
{
	const struct memory *memory = cpu->machine->memory;
	const struct tlb_watched *watched = watched_slot(cpu->tlb, linear);
	uint32_t offset = linear % PAGE_BYTES;

	if (watched->tag != (linear & PAGE_MASK) || offset + n > PAGE_BYTES ||
	    (kind == ACCESS_READ && !memory_reads_are_watched(memory, watched->gpa, PAGE_WATCH)) ||
	    !memory_is_beside_watches(memory, watched->gpa + offset, n, kind == ACCESS_WRITE))
		return NULL;
	if (kind == ACCESS_WRITE &&
	    (!watched->writable || *memory_flags(memory, watched->gpa) != PAGE_WATCH))
		return NULL;
	return watched->host + offset;
}

struct tlb *mmu_system_tlb(struct mmu *mmu)
{
	return &mmu->current->tlb[TLB_SUPERVISOR];
}

struct tlb *mmu_lifted_tlb(struct mmu *mmu)
{
	return &mmu->current->tlb[TLB_SUPERVISOR_AC];
}
