/*
 * The cache of decoded blocks.
 *
 * Blocks and their instructions are carved from one arena and never freed one by one: a write to
 * their bytes makes them invalid and unlisted, and when the arena is full everything is dropped at
 * once. Which 128-byte lines of a page hold decoded bytes is kept a bit a line, so that data beside
 * code can be written at the cost of a look at that word.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/cpu/interp/handler.h"
#include "vmm/cpu/interp/ops.h"

#define ARENA_BYTES (UINT64_C(128) << 20)
#define BUCKET_BITS 18 /* a full arena has lists of a few blocks */
#define BUCKETS     (1u << BUCKET_BITS)
#define LINE_SHIFT  7

/* Room for the largest block: operations, the closing one, and their instructions. */
#define BLOCK_MAX_BYTES                                                                            \
	(sizeof(struct block) + (BLOCK_MAX_INSNS + 1) * sizeof(struct uop) +                       \
	 BLOCK_MAX_INSNS * sizeof(struct insn))

struct code_page {
	struct block *blocks;
	uint32_t lines;
};

struct block_cache {
	struct machine *machine;
	uint8_t *arena;
	uint64_t used;
	uint64_t generation;     /* counts flushes: pointers to blocks die with each */
	struct code_page *pages; /* by page number */
	uint8_t breakpoint_offsets[PAGE_BYTES / 8]; /* bit n: a breakpoint at page offset n */
	struct block *buckets[BUCKETS];
};

/* ---- lists ---- */

static unsigned bucket_of(uint64_t gpa, uint32_t mode)
{
	uint64_t key = (gpa ^ ((uint64_t)mode << 40)) * UINT64_C(0x9e3779b97f4a7c15);
	return key >> (64 - BUCKET_BITS);
}

/* Which of a block's two page lists belongs to the page of gpa. */
static unsigned list_of(const struct block *block, uint64_t gpa)
{
	return (block->gpa & PAGE_MASK) == (gpa & PAGE_MASK) ? 0 : 1;
}

/* The bytes of the block inside one of its pages, as a range of page offsets. */
static void block_range(const struct block *block, unsigned list, uint32_t *ret_first,
			uint32_t *ret_end)
{
	uint32_t start = block->gpa % PAGE_BYTES, end = start + block->bytes;

	*ret_first = list ? 0 : start;
	*ret_end = list ? end - PAGE_BYTES : end < PAGE_BYTES ? end : PAGE_BYTES;
}

static bool lies_in(const struct block *block, unsigned list, uint64_t gpa)
{
	return ((list ? block->second_gpa : block->gpa) & PAGE_MASK) == (gpa & PAGE_MASK);
}

static unsigned block_pages(const struct block *block)
{
	return block->crosses ? 2 : 1;
}

/* Whether the block has bytes in [from, end) of a page; both its pages may be the same. */
static bool block_meets(const struct block *block, uint64_t gpa, uint32_t from, uint32_t end)
{
	for (unsigned list = 0; list < block_pages(block); list++) {
		uint32_t block_first, block_end;
		block_range(block, list, &block_first, &block_end);
		if (lies_in(block, list, gpa) && from < block_end && end > block_first)
			return true;
	}
	return false;
}

static uint32_t lines_of(uint32_t first, uint32_t end)
{
	uint64_t upto = (UINT64_C(2) << ((end - 1) >> LINE_SHIFT)) - 1;
	uint64_t below = (UINT64_C(1) << (first >> LINE_SHIFT)) - 1;
	return (uint32_t)(upto & ~below);
}

/* The lines of a page that hold bytes of the block. */
static uint32_t lines_in(const struct block *block, uint64_t gpa)
{
	uint32_t lines = 0, first, end;

	for (unsigned list = 0; list < block_pages(block); list++) {
		block_range(block, list, &first, &end);
		if (lies_in(block, list, gpa))
			lines |= lines_of(first, end);
	}
	return lines;
}

static struct code_page *page_of(struct block_cache *cache, uint64_t gpa)
{
	uint32_t number = memory_page_number(cache->machine->memory, gpa);
	return number == UINT32_MAX ? NULL : &cache->pages[number];
}

static void list_block(struct block_cache *cache, struct block *block, unsigned list, uint64_t gpa)
{
	struct code_page *page = page_of(cache, gpa);

	if (!page)
		return;
	block->page_next[list] = page->blocks;
	page->blocks = block;
	page->lines |= lines_in(block, gpa);
	memory_protect(cache->machine->memory, gpa, PAGE_CODE);
}

static void unhash_block(struct block_cache *cache, struct block *block)
{
	struct block **at = &cache->buckets[bucket_of(block->gpa, block->mode)];

	while (*at != block)
		at = &(*at)->hash_next;
	*at = block->hash_next;
}

/* Takes the invalid blocks off a page's list and finds its lines anew. */
static void clean_page(struct block_cache *cache, struct code_page *page, uint64_t gpa)
{
	struct block *block = page->blocks, *next;

	page->blocks = NULL;
	page->lines = 0;
	for (; block; block = next) {
		unsigned list = list_of(block, gpa);
		next = block->page_next[list];
		if (!block->valid)
			continue;
		block->page_next[list] = page->blocks;
		page->blocks = block;
		page->lines |= lines_in(block, gpa);
	}
	if (!page->blocks)
		memory_unprotect(cache->machine->memory, gpa, PAGE_CODE);
}

static void on_code_write(void *ctx, uint64_t gpa, uint32_t n)
{
	struct block_cache *cache = ctx;
	struct code_page *page = page_of(cache, gpa);
	uint32_t from = gpa % PAGE_BYTES;
	bool dropped = false;

	if (!page->blocks) /* its blocks went with a flush */
		memory_unprotect(cache->machine->memory, gpa, PAGE_CODE);
	if (!(page->lines & lines_of(from, from + n)))
		return;
	for (struct block *block = page->blocks; block;
	     block = block->page_next[list_of(block, gpa)]) {
		if (!block->valid || !block_meets(block, gpa, from, from + n))
			continue;
		block->valid = false;
		unhash_block(cache, block);
		dropped = true;
	}
	if (!dropped)
		return;
	clean_page(cache, page, gpa);
	struct cpu *cpu = machine_current(cache->machine);
	if (cpu->stop == CPU_STOP_NONE)
		cpu->stop = CPU_STOP_RESYNC;
}

/* ---- creation ---- */

int block_cache_create(struct machine *machine, struct block_cache **ret_cache)
{
	struct block_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->machine = machine;
	cache->pages = calloc(memory_page_count(machine->memory) + 1, sizeof(*cache->pages));
	cache->arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!cache->pages || cache->arena == MAP_FAILED) {
		block_cache_destroy(cache);
		return -ENOMEM;
	}
	memory_set_code_listener(machine->memory, PAGE_CODE,
				 &(struct memory_code_listener){on_code_write, cache});
	*ret_cache = cache;
	return 0;
}

void block_cache_destroy(struct block_cache *cache)
{
	if (!cache)
		return;
	memory_set_code_listener(cache->machine->memory, PAGE_CODE, NULL);
	if (cache->arena && cache->arena != MAP_FAILED)
		munmap(cache->arena, ARENA_BYTES);
	free(cache->pages);
	free(cache);
}

static int unprotect_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	struct block_cache *cache = ctx;
	memory_unprotect(cache->machine->memory, gpa, PAGE_CODE);
	return 0;
}

void block_cache_flush(struct block_cache *cache)
{
	memory_each_page(cache->machine->memory, unprotect_page, cache);
	memset(cache->pages, 0, memory_page_count(cache->machine->memory) * sizeof(*cache->pages));
	memset(cache->buckets, 0, sizeof(cache->buckets));
	cache->used = 0;
	cache->generation++;
}

void block_cache_set_breakpoints(struct block_cache *cache, const uint64_t *linear, unsigned n)
{
	uint8_t offsets[sizeof(cache->breakpoint_offsets)] = {0}, fresh = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t offset = linear[i] % PAGE_BYTES;
		offsets[offset / 8] |= (uint8_t)(1u << offset % 8);
	}
	for (unsigned i = 0; i < sizeof(offsets); i++)
		fresh |= offsets[i] & (uint8_t)~cache->breakpoint_offsets[i];
	/* Debuggers take breakpoints out and put them back all the time: blocks that begin where
	 * none lies any more do no harm. */
	if (!fresh)
		return;
	memcpy(cache->breakpoint_offsets, offsets, sizeof(offsets));
	block_cache_flush(cache);
}

static bool breakpoint_may_lie(const struct block_cache *cache, uint64_t gpa)
{
	uint32_t offset = gpa % PAGE_BYTES;
	return cache->breakpoint_offsets[offset / 8] >> offset % 8 & 1;
}

uint64_t block_cache_generation(const struct block_cache *cache)
{
	return cache->generation;
}

/* ---- decoding ---- */

static void *carve(struct block_cache *cache, size_t bytes)
{
	void *at = cache->arena + cache->used;
	cache->used += (bytes + 15) & ~UINT64_C(15);
	return at;
}

/* A block being decoded: its operations lie in the arena already, instructions are kept as needed.
 */
struct builder {
	struct block_cache *cache;
	struct block *block;
	struct insn *insns; /* of the operations so far */
	unsigned n_uops;
};

/* Adds a decoded instruction; returns true when it ends the block. */
static bool add_insn(struct builder *builder, const struct insn *decoded)
{
	struct block *block = builder->block;
	uint64_t page_offset = block->gpa % PAGE_BYTES;
	uint32_t mode = block->mode & ~BLOCK_SINGLE;
	struct insn *insn = &builder->insns[block->n_insns];

	*insn = *decoded;
	if (block->n_insns &&
	    lower_pair(&insn[-1], insn, mode, page_offset, &block->uops[builder->n_uops - 1])) {
		block->bytes += insn->length;
		block->n_insns++;
		return true;
	}
	struct uop *uop = &block->uops[builder->n_uops++];
	memset(uop, 0, sizeof(*uop));
	uop->n = block->n_insns;
	uop->off = block->bytes;
	lower_insn(insn, mode, page_offset, uop);
	block->bytes += insn->length;
	block->n_insns++;
	return insn_ends_block(insn) || uop->fn == uop_invalid;
}

static void add_plain(struct builder *builder, uop_fn *fn, uint8_t bytes, bool counts)
{
	struct block *block = builder->block;
	struct uop *uop = &block->uops[builder->n_uops++];

	memset(uop, 0, sizeof(*uop));
	uop->fn = fn;
	uop->n = block->n_insns;
	uop->off = block->bytes;
	uop->same_page =
		(block->mode & MODE_FLAT) && block->gpa % PAGE_BYTES + block->bytes < PAGE_BYTES;
	block->bytes += bytes;
	block->n_insns += counts;
}

/* How many of n bytes decoding must see to come to its result. */
static uint8_t bytes_seen(const uint8_t *code, uint32_t n, uint32_t mode)
{
	uint8_t bytes = 1;
	struct insn insn;

	while (bytes < n && bytes < INSN_MAX_BYTES &&
	       insn_decode(code, bytes, mode, &insn) == INSN_TRUNCATED)
		bytes++;
	return bytes;
}

/* An undecodable instruction faults; its block covers the bytes that make it so. */
static void add_fault(struct builder *builder, enum insn_decode_result result, uint8_t bytes)
{
	add_plain(builder, result == INSN_TOO_LONG ? uop_too_long : uop_invalid, bytes, true);
}

/* Decodes from inside one page until something ends the block. Returns false when the very first
 * instruction runs over the page's end. */
static bool decode_in_page(struct builder *builder, const uint8_t *code, uint32_t n)
{
	struct block *block = builder->block;
	unsigned max = block->mode & BLOCK_SINGLE ? 1 : BLOCK_MAX_INSNS;

	while (block->n_insns < max && block->bytes < n) {
		struct insn insn;
		enum insn_decode_result result =
			insn_decode(code + block->bytes, n - block->bytes, block->mode, &insn);
		if (result == INSN_TRUNCATED) {
			if (!block->n_insns)
				return false;
			break;
		}
		if (result != INSN_OK) {
			add_fault(builder, result,
				  bytes_seen(code + block->bytes, n - block->bytes, block->mode));
			return true;
		}
		if (add_insn(builder, &insn))
			return true;
		if (breakpoint_may_lie(builder->cache, block->gpa + block->bytes))
			break;
	}
	add_plain(builder, uop_end, 0, false);
	return true;
}

/* The page of a fetch: its bytes, or ones where there is no memory. */
static const uint8_t *fetch_page(const struct block_cache *cache, uint64_t gpa)
{
	static const uint8_t ones[PAGE_BYTES] = {[0 ... PAGE_BYTES - 1] = 0xff};
	const uint8_t *page = memory_page(cache->machine->memory, gpa);
	return page ? page : ones;
}

/* Decodes the one instruction that begins in the first page and ends in the second. */
static void decode_crossing(struct builder *builder, const uint8_t *code, uint32_t n,
			    uint64_t second_gpa)
{
	uint8_t bytes[INSN_MAX_BYTES + 1];
	struct insn insn;

	memcpy(bytes, code, n);
	memcpy(bytes + n, fetch_page(builder->cache, second_gpa), sizeof(bytes) - n);
	builder->block->crosses = true;
	builder->block->second_gpa = second_gpa;
	enum insn_decode_result result =
		insn_decode(bytes, INSN_MAX_BYTES, builder->block->mode, &insn);
	if (result != INSN_OK) {
		add_fault(builder, result, bytes_seen(bytes, INSN_MAX_BYTES, builder->block->mode));
	} else if (!add_insn(builder, &insn)) {
		add_plain(builder, uop_end, 0, false);
	}
}

/* ---- looking up ---- */

static bool fetch_translate(struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa)
{
	const struct tlb_exec_entry *entry = tlb_exec_slot(cpu->tlb, linear);

	if (entry->tag == (linear & PAGE_MASK)) {
		*ret_gpa = entry->gpa | linear % PAGE_BYTES;
		return true;
	}
	return mmu_translate(cpu, linear, ACCESS_EXEC, PRIVILEGE_CURRENT, ret_gpa);
}

static uint64_t next_page(const struct cpu *cpu, uint64_t linear)
{
	uint64_t next = (linear & PAGE_MASK) + PAGE_BYTES;
	return cpu_code64(cpu) ? next : (uint32_t)next;
}

/* Translates the page after that of linear, for an instruction that ends there. */
static bool fetch_second(struct cpu *cpu, uint64_t linear, uint64_t *ret_gpa)
{
	uint64_t next = next_page(cpu, linear);

	if (cpu_code64(cpu) && !address_is_canonical(next))
		return raise_gp(cpu, 0);
	return fetch_translate(cpu, next, ret_gpa);
}

/* Moves the instructions that operations still need from the builder's stack into the arena. */
static void keep_insns(struct block_cache *cache, struct block *block, unsigned n_uops)
{
	for (unsigned i = 0; i < n_uops; i++) {
		if (!block->uops[i].insn)
			continue;
		struct insn *kept = carve(cache, sizeof(*kept));
		*kept = *block->uops[i].insn;
		block->uops[i].insn = kept;
	}
}

static struct block *build(struct block_cache *cache, struct cpu *cpu, uint64_t linear,
			   uint64_t gpa, uint32_t mode)
{
	uint32_t page_offset = gpa % PAGE_BYTES, n = PAGE_BYTES - page_offset;
	const uint8_t *code = fetch_page(cache, gpa) + page_offset;

	if (cache->used + BLOCK_MAX_BYTES > ARENA_BYTES)
		block_cache_flush(cache);
	struct insn insns[BLOCK_MAX_INSNS];
	uint64_t before = cache->used;
	struct builder builder = {cache, (struct block *)(cache->arena + before), insns, 0};
	struct block *block = builder.block;
	memset(block, 0, sizeof(*block));
	block->gpa = gpa;
	block->mode = mode;
	block->breakpoint = breakpoint_may_lie(cache, gpa);
	if (!decode_in_page(&builder, code, n)) {
		uint64_t second_gpa;
		if (!fetch_second(cpu, linear, &second_gpa))
			return NULL;
		decode_crossing(&builder, code, n, second_gpa);
	}
	carve(cache, sizeof(*block) + builder.n_uops * sizeof(struct uop));
	keep_insns(cache, block, builder.n_uops);
	block->valid = true;
	struct block **bucket = &cache->buckets[bucket_of(gpa, mode)];
	block->hash_next = *bucket;
	*bucket = block;
	list_block(cache, block, 0, gpa);
	if (block->crosses)
		list_block(cache, block, 1, block->second_gpa);
	return block;
}

static struct block *lookup(const struct block_cache *cache, uint64_t gpa, uint32_t mode)
{
	struct block *block = cache->buckets[bucket_of(gpa, mode)];

	while (block && (block->gpa != gpa || block->mode != mode))
		block = block->hash_next;
	return block;
}

/* Outside 64-bit mode the code segment bounds a fetch; RIP must be canonical inside. */
static bool fetch_allowed(struct cpu *cpu, uint32_t bytes)
{
	if (cpu_code64(cpu))
		return address_is_canonical(cpu->rip) || raise_gp(cpu, 0);
	if ((cpu->mode & MODE_FLAT) || cpu->rip + bytes - 1 <= cpu->seg[SEG_CS].limit)
		return true;
	return raise_gp(cpu, 0);
}

struct block *block_find(struct block_cache *cache, struct cpu *cpu, bool single)
{
	uint64_t linear = cpu->rip, gpa, second_gpa;
	uint32_t mode = cpu->mode | (single ? BLOCK_SINGLE : 0);

	if (!(mode & MODE_CODE64))
		linear = (uint32_t)(linear + cpu->seg[SEG_CS].base);
	if (!fetch_allowed(cpu, 1) || !fetch_translate(cpu, linear, &gpa))
		return NULL;
	struct block *block = lookup(cache, gpa, mode);
	if (!block)
		block = build(cache, cpu, linear, gpa, mode);
	if (!block)
		return NULL;
	if (block->crosses) {
		if (!fetch_second(cpu, linear, &second_gpa))
			return NULL;
		/* Remapped, or overwritten by accessed bits: decode anew. */
		if (second_gpa != block->second_gpa || !block->valid) {
			if (block->valid)
				unhash_block(cache, block);
			block->valid = false;
			block = build(cache, cpu, linear, gpa, mode);
			if (!block)
				return NULL;
		}
	}
	if (!(mode & MODE_FLAT) && !fetch_allowed(cpu, block->bytes)) {
		if (single)
			return NULL;
		cpu->stop = CPU_STOP_NONE;
		return block_find(cache, cpu, true);
	}
	return block;
}
