#include "log-format/page_cache.h"

#include "log-format/format.h"

static const uint8_t zero_page[FORMAT_PAGE_BYTES];

void page_cache_finish(struct page_cache *cache)
{
	for (unsigned i = 0; i < PAGE_CACHE_CHUNKS; i++)
		column_finish(&cache->entries[i].raw);
}

/* The entry that holds the chunk, or else the one to be replaced. */
static struct page_cache_entry *find_entry(struct page_cache *cache, uint64_t row)
{
	struct page_cache_entry *oldest = &cache->entries[0];
	for (unsigned i = 0; i < PAGE_CACHE_CHUNKS; i++) {
		struct page_cache_entry *entry = &cache->entries[i];
		if (entry->last_use && entry->row == row)
			return entry;
		if (entry->last_use < oldest->last_use)
			oldest = entry;
	}
	oldest->last_use = 0;
	return oldest;
}

int page_cache_get(struct page_cache *cache, uint64_t ref, const uint8_t **ret_page,
		   struct log_error *ret_error)
{
	if (ref == FORMAT_ZERO_PAGE_REF) {
		*ret_page = zero_page;
		return 0;
	}
	uint64_t page = ref - 1;
	uint64_t row = chunk_table_find_page(cache->table, page);
	struct page_cache_entry *entry = find_entry(cache, row);
	if (!entry->last_use) {
		int error = chunk_read(cache->reader, &cache->table->rows[row].chunk, &entry->raw,
				       ret_error);
		if (error)
			return error;
		entry->row = row;
	}
	entry->last_use = ++cache->clock;
	uint64_t index = page - chunk_table_pages_before(cache->table, row);
	*ret_page = entry->raw.data + index * FORMAT_PAGE_BYTES;
	return 0;
}
