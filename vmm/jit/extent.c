#include "vmm/jit/extent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine.h"

/* Pages in each direction; those above it are filled where they are not in the array yet, as long
 * as the same last table maps them, which is tracked then: so no page is protected meanwhile. */
#define REACH      256u
#define REACH_FILL 64u
#define TABLE_MASK (~(uint64_t)(512 * PAGE_BYTES - 1))

/* Instructions that are better off without, by their addresses; some may share a bit. When there
 * are many they are forgotten, so that few do. */
#define POOR_BITS 16384u
#define POOR_MAX  2048u

/* What translated code does not read. */
struct history {
	uint64_t given;      /* the count when it was given pages last */
	uint8_t asked, hits; /* how often in a row, and how often the last access lay near */
	uint8_t failures;    /* in a row */
	uint8_t period;      /* log2 of the misses before it is asked about again */
};

struct extents {
	struct extent_rules rules;
	struct extent extent[MMU_SPACES][EXTENT_COUNT];
	struct history history[MMU_SPACES][EXTENT_COUNT];
	uint32_t n_taken[2]; /* by write */
	uint64_t gpa[EXTENT_COUNT];
	uint64_t poor[POOR_BITS / 64];
	unsigned n_poor;
	uint64_t given[MMU_SPACES][EXTENT_COUNT / 64]; /* bits: those that have pages */
	unsigned n_given[MMU_SPACES];
	uint64_t given_ever;
};

/* ---- life ---- */

int extents_create(const struct extent_rules *rules, struct extents **ret_extents)
{
	struct extents *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->rules = *rules;
	*ret_extents = x;
	return 0;
}

void extents_destroy(struct extents *x)
{
	free(x);
}

struct extent *extents_of(struct extents *x, unsigned space)
{
	return x->extent[space];
}

uint64_t extents_given(const struct extents *x)
{
	return x->given_ever;
}

/* ---- numbers ---- */

static unsigned poor_bit(uint64_t gpa)
{
	return (unsigned)(gpa * UINT64_C(0x9e3779b97f4a7c15) >> 40) % POOR_BITS;
}

/* Not before there is code that runs much: it takes a megabyte of memory. */
static void begin(struct extents *x)
{
	for (unsigned space = 0; space < MMU_SPACES; space++)
		for (unsigned i = 0; i < EXTENT_COUNT; i++)
			x->extent[space][i].count = x->rules.misses;
}

uint32_t extents_take(struct extents *x, uint64_t gpa, bool write)
{
	unsigned bit = poor_bit(gpa);

	if (!x->n_taken[0] && !x->n_taken[1])
		begin(x);
	if (x->poor[bit / 64] >> bit % 64 & 1)
		return UINT32_MAX;
	uint32_t number = 2 * (x->n_taken[write]++ % (EXTENT_COUNT / 2)) + write;
	x->gpa[number] = gpa;
	return number;
}

/* ---- which have pages ---- */

static void note_given(struct extents *x, unsigned space, unsigned number)
{
	x->given[space][number / 64] |= UINT64_C(1) << number % 64;
	x->n_given[space]++;
	x->given_ever++;
}

static void take_pages(struct extents *x, unsigned space, unsigned number)
{
	x->given[space][number / 64] &= ~(UINT64_C(1) << number % 64);
	x->n_given[space]--;
	x->extent[space][number].bytes = 0;
}

/* ---- dropping ---- */

/* Bits of those that are written. */
#define WRITTEN UINT64_C(0xaaaaaaaaaaaaaaaa)
#define ALL     UINT64_MAX

/* It is given pages with the next access that has an entry. */
static void expect_pages(struct extents *x, unsigned space, unsigned number)
{
	x->extent[space][number].count = 1;
	x->history[space][number] =
		(struct history){.asked = x->rules.asked - 1, .hits = x->rules.hits};
}

static void drop(struct extents *x, unsigned space, unsigned number)
{
	take_pages(x, space, number);
	expect_pages(x, space, number);
}

/* Drops those of a space, among these, that an answer says so of. */
static void drop_if(struct extents *x, unsigned space, uint64_t among,
		    bool (*goes)(const struct extent *extent, uint64_t where), uint64_t where)
{
	unsigned left = x->n_given[space];

	for (unsigned i = 0; left && i < EXTENT_COUNT / 64; i++) {
		for (uint64_t bits = x->given[space][i]; bits; bits &= bits - 1, left--) {
			unsigned bit = (unsigned)__builtin_ctzll(bits);
			if ((among >> bit & 1) && goes(&x->extent[space][64 * i + bit], where))
				drop(x, space, 64 * i + bit);
		}
	}
}

static bool holds_any(const struct extent *e, uint64_t where)
{
	(void)e;
	(void)where;
	return true;
}

/* bytes leaves out less than a page. */
static bool holds_linear(const struct extent *e, uint64_t page)
{
	return page - e->first < e->bytes;
}

static bool holds_host(const struct extent *e, uint64_t page)
{
	return page - (uint64_t)(uintptr_t)e->host < e->bytes;
}

void extents_drop_space(struct extents *x, unsigned space)
{
	drop_if(x, space, ALL, holds_any, 0);
}

void extents_drop_page(struct extents *x, unsigned space, uint64_t linear)
{
	drop_if(x, space, ALL, holds_linear, linear);
}

void extents_protect(struct extents *x, const uint8_t *host)
{
	for (unsigned space = 0; space < MMU_SPACES; space++)
		drop_if(x, space, WRITTEN, holds_host, (uint64_t)(uintptr_t)host);
}

/* ---- giving pages ---- */

/* An extent that is asked about, for an access at a count. */
struct question {
	struct extents *x;
	struct cpu *cpu;
	uint64_t linear, icount;
	bool known; /* the array has an entry for its page, with this distance */
	uint64_t distance;
	unsigned space;
	uint32_t number;
	struct extent *extent;
	struct history *history;
	struct tlb_entry *entries; /* of the array that serves such accesses */
};

/* How far the host's memory is from the guest's, in the entry of a page. False: it has none. */
static bool find_distance(const struct question *q, uint64_t linear, uint64_t *ret_distance)
{
	const struct tlb_entry *entry = tlb_slot(q->entries, linear);

	*ret_distance = (uint64_t)(uintptr_t)entry->host - entry->tag;
	return entry->tag == (linear & PAGE_MASK);
}

/* As far as the access that is asked about. */
static bool is_near(const struct question *q, uint64_t linear)
{
	uint64_t distance;

	return find_distance(q, linear, &distance) && distance == q->distance;
}

static uint64_t pages_below(const struct question *q, uint64_t page)
{
	uint64_t n = 0;

	while (n < REACH && is_near(q, page - (n + 1) * PAGE_BYTES))
		n++;
	return n;
}

static uint64_t pages_above(const struct question *q, uint64_t page)
{
	enum access_kind kind = q->number % 2 ? ACCESS_WRITE : ACCESS_READ;
	uint64_t n = 0, other;

	for (; n < REACH; n++) {
		uint64_t next = page + (n + 1) * PAGE_BYTES;
		if (!find_distance(q, next, &other) && n < REACH_FILL &&
		    !((next ^ page) & TABLE_MASK))
			mmu_fill_plain(q->cpu, next, kind);
		if (!is_near(q, next))
			break;
	}
	return n;
}

static void give(const struct question *q)
{
	uint64_t page = q->linear & PAGE_MASK;
	uint64_t below = pages_below(q, page), above = pages_above(q, page);

	q->extent->first = page - below * PAGE_BYTES;
	q->extent->bytes = (below + 1 + above) * PAGE_BYTES - (EXTENT_ACCESS_MAX - 1);
	q->extent->host = (uint8_t *)(uintptr_t)(q->extent->first + q->distance);
	q->extent->count = UINT64_C(1) << q->history->period;
	q->history->given = q->icount;
	note_given(q->x, q->space, q->number);
}

/* ---- asking ---- */

static void note_poor(struct extents *x, uint64_t gpa)
{
	unsigned bit = poor_bit(gpa);

	if (x->n_poor++ == POOR_MAX) {
		memset(x->poor, 0, sizeof(x->poor));
		x->n_poor = 1;
	}
	x->poor[bit / 64] |= UINT64_C(1) << bit % 64;
}

/* Returns whether that was once too often. */
static bool fail(const struct question *q)
{
	const struct extent_rules *rules = &q->x->rules;
	struct history *h = q->history;

	h->asked = h->hits = 0;
	if (h->period < rules->period_max)
		h->period++;
	q->extent->count = UINT64_C(1) << h->period;
	if (++h->failures != rules->failures)
		return false;
	h->failures = 0;
	note_poor(q->x, q->x->gpa[q->number]);
	return true;
}

/* Where an extent with pages has been missed. */
static bool move_on(const struct question *q)
{
	struct history *h = q->history;

	take_pages(q->x, q->space, q->number);
	if ((q->icount - h->given) >> h->period < q->x->rules.good_insns)
		return fail(q);
	h->failures = 0;
	if (q->known)
		give(q);
	else
		expect_pages(q->x, q->space, q->number);
	return false;
}

/* Another access in a row without pages. */
static bool decide(const struct question *q)
{
	const struct extent_rules *rules = &q->x->rules;
	struct history *h = q->history;

	if (q->known && h->asked && is_near(q, q->extent->first))
		h->hits++;
	q->extent->first = q->linear;
	q->extent->count = 1;
	if (h->asked + 1 < rules->asked) {
		h->asked++;
		return false;
	}
	if (h->hits < rules->hits)
		return fail(q);
	if (!q->known) /* the array is being filled, or never holds that page */
		return ++h->asked == 2 * rules->asked && fail(q);
	h->asked = h->hits = 0;
	give(q);
	return false;
}

bool extents_ask(struct extents *x, struct cpu *cpu, uint32_t number, uint64_t linear,
		 uint64_t icount, uint64_t *ret_gpa)
{
	unsigned space = mmu_selected_space(cpu->machine->mmu);
	struct question q = {
		.x = x,
		.cpu = cpu,
		.linear = linear,
		.icount = icount,
		.space = space,
		.number = number,
		.extent = &x->extent[space][number],
		.history = &x->history[space][number],
		.entries = number % 2 ? cpu->tlb->write : cpu->tlb->read,
	};

	q.known = find_distance(&q, linear, &q.distance);
	*ret_gpa = x->gpa[number];
	return q.extent->bytes ? move_on(&q) : decide(&q);
}
