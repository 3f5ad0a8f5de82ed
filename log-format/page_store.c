#include "log-format/page_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "log-format/format.h"

struct page_slot {
	XXH128_hash_t hash;
	uint64_t ref; /* 0: the slot is empty */
};

#define MIN_SLOTS UINT64_C(4096)

void page_store_finish(struct page_store *store)
{
	free(store->slots);
	column_finish(&store->pending);
	*store = (struct page_store){0};
}

uint64_t page_store_pending(const struct page_store *store)
{
	return store->pending.bytes / FORMAT_PAGE_BYTES;
}

bool page_store_is_full(const struct page_store *store)
{
	return page_store_pending(store) == FORMAT_PAGES_PER_CHUNK;
}

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, FORMAT_PAGE_BYTES - 1) == 0;
}

/* The slot that holds the hash, or the empty one where it belongs. */
static struct page_slot *find_slot(struct page_slot *slots, uint64_t n_slots, XXH128_hash_t hash)
{
	uint64_t i = hash.low64 & (n_slots - 1);
	while (slots[i].ref && !XXH128_isEqual(slots[i].hash, hash))
		i = (i + 1) & (n_slots - 1);
	return &slots[i];
}

static int grow(struct page_store *store)
{
	uint64_t n_slots = store->n_slots ? store->n_slots * 2 : MIN_SLOTS;
	struct page_slot *slots = calloc(n_slots, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint64_t i = 0; i < store->n_slots; i++) {
		if (store->slots[i].ref)
			*find_slot(slots, n_slots, store->slots[i].hash) = store->slots[i];
	}
	free(store->slots);
	store->slots = slots;
	store->n_slots = n_slots;
	return 0;
}

int page_store_add(struct page_store *store, const uint8_t *page, uint64_t *ret_ref)
{
	if (is_zero(page)) {
		*ret_ref = FORMAT_ZERO_PAGE_REF;
		return 0;
	}
	/* Three quarters full at most: probes stay short, and one slot is always empty. */
	if (store->n_known < PAGE_STORE_MAX_PAGES && store->n_known >= store->n_slots / 4 * 3 &&
	    grow(store))
		return -ENOMEM;
	XXH128_hash_t hash = XXH3_128bits(page, FORMAT_PAGE_BYTES);
	struct page_slot *slot = find_slot(store->slots, store->n_slots, hash);
	if (slot->ref) {
		*ret_ref = slot->ref;
		return 0;
	}
	if (column_reserve(&store->pending, FORMAT_PAGE_BYTES))
		return -ENOMEM;
	column_put_bytes(&store->pending, page, FORMAT_PAGE_BYTES);
	*ret_ref = ++store->n_pages;
	if (store->n_known < PAGE_STORE_MAX_PAGES) {
		*slot = (struct page_slot){.hash = hash, .ref = *ret_ref};
		store->n_known++;
	}
	return 0;
}
