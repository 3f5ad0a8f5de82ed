/*
 * Guest-physical memory: RAM and ROM regions, one flag byte a page, dirty tracking, the RAM digest.
 *
 * Every write to RAM from wherever (guest store, A and D bits, DMA) goes through memory_write() or
 * through the engines' fast path, which may be used only for pages whose flag byte is 0.
 */
#ifndef REPRISE_VMM_MEMORY_MEMORY_H
#define REPRISE_VMM_MEMORY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PAGE_BYTES 4096u
#define PAGE_SHIFT 12

/* Limits of a machine's map; a file that asks for more is refused. */
#define MEMORY_MAX_BYTES   (UINT64_C(1) << 40)
#define MEMORY_MAX_REGIONS 64
#define GPA_BITS           40 /* physical address width, as CPUID says */

enum region_kind {
	REGION_UNSPECIFIED,
	REGION_RAM,
	REGION_ROM,    /* reads as memory; guest writes are dropped */
	REGION_DEVICE, /* crosses the boundary */
};

struct memory_region {
	uint8_t kind;   /* enum region_kind */
	uint64_t gpa;   /* page aligned */
	uint64_t bytes; /* whole pages */
};

/* Pages flag byte: any bit set sends writes to the slow path. */
enum page_flags {
	PAGE_CLEAN = 1, /* as the digest has it */
	PAGE_CODE = 2,  /* holds code that the interpreter has decoded */
	PAGE_TABLE = 4, /* a cached translation was read from here */
	PAGE_ROM = 8,
	PAGE_WATCH = 16,      /* a watchpoint lies here: memory_reads_are_watched() */
	PAGE_KEPT = 32,       /* not written since memory_keep_changes(): */
	PAGE_TRANSLATED = 64, /* holds code that has been translated, for the kvm engine */
	PAGE_JITTED = 128,    /* likewise for the jit engine */
};

struct memory;

/*
 * Told of writes to pages that hold page tables, before the bytes change, and of pages that may no
 * longer be written by the fast path. Must not write guest memory.
 */
struct memory_listener {
	/* The n bytes at gpa (inside one page) are about to change from old to new_bytes. */
	void (*table_write)(void *ctx, uint64_t gpa, const uint8_t *old, const uint8_t *new_bytes,
			    uint32_t n);
	/* A page's flag byte became non-zero: cached write permissions for it must go. */
	void (*protect)(void *ctx, uint64_t gpa_page);
	/* A watchpoint was hit: the run is to end after this instruction. Optional. */
	void (*watch_hit)(void *ctx);
	void *ctx;
};

/* Told of writes to pages that hold code, before the bytes change; n bytes inside one page. */
struct memory_code_listener {
	void (*code_write)(void *ctx, uint64_t gpa, uint32_t n);
	void *ctx;
};

/*
 * Makes zeroed memory after the map (regions sorted by gpa, not overlapping). Returns 0 or a
 * negative errno: -EINVAL for a bad map, -ENOMEM.
 */
int memory_create(const struct memory_region *regions, unsigned n, struct memory **ret_memory);
void memory_destroy(struct memory *memory);

/* NULL: nobody listens. */
void memory_set_listener(struct memory *memory, const struct memory_listener *listener);
/* flag: which pages it is about, PAGE_CODE, PAGE_TRANSLATED or PAGE_JITTED. */
void memory_set_code_listener(struct memory *memory, enum page_flags flag,
			      const struct memory_code_listener *listener);

/* The region a guest-physical address lies in, or NULL: unassigned. */
const struct memory_region *memory_find_region(const struct memory *memory, uint64_t gpa);

/*
 * Host address of the RAM or ROM page that holds gpa, or NULL. Reading through it is always
 * allowed; writing only when *memory_flags() is 0.
 */
uint8_t *memory_page(const struct memory *memory, uint64_t gpa);

/* The page's flag byte; NULL when gpa is not RAM or ROM. */
uint8_t *memory_flags(const struct memory *memory, uint64_t gpa);

/* Likewise of the page of that number, which there is. */
uint8_t *memory_flags_of(const struct memory *memory, uint32_t number);

/* Sets flag bits of a page (PAGE_CODE, PAGE_TABLE), telling the listener when it was writable. */
void memory_protect(struct memory *memory, uint64_t gpa, uint8_t flags);
void memory_unprotect(struct memory *memory, uint64_t gpa, uint8_t flags);

/* Pages of RAM and ROM, numbered from 0 in ascending order of address. */
uint32_t memory_page_count(const struct memory *memory);
/* The number of the page that holds gpa, or UINT32_MAX when it is not RAM or ROM. */
uint32_t memory_page_number(const struct memory *memory, uint64_t gpa);
/* Likewise; and where there is one, its host address in *ret_host, which may be NULL. */
uint32_t memory_find_page(const struct memory *memory, uint64_t gpa, uint8_t **ret_host);

/* True when all of [gpa, gpa+n) is RAM. */
bool memory_is_ram(const struct memory *memory, uint64_t gpa, uint64_t n);

/* memcpy() of what is mostly 8 bytes, an entry of a table or a word on a stack: one move where the
 * compiler knows. */
static inline void memory_copy_word(void *to, const void *from, uint64_t n)
{
	if (n == 8)
		memcpy(to, from, 8);
	else
		memcpy(to, from, n);
}

/* Copies out of RAM and ROM. Bytes elsewhere read as 0xff. */
void memory_read(const struct memory *memory, uint64_t gpa, void *buffer, uint64_t n);

/* Writes to RAM: tells the listener, marks dirty. Bytes outside RAM are dropped. */
void memory_write(struct memory *memory, uint64_t gpa, const void *data, uint64_t n);

/*
 * Takes note of the page of gpa as written without changing a byte: for engines that are about to
 * write there by other means, or may be. A page noted and not written costs time, and nothing else.
 * Clears PAGE_CLEAN and PAGE_KEPT; only for pages that have no other flag.
 */
void memory_mark_written(struct memory *memory, uint64_t gpa);

/* As memory_write, but fills ROM too; for loaders and for restoring state. */
void memory_load(struct memory *memory, uint64_t gpa, const void *data, uint64_t n);

/* ---- watchpoints, for debuggers ---- */

struct memory_watch {
	uint64_t gpa;
	uint64_t bytes;
	bool reads, writes; /* what counts */
};

struct memory_watch_access {
	uint64_t gpa; /* the access, which overlaps a watch */
	uint32_t bytes;
	bool write;
};

/* Replaces the set of watchpoints. Cached translations must be dropped afterwards (engine flush).
 * Returns 0 or -ENOMEM (the old set then stands). */
int memory_set_watches(struct memory *memory, const struct memory_watch *watches, unsigned n);
bool memory_is_watched(const struct memory *memory);

/* True when an access of n bytes at gpa is none that counts; one that writes may read, too. */
bool memory_is_beside_watches(const struct memory *memory, uint64_t gpa, uint32_t n, bool write);

/* Whether some bytes of the page, whose flags are given, must not be read by the fast path. */
bool memory_reads_are_watched(const struct memory *memory, uint64_t gpa_page, uint8_t flags);

/* Tells of a read by the guest of n bytes inside one page. Writes are seen by memory_write(). */
void memory_note_read(struct memory *memory, uint64_t gpa, uint32_t n);

/* As many accesses are kept account of between two memory_clear_watch_hit(). */
#define MEMORY_MAX_WATCH_HITS 8

/* True when a watchpoint was hit since the last memory_clear_watch_hit(); the first access that
 * did, a write before a read, where ret_access is not NULL. */
bool memory_watch_hit(const struct memory *memory, struct memory_watch_access *ret_access);
/* All accesses that did, in their order; valid until the memory is accessed again. */
const struct memory_watch_access *memory_watch_hits(const struct memory *memory, unsigned *ret_n);
/* The instruction that reads has not retired: only its writes, of accessed and dirty bits, were. */
void memory_forget_watched_reads(struct memory *memory);
void memory_clear_watch_hit(struct memory *memory);

/* ---- pages that change, for checkpoints ---- */

/*
 * From here on, and from each call anew, the pages that are written are kept account of. Returns 0
 * or -ENOMEM (at the first call only).
 */
int memory_keep_changes(struct memory *memory);

/* How many pages have been written since memory_keep_changes(); the address of the nth, in the
 * order in which they were written first. */
uint32_t memory_change_count(const struct memory *memory);
uint64_t memory_change(const struct memory *memory, uint32_t n);

/* Counts the page at gpa among them. */
void memory_note_change(struct memory *memory, uint64_t gpa);

/* Sets all RAM and ROM to 0, telling the listeners and giving the pages back to the host. */
void memory_clear(struct memory *memory);

/*
 * What the guest takes into use from now on lies on the host's large pages, where it has any:
 * scattered accesses then miss the host's TLB less. What holds data stays where it is.
 */
void memory_use_large_pages(struct memory *memory);

/*
 * Digest of all RAM and ROM: the sum over pages that are not all zero of XXH3-64(content, seed =
 * page number). Rehashes only the pages that are not clean: that may have been written since the
 * last call. A page that changes again within a few calls stays so for as many more: to hash it in
 * vain costs less than to notice each first write to it.
 */
uint64_t memory_digest(struct memory *memory);

/* Calls fn for each page that may hold something else than zeros, ascending. Stops when fn returns
 * non-zero and returns that. */
int memory_each_page(const struct memory *memory,
		     int (*fn)(void *ctx, uint64_t gpa, const uint8_t *page), void *ctx);

#endif
