#include "replayer/checkpoints.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replayer/page_copies.h"
#include "replayer/place.h"

/* Beside the list's own, what the state of a vCPU and its place in the log take at most. */
#define PLACE_BYTES 8192

/* Before anything was packed: what packing leaves of a page. */
#define FIRST_GUESS_BYTES 1600

struct checkpoint {
	uint64_t icount;
	struct place place;
	struct page_copies pages;
};

struct checkpoints {
	struct replayer *replayer;
	uint64_t max_bytes, bytes;
	struct checkpoint **item; /* ascending by icount */
	unsigned n, max;
	unsigned base;
	uint64_t *wanted; /* restoring: bit n, page n is still to be found */
	uint32_t n_wanted;
	uint64_t *in_file; /* bit n: page n of the initial RAM stands in the file; NULL: the first
			      checkpoint has all of it */
};

/* What a checkpoint takes beside its pages. */
static uint64_t fixed_bytes(const struct checkpoints *checkpoints)
{
	return sizeof(struct checkpoint) + machine_state_bytes(checkpoints->replayer->machine) +
	       PLACE_BYTES;
}

static uint64_t checkpoint_bytes(const struct checkpoints *checkpoints,
				 const struct checkpoint *checkpoint)
{
	return fixed_bytes(checkpoints) + checkpoint->pages.bytes;
}

static struct memory *memory_of(const struct checkpoints *checkpoints)
{
	return checkpoints->replayer->machine->memory;
}

static void destroy_checkpoint(struct checkpoint *checkpoint)
{
	if (!checkpoint)
		return;
	page_copies_finish(&checkpoint->pages);
	place_finish(&checkpoint->place);
	free(checkpoint);
}

/* A checkpoint of the machine as it is, still without pages. */
static struct checkpoint *take_place(const struct checkpoints *checkpoints)
{
	struct checkpoint *checkpoint = calloc(1, sizeof(*checkpoint));

	if (!checkpoint)
		return NULL;
	checkpoint->icount = checkpoints->replayer->machine->icount;
	if (!place_save(checkpoints->replayer, &checkpoint->place))
		return checkpoint;
	destroy_checkpoint(checkpoint);
	return NULL;
}

/* One of the pages written since the base. */
static struct checkpoint *take(const struct checkpoints *checkpoints, bool packed,
			       uint64_t max_bytes)
{
	struct checkpoint *checkpoint = take_place(checkpoints);

	if (!checkpoint || !page_copies_take_changes(memory_of(checkpoints), packed, max_bytes,
						     &checkpoint->pages))
		return checkpoint;
	destroy_checkpoint(checkpoint);
	return NULL;
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
	checkpoints->bytes += checkpoint_bytes(checkpoints, checkpoint);
	return true;
}

/* ---- bits, one a page ---- */

static bool bit_is_set(const uint64_t *bits, uint32_t n)
{
	return bits[n / 64] >> n % 64 & 1;
}

static uint64_t *create_bits(const struct checkpoints *checkpoints)
{
	return calloc(memory_page_count(memory_of(checkpoints)) / 64 + 1, sizeof(uint64_t));
}

static void want(struct checkpoints *checkpoints, uint32_t page)
{
	if (bit_is_set(checkpoints->wanted, page))
		return;
	checkpoints->wanted[page / 64] |= UINT64_C(1) << page % 64;
	checkpoints->n_wanted++;
}

/* Returns whether it was wanted. */
static bool found(struct checkpoints *checkpoints, uint32_t page)
{
	if (!bit_is_set(checkpoints->wanted, page))
		return false;
	checkpoints->wanted[page / 64] &= ~(UINT64_C(1) << page % 64);
	checkpoints->n_wanted--;
	return true;
}

/* ---- making room ---- */

/* One that is the base leaves its pages to what has changed since the base, now the one before. */
static void give_to_changes(struct checkpoints *checkpoints, const struct checkpoint *checkpoint)
{
	for (uint32_t i = 0; i < checkpoint->pages.n; i++)
		memory_note_change(memory_of(checkpoints), checkpoint->pages.copy[i].gpa);
}

static bool remove_item(struct checkpoints *checkpoints, unsigned at)
{
	struct checkpoint *checkpoint = checkpoints->item[at];
	struct checkpoint *next = at + 1 < checkpoints->n ? checkpoints->item[at + 1] : NULL;
	uint64_t before = checkpoint->pages.bytes + (next ? next->pages.bytes : 0);

	if (at == checkpoints->base)
		give_to_changes(checkpoints, checkpoint);
	if (next && page_copies_merge(&checkpoint->pages, &next->pages))
		return false;
	checkpoints->bytes -= fixed_bytes(checkpoints) + before - (next ? next->pages.bytes : 0);
	destroy_checkpoint(checkpoint);
	checkpoints->n--;
	memmove(&checkpoints->item[at], &checkpoints->item[at + 1],
		(checkpoints->n - at) * sizeof(*checkpoints->item));
	checkpoints->base -= checkpoints->base >= at;
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

/* The checkpoint that is worth least, only_plain: of those not packed yet; 0: there is none but the
 * first. */
static unsigned find_least(const struct checkpoints *checkpoints, bool only_plain)
{
	unsigned least = 0;

	for (unsigned i = 1; i < checkpoints->n; i++) {
		if (only_plain && checkpoints->item[i]->pages.packed)
			continue;
		if (!least || worth(checkpoints, i) < worth(checkpoints, least))
			least = i;
	}
	return least;
}

static void pack_item(struct checkpoints *checkpoints, unsigned at)
{
	struct page_copies *pages = &checkpoints->item[at]->pages;

	checkpoints->bytes -= pages->bytes;
	page_copies_pack(pages);
	checkpoints->bytes += pages->bytes;
}

/* What a packed page takes, by those there are. */
static uint64_t packed_page_bytes(const struct checkpoints *checkpoints)
{
	uint64_t n = 0, bytes = 0;

	for (unsigned i = 1; i < checkpoints->n; i++) {
		if (!checkpoints->item[i]->pages.packed)
			continue;
		n += checkpoints->item[i]->pages.n;
		bytes += checkpoints->item[i]->pages.bytes;
	}
	return n ? bytes / n + 1 : FIRST_GUESS_BYTES;
}

/* What the next checkpoint will take. */
static uint64_t expected_bytes(const struct checkpoints *checkpoints, bool packed)
{
	return fixed_bytes(checkpoints) +
	       memory_change_count(memory_of(checkpoints)) *
		       (packed ? packed_page_bytes(checkpoints) : PAGE_COPY_MAX_BYTES);
}

static bool has_room(const struct checkpoints *checkpoints, bool packed)
{
	return checkpoints->bytes + expected_bytes(checkpoints, packed) <= checkpoints->max_bytes;
}

/* Whether one here fits even when it is the only one beside the first: it then holds every page
 * that was ever written before. */
static bool can_fit_alone(struct checkpoints *checkpoints)
{
	struct memory *memory = memory_of(checkpoints);
	uint64_t first = checkpoint_bytes(checkpoints, checkpoints->item[0]), n;

	for (unsigned i = 1; i <= checkpoints->base; i++)
		for (uint32_t k = 0; k < checkpoints->item[i]->pages.n; k++)
			want(checkpoints, checkpoints->item[i]->pages.copy[k].number);
	for (uint32_t i = 0; i < memory_change_count(memory); i++)
		want(checkpoints, memory_page_number(memory, memory_change(memory, i)));
	n = checkpoints->n_wanted;
	memset(checkpoints->wanted, 0, memory_page_count(memory) / 64 * 8 + 8);
	checkpoints->n_wanted = 0;
	return first + fixed_bytes(checkpoints) + n * packed_page_bytes(checkpoints) <=
	       checkpoints->max_bytes;
}

/*
 * Makes room for a checkpoint of here: others are packed, those worth least first, then go. Returns
 * false when there can be none; *ret_packed: only packed does it fit.
 */
static bool make_room(struct checkpoints *checkpoints, bool *ret_packed)
{
	unsigned least;

	*ret_packed = false;
	while (!has_room(checkpoints, false) && (least = find_least(checkpoints, true)))
		pack_item(checkpoints, least);
	if (has_room(checkpoints, false))
		return true;
	*ret_packed = true;
	if (has_room(checkpoints, true))
		return true;
	if (!can_fit_alone(checkpoints))
		return false;
	while (!has_room(checkpoints, true) && (least = find_least(checkpoints, false)))
		if (!remove_item(checkpoints, least))
			break;
	return has_room(checkpoints, true);
}

/* ---- the first ---- */

static int note_in_file(void *ctx, uint64_t gpa, const uint8_t *page)
{
	struct checkpoints *checkpoints = ctx;
	uint32_t number = memory_page_number(memory_of(checkpoints), gpa);

	checkpoints->in_file[number / 64] |= UINT64_C(1) << number % 64;
	return 0;
}

static int list_file(struct checkpoints *checkpoints)
{
	struct log_reader *reader = checkpoints->replayer->reader;
	struct log_position position = log_reader_position(reader);
	struct log_error error;
	int code;

	checkpoints->in_file = create_bits(checkpoints);
	if (!checkpoints->in_file)
		return -ENOMEM;
	code = log_reader_each_page(reader, note_in_file, checkpoints, &error);
	return code ? code : log_reader_set_position(reader, position, &error);
}

/*
 * Takes all of RAM when that leaves most of the budget to others. Or else only what has changed
 * since the file's initial RAM was loaded: the rest is read there again when it is needed.
 */
static struct checkpoint *take_first(struct checkpoints *checkpoints)
{
	const struct memory *memory = memory_of(checkpoints);
	struct checkpoint *first = take_place(checkpoints);
	int error;

	if (!first)
		return NULL;
	if (page_copies_all_max_bytes(memory) <= checkpoints->max_bytes / 4) {
		error = page_copies_take_all(memory, &first->pages);
	} else {
		error = list_file(checkpoints);
		if (!error)
			error = page_copies_take_changes(memory, true, UINT64_MAX, &first->pages);
	}
	if (!error)
		return first;
	destroy_checkpoint(first);
	return NULL;
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
	checkpoints->wanted = create_bits(checkpoints);
	first = take_first(checkpoints);
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
	free(checkpoints->in_file);
	free(checkpoints);
}

static void set_base(struct checkpoints *checkpoints, unsigned at)
{
	checkpoints->base = at;
	memory_keep_changes(memory_of(checkpoints));
}

void checkpoints_add(struct checkpoints *checkpoints)
{
	uint64_t icount = checkpoints->replayer->machine->icount;
	struct checkpoint *checkpoint;
	unsigned before = find(checkpoints, icount);
	bool packed;

	if (checkpoints->item[before]->icount == icount) {
		set_base(checkpoints, before);
		return;
	}
	if (!make_room(checkpoints, &packed))
		return;
	checkpoint = take(checkpoints, packed,
			  checkpoints->max_bytes - checkpoints->bytes - fixed_bytes(checkpoints));
	before = find(checkpoints, icount); /* some may have gone */
	if (!checkpoint || !insert(checkpoints, checkpoint, before + 1)) {
		destroy_checkpoint(checkpoint);
		return;
	}
	set_base(checkpoints, before + 1);
}

/* ---- going back ---- */

/* Loads the newest copy, at or before checkpoint at, of every page that is wanted. */
static void load_copies(struct checkpoints *checkpoints, unsigned at)
{
	for (unsigned k = at + 1; k-- > 0 && checkpoints->n_wanted;) {
		const struct page_copies *pages = &checkpoints->item[k]->pages;
		for (uint32_t i = 0; i < pages->n; i++)
			if (found(checkpoints, pages->copy[i].number))
				page_copy_load(&pages->copy[i], memory_of(checkpoints));
	}
}

static int load_from_file(void *ctx, uint64_t gpa, const uint8_t *page)
{
	struct checkpoints *checkpoints = ctx;
	struct memory *memory = memory_of(checkpoints);

	if (found(checkpoints, memory_page_number(memory, gpa)))
		page_load_if_other(memory, gpa, page);
	return 0;
}

static int load_file(struct checkpoints *checkpoints)
{
	struct log_reader *reader = checkpoints->replayer->reader;
	struct log_position position = log_reader_position(reader);
	struct log_error *error = &checkpoints->replayer->error;
	int code = log_reader_each_page(reader, load_from_file, checkpoints, error);

	return code ? code : log_reader_set_position(reader, position, error);
}

static bool wants_file(const struct checkpoints *checkpoints)
{
	uint32_t n = memory_page_count(memory_of(checkpoints)) / 64 + 1;

	for (uint32_t i = 0; checkpoints->in_file && checkpoints->n_wanted && i < n; i++)
		if (checkpoints->wanted[i] & checkpoints->in_file[i])
			return true;
	return false;
}

static void load_zeros(struct checkpoints *checkpoints, uint64_t gpa)
{
	static const uint8_t zeros[PAGE_BYTES];
	struct memory *memory = memory_of(checkpoints);

	if (found(checkpoints, memory_page_number(memory, gpa)))
		page_load_if_other(memory, gpa, zeros);
}

/* What no checkpoint has is as the file has it, or still zero. */
static int load_rest(struct checkpoints *checkpoints, unsigned low, unsigned high)
{
	struct memory *memory = memory_of(checkpoints);
	uint32_t n_changes = memory_change_count(memory);
	int error = wants_file(checkpoints) ? load_file(checkpoints) : 0;

	/* Each page that is loaded is one more change, already found. */
	for (uint32_t i = 0; i < n_changes; i++)
		load_zeros(checkpoints, memory_change(memory, i));
	for (unsigned k = low + 1; k <= high; k++)
		for (uint32_t i = 0; i < checkpoints->item[k]->pages.n; i++)
			load_zeros(checkpoints, checkpoints->item[k]->pages.copy[i].gpa);
	return error;
}

/* RAM as it was at a checkpoint. */
static int load_memory(struct checkpoints *checkpoints, unsigned at)
{
	struct memory *memory = memory_of(checkpoints);
	unsigned low = at < checkpoints->base ? at : checkpoints->base;
	unsigned high = at < checkpoints->base ? checkpoints->base : at;

	for (uint32_t i = 0; i < memory_change_count(memory); i++)
		want(checkpoints, memory_page_number(memory, memory_change(memory, i)));
	for (unsigned k = low + 1; k <= high; k++)
		for (uint32_t i = 0; i < checkpoints->item[k]->pages.n; i++)
			want(checkpoints, checkpoints->item[k]->pages.copy[i].number);
	load_copies(checkpoints, at);
	return checkpoints->n_wanted ? load_rest(checkpoints, low, high) : 0;
}

int checkpoints_restore(struct checkpoints *checkpoints, uint64_t icount)
{
	unsigned at = find(checkpoints, icount);
	/* First, because it drops what is derived from page tables: it would be dropped piece by
	 * piece when they are loaded. */
	int error = place_restore(checkpoints->replayer, &checkpoints->item[at]->place);

	if (error)
		return error;
	error = load_memory(checkpoints, at);
	set_base(checkpoints, at);
	memory_clear_watch_hit(memory_of(checkpoints));
	return error;
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
