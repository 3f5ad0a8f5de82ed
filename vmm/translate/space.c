#include "vmm/translate/space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cpu/insn.h"
#include "vmm/mmu/mmu.h"

/* Pages of which is remembered that they are warm. */
#define WARM_PAGES 2048u

/* Entries of a lookup table that are remembered one by one. */
#define NOTED_LISTED 4096u

#define TOUCHED_BITS 8192u

/* Pages that go one by one while the space does not run; after that all of it goes: its program
 * ends, and each page would have everything looked through. */
#define DROPPED_MAX 4u

/* What stands in the tables of one space. */
struct space {
	uint32_t *links; /* that are set, in no order */
	uint32_t n, room;
	bool used;                            /* something may stand in what follows */
	bool overflow;                        /* there was no memory: any link may be set */
	uint32_t n_noted;                     /* entries of the lookup table that were set */
	uint16_t noted[NOTED_LISTED];         /* which, while they are that few */
	bool victims;                         /* something stands among the victims */
	uint32_t n_links;                     /* of all, the first that lead anywhere yet */
	uint32_t n_dropped;                   /* pages, since it was selected last */
	unsigned next_way;                    /* of a set of victims, to be replaced */
	uint64_t warm[WARM_PAGES];            /* linear pages, by their hash; 0: none */
	uint32_t warm_home[WARM_PAGES];       /* of what lies there */
	uint64_t touched[TOUCHED_BITS / 64];  /* hashes of pages that something may lead to */
	uint64_t settled[RUNTIME_HOMES / 64]; /* homes that something may lead to */
};

/* A direct branch from page to page. */
struct link {
	uint64_t rip;  /* where it leads, from its home on */
	uint32_t home; /* of the code that it leads out of, or NO_HOME */
	uint32_t next; /* without a home: to the same bucket's pages; else out of the same home */
	uint32_t target, next_to; /* the home that it leads to, and what leads there too */
};

/* A page of code that is translated for all spaces. */
struct home {
	uint64_t gpa;
	uint32_t from, to; /* link + 1, out of it and to it; 0: none */
};

#define LINK_BUCKETS 16384u

struct spaces {
	struct runtime_space *tables[RUNTIME_TABLES];
	struct space set[RUNTIME_TABLES];
	unsigned selected;
	uint32_t n_links, n_homes;
	uint64_t defaults[RUNTIME_LINKS];
	struct link link[RUNTIME_LINKS];
	struct home home[RUNTIME_HOMES];
	uint32_t first[LINK_BUCKETS]; /* link + 1, by the page that it leads to; 0: none */
};

/*
 * A table of zeros holds nothing: -0 is no target but 0, which is looked up in the first entry
 * only. That entry holds what would stand elsewhere.
 */
static void mark_empty(struct runtime_space *table)
{
	table->minus_rip[0] = 1;
	for (unsigned way = 0; way < RUNTIME_VICTIM_WAYS; way++)
		table->victim[0][way].minus_rip = 1;
}

static void clear_lookup(struct space *set, struct runtime_space *table)
{
	if (set->n_noted > NOTED_LISTED)
		memset(table->minus_rip, 0, sizeof(table->minus_rip));
	for (uint32_t i = 0; i < set->n_noted && set->n_noted <= NOTED_LISTED; i++)
		table->minus_rip[set->noted[i]] = 0;
	if (set->victims)
		memset(table->victim, 0, sizeof(table->victim));
	mark_empty(table);
	set->n_noted = 0;
	set->victims = false;
}

int spaces_create(uint8_t *area, struct spaces **ret_spaces)
{
	struct spaces *spaces = calloc(1, sizeof(*spaces));

	if (!spaces)
		return -ENOMEM;
	for (unsigned i = 0; i < RUNTIME_TABLES; i++) {
		spaces->tables[i] = (struct runtime_space *)(area + RUNTIME_SPACE_FILE(i));
		mark_empty(spaces->tables[i]);
	}
	*ret_spaces = spaces;
	return 0;
}

void spaces_destroy(struct spaces *spaces)
{
	if (!spaces)
		return;
	for (unsigned i = 0; i < RUNTIME_TABLES; i++)
		free(spaces->set[i].links);
	free(spaces);
}

static void reset_links(struct spaces *spaces, unsigned space)
{
	struct space *set = &spaces->set[space];
	uint64_t *links = spaces->tables[space]->link;

	if (set->overflow)
		memcpy(links, spaces->defaults, set->n_links * sizeof(links[0]));
	for (uint32_t i = 0; i < set->n && !set->overflow; i++)
		links[set->links[i]] = spaces->defaults[set->links[i]];
	set->n = 0;
	set->overflow = false;
}

void spaces_flush(struct spaces *spaces)
{
	spaces->n_links = spaces->n_homes = 0;
	memset(spaces->first, 0, sizeof(spaces->first));
	for (unsigned i = 0; i < RUNTIME_TABLES; i++) {
		spaces_drop(spaces, i);
		spaces->set[i].n_links = 0;
	}
}

/* Links that came while another space was selected lead to their exits here too. */
void spaces_select(struct spaces *spaces, unsigned space)
{
	struct space *set = &spaces->set[space];

	spaces->selected = space;
	set->n_dropped = 0;
	for (; set->n_links < spaces->n_links; set->n_links++)
		spaces->tables[space]->link[set->n_links] = spaces->defaults[set->n_links];
}

void spaces_drop(struct spaces *spaces, unsigned space)
{
	struct space *set = &spaces->set[space];

	if (!set->used)
		return;
	set->used = false;
	clear_lookup(set, spaces->tables[space]);
	memset(set->warm, 0, sizeof(set->warm));
	memset(set->touched, 0, sizeof(set->touched));
	memset(set->settled, 0, sizeof(set->settled));
	if (set->n || set->overflow)
		reset_links(spaces, space);
}

/* ---- one page ---- */

static uint32_t page_hash(uint64_t page)
{
	return (uint32_t)((page >> PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15) >> 40);
}

static void touch(struct space *set, uint64_t page)
{
	uint32_t bit = page_hash(page) % TOUCHED_BITS;

	set->touched[bit / 64] |= UINT64_C(1) << bit % 64;
}

/* What stands at rip may end in the next page. */
static void touch_pages(struct space *set, uint64_t rip)
{
	set->used = true;
	touch(set, rip & PAGE_MASK);
	if (rip % PAGE_BYTES > PAGE_BYTES - INSN_MAX_BYTES)
		touch(set, (rip & PAGE_MASK) + PAGE_BYTES);
}

static bool is_touched(const struct space *set, uint64_t page)
{
	uint32_t bit = page_hash(page) % TOUCHED_BITS;

	return set->touched[bit / 64] >> bit % 64 & 1;
}

static bool is_warm(const struct space *set, uint64_t page, uint32_t home)
{
	uint32_t slot = page_hash(page) % WARM_PAGES;

	return set->warm[slot] == (page | 1) && set->warm_home[slot] == home;
}

bool spaces_page_is_warm(struct spaces *spaces, uint64_t linear, uint32_t home)
{
	struct space *set = &spaces->set[spaces->selected];
	uint64_t page = linear & PAGE_MASK;
	bool warm = is_warm(set, page, home);
	uint32_t slot = page_hash(page) % WARM_PAGES;

	set->used = true;
	set->warm[slot] = page | 1;
	set->warm_home[slot] = home;
	return warm;
}

uint32_t spaces_first_link(const struct spaces *spaces, uint64_t linear)
{
	uint64_t page = linear & PAGE_MASK;
	uint32_t link = spaces->first[page_hash(page) % LINK_BUCKETS] - 1;

	while (link != UINT32_MAX && (spaces->link[link].rip & PAGE_MASK) != page)
		link = spaces->link[link].next;
	return link;
}

uint32_t spaces_next_link(const struct spaces *spaces, uint32_t link)
{
	uint64_t page = spaces->link[link].rip & PAGE_MASK;

	do
		link = spaces->link[link].next;
	while (link != UINT32_MAX && (spaces->link[link].rip & PAGE_MASK) != page);
	return link;
}

static uint64_t link_rip(const struct spaces *spaces, unsigned space, uint32_t number)
{
	const struct link *link = &spaces->link[number];

	return link->rip + (link->home == NO_HOME ? 0 : spaces->tables[space]->home[link->home]);
}

uint64_t spaces_link_rip(const struct spaces *spaces, uint32_t link)
{
	return link_rip(spaces, spaces->selected, link);
}

bool spaces_link_is_set(const struct spaces *spaces, uint32_t link)
{
	return spaces->tables[spaces->selected]->link[link] != spaces->defaults[link];
}

/* Whether a translation of what stands at rip depends on the page. */
static bool depends_on(uint64_t rip, uint64_t page)
{
	return (rip & PAGE_MASK) == page || ((rip + INSN_MAX_BYTES - 1) & PAGE_MASK) == page;
}

/* An address has one entry: those of the page, and of what may end in it, are looked at. */
static void drop_lookups(struct runtime_space *table, uint64_t page)
{
	for (uint64_t rip = page - (INSN_MAX_BYTES - 1); rip != page + PAGE_BYTES; rip++) {
		uint32_t index = rip % RUNTIME_LOOKUP_ENTRIES;
		if (table->minus_rip[index] == -rip)
			table->minus_rip[index] = index ? 0 : 1;
	}
}

static void drop_victims(struct runtime_space *table, uint64_t page)
{
	for (unsigned set = 0; set < RUNTIME_VICTIM_SETS; set++) {
		for (unsigned way = 0; way < RUNTIME_VICTIM_WAYS; way++) {
			struct runtime_victim *victim = &table->victim[set][way];
			if (victim->code && depends_on(-victim->minus_rip, page))
				*victim = (struct runtime_victim){.minus_rip = set ? 0 : 1};
		}
	}
}

static void drop_links(struct spaces *spaces, unsigned space, uint64_t page)
{
	struct space *set = &spaces->set[space];
	uint32_t kept = 0;

	if (set->overflow) {
		reset_links(spaces, space);
		return;
	}
	for (uint32_t i = 0; i < set->n; i++) {
		uint32_t link = set->links[i];
		if (depends_on(link_rip(spaces, space, link), page))
			spaces->tables[space]->link[link] = spaces->defaults[link];
		else
			set->links[kept++] = link;
	}
	set->n = kept;
}

void spaces_drop_page(struct spaces *spaces, unsigned space, uint64_t linear)
{
	uint64_t page = linear & PAGE_MASK;

	spaces->set[space].warm[page_hash(page) % WARM_PAGES] = 0;
	if (!is_touched(&spaces->set[space], page))
		return;
	if (++spaces->set[space].n_dropped > DROPPED_MAX) {
		spaces_drop(spaces, space);
		return;
	}
	if (spaces->set[space].n_noted) {
		drop_lookups(spaces->tables[space], page);
		if (spaces->set[space].victims)
			drop_victims(spaces->tables[space], page);
	}
	drop_links(spaces, space, page);
}

/* ---- homes ---- */

uint32_t spaces_add_home(struct spaces *spaces, uint64_t gpa)
{
	if (spaces->n_homes == RUNTIME_HOMES)
		return NO_HOME;
	spaces->home[spaces->n_homes] = (struct home){.gpa = gpa & PAGE_MASK};
	return spaces->n_homes++;
}

uint64_t spaces_home_gpa(const struct spaces *spaces, uint32_t home)
{
	return spaces->home[home].gpa;
}

uint64_t spaces_home(const struct spaces *spaces, uint32_t home)
{
	return spaces->tables[spaces->selected]->home[home];
}

bool spaces_is_settled(const struct spaces *spaces, uint32_t home)
{
	return spaces->set[spaces->selected].settled[home / 64] >> home % 64 & 1;
}

bool spaces_home_is_warm(const struct spaces *spaces, uint32_t home)
{
	return spaces_is_settled(spaces, home) &&
	       is_warm(&spaces->set[spaces->selected], spaces_home(spaces, home), home);
}

bool spaces_settle(struct spaces *spaces, uint32_t home, uint64_t page, bool move)
{
	struct space *set = &spaces->set[spaces->selected];

	if (spaces_is_settled(spaces, home)) {
		if (spaces_home(spaces, home) == page)
			return true;
		if (!move)
			return false;
		spaces_drop(spaces, spaces->selected);
	}
	set->used = true;
	set->settled[home / 64] |= UINT64_C(1) << home % 64;
	spaces->tables[spaces->selected]->home[home] = page;
	return true;
}

uint32_t spaces_first_from(const struct spaces *spaces, uint32_t home)
{
	return spaces->home[home].from - 1;
}

uint32_t spaces_next_from(const struct spaces *spaces, uint32_t link)
{
	return spaces->link[link].next;
}

uint32_t spaces_first_to(const struct spaces *spaces, uint32_t home)
{
	return spaces->home[home].to - 1;
}

uint32_t spaces_next_to(const struct spaces *spaces, uint32_t link)
{
	return spaces->link[link].next_to;
}

uint32_t spaces_link_target(const struct spaces *spaces, uint32_t link)
{
	return spaces->link[link].target;
}

bool spaces_link_is_usable(const struct spaces *spaces, uint32_t link)
{
	return spaces->link[link].home == NO_HOME ||
	       spaces_is_settled(spaces, spaces->link[link].home);
}

void spaces_set_target(struct spaces *spaces, uint32_t number, uint32_t home)
{
	struct link *link = &spaces->link[number];

	if (link->target != NO_HOME)
		return;
	link->target = home;
	link->next_to = spaces->home[home].to - 1;
	spaces->home[home].to = number + 1;
}

/* ---- noting ---- */

static void add_victim(struct space *set, struct runtime_space *table, uint64_t rip, uint64_t code)
{
	struct runtime_victim *ways = table->victim[rip >> 8 & 0xff];
	unsigned way;

	for (way = 0; way < RUNTIME_VICTIM_WAYS; way++)
		if (!ways[way].code || ways[way].minus_rip == -rip)
			break;
	if (way == RUNTIME_VICTIM_WAYS)
		way = set->next_way++ % RUNTIME_VICTIM_WAYS;
	ways[way] = (struct runtime_victim){.minus_rip = -rip, .code = code};
}

void spaces_note(struct spaces *spaces, uint64_t rip, uint64_t code)
{
	struct runtime_space *table = spaces->tables[spaces->selected];
	struct space *set = &spaces->set[spaces->selected];
	uint32_t index = rip % RUNTIME_LOOKUP_ENTRIES;
	touch_pages(set, rip);
	uint64_t other = table->minus_rip[index];

	if (set->n_noted < NOTED_LISTED)
		set->noted[set->n_noted] = (uint16_t)index;
	if (other != -rip && set->n_noted <= NOTED_LISTED)
		set->n_noted++;
	if (other && other != (index ? 0 : 1) && other != -rip) {
		set->victims = true;
		add_victim(set, table, -other, table->code[index]);
		add_victim(set, table, rip, code);
	}
	table->minus_rip[index] = -rip;
	table->code[index] = code;
}

uint64_t spaces_noted(const struct spaces *spaces, uint64_t rip)
{
	const struct runtime_space *table = spaces->tables[spaces->selected];
	uint32_t index = rip % RUNTIME_LOOKUP_ENTRIES;

	return table->minus_rip[index] == -rip ? table->code[index] : 0;
}

/* ---- links ---- */

/* The list that a link stands in. */
static uint32_t *list_of(struct spaces *spaces, uint64_t rip, uint32_t home)
{
	return home == NO_HOME ? &spaces->first[page_hash(rip & PAGE_MASK) % LINK_BUCKETS]
			       : &spaces->home[home].from;
}

uint32_t spaces_find_link(struct spaces *spaces, uint64_t rip, uint32_t home)
{
	uint32_t link = *list_of(spaces, rip, home) - 1;

	while (link != UINT32_MAX && spaces->link[link].rip != rip)
		link = spaces->link[link].next;
	return link;
}

uint32_t spaces_add_link(struct spaces *spaces, uint64_t rip, uint32_t home)
{
	uint32_t *first = list_of(spaces, rip, home);

	if (spaces->n_links == RUNTIME_LINKS)
		return UINT32_MAX;
	uint32_t number = spaces->n_links++;
	spaces->set[spaces->selected].n_links = spaces->n_links;
	spaces->link[number] = (struct link){.rip = rip,
					     .home = home,
					     .next = *first - 1,
					     .target = NO_HOME,
					     .next_to = NO_HOME};
	*first = number + 1;
	return number;
}

void spaces_set_default(struct spaces *spaces, uint32_t link, uint64_t code)
{
	spaces->defaults[link] = code;
	spaces->tables[spaces->selected]->link[link] = code;
}

void spaces_set_link(struct spaces *spaces, uint32_t link, uint64_t code)
{
	struct space *set = &spaces->set[spaces->selected];

	spaces->tables[spaces->selected]->link[link] = code;
	touch_pages(set, spaces_link_rip(spaces, link));
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
