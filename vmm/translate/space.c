#include "vmm/translate/space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cpu/insn.h"
#include "vmm/mmu/mmu.h"

/* Links that are set in one space, in no order. */
struct set_links {
	uint32_t *links;
	uint32_t n, room;
	bool overflow; /* there was no memory: any may be set */
	bool noted;    /* something stands in the lookup table */
};

struct spaces {
	struct runtime_space *tables[RUNTIME_SPACES];
	struct set_links set[RUNTIME_SPACES];
	unsigned selected;
	uint32_t n_links;
	uint64_t defaults[RUNTIME_LINKS];
	uint64_t rip[RUNTIME_LINKS];
};

/*
 * A table of zeros holds nothing: -0 is no target but 0, which is looked up in the first entry
 * only. That entry holds what would stand elsewhere.
 */
static void clear_lookup(struct runtime_space *table)
{
	memset(table->minus_rip, 0, sizeof(table->minus_rip));
	table->minus_rip[0] = 1;
}

int spaces_create(uint8_t *area, struct spaces **ret_spaces)
{
	struct spaces *spaces = calloc(1, sizeof(*spaces));

	if (!spaces)
		return -ENOMEM;
	for (unsigned i = 0; i < RUNTIME_SPACES; i++) {
		spaces->tables[i] = (struct runtime_space *)(area + RUNTIME_SPACE_FILE(i));
		spaces->tables[i]->minus_rip[0] = 1;
	}
	*ret_spaces = spaces;
	return 0;
}

void spaces_destroy(struct spaces *spaces)
{
	if (!spaces)
		return;
	for (unsigned i = 0; i < RUNTIME_SPACES; i++)
		free(spaces->set[i].links);
	free(spaces);
}

static void reset_links(struct spaces *spaces, unsigned space)
{
	memcpy(spaces->tables[space]->link, spaces->defaults,
	       spaces->n_links * sizeof(spaces->defaults[0]));
	spaces->set[space].n = 0;
	spaces->set[space].overflow = false;
}

void spaces_flush(struct spaces *spaces)
{
	spaces->n_links = 0;
	for (unsigned i = 0; i < RUNTIME_SPACES; i++)
		spaces_drop(spaces, i);
}

void spaces_select(struct spaces *spaces, unsigned space)
{
	spaces->selected = space;
}

void spaces_drop(struct spaces *spaces, unsigned space)
{
	struct set_links *set = &spaces->set[space];

	if (set->noted)
		clear_lookup(spaces->tables[space]);
	set->noted = false;
	if (set->n || set->overflow)
		reset_links(spaces, space);
}

/* ---- one page ---- */

/* Whether a translation of what stands at rip depends on the page. */
static bool depends_on(uint64_t rip, uint64_t page)
{
	return (rip & PAGE_MASK) == page || ((rip + INSN_MAX_BYTES - 1) & PAGE_MASK) == page;
}

static void drop_lookups(struct runtime_space *table, uint64_t from, uint32_t n, uint64_t page)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t index = (uint32_t)(from + i) % RUNTIME_LOOKUP_ENTRIES;
		if (table->code[index] && depends_on(-table->minus_rip[index], page))
			table->minus_rip[index] = index ? 0 : 1;
	}
}

static void drop_links(struct spaces *spaces, unsigned space, uint64_t page)
{
	struct set_links *set = &spaces->set[space];
	uint32_t kept = 0;

	if (set->overflow) {
		reset_links(spaces, space);
		return;
	}
	for (uint32_t i = 0; i < set->n; i++) {
		uint32_t link = set->links[i];
		if (depends_on(spaces->rip[link], page))
			spaces->tables[space]->link[link] = spaces->defaults[link];
		else
			set->links[kept++] = link;
	}
	set->n = kept;
}

void spaces_drop_page(struct spaces *spaces, unsigned space, uint64_t linear)
{
	uint64_t page = linear & PAGE_MASK;

	if (spaces->set[space].noted)
		drop_lookups(spaces->tables[space], page - INSN_MAX_BYTES,
			     PAGE_BYTES + INSN_MAX_BYTES, page);
	drop_links(spaces, space, page);
}

/* ---- noting ---- */

void spaces_note(struct spaces *spaces, uint64_t rip, uint64_t code)
{
	struct runtime_space *table = spaces->tables[spaces->selected];
	uint32_t index = rip % RUNTIME_LOOKUP_ENTRIES;

	table->minus_rip[index] = -rip;
	table->code[index] = code;
	spaces->set[spaces->selected].noted = true;
}

/* ---- links ---- */

uint32_t spaces_add_link(struct spaces *spaces, uint64_t rip)
{
	if (spaces->n_links == RUNTIME_LINKS)
		return UINT32_MAX;
	spaces->rip[spaces->n_links] = rip;
	return spaces->n_links++;
}

void spaces_set_default(struct spaces *spaces, uint32_t link, uint64_t code)
{
	spaces->defaults[link] = code;
	for (unsigned i = 0; i < RUNTIME_SPACES; i++)
		spaces->tables[i]->link[link] = code;
}

void spaces_set_link(struct spaces *spaces, uint32_t link, uint64_t code)
{
	struct set_links *set = &spaces->set[spaces->selected];

	spaces->tables[spaces->selected]->link[link] = code;
	if (set->n == set->room) {
		uint32_t room = set->room ? 2 * set->room : 256;
		uint32_t *links = realloc(set->links, room * sizeof(*links));
		if (!links) {
			set->overflow = true;
			return;
		}
		set->links = links;
		set->room = room;
	}
	set->links[set->n++] = link;
}
