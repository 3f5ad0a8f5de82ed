/*
 * The reader's pages: resolves references through the table of chunks, with a few page chunks kept
 * decompressed. PAGE_CACHE_CHUNKS MiB at most, whatever the file's size.
 */
#ifndef REPRISE_LOG_FORMAT_PAGE_CACHE_H
#define REPRISE_LOG_FORMAT_PAGE_CACHE_H

#include "log-format/chunks.h"
#include "log-format/table.h"

#define PAGE_CACHE_CHUNKS 16u

struct page_cache {
	struct chunk_reader *reader;     /* borrowed */
	const struct chunk_table *table; /* borrowed */
	uint64_t clock;                  /* counts uses: the entry used longest ago goes first */
	struct page_cache_entry {
		uint64_t last_use; /* 0: empty */
		uint64_t row;      /* the chunk's number in the table */
		struct column raw;
	} entries[PAGE_CACHE_CHUNKS];
};

void page_cache_finish(struct page_cache *cache);

/*
 * The content of a page. The reference must have been checked to be at most the number of pages in
 * the table. *ret_page is valid until the next call. Returns 0 or a negative errno with *ret_error.
 */
int page_cache_get(struct page_cache *cache, uint64_t ref, const uint8_t **ret_page,
		   struct log_error *ret_error);

#endif
