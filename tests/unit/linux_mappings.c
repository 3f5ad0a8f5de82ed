/* A process's mappings and the page cache, out of made-up trees of the guest's; damaged trees do no
 * harm. */
#include "gdbstub/linux/mappings.h"

#include "tests/tap.h"
#include "tests/unit/linux_fixture.h"

/* Structures of the guest, by their distance from FIXTURE_LINEAR. */
#define MM          0x100u
#define INNER       0x200u /* nodes are aligned to 256 bytes */
#define LEAF        0x300u
#define LAST_LEAF   0x400u
#define AREAS       0x1000u /* 64 bytes each */
#define FILES       0x2000u
#define SPACE       0x2100u
#define CACHE_ROOT  0x3000u /* nodes of the page cache */
#define CACHE_LEAF  0x3400u
#define VMEMMAP     0x2800u
#define PAGES       0x100000u /* struct page 0 */
#define TREES_BYTES 0x8000u
#define SLOTS       0x80u /* behind the pivots */

enum maple_type { MAPLE_LEAF = 1, MAPLE_ALLOCATION = 3 };

static struct machine *machine;
static struct linux_guest guest;

static void put64(uint64_t at, uint64_t value)
{
	memory_load(machine->memory, FIXTURE_GPA + at, &value, sizeof(value));
}

static uint64_t node(uint64_t at, enum maple_type type)
{
	return (FIXTURE_LINEAR + at) | (uint64_t)type << 3 | 2;
}

static void put_slot(uint64_t at, unsigned i, uint64_t pivot, uint64_t slot)
{
	put64(at + i * 8, pivot);
	put64(at + SLOTS + i * 8, slot);
}

static uint64_t put_area(unsigned n, uint64_t start, uint64_t end, uint64_t flags, uint64_t page,
			 uint64_t file)
{
	const uint64_t words[] = {start, end, flags, page, file};

	memory_load(machine->memory, FIXTURE_GPA + AREAS + n * 64, words, sizeof(words));
	return FIXTURE_LINEAR + AREAS + n * 64;
}

/* [0x400000, 0x402000) of a file, [0x500000, 0x501000) anonymous; far above, a stack. */
static void put_tree(void)
{
	put64(MM, node(INNER, MAPLE_ALLOCATION));
	put_slot(INNER, 0, 0x5fffff, node(LEAF, MAPLE_LEAF));
	put_slot(INNER, 1, UINT64_MAX, node(LAST_LEAF, MAPLE_LEAF));
	put_slot(LEAF, 0, 0x3fffff, 0);
	put_slot(LEAF, 1, 0x401fff,
		 put_area(0, 0x400000, 0x402000, MAPPING_READ | MAPPING_EXEC, 3,
			  FIXTURE_LINEAR + FILES));
	put_slot(LEAF, 2, 0x4fffff, 0);
	put_slot(LEAF, 3, 0x500fff,
		 put_area(1, 0x500000, 0x501000, MAPPING_READ | MAPPING_WRITE, 0, 0));
	put_slot(LEAF, 4, 0x5fffff, 0);
	put_slot(LAST_LEAF, 0, 0x7ffffffdefff, 0);
	put_slot(LAST_LEAF, 1, 0x7ffffffff000 - 1,
		 put_area(2, 0x7ffffffdf000, 0x7ffffffff000, MAPPING_READ | MAPPING_WRITE, 0, 0));
	put_slot(LAST_LEAF, 2, 0, 0);
}

static void test_find(void)
{
	struct mapping mapping;
	uint64_t next;

	tap_ok(mapping_find(&guest, FIXTURE_LINEAR + MM, 0x401fff, &mapping, &next) &&
		       mapping.start == 0x400000 && mapping.end == 0x402000 &&
		       mapping.flags == (MAPPING_READ | MAPPING_EXEC) &&
		       mapping.offset == 3 * PAGE_BYTES && mapping.file == FIXTURE_LINEAR + FILES,
	       "a mapping of a file, by its last byte");
	tap_ok(!mapping_find(&guest, FIXTURE_LINEAR + MM, 0x402000, &mapping, &next) &&
		       next == 0x500000,
	       "nothing behind it, up to the next");
	tap_ok(mapping_find(&guest, FIXTURE_LINEAR + MM, 0x500000, &mapping, &next) &&
		       !mapping.file,
	       "an anonymous one");
	tap_ok(mapping_find(&guest, FIXTURE_LINEAR + MM, 0x7ffffffe0000, &mapping, &next) &&
		       mapping.start == 0x7ffffffdf000,
	       "one in another leaf");
	tap_ok(!mapping_find(&guest, FIXTURE_LINEAR + MM, 0, &mapping, &next) && next == 0x400000,
	       "nothing at 0");
}

struct seen {
	unsigned n, most;
	uint64_t start[8];
};

static bool note(void *ctx, const struct mapping *mapping)
{
	struct seen *seen = ctx;

	if (seen->n < 8)
		seen->start[seen->n] = mapping->start;
	return ++seen->n < seen->most;
}

static void test_each(void)
{
	struct seen all = {.most = 100}, first = {.most = 1};

	mapping_each(&guest, FIXTURE_LINEAR + MM, note, &all);
	tap_ok(all.n == 3 && all.start[0] == 0x400000 && all.start[1] == 0x500000 &&
		       all.start[2] == 0x7ffffffdf000,
	       "each, by ascending address");
	mapping_each(&guest, FIXTURE_LINEAR + MM, note, &first);
	tap_ok(first.n == 1, "until it is told to stop");
}

/* ---- the page cache ---- */

static uint64_t page(unsigned number)
{
	return FIXTURE_LINEAR + PAGES + number * 64;
}

static void put_page(unsigned number, uint64_t flags, uint64_t index)
{
	put64(PAGES + number * 64, flags);
	put64(PAGES + number * 64 + 32, index);
}

/* The file's page 0 lies in page 7; 64 to 67 in 8 to 11, which are one folio. */
static void put_cache(void)
{
	put64(VMEMMAP, FIXTURE_LINEAR + PAGES);
	put64(FILES + 16, FIXTURE_LINEAR + SPACE);
	put64(SPACE + 8, (FIXTURE_LINEAR + CACHE_ROOT) | 2);
	put64(CACHE_ROOT, 6);
	put64(CACHE_ROOT + 40, (FIXTURE_LINEAR + CACHE_LEAF) | 2);
	put64(CACHE_ROOT + 40 + 8, (FIXTURE_LINEAR + CACHE_LEAF + 0x400) | 2);
	put64(CACHE_LEAF, 0);
	put64(CACHE_LEAF + 40, page(7));
	put64(CACHE_LEAF + 40 + 8, 0x1235); /* a value: it was here once */
	put64(CACHE_LEAF + 40 + 16, page(12));
	put64(CACHE_LEAF + 0x400, 0);
	put64(CACHE_LEAF + 0x400 + 40, page(8));
	for (unsigned i = 1; i < 4; i++)
		put64(CACHE_LEAF + 0x400 + 40 + i * 8, 2); /* as in slot 0 */
	put_page(7, 1 << 4, 0);
	put_page(8, 1 << 4, 64);
	put_page(12, 0, 2); /* not read yet */
}

static bool cached(uint64_t offset, uint64_t expected_gpa)
{
	uint64_t gpa = 0;

	return mapping_cached_page(&guest, FIXTURE_LINEAR + FILES, offset, &gpa) &&
	       gpa == expected_gpa;
}

static void test_cache(void)
{
	uint64_t gpa;

	tap_ok(cached(0, 7 * PAGE_BYTES) && cached(4095, 7 * PAGE_BYTES),
	       "the page of a file's first bytes");
	tap_ok(cached(64 * PAGE_BYTES, 8 * PAGE_BYTES) && cached(67 * PAGE_BYTES, 11 * PAGE_BYTES),
	       "pages of a folio");
	tap_ok(!mapping_cached_page(&guest, FIXTURE_LINEAR + FILES, PAGE_BYTES, &gpa),
	       "one that was dropped");
	tap_ok(!mapping_cached_page(&guest, FIXTURE_LINEAR + FILES, 2 * PAGE_BYTES, &gpa),
	       "one that is not read yet");
	tap_ok(!mapping_cached_page(&guest, FIXTURE_LINEAR + FILES, 3 * PAGE_BYTES, &gpa) &&
		       !mapping_cached_page(&guest, FIXTURE_LINEAR + FILES, UINT64_C(1) << 50,
					    &gpa),
	       "none");
	put64(SPACE + 8, page(7));
	tap_ok(cached(0, 7 * PAGE_BYTES) &&
		       !mapping_cached_page(&guest, FIXTURE_LINEAR + FILES, PAGE_BYTES, &gpa),
	       "a file of one page has no nodes");
	put_cache();
}

/* ---- damage ---- */

static uint64_t random_below(uint64_t *state, uint64_t n)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (*state >> 33) % n;
}

/* Pointers that lead elsewhere among the trees, in circles too, or nowhere. */
static void damage(uint64_t *state)
{
	uint64_t at = random_below(state, 2) ? random_below(state, 0x600)
					     : CACHE_ROOT + random_below(state, 0xa00);
	const uint64_t values[] = {0,
				   UINT64_MAX,
				   node(INNER, MAPLE_ALLOCATION),
				   node(LEAF, MAPLE_LEAF),
				   (FIXTURE_LINEAR + CACHE_ROOT) | 2,
				   random_below(state, UINT64_MAX)};

	put64(at & ~UINT64_C(7), values[random_below(state, 6)]);
}

static void test_damage(void)
{
	static const uint8_t zeros[TREES_BYTES];
	uint64_t state = 1, gpa, total = 0;

	for (unsigned i = 0; i < 300; i++) {
		struct seen seen = {.most = 1000};
		memory_load(machine->memory, FIXTURE_GPA, zeros, sizeof(zeros));
		put_tree();
		put_cache();
		for (unsigned j = 0; j < 3; j++)
			damage(&state);
		mapping_each(&guest, FIXTURE_LINEAR + MM, note, &seen);
		total += seen.n;
		for (unsigned j = 0; j < 200; j++)
			mapping_cached_page(&guest, FIXTURE_LINEAR + FILES, j * PAGE_BYTES, &gpa);
	}
	tap_ok(total != 0, "damaged trees do no harm");
}

int main(void)
{
	machine = fixture_machine();
	fixture_start(machine);
	guest = (struct linux_guest){
		.machine = machine,
		.vmemmap = FIXTURE_LINEAR + VMEMMAP,
		.at = {.has_mappings = true,
		       .vma_start = 0,
		       .vma_end = 8,
		       .vma_flags = 16,
		       .vma_offset = 24,
		       .vma_file = 32,
		       .leaf_slots = SLOTS,
		       .leaf_slots_bytes = 16 * 8,
		       .inner_slots = SLOTS,
		       .inner_slots_bytes = 10 * 8,
		       .file_mapping = 16,
		       .mapping_pages = 8,
		       .xnode_slots = 40,
		       .xnode_slots_bytes = 64 * 8,
		       .page_index = 32,
		       .page_bytes = 64,
		       .page_uptodate = 4},
	};
	put_tree();
	put_cache();
	test_find();
	test_each();
	test_cache();
	test_damage();
	machine_destroy(machine);
	return tap_done();
}
