/*
 * Cached translations.
 *
 * An address space is what CR3 (with PAE: the PDPTEs) and the paging control bits make; a fixed
 * number of them is kept, the least recently used makes room. Each has one struct tlb per
 * privilege: a user's, a supervisor's, and a supervisor's with SMAP lifted by AC.
 *
 * For every page that a cached walk read as a page table, table_info remembers which linear range
 * it serves and which spaces may hold translations from it. A write to such a page arrives in
 * on_table_write(): an entry that was not present, or led to a table in which nothing is, drops
 * nothing; any other drops what it maps in the spaces concerned, and has their listeners drop
 * everything where that is more than a page. A page written often without being walked is no page
 * table any more and stops being tracked.
 */
#include "vmm/mmu/mmu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine.h"
#include "vmm/mmu/space.h"
#include "vmm/mmu/walk.h"

/* ---- emptying ---- */

static void empty_entries(struct tlb_entry *entries)
{
	for (uint64_t i = 0; i < TLB_ENTRIES; i++)
		entries[i].tag = (i ^ 1) << PAGE_SHIFT;
	for (uint64_t i = 0; i < TLB_VICTIMS; i++)
		entries[TLB_ENTRIES + i].tag = (i ^ 1) << PAGE_SHIFT;
}

static void empty_exec(struct tlb *tlb)
{
	for (uint64_t i = 0; i < TLB_EXEC_ENTRIES; i++)
		tlb->exec[i].tag = (i ^ 1) << PAGE_SHIFT;
}

static void empty_tlb(struct tlb *tlb)
{
	for (unsigned i = 0; i < TLB_WATCHED_ENTRIES; i++)
		tlb->watched[i].tag = TLB_WATCHED_NONE;
	for (unsigned i = 0; i < TLB_SLOW_ENTRIES; i++)
		tlb->slow[i].tag = TLB_SLOW_NONE;
	empty_entries(tlb->read);
	empty_entries(tlb->write);
	empty_exec(tlb);
}

static void empty_upper(struct space *space)
{
	for (unsigned i = 0; i < UPPER_ENTRIES; i++)
		space->upper[i].key = UPPER_NONE;
}

static void tell_emptied(struct mmu *mmu, struct space *space, bool low)
{
	for (unsigned i = 0; i < mmu->n_listeners; i++) {
		const struct mmu_listener *listener = &mmu->listeners[i];
		unsigned number = (unsigned)(space - mmu->spaces);
		if (low && listener->flush_low)
			listener->flush_low(listener->ctx, number);
		else
			listener->flush_space(listener->ctx, number);
	}
}

static void empty_space(struct mmu *mmu, struct space *space, bool low)
{
	for (unsigned v = 0; v < TLB_VARIANTS; v++)
		empty_tlb(&space->tlb[v]);
	empty_upper(space);
	tell_emptied(mmu, space, low);
}

static void flush_space(struct mmu *mmu, struct space *space)
{
	empty_space(mmu, space, false);
}

/* A retired instruction may have changed what the running block was fetched through. */
static void request_resync(struct mmu *mmu)
{
	struct cpu *cpu = machine_current(mmu->machine);
	if (cpu->stop == CPU_STOP_NONE)
		cpu->stop = CPU_STOP_RESYNC;
}

static void drop_entry(struct tlb_entry *entries, uint64_t page)
{
	struct tlb_entry *entry = tlb_slot(entries, page), *victim = tlb_victim(entries, page);
	if (entry->tag == page)
		entry->tag = page ^ (UINT64_C(1) << PAGE_SHIFT);
	if (victim->tag == page)
		victim->tag = page ^ (UINT64_C(1) << PAGE_SHIFT);
}

/* Linear pages: those from start on, of so many bytes. */
struct range {
	uint64_t start, bytes;
};

static bool is_within(uint64_t tag, const struct range *range)
{
	return tag - range->start < range->bytes;
}

/* Those that an array of so many entries, in which they follow each other, can hold. */
static uint64_t pages_held(const struct range *range, uint64_t entries)
{
	uint64_t pages = range->bytes >> PAGE_SHIFT;

	return pages < entries ? pages : entries;
}

static void drop_entries(struct tlb_entry *entries, const struct range *range)
{
	for (uint64_t n = 0; n < pages_held(range, TLB_ENTRIES); n++) {
		uint64_t i = ((range->start >> PAGE_SHIFT) + n) % TLB_ENTRIES;
		if (is_within(entries[i].tag, range))
			entries[i].tag = (i ^ 1) << PAGE_SHIFT;
	}
	for (uint64_t i = 0; i < TLB_VICTIMS; i++)
		if (is_within(entries[TLB_ENTRIES + i].tag, range))
			entries[TLB_ENTRIES + i].tag = (i ^ 1) << PAGE_SHIFT;
}

static void drop_exec_entries(struct tlb_exec_entry *entries, const struct range *range)
{
	for (uint64_t n = 0; n < pages_held(range, TLB_EXEC_ENTRIES); n++) {
		uint64_t i = ((range->start >> PAGE_SHIFT) + n) % TLB_EXEC_ENTRIES;
		if (is_within(entries[i].tag, range))
			entries[i].tag = (i ^ 1) << PAGE_SHIFT;
	}
}

static void drop_range_of(struct tlb *tlb, const struct range *range)
{
	drop_entries(tlb->read, range);
	drop_entries(tlb->write, range);
	drop_exec_entries(tlb->exec, range);
	for (unsigned i = 0; i < TLB_WATCHED_ENTRIES; i++)
		if (is_within(tlb->watched[i].tag, range))
			tlb->watched[i].tag = TLB_WATCHED_NONE;
	for (unsigned i = 0; i < TLB_SLOW_ENTRIES; i++)
		if (is_within(tlb->slow[i].tag, range))
			tlb->slow[i].tag = TLB_SLOW_NONE;
}

static void drop_page(struct mmu *mmu, struct space *space, uint64_t page)
{
	for (unsigned v = 0; v < TLB_VARIANTS; v++) {
		struct tlb_exec_entry *exec = tlb_exec_slot(&space->tlb[v], page);
		struct tlb_watched *watched = watched_slot(&space->tlb[v], page);
		struct tlb_slow *slow = slow_slot(&space->tlb[v], page);
		if (watched->tag == page)
			watched->tag = TLB_WATCHED_NONE;
		if (slow->tag == page)
			slow->tag = TLB_SLOW_NONE;
		drop_entry(space->tlb[v].read, page);
		drop_entry(space->tlb[v].write, page);
		if (exec->tag == page)
			exec->tag = page ^ (UINT64_C(1) << PAGE_SHIFT);
	}
	for (unsigned i = 0; i < mmu->n_listeners; i++) {
		const struct mmu_listener *listener = &mmu->listeners[i];
		listener->drop_page(listener->ctx, (unsigned)(space - mmu->spaces), page);
	}
}

void mmu_flush(struct mmu *mmu)
{
	uint32_t pages = memory_page_count(mmu->machine->memory);

	for (unsigned i = 0; i < MMU_SPACES; i++) {
		flush_space(mmu, &mmu->spaces[i]);
		mmu->spaces[i].root = SPACE_NONE;
	}
	memset(mmu->tables, 0, pages * sizeof(*mmu->tables));
	memset(mmu->write_linear, 0, pages * sizeof(*mmu->write_linear));
	mmu->current = NULL;
}

/* ---- listening to memory ---- */

static void on_protect(void *ctx, uint64_t gpa)
{
	struct mmu *mmu = ctx;
	uint64_t *where = &mmu->write_linear[memory_page_number(mmu->machine->memory, gpa)];

	if (*where == WRITE_MANY && !mmu->no_writes) {
		for (unsigned i = 0; i < MMU_SPACES; i++)
			for (unsigned v = 0; v < TLB_VARIANTS; v++)
				empty_entries(mmu->spaces[i].tlb[v].write);
		mmu->no_writes = true;
	} else if (*where != WRITE_NOWHERE && *where != WRITE_MANY) {
		for (unsigned i = 0; i < MMU_SPACES; i++)
			for (unsigned v = 0; v < TLB_VARIANTS; v++)
				drop_entry(mmu->spaces[i].tlb[v].write, *where - 2);
	}
	*where = WRITE_NOWHERE;
	for (unsigned i = 0; i < mmu->n_listeners; i++)
		mmu->listeners[i].protect(mmu->listeners[i].ctx, gpa);
}

static void flush_spaces_of(struct mmu *mmu, const struct table_info *info)
{
	for (unsigned i = 0; i < MMU_SPACES; i++)
		if (info->spaces & (1u << i))
			empty_space(mmu, &mmu->spaces[i], !info->high);
	request_resync(mmu);
}

static void drop_upper(struct mmu *mmu, const struct table_info *info)
{
	for (unsigned i = 0; i < MMU_SPACES; i++)
		if (info->spaces & (1u << i))
			empty_upper(&mmu->spaces[i]);
}

static void drop_range(struct mmu *mmu, const struct table_info *info, const struct range *range)
{
	for (unsigned i = 0; i < MMU_SPACES; i++) {
		struct space *space = &mmu->spaces[i];
		if (!(info->spaces & (1u << i)))
			continue;
		for (unsigned v = 0; v < TLB_VARIANTS; v++)
			drop_range_of(&space->tlb[v], range);
		tell_emptied(mmu, space, !info->high);
	}
	request_resync(mmu);
}

static void drop_linear_page(struct mmu *mmu, const struct table_info *info, uint64_t page)
{
	for (unsigned i = 0; i < MMU_SPACES; i++)
		if (info->spaces & (1u << i))
			drop_page(mmu, &mmu->spaces[i], page);
	request_resync(mmu);
}

/* size: 4 or 8. */
static uint64_t entry_at(const uint8_t *bytes, unsigned size)
{
	uint64_t entry;
	uint32_t low;

	if (size == 8) {
		memcpy(&entry, bytes, 8);
		return entry;
	}
	memcpy(&low, bytes, 4);
	return low;
}

static void stop_tracking(struct mmu *mmu, struct table_info *info, uint64_t gpa)
{
	memset(info, 0, sizeof(*info));
	memory_unprotect(mmu->machine->memory, gpa, PAGE_TABLE);
}

/* Gives up tracking: what may have been read from the page goes. */
static void untrack(struct mmu *mmu, struct table_info *info, uint64_t gpa)
{
	flush_spaces_of(mmu, info);
	stop_tracking(mmu, info, gpa);
}

/* What the entry at an offset of the table maps. */
static struct range range_of(const struct table_info *info, uint32_t offset)
{
	unsigned index_bits = info->entry_bytes == 8 ? 9 : 10;
	unsigned shift = PAGE_SHIFT + (info->level - 1) * index_bits;
	uint64_t start = info->linear + ((uint64_t)(offset / info->entry_bytes) << shift);

	if (info->level == WALK_MAX_LEVELS) /* its linear addresses have 48 bits */
		start = (uint64_t)((int64_t)(start << 16) >> 16);
	return (struct range){start, UINT64_C(1) << shift};
}

static bool table_is_empty(const uint8_t *table, unsigned entry_bytes)
{
	uint64_t any = 0, word;

	for (unsigned i = 0; i < PAGE_BYTES; i += sizeof(word)) {
		memcpy(&word, table + i, sizeof(word));
		any |= word;
	}
	if (entry_bytes == 4)
		any |= any >> 32;
	return !(any & PTE_P);
}

/* Whether the entry leads to a table in which nothing is present: by the no-TLB rule nothing is
 * kept of what lies below. So it is when a process ends. */
static bool maps_nothing(const struct mmu *mmu, const struct table_info *info, uint64_t entry)
{
	uint64_t gpa = entry & ((UINT64_C(1) << GPA_BITS) - 1) & PAGE_MASK;
	const uint8_t *table = memory_page(mmu->machine->memory, gpa);

	return info->level > 1 && !(entry & PTE_PS) && table &&
	       table_is_empty(table, info->entry_bytes);
}

/* What an entry that changes was, and will be, decides what goes; alone: no other is written with
 * it. Returns false when all has gone. */
static bool change_entry(struct mmu *mmu, const struct table_info *info, uint32_t offset,
			 uint64_t before, uint64_t after, bool alone)
{
	bool only_sets_bits =
		(after & ~before & ~(uint64_t)(PTE_A | PTE_D)) == 0 && (before & ~after) == 0;

	if (!(before & PTE_P) || only_sets_bits)
		return true;
	if (info->ambiguous || (info->level > 1 && !alone)) {
		flush_spaces_of(mmu, info);
		return false;
	}
	if (info->level > 1)
		drop_upper(mmu, info);
	if (maps_nothing(mmu, info, before))
		return true;
	struct range range = range_of(info, offset);
	if (info->level == 1)
		drop_linear_page(mmu, info, range.start);
	else
		drop_range(mmu, info, &range);
	return true;
}

/* The entry at an offset of the page after n bytes from first on have been written. */
static uint64_t entry_after(const uint8_t *page, uint32_t offset, unsigned size, uint32_t first,
			    const uint8_t *new_bytes, uint32_t n)
{
	uint8_t merged[8];

	if (offset >= first && offset + size <= first + n)
		return entry_at(new_bytes + (offset - first), size);
	memcpy(merged, page + offset, size);
	for (unsigned i = 0; i < size; i++)
		if (offset + i >= first && offset + i < first + n)
			merged[i] = new_bytes[offset + i - first];
	return entry_at(merged, size);
}

/* Entries are looked at whole, so partial writes are merged first. */
static void change_entries(struct mmu *mmu, const struct table_info *info, uint64_t gpa,
			   const uint8_t *old, const uint8_t *new_bytes, uint32_t n)
{
	unsigned size = info->entry_bytes;
	uint32_t first = gpa % PAGE_BYTES;
	const uint8_t *page = old - first;

	for (uint32_t offset = first & ~(size - 1); offset < first + n; offset += size) {
		uint64_t before = entry_at(page + offset, size);
		uint64_t after = entry_after(page, offset, size, first, new_bytes, n);
		if (before != after && !change_entry(mmu, info, offset, before, after, n <= size))
			return; /* nothing is left that another entry could change */
	}
}

/* A whole page of zeros: nothing can be read from it any more. */
static bool clears_page(const uint8_t *bytes, uint32_t n)
{
	return n == PAGE_BYTES && !bytes[0] && !memcmp(bytes, bytes + 1, n - 1);
}

/* The bytes of a tracked page change. */
static void on_table_write(void *ctx, uint64_t gpa, const uint8_t *old, const uint8_t *new_bytes,
			   uint32_t n)
{
	struct mmu *mmu = ctx;
	uint32_t number = memory_page_number(mmu->machine->memory, gpa);
	struct table_info *info = &mmu->tables[number];

	if (!info->level) {
		memory_unprotect(mmu->machine->memory, gpa, PAGE_TABLE);
		return;
	}
	if (++info->writes > TABLE_WRITES_MAX) {
		untrack(mmu, info, gpa);
		return;
	}
	if (!info->mixed)
		change_entries(mmu, info, gpa, old, new_bytes, n);
	else if (memcmp(old, new_bytes, n) != 0)
		flush_spaces_of(mmu, info);
	if (clears_page(new_bytes, n))
		stop_tracking(mmu, info, gpa);
}

static void on_watch_hit(void *ctx)
{
	request_resync(ctx);
}

/* ---- creation ---- */

int mmu_create(struct machine *machine, struct mmu **ret_mmu)
{
	uint32_t pages = memory_page_count(machine->memory);
	struct mmu *mmu = calloc(1, sizeof(*mmu));

	if (!mmu)
		return -ENOMEM;
	mmu->machine = machine;
	mmu->tables = calloc(pages + 1, sizeof(*mmu->tables));
	mmu->write_linear = calloc(pages + 1, sizeof(*mmu->write_linear));
	if (!mmu->tables || !mmu->write_linear) {
		mmu_destroy(mmu);
		return -ENOMEM;
	}
	empty_tlb(&mmu->never);
	mmu_flush(mmu);
	const struct memory_listener listener = {
		.table_write = on_table_write,
		.protect = on_protect,
		.watch_hit = on_watch_hit,
		.ctx = mmu,
	};
	memory_set_listener(machine->memory, &listener);
	*ret_mmu = mmu;
	return 0;
}

void mmu_destroy(struct mmu *mmu)
{
	if (!mmu)
		return;
	memory_set_listener(mmu->machine->memory, NULL);
	free(mmu->write_linear);
	free(mmu->tables);
	free(mmu);
}

/* ---- listeners of its own ---- */

int mmu_add_listener(struct mmu *mmu, const struct mmu_listener *listener)
{
	if (mmu->n_listeners == MMU_MAX_LISTENERS)
		return -ENOSPC;
	mmu->listeners[mmu->n_listeners++] = *listener;
	return 0;
}

void mmu_remove_listener(struct mmu *mmu, const void *ctx)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < mmu->n_listeners; i++)
		if (mmu->listeners[i].ctx != ctx)
			mmu->listeners[kept++] = mmu->listeners[i];
	mmu->n_listeners = kept;
}

/* ---- choosing the space ---- */

static uint64_t space_bits(const struct cpu *cpu)
{
	return (cpu->cr0 & (CR0_PG | CR0_WP)) | (cpu->efer & (EFER_LMA | EFER_NXE)) |
	       ((uint64_t)(cpu->cr4 & (CR4_PSE | CR4_PAE | CR4_SMEP | CR4_SMAP)) << 32);
}

static bool space_is_pae(uint64_t bits)
{
	return (bits & CR0_PG) && (bits >> 32 & CR4_PAE) && !(bits & EFER_LMA);
}

static bool space_matches(const struct space *space, const struct cpu *cpu, uint64_t root,
			  uint64_t bits)
{
	return space->root == root && space->bits == bits &&
	       (!space_is_pae(bits) || !memcmp(space->pdpte, cpu->pdpte, sizeof(space->pdpte)));
}

static struct space *find_space(struct mmu *mmu, const struct cpu *cpu, uint64_t root,
				uint64_t bits)
{
	struct space *oldest = &mmu->spaces[0];

	for (unsigned i = 0; i < MMU_SPACES; i++) {
		struct space *space = &mmu->spaces[i];
		if (space_matches(space, cpu, root, bits))
			return space;
		if (space->root == SPACE_NONE) {
			if (oldest->root != SPACE_NONE)
				oldest = space;
		} else if (oldest->root != SPACE_NONE && space->last_used < oldest->last_used) {
			oldest = space;
		}
	}
	if (oldest->root != SPACE_NONE)
		empty_space(mmu, oldest, true);
	oldest->root = root;
	oldest->bits = bits;
	memcpy(oldest->pdpte, cpu->pdpte, sizeof(oldest->pdpte));
	return oldest;
}

/* Accesses that must be looked at one by one: alignment checks, data breakpoints. */
static bool every_access_counts(const struct cpu *cpu)
{
	return (cpu->dr7 & 0xff) || mmu_alignment_checked(cpu);
}

void mmu_select(struct cpu *cpu)
{
	struct mmu *mmu = cpu->machine->mmu;
	uint64_t bits = space_bits(cpu);
	uint64_t root = bits & CR0_PG ? cpu->cr3 & PAGE_MASK : 0;

	if (!mmu->current || !space_matches(mmu->current, cpu, root, bits)) {
		mmu->current = find_space(mmu, cpu, root, bits);
		mmu->current->last_used = ++mmu->uses;
	}
	cpu->tlb = every_access_counts(cpu) ? &mmu->never : &mmu->current->tlb[variant_of(cpu)];
}
