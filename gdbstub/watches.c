#include "gdbstub/watches.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/state.h"
#include "vmm/mmu/walk.h"

void watches_finish(struct watches *watches)
{
	free(watches->range);
	free(watches->table);
	*watches = (struct watches){0};
}

/* Makes room for one more item of an array that doubles. Returns false without memory. */
static bool grow(void **items, unsigned n, unsigned *max, size_t item_bytes)
{
	unsigned more = *max ? *max * 2 : 16;
	void *larger;

	if (n < *max)
		return true;
	larger = realloc(*items, more * item_bytes);
	if (!larger)
		return false;
	*items = larger;
	*max = more;
	return true;
}

static bool add_range(struct watches *watches, const struct point_range *range)
{
	void *items = watches->range;

	if (!grow(&items, watches->n_ranges, &watches->max_ranges, sizeof(*range)))
		return false;
	watches->range = items;
	watches->range[watches->n_ranges++] = *range;
	return true;
}

/* Neighbours become one: a large watchpoint has the entries of whole tables. */
static bool add_table(struct watches *watches, uint64_t gpa, unsigned bytes)
{
	void *items = watches->table;

	for (unsigned i = 0; i < watches->n_tables; i++) {
		struct memory_watch *watch = &watches->table[i];
		if (gpa >= watch->gpa && gpa < watch->gpa + watch->bytes)
			return true;
		if (gpa == watch->gpa + watch->bytes) {
			watch->bytes += bytes;
			return true;
		}
	}
	if (!grow(&items, watches->n_tables, &watches->max_tables, sizeof(*watches->table)))
		return false;
	watches->table = items;
	watches->table[watches->n_tables++] = (struct memory_watch){gpa, bytes, false, true};
	return true;
}

/* ---- where things lie ---- */

/* In a view that does not follow mappings: where it is mapped, or was when last asked. */
static bool translate_known(struct gdbstub *stub, uint64_t address, uint64_t *ret_gpa)
{
	uint64_t linear = address & PAGE_MASK;
	struct known_page *known = &stub->watches.known[(address >> PAGE_SHIFT) % KNOWN_PAGES_MAX];

	if (target_translate(stub, stub->g_thread, address, ret_gpa)) {
		*known = (struct known_page){true, linear, *ret_gpa & PAGE_MASK};
		return true;
	}
	if (!known->valid || known->linear != linear)
		return false;
	*ret_gpa = known->gpa | (address & ~PAGE_MASK);
	return true;
}

bool watches_can_set(struct gdbstub *stub, uint64_t address)
{
	uint64_t gpa;

	return stub->view->follows_mappings || translate_known(stub, address, &gpa);
}

/* Walks to the address and has every entry on the way watched. Returns false without memory. */
static bool walk_to(struct gdbstub *stub, const struct cpu *space, struct point_range *range)
{
	struct walk walk;
	uint32_t error;

	range->mapped = walk_tables(space, range->address,
				    &(struct walk_access){.kind = ACCESS_READ}, &walk, &error);
	range->gpa = walk.gpa;
	for (unsigned i = 0; i < walk.n_steps; i++)
		if (!add_table(&stub->watches, walk.step[i].entry_gpa, walk.step[i].entry_bytes))
			return false;
	return true;
}

static bool locate(struct gdbstub *stub, const struct cpu *space, struct point_range *range)
{
	if (space && !stub->physical)
		return walk_to(stub, space, range);
	range->mapped = translate_known(stub, range->address, &range->gpa);
	return true;
}

static int map_point(struct gdbstub *stub, const struct cpu *space, unsigned number)
{
	const struct point *point = &stub->points.point[number];
	uint64_t address = point->address, left = point->bytes;

	while (left) {
		struct point_range range = {.point = number, .address = address};
		range.bytes = PAGE_BYTES - address % PAGE_BYTES;
		if (range.bytes > left)
			range.bytes = left;
		if (!locate(stub, space, &range) || !add_range(&stub->watches, &range))
			return -ENOMEM;
		address += range.bytes;
		left -= range.bytes;
	}
	return 0;
}

static int map_points(struct gdbstub *stub)
{
	bool follows = stub->view->follows_mappings;
	struct cpu space;
	int error = 0;

	stub->watches.n_ranges = 0;
	stub->watches.n_tables = 0;
	if (follows && !stub->view->read_space(stub, 0, &space))
		return 0;
	for (unsigned i = 0; i < stub->points.n && !error; i++)
		if (point_is_watch(&stub->points.point[i]))
			error = map_point(stub, follows ? &space : NULL, i);
	return error;
}

/* ---- handing them over ---- */

static int hand_over(struct gdbstub *stub)
{
	const struct watches *all = &stub->watches;
	struct memory_watch *watches =
		calloc((size_t)all->n_ranges + all->n_tables + 1, sizeof(*watches));
	unsigned n = 0;

	if (!watches)
		return -ENOMEM;
	for (unsigned i = 0; i < all->n_ranges; i++) {
		const struct point_range *range = &all->range[i];
		const struct point *point = &stub->points.point[range->point];
		if (range->mapped)
			watches[n++] = (struct memory_watch){range->gpa, range->bytes,
							     point_wants(point, false),
							     point_wants(point, true)};
	}
	for (unsigned i = 0; i < all->n_tables; i++)
		watches[n++] = all->table[i];
	int error = timeline_set_watches(stub->timeline, watches, n);
	free(watches);
	return error;
}

int watches_arm(struct gdbstub *stub)
{
	int error = map_points(stub);

	stub->watches.n_contents = 0;
	return error ? error : hand_over(stub);
}

/* ---- following ---- */

static struct watch_content *find_content(struct watches *watches, uint64_t address)
{
	for (unsigned i = 0; i < watches->n_contents; i++)
		if (watches->content[i].address == address)
			return &watches->content[i];
	return NULL;
}

/* Keeps what a range holds at a physical address. */
static void keep_content(struct gdbstub *stub, const struct point_range *range, uint64_t gpa)
{
	struct watches *watches = &stub->watches;
	struct watch_content *content = find_content(watches, range->address);

	if (!content && watches->n_contents < WATCH_CONTENTS_MAX)
		content = &watches->content[watches->n_contents++];
	if (!content)
		return;
	content->address = range->address;
	content->bytes = range->bytes < sizeof(content->data) ? (uint32_t)range->bytes
							      : sizeof(content->data);
	memory_read(stub_machine(stub)->memory, gpa, content->data, content->bytes);
}

/* A range that is mapped again: whether it holds something else than when it was last. */
static bool content_differs(struct gdbstub *stub, const struct point_range *range)
{
	struct watch_content *content = find_content(&stub->watches, range->address);
	uint8_t now[WATCH_CONTENT_BYTES];

	if (!content)
		return false;
	memory_read(stub_machine(stub)->memory, range->gpa, now, content->bytes);
	bool differs = memcmp(now, content->data, content->bytes) != 0;
	*content = stub->watches.content[--stub->watches.n_contents];
	return differs;
}

/* Compares the mapping before with the one now. */
static bool note_move(struct gdbstub *stub, const struct point_range *before,
		      const struct point_range *now, bool removes)
{
	if (removes && before->mapped && !now->mapped)
		return true;
	if (before->mapped && (!now->mapped || before->gpa != now->gpa))
		keep_content(stub, before, before->gpa);
	return now->mapped && content_differs(stub, now);
}

bool watches_meet(const struct point_range *range, const struct memory_watch_access *access,
		  uint64_t *ret_address)
{
	if (!range->mapped || access->gpa >= range->gpa + range->bytes ||
	    range->gpa >= access->gpa + access->bytes)
		return false;
	*ret_address = range->address;
	if (access->gpa > range->gpa)
		*ret_address += access->gpa - range->gpa;
	return true;
}

bool watches_written_address(const struct gdbstub *stub, uint64_t *ret_address)
{
	unsigned n;
	const struct memory_watch_access *access =
		memory_watch_hits(stub_machine(stub)->memory, &n);

	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < stub->watches.n_ranges; j++)
			if (access[i].write &&
			    watches_meet(&stub->watches.range[j], &access[i], ret_address))
				return true;
	return false;
}

static bool table_was_written(struct gdbstub *stub)
{
	unsigned n;
	const struct memory_watch_access *access =
		memory_watch_hits(stub_machine(stub)->memory, &n);

	for (unsigned i = 0; i < n; i++) {
		for (unsigned j = 0; j < stub->watches.n_tables; j++) {
			const struct memory_watch *table = &stub->watches.table[j];
			if (access[i].write && access[i].gpa < table->gpa + table->bytes &&
			    table->gpa < access[i].gpa + access[i].bytes)
				return true;
		}
	}
	return false;
}

bool watches_follow(struct gdbstub *stub, bool removes, unsigned *ret_point)
{
	struct watches *watches = &stub->watches;
	unsigned n = watches->n_ranges;
	struct point_range *before;
	bool changed = false;

	if (!table_was_written(stub))
		return false;
	before = calloc(n + 1u, sizeof(*before));
	if (!before)
		return false;
	for (unsigned i = 0; i < n; i++)
		before[i] = watches->range[i];
	if (!map_points(stub) && watches->n_ranges == n) {
		for (unsigned i = 0; i < n; i++) {
			if (note_move(stub, &before[i], &watches->range[i], removes) && !changed) {
				changed = true;
				*ret_point = watches->range[i].point;
			}
		}
		hand_over(stub);
	}
	free(before);
	return changed;
}
