#include "replayer/page_copies.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>

/* What decoded code is kept account of by, too. */
#define PIECE_BYTES 128u

static const uint8_t zeros[PAGE_BYTES];

/* ---- one page ---- */

/* Packed, but for pages that do not become much smaller; those stay plain. */
static int pack_bytes(struct page_copy *copy, const uint8_t *page)
{
	char packed[PAGE_BYTES * 3 / 4];
	int n = LZ4_compress_default((const char *)page, packed, PAGE_BYTES, sizeof(packed));
	uint8_t *bytes;

	if (n <= 0)
		return -E2BIG;
	bytes = malloc((size_t)n);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, packed, (size_t)n);
	copy->bytes = bytes;
	copy->n_bytes = (uint16_t)n;
	return 0;
}

static int copy_bytes(struct page_copy *copy, const uint8_t *page, bool packed)
{
	int error = packed ? pack_bytes(copy, page) : -E2BIG;

	if (error != -E2BIG)
		return error;
	copy->bytes = malloc(PAGE_BYTES);
	if (!copy->bytes)
		return -ENOMEM;
	memcpy(copy->bytes, page, PAGE_BYTES);
	copy->n_bytes = PAGE_BYTES;
	return 0;
}

static uint64_t bytes_of(const struct page_copy *copy)
{
	return sizeof(*copy) + copy->n_bytes;
}

/* Piece by piece: what was decoded from pieces that stay the same stays too. */
void page_load_if_other(struct memory *memory, uint64_t gpa, const uint8_t *bytes)
{
	const uint8_t *now = memory_page(memory, gpa);

	for (uint32_t at = 0; at < PAGE_BYTES; at += PIECE_BYTES)
		if (memcmp(now + at, bytes + at, PIECE_BYTES) != 0)
			memory_load(memory, gpa + at, bytes + at, PIECE_BYTES);
}

void page_copy_load(const struct page_copy *copy, struct memory *memory)
{
	uint8_t unpacked[PAGE_BYTES];
	const uint8_t *bytes = copy->bytes ? copy->bytes : zeros;

	if (copy->bytes && copy->n_bytes < PAGE_BYTES) {
		int n = LZ4_decompress_safe((const char *)copy->bytes, (char *)unpacked,
					    copy->n_bytes, PAGE_BYTES);
		assert(n == PAGE_BYTES);
		(void)n;
		bytes = unpacked;
	}
	page_load_if_other(memory, copy->gpa, bytes);
}

/* ---- taking ---- */

struct taking {
	const struct memory *memory;
	struct page_copies *copies;
	bool packed;
	uint64_t max_bytes;
};

static int take_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	const struct taking *taking = ctx;
	struct page_copies *copies = taking->copies;
	struct page_copy *copy = &copies->copy[copies->n];
	int error = 0;

	*copy = (struct page_copy){.gpa = gpa, .number = memory_page_number(taking->memory, gpa)};
	if (memcmp(page, zeros, PAGE_BYTES) != 0)
		error = copy_bytes(copy, page, taking->packed);
	if (error)
		return error;
	copies->n++;
	copies->bytes += bytes_of(copy);
	return copies->bytes > taking->max_bytes ? -ENOSPC : 0;
}

static int count_page(void *ctx, uint64_t gpa, const uint8_t *page)
{
	++*(uint32_t *)ctx;
	return 0;
}

static uint32_t count_all(const struct memory *memory)
{
	uint32_t n = 0;

	memory_each_page(memory, count_page, &n);
	return n;
}

uint64_t page_copies_all_max_bytes(const struct memory *memory)
{
	return count_all(memory) * PAGE_COPY_MAX_BYTES;
}

int page_copies_take_all(const struct memory *memory, struct page_copies *ret)
{
	struct taking taking = {memory, ret, false, UINT64_MAX};
	int error;

	*ret = (struct page_copies){
		.copy = calloc((size_t)count_all(memory) + 1, sizeof(*ret->copy))};
	error = ret->copy ? memory_each_page(memory, take_page, &taking) : -ENOMEM;
	if (error)
		page_copies_finish(ret);
	return error;
}

static int compare_copies(const void *a, const void *b)
{
	const struct page_copy *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

int page_copies_take_changes(const struct memory *memory, bool packed, uint64_t max_bytes,
			     struct page_copies *ret)
{
	struct taking taking = {memory, ret, packed, max_bytes};
	uint32_t n = memory_change_count(memory);
	int error = 0;

	*ret = (struct page_copies){.copy = calloc((size_t)n + 1, sizeof(*ret->copy)),
				    .packed = packed};
	if (!ret->copy)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !error; i++) {
		uint64_t gpa = memory_change(memory, i);
		error = take_page(&taking, gpa, memory_page(memory, gpa));
	}
	if (error)
		page_copies_finish(ret);
	else
		qsort(ret->copy, ret->n, sizeof(*ret->copy), compare_copies);
	return error;
}

void page_copies_finish(struct page_copies *copies)
{
	for (uint32_t i = 0; i < copies->n; i++)
		free(copies->copy[i].bytes);
	free(copies->copy);
	*copies = (struct page_copies){0};
}

/* ---- packing, merging ---- */

void page_copies_pack(struct page_copies *copies)
{
	for (uint32_t i = 0; i < copies->n; i++) {
		struct page_copy *copy = &copies->copy[i];
		uint8_t *plain = copy->bytes;

		if (copy->n_bytes < PAGE_BYTES || pack_bytes(copy, plain))
			continue;
		free(plain);
		copies->bytes -= PAGE_BYTES - copy->n_bytes;
	}
	copies->packed = true;
}

int page_copies_merge(struct page_copies *from, struct page_copies *to)
{
	uint32_t n = 0, i = 0, j = 0;
	struct page_copy *copy = calloc((size_t)from->n + to->n + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	while (i < from->n || j < to->n) {
		bool older =
			j == to->n || (i < from->n && from->copy[i].number < to->copy[j].number);
		if (older) {
			to->bytes += bytes_of(&from->copy[i]);
			copy[n++] = from->copy[i++];
			continue;
		}
		if (i < from->n && from->copy[i].number == to->copy[j].number)
			free(from->copy[i++].bytes);
		copy[n++] = to->copy[j++];
	}
	free(to->copy);
	to->copy = copy;
	to->n = n;
	to->packed &= from->packed;
	from->n = 0;
	page_copies_finish(from);
	return 0;
}
