#include "vmm/translate/cache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LINE_SHIFT 7

/* Room that translating leaves for the exits of dropped translations, in the part of what seldom
 * runs. */
#define DROP_RESERVE 0x40000u

/* The most that one run of translations takes of each part. */
#define RUN_RESERVE 0x20000u

/* Of what is left beside these, so much is the first part's, in percent. */
#define FIRST_PART 55u

/* Code bytes for each translation, mark and site: fewer than any has. */
#define BYTES_PER_TRANSLATION 16u
#define BYTES_PER_MARK        4u
#define BYTES_PER_SITE        8u

/* ---- creation ---- */

/* Books are as large as the cache could ever need; only what is used takes memory. */
static void *reserve(uint64_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return at == MAP_FAILED ? NULL : at;
}

static void release(void *at, uint64_t bytes)
{
	if (at)
		munmap(at, bytes);
}

static void forget_all(struct code_cache *cache)
{
	uint32_t n = memory_page_count(cache->machine->memory);

	memset(cache->buckets, 0xff, sizeof(cache->buckets));
	for (uint32_t i = 0; i < n; i++)
		cache->pages[i] = (struct code_page){.first = NONE, .home = NO_HOME};
	cache->n_translations = cache->n_marks = cache->n_sites = 0;
	cache->overfull = false;
}

int code_cache_create(struct machine *machine, enum page_flags flag, uint8_t *area, uint32_t base,
		      uint32_t bytes, struct translator_statistics *statistics,
		      struct code_cache **ret_cache)
{
	struct code_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->machine = machine;
	cache->flag = flag;
	cache->statistics = statistics;
	cache->emitter = (struct emitter){
		.base = area,
		.linear = base,
		.moved = (int32_t)(base - RUNTIME_BASE),
		.at = RUNTIME_CODE,
		.end = RUNTIME_CODE + bytes,
	};
	cache->max_translations = bytes / BYTES_PER_TRANSLATION;
	cache->max_marks = bytes / BYTES_PER_MARK;
	cache->max_sites = bytes / BYTES_PER_SITE;
	cache->translations =
		reserve((uint64_t)cache->max_translations * sizeof(struct translation));
	cache->marks = reserve((uint64_t)cache->max_marks * sizeof(struct mark));
	cache->sites = reserve((uint64_t)cache->max_sites * sizeof(struct site));
	cache->pages = calloc(memory_page_count(machine->memory) + 1, sizeof(*cache->pages));
	if (!cache->translations || !cache->marks || !cache->sites || !cache->pages) {
		code_cache_destroy(cache);
		return -ENOMEM;
	}
	forget_all(cache);
	*ret_cache = cache;
	return 0;
}

void code_cache_destroy(struct code_cache *cache)
{
	if (!cache)
		return;
	release(cache->translations,
		(uint64_t)cache->max_translations * sizeof(struct translation));
	release(cache->marks, (uint64_t)cache->max_marks * sizeof(struct mark));
	release(cache->sites, (uint64_t)cache->max_sites * sizeof(struct site));
	free(cache->pages);
	free(cache);
}

static void begin_parts(struct code_cache *cache)
{
	cache->emitter.at = cache->start;
	cache->emitter.end = cache->seldom_at = cache->seldom_start;
	cache->seldom_end = cache->end;
	cache->emitter.full = false;
}

void code_cache_begin(struct code_cache *cache)
{
	uint32_t bytes = cache->emitter.end - cache->emitter.at;

	assert(bytes > DROP_RESERVE + 2 * RUN_RESERVE);
	cache->start = cache->emitter.at;
	cache->end = cache->emitter.end;
	cache->seldom_start = cache->start + RUN_RESERVE +
			      (bytes - DROP_RESERVE - 2 * RUN_RESERVE) / 100 * FIRST_PART;
	begin_parts(cache);
}

void code_cache_turn(struct code_cache *cache)
{
	struct emitter *e = &cache->emitter;
	uint32_t at = e->at, end = e->end;

	e->at = cache->seldom_at;
	e->end = cache->seldom_end;
	cache->seldom_at = at;
	cache->seldom_end = end;
}

bool code_cache_has_room(const struct code_cache *cache)
{
	return !cache->overfull && cache->emitter.end - cache->emitter.at > RUN_RESERVE &&
	       cache->seldom_end - cache->seldom_at > DROP_RESERVE + RUN_RESERVE;
}

static int unprotect_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	struct code_cache *cache = ctx;
	memory_unprotect(cache->machine->memory, gpa, cache->flag);
	return 0;
}

void code_cache_flush(struct code_cache *cache)
{
	memory_each_page(cache->machine->memory, unprotect_page, cache);
	forget_all(cache);
	begin_parts(cache);
}

/* ---- by guest address ---- */

static uint32_t bucket_of(uint64_t gpa, uint64_t linear, uint32_t mode)
{
	uint64_t key = gpa ^ (linear >> PAGE_SHIFT << 24) ^ ((uint64_t)mode << 50);
	return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 40) % CACHE_BUCKETS;
}

uint32_t code_cache_lookup(const struct code_cache *cache, uint64_t gpa, uint64_t linear,
			   uint32_t mode)
{
	uint32_t index = cache->buckets[bucket_of(gpa, linear, mode)];

	while (index != NONE) {
		const struct translation *t = &cache->translations[index];
		if (t->gpa == gpa && t->linear == linear && t->mode == mode)
			break;
		index = t->hash_next;
	}
	return index;
}

/* ---- by guest page ---- */

static unsigned page_lists(const struct translation *t)
{
	return t->crosses ? 2 : 1;
}

static uint64_t list_gpa(const struct translation *t, unsigned list)
{
	return (list ? t->second_gpa : t->gpa) & PAGE_MASK;
}

/* The bytes of a translation in one of its pages, as page offsets. */
static void range_in(const struct translation *t, unsigned list, uint32_t *ret_first,
		     uint32_t *ret_end)
{
	uint32_t first = t->gpa % PAGE_BYTES, end = first + t->bytes;

	*ret_first = list ? 0 : first;
	*ret_end = list ? end - PAGE_BYTES : end < PAGE_BYTES ? end : PAGE_BYTES;
}

static uint32_t lines_of(uint32_t first, uint32_t end)
{
	uint64_t upto = (UINT64_C(2) << ((end - 1) >> LINE_SHIFT)) - 1;
	uint64_t below = (UINT64_C(1) << (first >> LINE_SHIFT)) - 1;
	return (uint32_t)(upto & ~below);
}

static uint32_t lines_in(const struct translation *t, unsigned list)
{
	uint32_t first, end;

	range_in(t, list, &first, &end);
	return lines_of(first, end);
}

static struct code_page *page_of(const struct code_cache *cache, uint64_t gpa)
{
	uint32_t number = memory_page_number(cache->machine->memory, gpa);
	return number == UINT32_MAX ? NULL : &cache->pages[number];
}

uint32_t *code_cache_home(const struct code_cache *cache, uint64_t gpa)
{
	struct code_page *page = page_of(cache, gpa);

	return page ? &page->home : NULL;
}

static void list_in_page(struct code_cache *cache, uint32_t index, unsigned list)
{
	struct translation *t = &cache->translations[index];
	uint64_t gpa = list_gpa(t, list);
	struct code_page *page = page_of(cache, gpa);

	if (!page)
		return;
	t->page_next[list] = page->first;
	page->first = index;
	page->lines |= lines_in(t, list);
	memory_protect(cache->machine->memory, gpa, cache->flag);
}

void code_cache_add(struct code_cache *cache, uint32_t index)
{
	struct translation *t = &cache->translations[index];
	uint32_t *bucket = &cache->buckets[bucket_of(t->gpa, t->linear, t->mode)];

	t->valid = true;
	t->hash_next = *bucket;
	*bucket = index;
	for (unsigned list = 0; list < page_lists(t); list++)
		list_in_page(cache, index, list);
}

/* ---- dropping ---- */

static void unhash(struct code_cache *cache, uint32_t index)
{
	struct translation *t = &cache->translations[index];
	uint32_t *at = &cache->buckets[bucket_of(t->gpa, t->linear, t->mode)];

	while (*at != index)
		at = &cache->translations[*at].hash_next;
	*at = t->hash_next;
}

/* Which of its lists a translation found in the page of gpa stands in. */
static unsigned list_of(const struct translation *t, uint64_t gpa)
{
	return list_gpa(t, 0) == (gpa & PAGE_MASK) ? 0 : 1;
}

uint32_t code_cache_first_in_page(const struct code_cache *cache, uint64_t gpa)
{
	uint32_t number = memory_page_number(cache->machine->memory, gpa);
	return number == UINT32_MAX ? NONE : cache->pages[number].first;
}

uint32_t code_cache_next_in_page(const struct code_cache *cache, uint32_t index, uint64_t gpa)
{
	const struct translation *t = &cache->translations[index];
	return t->page_next[list_of(t, gpa)];
}

static bool meets(const struct translation *t, uint64_t gpa, uint32_t from, uint32_t end)
{
	for (unsigned list = 0; list < page_lists(t); list++) {
		uint32_t t_first, t_end;
		range_in(t, list, &t_first, &t_end);
		if (list_gpa(t, list) == (gpa & PAGE_MASK) && from < t_end && end > t_first)
			return true;
	}
	return false;
}

/* Makes a dropped translation's code lead to an exit, which can be linked to its successor: a
 * loop's to another loop. */
static void divert(struct code_cache *cache, uint32_t index)
{
	struct translation *t = &cache->translations[index];
	struct emitter *e = &cache->emitter, at_start = *e;
	const struct site to_successor = {
		.rip = t->linear,
		.kind = t->mode & MODE_LOOP ? SITE_LOOP : SITE_NEAR,
		.patch = t->code + 1,
		.from = index,
	};
	uint32_t site = code_cache_add_site(cache, &to_successor);

	if (site == NONE) {
		cache->overfull = true;
		return;
	}
	at_start.at = t->code;
	at_start.end = t->code_end;
	code_cache_turn(cache);
	emit_jump_to(&at_start, e->at);
	code_cache_emit_exit(cache, e, site);
	code_cache_turn(cache);
	cache->overfull |= e->full || at_start.full;
}

/* Takes dropped translations off a page's list and finds its lines anew. */
static void clean_page(struct code_cache *cache, struct code_page *page, uint64_t gpa)
{
	uint32_t index = page->first, next;

	page->first = NONE;
	page->lines = 0;
	for (; index != NONE; index = next) {
		struct translation *t = &cache->translations[index];
		unsigned list = list_of(t, gpa);
		next = t->page_next[list];
		if (!t->valid)
			continue;
		t->page_next[list] = page->first;
		page->first = index;
		page->lines |= lines_in(t, list);
	}
	if (page->first == NONE)
		memory_unprotect(cache->machine->memory, gpa, cache->flag);
}

void code_cache_drop(struct code_cache *cache, uint32_t index)
{
	cache->translations[index].valid = false;
	unhash(cache, index);
	divert(cache, index);
	cache->statistics->dropped++;
}

void code_cache_drop_if(struct code_cache *cache,
			bool (*goes)(const void *ctx, const struct translation *translation),
			const void *ctx)
{
	for (uint32_t index = 0; index < cache->n_translations; index++) {
		const struct translation *t = &cache->translations[index];
		if (!t->valid || !goes(ctx, t))
			continue;
		code_cache_drop(cache, index);
		for (unsigned list = 0; list < page_lists(t); list++) {
			struct code_page *page = page_of(cache, list_gpa(t, list));
			if (page)
				clean_page(cache, page, list_gpa(t, list));
		}
	}
}

void code_cache_drop_bytes(struct code_cache *cache, uint64_t gpa, uint32_t n, uint32_t but)
{
	struct code_page *page = page_of(cache, gpa);
	uint32_t from = gpa % PAGE_BYTES;
	bool dropped = false;

	if (!page || !(page->lines & lines_of(from, from + n)))
		return;
	for (uint32_t index = page->first; index != NONE;) {
		struct translation *t = &cache->translations[index];
		if (t->valid && !(t->mode & but) && meets(t, gpa, from, from + n)) {
			code_cache_drop(cache, index);
			dropped = true;
		}
		index = t->page_next[list_of(t, gpa)];
	}
	if (dropped)
		clean_page(cache, page, gpa);
}

void code_cache_on_write(struct code_cache *cache, uint64_t gpa, uint32_t n)
{
	if (page_of(cache, gpa)->first == NONE)
		memory_unprotect(cache->machine->memory, gpa, cache->flag);
	else
		code_cache_drop_bytes(cache, gpa, n, 0);
}

/* ---- by host address ---- */

/* The last translation whose code begins at or before an offset. */
static const struct translation *translation_at(const struct code_cache *cache, uint32_t code)
{
	uint32_t low = 0, high = cache->n_translations;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (cache->translations[middle].code <= code)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &cache->translations[low - 1] : NULL;
}

const struct mark *code_cache_find_mark(const struct code_cache *cache, uint32_t code,
					const struct translation **ret_translation)
{
	const struct translation *t = translation_at(cache, code);

	if (!t || code >= t->code_end)
		return NULL;
	for (uint32_t i = 0; i < t->n_marks; i++) {
		const struct mark *mark = &cache->marks[t->first_mark + i];
		if (mark->code == code) {
			*ret_translation = t;
			return mark;
		}
	}
	return NULL;
}

/* ---- exits ---- */

uint32_t code_cache_add_site(struct code_cache *cache, const struct site *site)
{
	if (cache->n_sites == cache->max_sites)
		return NONE;
	cache->sites[cache->n_sites] = *site;
	return cache->n_sites++;
}

enum runtime_exit code_cache_exit(const struct site *site)
{
	static const uint8_t exits[] = {
		[SITE_POLL] = RUNTIME_EXIT_POLL, [SITE_INTERP] = RUNTIME_EXIT_INTERP,
		[SITE_MISS] = RUNTIME_EXIT_MISS, [SITE_NEAR] = RUNTIME_EXIT_LINK,
		[SITE_FAR] = RUNTIME_EXIT_LINK,  [SITE_ALONE] = RUNTIME_EXIT_LINK,
		[SITE_LOOP] = RUNTIME_EXIT_LINK,
	};

	return exits[site->kind];
}

void code_cache_emit_exit(struct code_cache *cache, struct emitter *e, uint32_t site)
{
	emit_store_imm(e, CONTEXT(exit_arg), (int32_t)site);
	emit_jump_to(e, cache->leave[code_cache_exit(&cache->sites[site])]);
}
