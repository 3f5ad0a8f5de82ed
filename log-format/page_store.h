/*
 * The writer's pages: gives each distinct page a reference and collects the new ones until they
 * fill a chunk. Pages are told apart by XXH3-128 alone, which is no cryptographic hash: a guest
 * that computes a collision on purpose spoils its own recording, and the replay diverges.
 *
 * The table of known pages takes 24 bytes a slot and stops growing at PAGE_STORE_MAX_PAGES; pages
 * first seen after that are stored each time they come.
 */
#ifndef REPRISE_LOG_FORMAT_PAGE_STORE_H
#define REPRISE_LOG_FORMAT_PAGE_STORE_H

#include "log-format/column.h"

/* 6 GiB of distinct pages, in 2 Mi slots of 24 bytes: 48 MiB. */
#define PAGE_STORE_MAX_PAGES (UINT64_C(3) << 19)

struct page_slot;

struct page_store {
	struct page_slot *slots;
	uint64_t n_slots; /* a power of two, or 0 */
	uint64_t n_known;
	uint64_t n_pages;      /* references given out */
	struct column pending; /* contents not yet written to the file */
};

void page_store_finish(struct page_store *store);

/* True when the pending pages fill a chunk: they must be taken before the next page_store_add(). */
bool page_store_is_full(const struct page_store *store);
uint64_t page_store_pending(const struct page_store *store);

/* The reference of a page of 4096 bytes. Returns 0 or -ENOMEM. */
int page_store_add(struct page_store *store, const uint8_t *page, uint64_t *ret_ref);

#endif
