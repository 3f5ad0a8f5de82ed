#include "vmm/memory/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xxhash.h>

#include "vmm/memory/watch.h"

/* One RAM or ROM region's pages: [first, first + bytes / PAGE_BYTES) of the page arrays. */
struct backing {
	uint8_t *host;
	uint32_t first;
};

struct memory {
	struct memory_region regions[MEMORY_MAX_REGIONS];
	struct backing backing[MEMORY_MAX_REGIONS];
	unsigned n_regions;
	unsigned largest; /* of RAM: most addresses lie there */
	uint32_t n_pages;
	uint8_t *flags;    /* by page number */
	uint64_t *hashes;  /* by page number; 0 for a page of zeros */
	uint64_t digest;   /* sum of hashes */
	uint32_t *changed; /* by page number: the digest that last found it changed */
	uint32_t n_digest; /* the number of the next digest */
	uint32_t *dirty;   /* page numbers without PAGE_CLEAN */
	uint64_t *dirty_gpas;
	uint32_t n_dirty;
	uint64_t *changes; /* guest-physical addresses of pages; NULL: not kept account of */
	uint32_t n_changes;
	struct memory_listener listener;
	struct memory_code_listener code_listener, translation_listener, jit_listener;
	struct watch_set watches;
};

/* A page that had changed so many digests ago at most stays writable. To hash it in vain as often
 * costs less than to notice the next write to it. */
#define RECENT_DIGESTS 4

/* None of late has found a page changed. */
#define FIRST_DIGEST (RECENT_DIGESTS + 1)

static bool region_has_pages(const struct memory_region *region)
{
	return region->kind == REGION_RAM || region->kind == REGION_ROM;
}

static bool map_is_valid(const struct memory_region *regions, unsigned n)
{
	uint64_t end = 0;

	if (!n || n > MEMORY_MAX_REGIONS)
		return false;
	for (unsigned i = 0; i < n; i++) {
		const struct memory_region *r = &regions[i];
		if (r->kind < REGION_RAM || r->kind > REGION_DEVICE || r->gpa < end || !r->bytes ||
		    r->gpa % PAGE_BYTES || r->bytes % PAGE_BYTES || r->bytes > MEMORY_MAX_BYTES ||
		    r->gpa > (UINT64_C(1) << GPA_BITS) - r->bytes)
			return false;
		end = r->gpa + r->bytes;
	}
	return true;
}

/* All pages hold zeros; whoever watches a page still does. */
static void mark_all_clean(struct memory *memory)
{
	for (unsigned i = 0; i < memory->n_regions; i++) {
		const struct memory_region *r = &memory->regions[i];
		if (!region_has_pages(r))
			continue;
		uint8_t *flags = memory->flags + memory->backing[i].first;
		for (uint64_t n = 0; n < r->bytes / PAGE_BYTES; n++)
			flags[n] |= PAGE_CLEAN | (r->kind == REGION_ROM ? PAGE_ROM : 0);
	}
	memory->n_dirty = 0;
	memory->digest = 0;
}

static int map_backing(struct memory *memory)
{
	for (unsigned i = 0; i < memory->n_regions; i++) {
		const struct memory_region *r = &memory->regions[i];
		if (!region_has_pages(r))
			continue;
		void *host = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (host == MAP_FAILED)
			return -ENOMEM;
		memory->backing[i].host = host;
		if (r->kind == REGION_RAM && r->bytes > memory->regions[memory->largest].bytes)
			memory->largest = i;
		memory->backing[i].first = memory->n_pages;
		memory->n_pages += r->bytes / PAGE_BYTES;
	}
	return 0;
}

int memory_create(const struct memory_region *regions, unsigned n, struct memory **ret_memory)
{
	if (!map_is_valid(regions, n))
		return -EINVAL;
	uint64_t pages = 0;
	for (unsigned i = 0; i < n; i++)
		pages += region_has_pages(&regions[i]) ? regions[i].bytes / PAGE_BYTES : 0;
	if (pages > MEMORY_MAX_BYTES / PAGE_BYTES)
		return -EINVAL;

	struct memory *memory = calloc(1, sizeof(*memory));
	if (!memory)
		return -ENOMEM;
	memcpy(memory->regions, regions, n * sizeof(*regions));
	memory->n_regions = n;
	int r = map_backing(memory);
	memory->flags = calloc(pages + 1, 1);
	memory->hashes = calloc(pages + 1, sizeof(*memory->hashes));
	memory->changed = calloc(pages + 1, sizeof(*memory->changed));
	memory->n_digest = FIRST_DIGEST;
	memory->dirty = calloc(pages + 1, sizeof(*memory->dirty));
	memory->dirty_gpas = calloc(pages + 1, sizeof(*memory->dirty_gpas));
	if (r || !memory->flags || !memory->hashes || !memory->changed || !memory->dirty ||
	    !memory->dirty_gpas) {
		memory_destroy(memory);
		return -ENOMEM;
	}
	mark_all_clean(memory);
	*ret_memory = memory;
	return 0;
}

void memory_destroy(struct memory *memory)
{
	if (!memory)
		return;
	for (unsigned i = 0; i < memory->n_regions; i++)
		if (memory->backing[i].host)
			munmap(memory->backing[i].host, memory->regions[i].bytes);
	watch_set_finish(&memory->watches);
	free(memory->changes);
	free(memory->dirty_gpas);
	free(memory->dirty);
	free(memory->changed);
	free(memory->hashes);
	free(memory->flags);
	free(memory);
}

void memory_set_listener(struct memory *memory, const struct memory_listener *listener)
{
	memory->listener = listener ? *listener : (struct memory_listener){0};
}

void memory_set_code_listener(struct memory *memory, enum page_flags flag,
			      const struct memory_code_listener *listener)
{
	struct memory_code_listener *slot = flag == PAGE_CODE     ? &memory->code_listener
					    : flag == PAGE_JITTED ? &memory->jit_listener
								  : &memory->translation_listener;

	*slot = listener ? *listener : (struct memory_code_listener){0};
}

/* Index of the region that holds gpa, or -1. */
static int region_index(const struct memory *memory, uint64_t gpa)
{
	const struct memory_region *largest = &memory->regions[memory->largest];

	if (gpa - largest->gpa < largest->bytes)
		return (int)memory->largest;
	for (unsigned i = 0; i < memory->n_regions; i++)
		if (gpa - memory->regions[i].gpa < memory->regions[i].bytes)
			return i;
	return -1;
}

const struct memory_region *memory_find_region(const struct memory *memory, uint64_t gpa)
{
	int i = region_index(memory, gpa);
	return i < 0 ? NULL : &memory->regions[i];
}

uint32_t memory_page_count(const struct memory *memory)
{
	return memory->n_pages;
}

uint32_t memory_find_page(const struct memory *memory, uint64_t gpa, uint8_t **ret_host)
{
	int i = region_index(memory, gpa);
	if (i < 0 || !memory->backing[i].host)
		return UINT32_MAX;
	uint64_t offset = (gpa - memory->regions[i].gpa) & ~(uint64_t)(PAGE_BYTES - 1);
	if (ret_host)
		*ret_host = memory->backing[i].host + offset;
	return memory->backing[i].first + (uint32_t)(offset >> PAGE_SHIFT);
}

uint32_t memory_page_number(const struct memory *memory, uint64_t gpa)
{
	return memory_find_page(memory, gpa, NULL);
}

uint8_t *memory_page(const struct memory *memory, uint64_t gpa)
{
	uint8_t *host = NULL;
	memory_find_page(memory, gpa, &host);
	return host;
}

uint8_t *memory_flags(const struct memory *memory, uint64_t gpa)
{
	uint32_t page = memory_find_page(memory, gpa, NULL);
	return page == UINT32_MAX ? NULL : &memory->flags[page];
}

uint8_t *memory_flags_of(const struct memory *memory, uint32_t number)
{
	return &memory->flags[number];
}

static void tell_protected(struct memory *memory, uint64_t gpa)
{
	if (memory->listener.protect)
		memory->listener.protect(memory->listener.ctx, gpa & ~(uint64_t)(PAGE_BYTES - 1));
}

void memory_protect(struct memory *memory, uint64_t gpa, uint8_t flags)
{
	uint8_t *byte = memory_flags(memory, gpa);
	if (!byte)
		return;
	bool was_writable = !(*byte & ~PAGE_WATCH); /* beside the watchpoints */
	*byte |= flags;
	if (was_writable)
		tell_protected(memory, gpa);
}

void memory_unprotect(struct memory *memory, uint64_t gpa, uint8_t flags)
{
	uint8_t *byte = memory_flags(memory, gpa);
	if (byte)
		*byte &= ~flags;
}

bool memory_is_ram(const struct memory *memory, uint64_t gpa, uint64_t n)
{
	while (n) {
		int i = region_index(memory, gpa);
		if (i < 0 || memory->regions[i].kind != REGION_RAM)
			return false;
		uint64_t here = memory->regions[i].gpa + memory->regions[i].bytes - gpa;
		if (here >= n)
			return true;
		gpa += here;
		n -= here;
	}
	return true;
}

void memory_read(const struct memory *memory, uint64_t gpa, void *buffer, uint64_t n)
{
	uint8_t *out = buffer;
	while (n) {
		uint64_t here = PAGE_BYTES - gpa % PAGE_BYTES;
		if (here > n)
			here = n;
		const uint8_t *page = memory_page(memory, gpa);
		if (page)
			memory_copy_word(out, page + gpa % PAGE_BYTES, here);
		else
			memset(out, 0xff, here);
		out += here;
		gpa += here;
		n -= here;
	}
}

static void note_access(struct memory *memory, uint64_t gpa, uint32_t n, bool write)
{
	if (watch_set_access(&memory->watches, gpa, n, write) && memory->listener.watch_hit)
		memory->listener.watch_hit(memory->listener.ctx);
}

static void tell_code_write(const struct memory_code_listener *listener, uint64_t gpa, uint32_t n)
{
	if (listener->code_write)
		listener->code_write(listener->ctx, gpa, n);
}

static void add_change(struct memory *memory, uint32_t page, uint64_t gpa)
{
	memory->flags[page] &= ~PAGE_KEPT;
	memory->changes[memory->n_changes++] = gpa & ~(uint64_t)(PAGE_BYTES - 1);
}

/* Keeps account of a page that is written, and leaves its other flags alone. */
static void note_written(struct memory *memory, uint32_t page, uint64_t gpa)
{
	uint8_t flags = memory->flags[page];

	if (flags & PAGE_CLEAN) {
		memory->dirty_gpas[memory->n_dirty] = gpa & ~(uint64_t)(PAGE_BYTES - 1);
		memory->dirty[memory->n_dirty++] = page;
	}
	memory->flags[page] &= ~PAGE_CLEAN;
	if (flags & PAGE_KEPT)
		add_change(memory, page, gpa);
}

void memory_mark_written(struct memory *memory, uint64_t gpa)
{
	uint32_t page = memory_find_page(memory, gpa, NULL);

	if (page != UINT32_MAX)
		note_written(memory, page, gpa);
}

/* Everything that must be known about a write inside one page, before it happens. */
static void announce_write(struct memory *memory, uint32_t page, uint64_t gpa, const uint8_t *old,
			   const uint8_t *data, uint32_t n)
{
	uint8_t flags = memory->flags[page];
	if (flags & PAGE_CODE)
		tell_code_write(&memory->code_listener, gpa, n);
	if (flags & PAGE_TRANSLATED)
		tell_code_write(&memory->translation_listener, gpa, n);
	if (flags & PAGE_JITTED)
		tell_code_write(&memory->jit_listener, gpa, n);
	if (flags & PAGE_WATCH)
		note_access(memory, gpa, n, true);
	if ((flags & PAGE_TABLE) && memory->listener.table_write)
		memory->listener.table_write(memory->listener.ctx, gpa, old, data, n);
	note_written(memory, page, gpa);
}

/* ---- pages that change ---- */

static int start_keeping(struct memory *memory)
{
	memory->changes = calloc((size_t)memory->n_pages + 1, sizeof(*memory->changes));
	if (!memory->changes)
		return -ENOMEM;
	for (unsigned i = 0; i < memory->n_regions; i++) {
		const struct memory_region *r = &memory->regions[i];
		for (uint64_t at = 0; memory->backing[i].host && at < r->bytes; at += PAGE_BYTES)
			memory_protect(memory, r->gpa + at, PAGE_KEPT);
	}
	return 0;
}

int memory_keep_changes(struct memory *memory)
{
	if (!memory->changes)
		return start_keeping(memory);
	for (uint32_t i = 0; i < memory->n_changes; i++)
		memory_protect(memory, memory->changes[i], PAGE_KEPT);
	memory->n_changes = 0;
	return 0;
}

uint32_t memory_change_count(const struct memory *memory)
{
	return memory->n_changes;
}

uint64_t memory_change(const struct memory *memory, uint32_t n)
{
	return memory->changes[n];
}

void memory_note_change(struct memory *memory, uint64_t gpa)
{
	uint32_t page = memory_find_page(memory, gpa, NULL);

	if (page != UINT32_MAX && (memory->flags[page] & PAGE_KEPT))
		add_change(memory, page, gpa);
}

/* ---- watchpoints ---- */

static void flag_watched_pages(struct memory *memory, bool on)
{
	for (unsigned i = 0; i < memory->watches.n; i++) {
		const struct memory_watch *watch = &memory->watches.watches[i];
		uint64_t page = watch->gpa & ~(uint64_t)(PAGE_BYTES - 1);
		for (; page < watch->gpa + watch->bytes; page += PAGE_BYTES) {
			if (on)
				memory_protect(memory, page, PAGE_WATCH);
			else
				memory_unprotect(memory, page, PAGE_WATCH);
		}
	}
}

int memory_set_watches(struct memory *memory, const struct memory_watch *watches, unsigned n)
{
	flag_watched_pages(memory, false);
	int r = watch_set_replace(&memory->watches, watches, n);
	flag_watched_pages(memory, true);
	return r;
}

bool memory_is_watched(const struct memory *memory)
{
	return memory->watches.n != 0;
}

bool memory_is_beside_watches(const struct memory *memory, uint64_t gpa, uint32_t n, bool write)
{
	return !watch_set_counts(&memory->watches, gpa, n, false) &&
	       !(write && watch_set_counts(&memory->watches, gpa, n, true));
}

bool memory_reads_are_watched(const struct memory *memory, uint64_t gpa_page, uint8_t flags)
{
	return (flags & PAGE_WATCH) &&
	       watch_set_counts(&memory->watches, gpa_page, PAGE_BYTES, false);
}

void memory_note_read(struct memory *memory, uint64_t gpa, uint32_t n)
{
	note_access(memory, gpa, n, false);
}

bool memory_watch_hit(const struct memory *memory, struct memory_watch_access *ret_access)
{
	const struct watch_set *set = &memory->watches;
	unsigned first = 0;

	if (!set->n_hits)
		return false;
	while (first < set->n_hits && !set->hit[first].write)
		first++;
	if (ret_access)
		*ret_access = set->hit[first < set->n_hits ? first : 0];
	return true;
}

const struct memory_watch_access *memory_watch_hits(const struct memory *memory, unsigned *ret_n)
{
	*ret_n = memory->watches.n_hits;
	return memory->watches.hit;
}

void memory_forget_watched_reads(struct memory *memory)
{
	watch_set_forget_reads(&memory->watches);
}

void memory_clear_watch_hit(struct memory *memory)
{
	memory->watches.n_hits = 0;
}

/* ---- writes ---- */

static void write_pages(struct memory *memory, uint64_t gpa, const void *data, uint64_t n,
			bool into_rom)
{
	const uint8_t *in = data;
	while (n) {
		uint64_t here = PAGE_BYTES - gpa % PAGE_BYTES;
		if (here > n)
			here = n;
		uint8_t *host = NULL;
		uint32_t page = memory_find_page(memory, gpa, &host);
		if (host && (into_rom || !(memory->flags[page] & PAGE_ROM))) {
			host += gpa % PAGE_BYTES;
			if (memory->flags[page])
				announce_write(memory, page, gpa, host, in, here);
			memory_copy_word(host, in, here);
		}
		in += here;
		gpa += here;
		n -= here;
	}
}

void memory_write(struct memory *memory, uint64_t gpa, const void *data, uint64_t n)
{
	write_pages(memory, gpa, data, n, false);
}

void memory_load(struct memory *memory, uint64_t gpa, const void *data, uint64_t n)
{
	write_pages(memory, gpa, data, n, true);
}

void memory_use_large_pages(struct memory *memory)
{
	for (unsigned i = 0; i < memory->n_regions; i++)
		if (memory->regions[i].kind == REGION_RAM)
			madvise(memory->backing[i].host, memory->regions[i].bytes, MADV_HUGEPAGE);
}

/* Announces zeros for each page that may hold something else. */
static void announce_clear(struct memory *memory, const struct memory_region *region,
			   const struct backing *backing)
{
	static const uint8_t zeros[PAGE_BYTES];

	for (uint64_t offset = 0; offset < region->bytes; offset += PAGE_BYTES) {
		uint32_t page = backing->first + (uint32_t)(offset >> PAGE_SHIFT);
		if ((memory->flags[page] & PAGE_CLEAN) && !memory->hashes[page])
			continue;
		announce_write(memory, page, region->gpa + offset, backing->host + offset, zeros,
			       PAGE_BYTES);
		if (!memory->flags[page])
			tell_protected(memory, region->gpa + offset);
	}
}

void memory_clear(struct memory *memory)
{
	for (unsigned i = 0; i < memory->n_regions; i++)
		if (memory->backing[i].host)
			announce_clear(memory, &memory->regions[i], &memory->backing[i]);
	for (unsigned i = 0; i < memory->n_regions; i++)
		if (memory->backing[i].host)
			madvise(memory->backing[i].host, memory->regions[i].bytes, MADV_DONTNEED);
	memset(memory->hashes, 0, memory->n_pages * sizeof(*memory->hashes));
	mark_all_clean(memory);
	flag_watched_pages(memory, true);
}

static bool page_is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE_BYTES - 1);
}

static uint64_t hash_page(const uint8_t *content, uint64_t gpa)
{
	return page_is_zero(content) ? 0
				     : XXH3_64bits_withSeed(content, PAGE_BYTES, gpa >> PAGE_SHIFT);
}

/* Brings a page's part of the digest up to date. Returns whether it stays without PAGE_CLEAN. */
static bool digest_page(struct memory *memory, uint32_t page, uint64_t gpa)
{
	uint64_t hash = hash_page(memory_page(memory, gpa), gpa);
	bool stays = hash && memory->n_digest - memory->changed[page] <= RECENT_DIGESTS;

	if (hash != memory->hashes[page])
		memory->changed[page] = memory->n_digest;
	memory->digest += hash - memory->hashes[page];
	memory->hashes[page] = hash;
	if (stays)
		return true;
	if (!memory->flags[page])
		tell_protected(memory, gpa);
	memory->flags[page] |= PAGE_CLEAN;
	return false;
}

uint64_t memory_digest(struct memory *memory)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < memory->n_dirty; i++) {
		uint32_t page = memory->dirty[i];
		uint64_t gpa = memory->dirty_gpas[i];
		if (!digest_page(memory, page, gpa))
			continue;
		memory->dirty[n] = page;
		memory->dirty_gpas[n++] = gpa;
	}
	memory->n_dirty = n;
	memory->n_digest++;
	return memory->digest;
}

int memory_each_page(const struct memory *memory,
		     int (*fn)(void *ctx, uint64_t gpa, const uint8_t *page), void *ctx)
{
	for (unsigned i = 0; i < memory->n_regions; i++) {
		const struct memory_region *region = &memory->regions[i];
		if (!memory->backing[i].host)
			continue;
		for (uint64_t offset = 0; offset < region->bytes; offset += PAGE_BYTES) {
			uint32_t page = memory->backing[i].first + (offset >> PAGE_SHIFT);
			if ((memory->flags[page] & PAGE_CLEAN) && !memory->hashes[page])
				continue;
			int r = fn(ctx, region->gpa + offset, memory->backing[i].host + offset);
			if (r)
				return r;
		}
	}
	return 0;
}
