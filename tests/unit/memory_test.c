/* Guest-physical memory: the map, copies, flags and listeners, the digest against a recomputed one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "tests/tap.h"
#include "vmm/memory/memory.h"

#define RAM_BYTES  0x10000u
#define ROM_GPA    0x20000u
#define ROM_BYTES  0x2000u
#define HIGH_GPA   0x100000000u
#define HIGH_BYTES 0x4000u

static const struct memory_region map[] = {
	{.kind = REGION_RAM, .gpa = 0, .bytes = RAM_BYTES},
	{.kind = REGION_RAM, .gpa = RAM_BYTES, .bytes = 0x1000},
	{.kind = REGION_ROM, .gpa = ROM_GPA, .bytes = ROM_BYTES},
	{.kind = REGION_DEVICE, .gpa = 0x30000, .bytes = 0x1000},
	{.kind = REGION_RAM, .gpa = HIGH_GPA, .bytes = HIGH_BYTES},
};
#define MAP_COUNT (sizeof(map) / sizeof(map[0]))

struct heard {
	unsigned table_writes, protects, code_writes;
	uint64_t gpa;
	uint32_t n;
	uint8_t old, new_byte;
};

static void on_table_write(void *ctx, uint64_t gpa, const uint8_t *old, const uint8_t *new_bytes,
			   uint32_t n)
{
	struct heard *heard = ctx;
	heard->table_writes++;
	heard->gpa = gpa;
	heard->n = n;
	heard->old = *old;
	heard->new_byte = *new_bytes;
}

static void on_protect(void *ctx, uint64_t gpa)
{
	struct heard *heard = ctx;
	heard->protects++;
	heard->gpa = gpa;
}

static void on_code_write(void *ctx, uint64_t gpa, uint32_t n)
{
	struct heard *heard = ctx;
	heard->code_writes++;
	heard->gpa = gpa;
	heard->n = n;
}

static struct memory *make(struct heard *heard)
{
	struct memory *memory = NULL;

	if (memory_create(map, MAP_COUNT, &memory)) {
		printf("Bail out! no memory\n");
		exit(1);
	}
	memory_set_listener(memory, &(struct memory_listener){.table_write = on_table_write,
							      .protect = on_protect,
							      .ctx = heard});
	memory_set_code_listener(memory, PAGE_CODE,
				 &(struct memory_code_listener){on_code_write, heard});
	*heard = (struct heard){0};
	return memory;
}

/* The digest by its definition, of every page there is. */
static uint64_t recompute(const struct memory *memory)
{
	static const uint8_t zeros[PAGE_BYTES];
	uint64_t sum = 0;

	for (unsigned i = 0; i < MAP_COUNT; i++) {
		if (map[i].kind == REGION_DEVICE)
			continue;
		for (uint64_t gpa = map[i].gpa; gpa < map[i].gpa + map[i].bytes;
		     gpa += PAGE_BYTES) {
			const uint8_t *page = memory_page(memory, gpa);
			if (memcmp(page, zeros, PAGE_BYTES) != 0)
				sum += XXH3_64bits_withSeed(page, PAGE_BYTES, gpa >> PAGE_SHIFT);
		}
	}
	return sum;
}

static void test_map(void)
{
	static const struct {
		const char *name;
		struct memory_region regions[2];
		unsigned n;
	} bad[] = {
		{"none", {{0}}, 0},
		{"no kind", {{.gpa = 0, .bytes = 0x1000}}, 1},
		{"empty", {{.kind = REGION_RAM}}, 1},
		{"not whole pages", {{.kind = REGION_RAM, .bytes = 0x1001}}, 1},
		{"not aligned", {{.kind = REGION_RAM, .gpa = 1, .bytes = 0x1000}}, 1},
		{"overlap",
		 {{.kind = REGION_RAM, .bytes = 0x2000},
		  {.kind = REGION_ROM, .gpa = 0x1000, .bytes = 0x1000}},
		 2},
		{"beyond the address width",
		 {{.kind = REGION_RAM, .gpa = (UINT64_C(1) << GPA_BITS) - 0x1000, .bytes = 0x2000}},
		 1},
		{"far too large",
		 {{.kind = REGION_RAM, .bytes = UINT64_MAX & ~UINT64_C(0xfff)}},
		 1},
	};
	struct memory *memory = NULL;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_ok(memory_create(bad[i].regions, bad[i].n, &memory) == -EINVAL && !memory,
		       "bad map: %s", bad[i].name);
	memory_destroy(NULL);
}

static void test_copies(void)
{
	struct heard heard;
	struct memory *memory = make(&heard);
	uint8_t data[0x3000], back[0x3000];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 256 + 1);
	memory_write(memory, RAM_BYTES - 0x800, data, sizeof(data));
	memory_read(memory, RAM_BYTES - 0x800, back, sizeof(back));
	tap_ok(!memcmp(back, data, 0x1800) && back[0x1800] == 0xff && back[0x2fff] == 0xff,
	       "a write over two regions and a hole");
	memory_write(memory, ROM_GPA, data, 16);
	memory_read(memory, ROM_GPA, back, 16);
	tap_ok(back[0] == 0 && back[15] == 0, "ROM drops writes");
	memory_load(memory, ROM_GPA, data, 16);
	memory_read(memory, ROM_GPA, back, 16);
	tap_ok(!memcmp(back, data, 16), "and takes loads");
	tap_ok(memory_is_ram(memory, 0, RAM_BYTES + 0x1000) &&
		       !memory_is_ram(memory, 0, RAM_BYTES + 0x1001) &&
		       !memory_is_ram(memory, ROM_GPA, 1) &&
		       memory_is_ram(memory, HIGH_GPA + HIGH_BYTES - 1, 1) &&
		       !memory_is_ram(memory, HIGH_GPA + HIGH_BYTES - 1, 2) &&
		       !memory_is_ram(memory, UINT64_MAX - 1, 4),
	       "what is RAM");
	tap_ok(memory_page_count(memory) == 17 + 2 + 4 && memory_page_number(memory, 0xfff) == 0 &&
		       memory_page_number(memory, ROM_GPA + 0x1000) == 18 &&
		       memory_page_number(memory, 0x30000) == UINT32_MAX &&
		       memory_page_number(memory, HIGH_GPA + 0x3000) == 22 &&
		       !memory_page(memory, 0x30000) && !memory_flags(memory, 0x18000),
	       "page numbers");
	tap_ok(memory_find_region(memory, 0x30fff)->kind == REGION_DEVICE &&
		       !memory_find_region(memory, 0x31000),
	       "regions");
	memory_destroy(memory);
}

static void test_flags(void)
{
	struct heard heard;
	struct memory *memory = make(&heard);
	uint8_t byte = 5;

	tap_ok(*memory_flags(memory, 0) == PAGE_CLEAN &&
		       *memory_flags(memory, ROM_GPA) == (PAGE_CLEAN | PAGE_ROM),
	       "pages begin clean");
	memory_write(memory, 0x1234, &byte, 1);
	tap_ok(*memory_flags(memory, 0x1000) == 0, "a write makes a page writable");
	memory_protect(memory, 0x1234, PAGE_TABLE);
	tap_ok(heard.protects == 1 && heard.gpa == 0x1000, "protection is told once");
	memory_protect(memory, 0x1234, PAGE_CODE);
	tap_ok(heard.protects == 1, "not when the page was protected already");
	byte = 9;
	memory_write(memory, 0x1234, &byte, 1);
	tap_ok(heard.table_writes == 1 && heard.code_writes == 1 && heard.gpa == 0x1234 &&
		       heard.n == 1 && heard.old == 5 && heard.new_byte == 9,
	       "listeners hear of a write before it happens");
	memory_unprotect(memory, 0x1000, PAGE_TABLE);
	memory_write(memory, 0xfff, "ab", 2);
	tap_ok(heard.table_writes == 1 && heard.code_writes == 2 && heard.gpa == 0x1000,
	       "each page of a write by itself");
	memory_unprotect(memory, 0x1000, PAGE_CODE);
	heard.protects = 0;
	memory_digest(memory);
	tap_ok(heard.protects == 2 && *memory_flags(memory, 0x1000) == PAGE_CLEAN,
	       "bringing the digest up to date protects the written pages");
	memory_destroy(memory);
}

/* Writes a byte to a page, and returns whether that is in the digest. */
static bool change(struct memory *memory, uint64_t gpa, uint8_t byte)
{
	memory_write(memory, gpa, &byte, 1);
	return memory_digest(memory) == recompute(memory);
}

static void test_busy_page(void)
{
	struct heard heard;
	struct memory *memory = make(&heard);
	bool right = change(memory, 0x1000, 1);

	tap_ok(*memory_flags(memory, 0x1000) == PAGE_CLEAN, "a page that was written once");
	right &= change(memory, 0x1000, 2);
	heard.protects = 0;
	right &= change(memory, 0x1000, 3) && change(memory, 0x1000, 4);
	tap_ok(heard.protects == 0 && !*memory_flags(memory, 0x1000),
	       "one that changes from digest to digest stays writable");
	tap_ok(right, "and is in each digest");
	for (unsigned i = 0; i < 3; i++)
		right &= memory_digest(memory) == recompute(memory);
	tap_ok(right && !heard.protects && !*memory_flags(memory, 0x1000),
	       "though a few find it as it was");
	right = change(memory, 0x1000, 7) && !*memory_flags(memory, 0x1000);
	for (unsigned i = 0; i < 5; i++)
		right &= memory_digest(memory) == recompute(memory);
	tap_ok(right && heard.protects == 1 && *memory_flags(memory, 0x1000) == PAGE_CLEAN,
	       "until it has not changed for longer");
	right = change(memory, 0x1000, 5) && change(memory, 0x1000, 6) && change(memory, 0x1000, 0);
	tap_ok(right && *memory_flags(memory, 0x1000) == PAGE_CLEAN && !memory_digest(memory),
	       "or of zeros");
	memory_destroy(memory);
}

static int count_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	uint64_t *sum = ctx;
	*sum = *sum * 31 + gpa + page[0];
	return gpa == 0x5000 ? 7 : 0;
}

static void test_digest(void)
{
	struct heard heard;
	struct memory *memory = make(&heard), *other = make(&heard);
	bool same = true;
	uint64_t seed = 1, sum = 0, before;

	tap_ok(memory_digest(memory) == 0, "the digest of zeros is 0");
	for (unsigned i = 0; same && i < 2000; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		uint64_t gpa = seed >> 33 & 1 ? HIGH_GPA + (seed >> 40) % HIGH_BYTES
					      : (seed >> 40) % (ROM_GPA + ROM_BYTES);
		uint64_t value = seed >> 34 & 3 ? seed : 0;
		memory_load(memory, gpa, &value, 1 + (seed >> 20) % 8);
		if (i % 3 == 0)
			same = memory_digest(memory) == recompute(memory);
	}
	tap_ok(same, "the digest is what a whole computation gives, at every step");
	memory_write(other, 0x2000, "x", 1);
	before = memory_digest(other);
	memory_write(other, 0x2000, "\0", 1);
	memory_write(other, 0x3000, "x", 1);
	tap_ok(memory_digest(other) != before, "the same page elsewhere has another digest");
	memory_write(other, 0x3000, "\0", 1);
	tap_ok(memory_digest(other) == 0, "pages that are zero again do not count");
	tap_ok(memory_each_page(other, count_page, &sum) == 0 && sum == 0, "nor are they visited");
	memory_write(other, 0x9000, "y", 1);
	memory_write(other, 0x4000, "x", 1);
	memory_digest(other);
	memory_write(other, 0x3000, "z", 1);
	memory_each_page(other, count_page, &sum);
	tap_ok(sum == ((0x3000 + 'z') * UINT64_C(31) + 0x4000 + 'x') * 31 + 0x9000 + 'y',
	       "pages with content, written since or not, come in order");
	memory_write(other, 0x5000, "q", 1);
	tap_ok(memory_each_page(other, count_page, &sum) == 7, "the visitor can stop");
	memory_destroy(memory);
	memory_destroy(other);
}

static void test_clear(void)
{
	struct heard heard;
	struct memory *memory = make(&heard);
	uint8_t byte = 1;

	memory_load(memory, ROM_GPA, "rom", 3);
	memory_write(memory, 0x1000, "plain", 5);
	memory_write(memory, 0x2000, "code", 4);
	memory_write(memory, 0x3000, "table", 5);
	memory_protect(memory, 0x2000, PAGE_CODE);
	memory_protect(memory, 0x3000, PAGE_TABLE);
	memory_protect(memory, 0x6000, PAGE_CODE); /* zeros, executed */
	memory_digest(memory);
	memory_write(memory, 0x4000, "dirty", 5);
	heard = (struct heard){0};
	memory_clear(memory);
	tap_ok(heard.code_writes == 1 && heard.table_writes == 1 && heard.protects >= 1,
	       "clearing is a write that listeners hear of");
	tap_ok(*memory_flags(memory, 0x6000) & PAGE_CODE,
	       "what watches a page of zeros still does");
	tap_ok(memory_digest(memory) == 0 && recompute(memory) == 0, "all is zero");
	memory_write(memory, 0x4000, &byte, 1);
	tap_ok(memory_digest(memory) == recompute(memory) && recompute(memory) != 0,
	       "and writes are tracked again");
	memory_destroy(memory);
}

int main(void)
{
	test_map();
	test_copies();
	test_flags();
	test_busy_page();
	test_digest();
	test_clear();
	return tap_done();
}
