/*
 * Copies of guest pages, as a checkpoint holds them: plain, packed, or known to be zeros.
 */
#ifndef REPRISE_REPLAYER_PAGE_COPIES_H
#define REPRISE_REPLAYER_PAGE_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/memory/memory.h"

struct page_copy {
	uint64_t gpa;
	uint8_t *bytes;   /* NULL: zeros */
	uint32_t number;  /* memory_page_number() */
	uint16_t n_bytes; /* PAGE_BYTES: plain; fewer: an LZ4 block */
};

/* Ascending by number. A zeroed one is empty. */
struct page_copies {
	struct page_copy *copy;
	uint32_t n;
	uint64_t bytes; /* what all this takes */
	bool packed;
};

/* What a page takes at most. */
#define PAGE_COPY_MAX_BYTES (sizeof(struct page_copy) + PAGE_BYTES)

/*
 * Copies every page that is not zero, or those that memory_change() lists. packed: packs each at
 * once. Returns 0, -ENOMEM, or -ENOSPC when it would take more than max_bytes; *ret is then empty.
 * All pages take at most page_copies_all_max_bytes().
 */
int page_copies_take_all(const struct memory *memory, struct page_copies *ret);
uint64_t page_copies_all_max_bytes(const struct memory *memory);
int page_copies_take_changes(const struct memory *memory, bool packed, uint64_t max_bytes,
			     struct page_copies *ret);
void page_copies_finish(struct page_copies *copies);

/* Packs what is plain: a third of the size, at some microseconds a page now and when it is loaded.
 * Does as much as there is memory for. */
void page_copies_pack(struct page_copies *copies);

/* Gives all of from to to, but for pages that to has itself; from is empty afterwards. Returns 0 or
 * -ENOMEM (nothing has changed). */
int page_copies_merge(struct page_copies *from, struct page_copies *to);

/* Writes the copy to memory where that holds something else. */
void page_copy_load(const struct page_copy *copy, struct memory *memory);

/* The same with the content of a page, PAGE_BYTES long. */
void page_load_if_other(struct memory *memory, uint64_t gpa, const uint8_t *bytes);

#endif
