#include "vmm/kvm/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/kvm/layout.h"
#include "vmm/mmu/walk.h"

#define ENTRIES     512u
#define ENTRY_TABLE (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define ENTRY_PAGE  (PTE_P | PTE_U | PTE_A | PTE_D | PTE_NX)

/* The flags of a page that do not keep it from becoming writable, once it is marked written. */
#define FIRST_WRITE (PAGE_CLEAN | PAGE_KEPT)

/* Pages around a first write that are marked with it: 2 to this power, one more each time. */
#define WINDOW_FIRST 3
#define WINDOW_MAX   9

/* The longest chain of tables: no allocation in it may renew the pool. */
#define CHAIN_PAGES 4

/* A page of the pool. */
struct page_info {
	uint64_t linear;     /* level 1: the guest address of its first entry */
	uint32_t generation; /* of its space when it was taken */
	uint8_t space;
	uint8_t window;
};

struct space {
	uint32_t root;       /* page of the pool; 0: none */
	uint32_t generation; /* tables of others are no longer walked */
	unsigned n_narrowings;
	uint32_t narrowings[KVM_NARROWINGS_MAX]; /* entries, numbered through the pool */
};

/*
 * Entries are numbered through the pool. Those that map the same guest page writable form a list:
 * newest[] by the page's number, then older[] by the entry's; both hold the entry's number plus 1.
 */
struct kvm_tables {
	struct machine *machine;
	const uint64_t *low_table; /* by space */
	uint64_t *pool;
	uint32_t used; /* pages; page 0 stays unused */
	bool renew;
	struct page_info *info;
	uint32_t *newest, *older;
	struct space spaces[MMU_SPACES];
	struct kvm_tables_statistics statistics;
};

/* ---- the pool ---- */

static void drop_space(struct kvm_tables *tables, unsigned space)
{
	tables->spaces[space].root = 0;
	tables->spaces[space].generation++;
	tables->spaces[space].n_narrowings = 0;
}

void kvm_tables_flush(struct kvm_tables *tables)
{
	for (unsigned space = 0; space < MMU_SPACES; space++)
		drop_space(tables, space);
	memset(tables->newest, 0,
	       memory_page_count(tables->machine->memory) * sizeof(*tables->newest));
	tables->used = 1;
	tables->renew = true;
}

static uint32_t new_page(struct kvm_tables *tables, unsigned space, uint64_t linear)
{
	uint32_t page = tables->used++;

	memset(tables->pool + (size_t)page * ENTRIES, 0, PAGE_BYTES);
	tables->info[page] = (struct page_info){
		.linear = linear,
		.generation = tables->spaces[space].generation,
		.space = (uint8_t)space,
		.window = WINDOW_FIRST,
	};
	return page;
}

static uint64_t page_physical(uint32_t page)
{
	return KVM_TABLES_PHYSICAL + (uint64_t)page * PAGE_BYTES;
}

static uint32_t page_of_entry(uint64_t entry)
{
	return (uint32_t)(((entry & PAGE_MASK & ~PTE_NX) - KVM_TABLES_PHYSICAL) / PAGE_BYTES);
}

/* ---- finding ---- */

static unsigned index_at(uint64_t linear, unsigned level)
{
	return linear >> (PAGE_SHIFT + 9 * (level - 1)) & (ENTRIES - 1);
}

static unsigned root_index(uint64_t linear)
{
	return index_at(linear + KVM_GUEST_BIAS, 4);
}

/* Guest addresses that the tables can hold: of users, and not where we are. */
static bool is_ours_to_map(uint64_t linear)
{
	return linear < KVM_USER_LIMIT && linear - KVM_TAKEN_FIRST >= KVM_TAKEN_BYTES;
}

/* The page of level 1 for a guest address, or 0. */
static uint32_t find_leaf(const struct kvm_tables *tables, unsigned space, uint64_t linear)
{
	uint32_t page = tables->spaces[space].root;

	for (unsigned level = 4; page && level > 1; level--) {
		unsigned index = level == 4 ? root_index(linear) : index_at(linear, level);
		uint64_t entry = tables->pool[(size_t)page * ENTRIES + index];
		page = entry ? page_of_entry(entry) : 0;
	}
	return page;
}

static void make_root(struct kvm_tables *tables, unsigned space)
{
	if (tables->used + CHAIN_PAGES > KVM_TABLES_PAGES) {
		kvm_tables_flush(tables);
		tables->statistics.renewals++;
	}
	if (tables->spaces[space].root)
		return;
	tables->spaces[space].root = new_page(tables, space, 0);
	tables->pool[(size_t)tables->spaces[space].root * ENTRIES] =
		tables->low_table[space] | ENTRY_TABLE;
	tables->statistics.new_roots++;
}

/* The page of level 1 for a guest address, made if need be. */
static uint32_t make_leaf(struct kvm_tables *tables, unsigned space, uint64_t linear)
{
	make_root(tables, space);
	uint32_t page = tables->spaces[space].root;
	for (unsigned level = 4; level > 1; level--) {
		unsigned index = level == 4 ? root_index(linear) : index_at(linear, level);
		uint64_t *entry = &tables->pool[(size_t)page * ENTRIES + index];
		if (!*entry) {
			uint64_t range = (UINT64_C(1) << (PAGE_SHIFT + 9)) - 1;
			*entry = page_physical(new_page(tables, space, linear & ~range)) |
				 ENTRY_TABLE;
		}
		page = page_of_entry(*entry);
	}
	return page;
}

/* ---- narrowing ---- */

static uint32_t number_of(uint64_t entry)
{
	return (uint32_t)(((entry & PAGE_MASK & ~PTE_NX) - KVM_GUEST_PHYSICAL) >> PAGE_SHIFT);
}

static void link_writable(struct kvm_tables *tables, uint32_t entry, uint32_t number)
{
	tables->older[entry] = tables->newest[number];
	tables->newest[number] = entry + 1;
}

static void unlink_writable(struct kvm_tables *tables, uint32_t entry, uint32_t number)
{
	uint32_t *at = &tables->newest[number];

	while (*at && *at != entry + 1)
		at = &tables->older[*at - 1];
	if (*at)
		*at = tables->older[entry];
}

static void remember_narrowing(struct kvm_tables *tables, uint32_t entry)
{
	unsigned number = tables->info[entry / ENTRIES].space;
	struct space *space = &tables->spaces[number];

	tables->statistics.narrowings++;
	if (space->n_narrowings == KVM_NARROWINGS_MAX)
		drop_space(tables, number);
	else
		space->narrowings[space->n_narrowings++] = entry;
}

static bool is_walked(const struct kvm_tables *tables, uint32_t entry)
{
	const struct page_info *info = &tables->info[entry / ENTRIES];

	return info->generation == tables->spaces[info->space].generation;
}

static void on_protect(void *ctx, uint64_t gpa)
{
	struct kvm_tables *tables = ctx;
	uint32_t number = memory_page_number(tables->machine->memory, gpa);
	uint32_t next = tables->newest[number];

	tables->newest[number] = 0;
	while (next) {
		uint32_t entry = next - 1;
		next = tables->older[entry];
		if (!is_walked(tables, entry))
			continue;
		tables->pool[entry] &= ~(uint64_t)PTE_W;
		remember_narrowing(tables, entry);
	}
}

static void on_drop_page(void *ctx, unsigned space, uint64_t linear)
{
	struct kvm_tables *tables = ctx;
	uint32_t leaf = is_ours_to_map(linear) ? find_leaf(tables, space, linear) : 0;
	uint32_t entry = leaf * ENTRIES + index_at(linear, 1);

	if (!leaf || !tables->pool[entry])
		return;
	if (tables->pool[entry] & PTE_W)
		unlink_writable(tables, entry, number_of(tables->pool[entry]));
	tables->pool[entry] = 0;
	remember_narrowing(tables, entry);
}

static void on_flush_space(void *ctx, unsigned space)
{
	drop_space(ctx, space);
}

unsigned kvm_tables_take_narrowings(struct kvm_tables *tables, unsigned space,
				    struct kvm_narrowing ret[KVM_NARROWINGS_MAX])
{
	struct space *from = &tables->spaces[space];
	unsigned n = from->n_narrowings;

	for (unsigned i = 0; i < n; i++) {
		uint32_t entry = from->narrowings[i];
		uint64_t page = entry % ENTRIES * (uint64_t)PAGE_BYTES;
		ret[i] = (struct kvm_narrowing){
			.entry_linear = KVM_TABLES_LINEAR + entry * sizeof(uint64_t),
			.linear = tables->info[entry / ENTRIES].linear + page + KVM_GUEST_BIAS,
		};
	}
	from->n_narrowings = 0;
	return n;
}

uint64_t kvm_tables_root(struct kvm_tables *tables, unsigned space, bool *ret_renew)
{
	make_root(tables, space);
	*ret_renew = tables->renew;
	tables->renew = false;
	return page_physical(tables->spaces[space].root);
}

/* ---- filling ---- */

/* One table of level 1 that is being filled after a miss. */
struct filling {
	struct kvm_tables *tables;
	struct cpu *cpu;
	uint32_t leaf;
	uint64_t linear;               /* of the table's first entry */
	unsigned first_write, n_write; /* entries whose pages are marked written */
};

static void set_entry(const struct filling *filling, unsigned index, uint32_t number, bool writable)
{
	struct kvm_tables *tables = filling->tables;
	uint32_t entry = filling->leaf * ENTRIES + index;
	uint64_t old = tables->pool[entry];
	uint64_t now = (KVM_GUEST_PHYSICAL + ((uint64_t)number << PAGE_SHIFT)) | ENTRY_PAGE |
		       (writable ? PTE_W : 0);

	if (old == now || (old & PTE_W))
		return;
	if (writable)
		link_writable(tables, entry, number);
	__atomic_store_n(&tables->pool[entry], now, __ATOMIC_RELEASE);
	tables->statistics.entries++;
}

static bool marks_written(const struct filling *filling, unsigned index, uint8_t flags)
{
	return index - filling->first_write < filling->n_write && flags && !(flags & ~FIRST_WRITE);
}

/* Fills an entry if a read there would succeed and change nothing. */
static void fill_entry(const struct filling *filling, unsigned index)
{
	struct memory *memory = filling->cpu->machine->memory;
	uint64_t linear = filling->linear + index * (uint64_t)PAGE_BYTES;
	static const struct walk_access read = {.kind = ACCESS_READ, .user = true};
	struct walk walk;
	uint32_t error;

	if (!walk_tables(filling->cpu, linear, &read, &walk, &error) ||
	    !(walk.step[walk.n_steps - 1].entry & PTE_A))
		return;
	uint32_t number = memory_page_number(memory, walk.gpa);
	if (number == UINT32_MAX || (*memory_flags(memory, walk.gpa) & PAGE_WATCH))
		return;
	bool writable = walk.writable && walk.dirty;
	if (writable && marks_written(filling, index, *memory_flags(memory, walk.gpa))) {
		memory_mark_written(memory, walk.gpa);
		filling->tables->statistics.first_writes++;
	}
	set_entry(filling, index, number, writable && !*memory_flags(memory, walk.gpa));
}

/* Fills what can be filled, but for entries that the guest's table has not, the common case, and
 * for those that cannot get wider. */
static void fill_table(const struct filling *filling, const struct walk *walk)
{
	const struct walk_step *last = &walk->step[walk->n_steps - 1];
	const uint64_t *leaf = filling->tables->pool + (size_t)filling->leaf * ENTRIES;
	const uint8_t *page = NULL;
	uint64_t entry = PTE_P;

	if (last->level == 1)
		page = memory_page(filling->cpu->machine->memory, last->entry_gpa & PAGE_MASK);
	for (unsigned index = 0; index < ENTRIES; index++) {
		if (page)
			memcpy(&entry, page + index * sizeof(entry), sizeof(entry));
		if ((entry & PTE_P) && !(leaf[index] & PTE_W))
			fill_entry(filling, index);
	}
}

/* The entries whose pages are marked written with the one at index: more each time. */
static void choose_window(struct filling *filling, unsigned index)
{
	struct page_info *info = &filling->tables->info[filling->leaf];

	filling->n_write = 1u << info->window;
	filling->first_write = index & ~(filling->n_write - 1);
	if (info->window < WINDOW_MAX)
		info->window++;
}

/* Whether an access would succeed and change nothing but the bytes. */
static bool access_is_plain(const struct cpu *cpu, uint64_t linear, bool write,
			    struct walk *ret_walk)
{
	const struct memory *memory = cpu->machine->memory;
	const struct walk_access access = {.kind = write ? ACCESS_WRITE : ACCESS_READ,
					   .user = true};
	uint32_t error;

	if (!walk_tables(cpu, linear, &access, ret_walk, &error) || (write && !ret_walk->dirty))
		return false;
	const uint8_t *flags = memory_flags(memory, ret_walk->gpa);
	return flags && !(*flags & (write ? (uint8_t)~FIRST_WRITE : PAGE_WATCH));
}

bool kvm_tables_fill(struct kvm_tables *tables, struct cpu *cpu, uint64_t linear, bool write)
{
	struct mmu *mmu = cpu->machine->mmu;
	unsigned index = index_at(linear, 1);
	struct walk walk;

	if (!is_ours_to_map(linear) || !access_is_plain(cpu, linear, write, &walk) ||
	    !mmu_keep_walk(mmu, &walk, linear))
		return false;
	struct filling filling = {
		.tables = tables,
		.cpu = cpu,
		.leaf = make_leaf(tables, mmu_selected_space(mmu), linear),
		.linear = linear & ~(uint64_t)(ENTRIES * PAGE_BYTES - 1),
	};
	bool present = tables->pool[(size_t)filling.leaf * ENTRIES + index];
	if (write && *memory_flags(cpu->machine->memory, walk.gpa))
		choose_window(&filling, index);
	tables->statistics.fills++;
	if (!present)
		fill_table(&filling, &walk);
	else if (filling.n_write)
		for (unsigned i = 0; i < filling.n_write; i++)
			fill_entry(&filling, filling.first_write + i);
	else
		fill_entry(&filling, index);
	return true;
}

void kvm_tables_probe(struct kvm_tables *tables, unsigned range, unsigned n)
{
	uint32_t leaf = make_leaf(tables, 0, KVM_TABLES_PROBE(range));
	uint64_t *entry = tables->pool + (size_t)leaf * ENTRIES;

	for (uint64_t number = 0; number < n; number++)
		entry[number] = (KVM_GUEST_PHYSICAL + (number << PAGE_SHIFT)) | ENTRY_PAGE;
}

/* ---- life ---- */

static int allocate(struct kvm_tables *tables)
{
	uint32_t pages = memory_page_count(tables->machine->memory);
	void *pool = mmap(NULL, KVM_TABLES_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (pool == MAP_FAILED)
		return -ENOMEM;
	tables->pool = pool;
	tables->info = calloc(KVM_TABLES_PAGES, sizeof(*tables->info));
	tables->newest = calloc((size_t)pages + 1, sizeof(*tables->newest));
	tables->older = calloc((size_t)KVM_TABLES_PAGES * ENTRIES, sizeof(*tables->older));
	return tables->info && tables->newest && tables->older ? 0 : -ENOMEM;
}

int kvm_tables_create(struct machine *machine, const uint64_t low_table[MMU_SPACES],
		      struct kvm_tables **ret_tables)
{
	struct kvm_tables *tables = calloc(1, sizeof(*tables));
	struct mmu_listener listener = {
		.flush_space = on_flush_space,
		.drop_page = on_drop_page,
		.protect = on_protect,
		.ctx = tables,
	};
	int r;

	if (!tables)
		return -ENOMEM;
	tables->machine = machine;
	tables->low_table = low_table;
	r = allocate(tables);
	if (!r) {
		kvm_tables_flush(tables);
		tables->renew = false; /* the VM has seen nothing yet */
		r = mmu_add_listener(machine->mmu, &listener);
	}
	if (r) {
		kvm_tables_destroy(tables);
		return r;
	}
	*ret_tables = tables;
	return 0;
}

void kvm_tables_destroy(struct kvm_tables *tables)
{
	if (!tables)
		return;
	mmu_remove_listener(tables->machine->mmu, tables);
	if (tables->pool)
		munmap(tables->pool, KVM_TABLES_BYTES);
	free(tables->older);
	free(tables->newest);
	free(tables->info);
	free(tables);
}

void *kvm_tables_pool(const struct kvm_tables *tables)
{
	return tables->pool;
}

const struct kvm_tables_statistics *kvm_tables_statistics(const struct kvm_tables *tables)
{
	return &tables->statistics;
}
