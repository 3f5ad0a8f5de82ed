#include "replayer/checkpoints.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replayer/place.h"

struct page_copy {
	uint64_t gpa;
	uint32_t number;
	uint8_t *bytes;
};

struct checkpoint {
	uint64_t icount;
	struct place place;
	struct page_copy *page; /* ascending by number */
	uint32_t n_pages;
};

struct checkpoints {
	struct replayer *replayer;
	uint64_t max_bytes, bytes;
	struct checkpoint **item; /* ascending by icount */
	unsigned n, max;
	unsigned base;
	uint64_t *wanted; /* restoring: bit n, page n is still to be found */
};

/* What a checkpoint takes beside its pages. */
static uint64_t fixed_bytes(const struct checkpoint *checkpoint)
{
	return sizeof(*checkpoint) + checkpoint->place.state_bytes + 8192;
}

static uint64_t page_bytes(uint32_t n_pages)
{
	return n_pages * (PAGE_BYTES + sizeof(struct page_copy));
}

static struct memory *memory_of(const struct checkpoints *checkpoints)
{
	return checkpoints->replayer->machine->memory;
}

static void destroy_checkpoint(struct checkpoint *checkpoint)
{
	if (!checkpoint)
		return;
	for (uint32_t i = 0; i < checkpoint->n_pages; i++)
		free(checkpoint->page[i].bytes);
	free(checkpoint->page);
	place_finish(&checkpoint->place);
	free(checkpoint);
}

/* ---- copying pages ---- */

static int copy_page(void *ctx, uint64_t gpa, const uint8_t *bytes)
{
	struct checkpoint *checkpoint = ctx;
	struct page_copy *copy = &checkpoint->page[checkpoint->n_pages];

	copy->bytes = malloc(PAGE_BYTES);
	if (!copy->bytes)
		return -ENOMEM;
	memcpy(copy->bytes, bytes, PAGE_BYTES);
	copy->gpa = gpa;
	checkpoint->n_pages++;
	return 0;
}

static int count_page(void *ctx, uint64_t gpa, const uint8_t *bytes)
{
	++*(uint32_t *)ctx;
	return 0;
}

static int copy_all(const struct memory *memory, struct checkpoint *checkpoint)
{
	uint32_t n = 0;

	memory_each_page(memory, count_page, &n);
	checkpoint->page = calloc((size_t)n + 1, sizeof(*checkpoint->page));
	return checkpoint->page ? memory_each_page(memory, copy_page, checkpoint) : -ENOMEM;
}

static int copy_changes(const struct memory *memory, struct checkpoint *checkpoint)
{
	uint32_t n = memory_change_count(memory);
	int error = 0;

	checkpoint->page = calloc((size_t)n + 1, sizeof(*checkpoint->page));
	if (!checkpoint->page)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !error; i++) {
		uint64_t gpa = memory_change(memory, i);
		error = copy_page(checkpoint, gpa, memory_page(memory, gpa));
	}
	return error;
}

static int compare_pages(const void *a, const void *b)
{
	const struct page_copy *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static void sort_pages(const struct memory *memory, struct checkpoint *checkpoint)
{
	for (uint32_t i = 0; i < checkpoint->n_pages; i++)
		checkpoint->page[i].number = memory_page_number(memory, checkpoint->page[i].gpa);
	qsort(checkpoint->page, checkpoint->n_pages, sizeof(*checkpoint->page), compare_pages);
}

/* A checkpoint of the machine as it is: all pages, or those written since the base. */
static struct checkpoint *take(const struct checkpoints *checkpoints, bool all)
{
	const struct memory *memory = memory_of(checkpoints);
	struct checkpoint *checkpoint = calloc(1, sizeof(*checkpoint));
	int error;

	if (!checkpoint)
		return NULL;
	checkpoint->icount = checkpoints->replayer->machine->icount;
	error = place_save(checkpoints->replayer, &checkpoint->place);
	if (!error)
		error = all ? copy_all(memory, checkpoint) : copy_changes(memory, checkpoint);
	if (error) {
		destroy_checkpoint(checkpoint);
		return NULL;
	}
	sort_pages(memory, checkpoint);
	return checkpoint;
}

/* ---- the list ---- */

/* The number of the newest checkpoint at or before icount. */
static unsigned find(const struct checkpoints *checkpoints, uint64_t icount)
{
	unsigned low = 0, high = checkpoints->n;

	while (high - low > 1) {
		unsigned middle = low + (high - low) / 2;
		if (checkpoints->item[middle]->icount <= icount)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static bool insert(struct checkpoints *checkpoints, struct checkpoint *checkpoint, unsigned at)
{
	if (checkpoints->n == checkpoints->max) {
		unsigned max = checkpoints->max ? checkpoints->max * 2 : 64;
		struct checkpoint **item =
			realloc(checkpoints->item, max * sizeof(*checkpoints->item));
		if (!item)
			return false;
		checkpoints->item = item;
		checkpoints->max = max;
	}
	memmove(&checkpoints->item[at + 1], &checkpoints->item[at],
		(checkpoints->n - at) * sizeof(*checkpoints->item));
	checkpoints->item[at] = checkpoint;
	checkpoints->n++;
	checkpoints->bytes += fixed_bytes(checkpoint) + page_bytes(checkpoint->n_pages);
	return true;
}

/* ---- making room ---- */

/* Gives the pages of a checkpoint that goes to its successor, but for those that it has itself.
 * Returns false when there is no memory. */
static bool merge_into(struct checkpoints *checkpoints, struct checkpoint *from,
		       struct checkpoint *to)
{
	uint32_t n = 0, i = 0, j = 0;
	struct page_copy *page = calloc((size_t)from->n_pages + to->n_pages + 1, sizeof(*page));

	if (!page)
		return false;
	while (i < from->n_pages || j < to->n_pages) {
		bool older = j == to->n_pages ||
			     (i < from->n_pages && from->page[i].number < to->page[j].number);
		if (older) {
			page[n++] = from->page[i++];
			continue;
		}
		if (i < from->n_pages && from->page[i].number == to->page[j].number) {
			free(from->page[i++].bytes);
			checkpoints->bytes -= page_bytes(1);
		}
		page[n++] = to->page[j++];
	}
	free(to->page);
	to->page = page;
	to->n_pages = n;
	from->n_pages = 0;
	return true;
}

static bool remove_item(struct checkpoints *checkpoints, unsigned at)
{
	struct checkpoint *checkpoint = checkpoints->item[at];

	if (at + 1 < checkpoints->n &&
	    !merge_into(checkpoints, checkpoint, checkpoints->item[at + 1]))
		return false;
	checkpoints->bytes -= fixed_bytes(checkpoint) + page_bytes(checkpoint->n_pages);
	destroy_checkpoint(checkpoint);
	checkpoints->n--;
	memmove(&checkpoints->item[at], &checkpoints->item[at + 1],
		(checkpoints->n - at) * sizeof(*checkpoints->item));
	checkpoints->base -= checkpoints->base > at;
	return true;
}

/* How much a checkpoint is worth: the way that its loss would add, against how far off it is. */
static double worth(const struct checkpoints *checkpoints, unsigned at)
{
	const uint64_t here = checkpoints->replayer->machine->icount;
	uint64_t icount = checkpoints->item[at]->icount;
	uint64_t next = at + 1 < checkpoints->n ? checkpoints->item[at + 1]->icount
						: replayer_end_icount(checkpoints->replayer);
	double gap = (double)(next - checkpoints->item[at - 1]->icount);
	double distance = here > icount ? (double)(here - icount) : (double)(icount - here);

	return gap / (distance + 100000);
}

static void make_room(struct checkpoints *checkpoints)
{
	while (checkpoints->bytes > checkpoints->max_bytes) {
		unsigned least = 0;
		for (unsigned i = 1; i < checkpoints->n; i++)
			if (i != checkpoints->base &&
			    (!least || worth(checkpoints, i) < worth(checkpoints, least)))
				least = i;
		if (!least || !remove_item(checkpoints, least))
			return;
	}
}

/* ---- life ---- */

int checkpoints_create(struct replayer *replayer, uint64_t bytes, struct checkpoints **ret)
{
	struct checkpoints *checkpoints = calloc(1, sizeof(*checkpoints));
	struct checkpoint *first;

	if (!checkpoints)
		return -ENOMEM;
	checkpoints->replayer = replayer;
	checkpoints->max_bytes = bytes;
	checkpoints->wanted = calloc(memory_page_count(memory_of(checkpoints)) / 64 + 1,
				     sizeof(*checkpoints->wanted));
	first = take(checkpoints, true);
	if (!checkpoints->wanted || !first || !insert(checkpoints, first, 0) ||
	    memory_keep_changes(memory_of(checkpoints))) {
		if (!checkpoints->n)
			destroy_checkpoint(first);
		checkpoints_destroy(checkpoints);
		return -ENOMEM;
	}
	*ret = checkpoints;
	return 0;
}

void checkpoints_destroy(struct checkpoints *checkpoints)
{
	if (!checkpoints)
		return;
	for (unsigned i = 0; i < checkpoints->n; i++)
		destroy_checkpoint(checkpoints->item[i]);
	free(checkpoints->item);
	free(checkpoints->wanted);
	free(checkpoints);
}

void checkpoints_add(struct checkpoints *checkpoints)
{
	uint64_t icount = checkpoints->replayer->machine->icount;
	unsigned before = find(checkpoints, icount);
	struct checkpoint *checkpoint = NULL;

	if (checkpoints->item[before]->icount == icount) {
		checkpoints->base = before;
		memory_keep_changes(memory_of(checkpoints));
		return;
	}
	checkpoint = take(checkpoints, false);
	if (!checkpoint || !insert(checkpoints, checkpoint, before + 1)) {
		destroy_checkpoint(checkpoint);
		return;
	}
	checkpoints->base = before + 1;
	memory_keep_changes(memory_of(checkpoints));
	make_room(checkpoints);
}

/* ---- going back ---- */

static bool is_wanted(const struct checkpoints *checkpoints, uint32_t page)
{
	return checkpoints->wanted[page / 64] >> page % 64 & 1;
}

static void want(struct checkpoints *checkpoints, uint32_t page, bool wanted)
{
	uint64_t bit = UINT64_C(1) << page % 64;

	if (wanted)
		checkpoints->wanted[page / 64] |= bit;
	else
		checkpoints->wanted[page / 64] &= ~bit;
}

static void load_if_other(struct memory *memory, uint64_t gpa, const uint8_t *bytes)
{
	if (memcmp(memory_page(memory, gpa), bytes, PAGE_BYTES) != 0)
		memory_load(memory, gpa, bytes, PAGE_BYTES);
}

/* Loads the newest copy, at or before checkpoint at, of every page that is wanted. */
static void load_copies(struct checkpoints *checkpoints, unsigned at)
{
	struct memory *memory = memory_of(checkpoints);

	for (unsigned k = at + 1; k-- > 0;) {
		const struct checkpoint *checkpoint = checkpoints->item[k];
		for (uint32_t i = 0; i < checkpoint->n_pages; i++) {
			const struct page_copy *copy = &checkpoint->page[i];
			if (!is_wanted(checkpoints, copy->number))
				continue;
			load_if_other(memory, copy->gpa, copy->bytes);
			want(checkpoints, copy->number, false);
		}
	}
}

static void load_zeros(struct checkpoints *checkpoints, uint64_t gpa)
{
	static const uint8_t zeros[PAGE_BYTES];
	uint32_t number = memory_page_number(memory_of(checkpoints), gpa);

	if (!is_wanted(checkpoints, number))
		return;
	load_if_other(memory_of(checkpoints), gpa, zeros);
	want(checkpoints, number, false);
}

/* RAM as it was at a checkpoint; pages of which there is no copy were still zero. */
static void load_memory(struct checkpoints *checkpoints, unsigned at)
{
	struct memory *memory = memory_of(checkpoints);
	unsigned low = at < checkpoints->base ? at : checkpoints->base;
	unsigned high = at < checkpoints->base ? checkpoints->base : at;
	uint32_t n_changes = memory_change_count(memory);

	for (uint32_t i = 0; i < n_changes; i++)
		want(checkpoints, memory_page_number(memory, memory_change(memory, i)), true);
	for (unsigned k = low + 1; k <= high; k++)
		for (uint32_t i = 0; i < checkpoints->item[k]->n_pages; i++)
			want(checkpoints, checkpoints->item[k]->page[i].number, true);
	load_copies(checkpoints, at);
	for (uint32_t i = 0; i < n_changes; i++)
		load_zeros(checkpoints, memory_change(memory, i));
	for (unsigned k = low + 1; k <= high; k++)
		for (uint32_t i = 0; i < checkpoints->item[k]->n_pages; i++)
			load_zeros(checkpoints, checkpoints->item[k]->page[i].gpa);
}

int checkpoints_restore(struct checkpoints *checkpoints, uint64_t icount)
{
	unsigned at = find(checkpoints, icount);

	load_memory(checkpoints, at);
	checkpoints->base = at;
	memory_keep_changes(memory_of(checkpoints));
	memory_clear_watch_hit(memory_of(checkpoints));
	return place_restore(checkpoints->replayer, &checkpoints->item[at]->place);
}

uint64_t checkpoints_before(const struct checkpoints *checkpoints, uint64_t icount)
{
	return checkpoints->item[find(checkpoints, icount)]->icount;
}

uint64_t checkpoints_after(const struct checkpoints *checkpoints, uint64_t icount)
{
	unsigned at = find(checkpoints, icount);

	if (at + 1 == checkpoints->n)
		return UINT64_MAX;
	return checkpoints->item[at + 1]->icount;
}

void checkpoints_size(const struct checkpoints *checkpoints, unsigned *ret_n, uint64_t *ret_bytes)
{
	*ret_n = checkpoints->n;
	*ret_bytes = checkpoints->bytes;
}
