/*
 * Memory operands: an address is named by a base, an index with its scale and a displacement of 0,
 * 1 or 4 bytes, relative to RIP, or by the displacement alone, with 64-bit or (67 prefix) 32-bit
 * arithmetic. The registers stay as they are; the displacement makes up the difference.
 */
#include "tests/cpu/vector_case.h"

#define NO_REG     16u
#define TRIES      16
#define SIB_NONE   4u /* rm: a SIB byte follows; index: none */
#define BASE_NONE  5u /* mod 0: no base, or RIP */
#define ADDRESS_32 0x67

/* 48-bit addresses; the host may have more, so that a case's are not canonical in either way. */
bool vector_is_canonical(uint64_t address)
{
	return (address >> 47) == 0 || (address >> 47) == 0x1ffff;
}

struct terms {
	unsigned base, index, scale;
	bool narrow; /* 32-bit addresses */
};

static uint64_t sum(const struct terms *t, const uint64_t *gpr)
{
	return (t->base == NO_REG ? 0 : gpr[t->base]) +
	       (t->index == NO_REG ? 0 : gpr[t->index] << t->scale);
}

static void put_prefixes(struct vector_random *random, bool narrow, struct vector_address *a)
{
	static const uint8_t segments[] = {0x26, 0x2e, 0x36, 0x3e}; /* they do nothing */

	a->n_prefixes = 0;
	if (random_below(random, 8) == 0)
		a->prefix[a->n_prefixes++] = segments[random_below(random, 4)];
	if (narrow)
		a->prefix[a->n_prefixes++] = ADDRESS_32;
}

static void put_sib(const struct terms *t, struct vector_address *a)
{
	unsigned index = t->index == NO_REG ? SIB_NONE : t->index;
	unsigned base = t->base == NO_REG ? BASE_NONE : t->base;

	a->has_sib = true;
	a->rm = SIB_NONE;
	a->sib = (uint8_t)(t->scale << 6 | (index & 7) << 3 | (base & 7));
	a->rex |= (uint8_t)(index >> 3 << 1);
}

static void put_displacement(struct vector_random *random, unsigned base, struct vector_address *a)
{
	bool is_short = a->disp == (int8_t)a->disp;

	if (base == NO_REG) {
		a->disp_bytes = 4;
	} else if (a->disp == 0 && (base & 7) != BASE_NONE && random_below(random, 4)) {
		a->mod = 0;
	} else if (is_short && random_below(random, 8)) {
		a->mod = 1;
		a->disp_bytes = 1;
	} else {
		a->mod = 2;
		a->disp_bytes = 4;
	}
}

static void put_terms(struct vector_random *random, const struct terms *t, struct vector_address *a)
{
	if (t->base != NO_REG)
		a->rex |= (uint8_t)(t->base >> 3);
	if (t->base == NO_REG || t->index != NO_REG || (t->base & 7) == SIB_NONE ||
	    random_below(random, 8) == 0)
		put_sib(t, a);
	else
		a->rm = (uint8_t)(t->base & 7);
	put_displacement(random, t->base, a);
	put_prefixes(random, t->narrow, a);
}

static void choose_terms(struct vector_random *random, struct terms *t)
{
	t->narrow = random_below(random, 6) == 0;
	t->base = random_below(random, 8) ? random_below(random, 16) : NO_REG;
	t->index = random_below(random, 2) ? random_below(random, 16) : NO_REG;
	t->scale = random_below(random, 4);
	if (t->index == RSP)
		t->index = NO_REG;
}

/* With 32-bit addresses any displacement reaches everything. */
static bool reach(const struct terms *t, const uint64_t *gpr, struct vector_address *a)
{
	uint64_t rest = a->linear - sum(t, gpr);

	a->disp = (int32_t)rest;
	return t->narrow || (uint64_t)(int64_t)a->disp == rest;
}

void vector_address_make_at(struct vector_random *random, const uint64_t *gpr, uint64_t linear,
			    struct vector_address *ret_address)
{
	struct terms t;

	*ret_address = (struct vector_address){.linear = linear};
	if (random_below(random, 6) == 0) {
		ret_address->rip_relative = true;
		ret_address->rm = BASE_NONE;
		ret_address->disp_bytes = 4;
		put_prefixes(random, random_below(random, 6) == 0, ret_address);
		return;
	}
	for (unsigned i = 0; i < TRIES; i++) {
		choose_terms(random, &t);
		if (reach(&t, gpr, ret_address)) {
			put_terms(random, &t, ret_address);
			return;
		}
	}
	t = (struct terms){.base = NO_REG, .index = NO_REG};
	reach(&t, gpr, ret_address);
	put_terms(random, &t, ret_address);
}

/* A register as the base, with a small displacement or none. */
static void make_by_base(struct vector_random *random, const uint64_t *gpr, unsigned base,
			 struct vector_address *ret_address)
{
	struct terms t = {.base = base, .index = NO_REG};

	*ret_address = (struct vector_address){0};
	if (vector_is_canonical(gpr[base]) && random_below(random, 2))
		ret_address->disp = (int32_t)(16 * random_below(random, 4));
	ret_address->linear = gpr[base] + (uint64_t)(int64_t)ret_address->disp;
	put_terms(random, &t, ret_address);
}

static bool is_good_base(struct vector_random *random, const struct vector_start *start,
			 uint64_t value)
{
	if (!vector_is_canonical(value))
		return !start->calm && random_below(random, 3) == 0;
	return value - VECTOR_DATA - start->window < VECTOR_WINDOW_BYTES - 64;
}

void vector_address_make(struct vector_random *random, const uint64_t *gpr,
			 const struct vector_start *start, struct vector_address *ret_address)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned base = random_below(random, 16);
		if (is_good_base(random, start, gpr[base])) {
			make_by_base(random, gpr, base, ret_address);
			return;
		}
	}
	vector_address_make_at(random, gpr,
			       VECTOR_DATA + start->window +
				       vector_window_offset(random, start->calm),
			       ret_address);
}

void vector_address_finish(const struct vector_address *address, uint64_t rip, unsigned length,
			   uint8_t *disp)
{
	uint32_t rest = (uint32_t)(address->linear - rip - length);

	for (unsigned i = 0; i < 4; i++)
		disp[i] = (uint8_t)(rest >> 8 * i);
}
