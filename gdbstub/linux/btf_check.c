/*
 * Two walks over the types, each of which must come to an end:
 *
 *   by value   structures to what their members contain; pointers, functions and prototypes end it.
 *              A circle would be a type of infinite size.
 *   by chain   pointers, modifiers, arrays and prototypes to what they refer to; structures and
 * enums end it. A circle would be a type of infinite description.
 *
 * Each walk colours the types and keeps its own stack: chains may be as long as a guest likes, but
 * debuggers recurse, so their depth is limited.
 */
#include "gdbstub/linux/btf_check.h"

#include <errno.h>
#include <stdlib.h>

#define DEPTH_MAX 64u

enum colour { WHITE, GREY, BLACK };

struct step {
	uint32_t id, next; /* which reference comes next */
};

struct walk {
	const struct btf *btf;
	bool by_value;
	uint8_t *colour;
	struct step stack[DEPTH_MAX];
	unsigned depth;
};

/* References of a type: how many, and the nth. */
static uint32_t reference_count(const struct btf_type *type)
{
	switch (type->kind) {
	case BTF_POINTER:
	case BTF_TYPEDEF:
	case BTF_VOLATILE:
	case BTF_CONST:
	case BTF_RESTRICT:
	case BTF_FUNCTION:
	case BTF_VARIABLE:
	case BTF_DECL_TAG:
	case BTF_TYPE_TAG:
		return 1;
	case BTF_ARRAY:
		return 2;
	case BTF_STRUCT:
	case BTF_UNION:
		return type->n;
	case BTF_PROTOTYPE:
		return type->n + 1;
	default:
		return 0;
	}
}

static uint32_t reference(const struct btf_type *type, uint32_t n)
{
	switch (type->kind) {
	case BTF_ARRAY:
		return n ? btf_array(type).index : btf_array(type).element;
	case BTF_STRUCT:
	case BTF_UNION:
		return btf_item(type, n).type;
	case BTF_PROTOTYPE:
		return n < type->n ? btf_item(type, n).type : type->type;
	default:
		return type->type;
	}
}

/* Whether a walk goes on behind a type of this kind. */
static bool leads_on(const struct walk *walk, uint8_t kind)
{
	switch (kind) {
	case BTF_STRUCT:
	case BTF_UNION:
		return walk->by_value;
	case BTF_POINTER:
	case BTF_PROTOTYPE:
	case BTF_FUNCTION:
	case BTF_VARIABLE:
	case BTF_DECL_TAG:
		return !walk->by_value;
	default:
		return true;
	}
}

static bool push(struct walk *walk, uint32_t id)
{
	if (walk->depth == DEPTH_MAX || walk->colour[id] == GREY)
		return false;
	walk->colour[id] = GREY;
	walk->stack[walk->depth++] = (struct step){.id = id};
	return true;
}

/* Walks from one type until all that it leads to is black. */
static bool walk_from(struct walk *walk, uint32_t id)
{
	if (!push(walk, id))
		return false;
	while (walk->depth) {
		struct step *step = &walk->stack[walk->depth - 1];
		struct btf_type type = btf_type(walk->btf, step->id);
		if (!leads_on(walk, type.kind) || step->next >= reference_count(&type)) {
			walk->colour[step->id] = BLACK;
			walk->depth--;
			continue;
		}
		uint32_t next = reference(&type, step->next++);
		if (next && walk->colour[next] != BLACK && !push(walk, next))
			return false;
	}
	return true;
}

static int check_circles(const struct btf *btf, bool by_value)
{
	struct walk walk = {.btf = btf, .by_value = by_value};
	bool good = true;

	walk.colour = calloc((size_t)btf_count(btf) + 1, 1);
	if (!walk.colour)
		return -ENOMEM;
	for (uint32_t id = 1; good && id <= btf_count(btf); id++)
		if (walk.colour[id] == WHITE)
			good = walk_from(&walk, id);
	free(walk.colour);
	return good ? 0 : -EINVAL;
}

/* Kinds that a reference may not lead to: they are no types of values. */
static bool is_type(uint8_t kind)
{
	return kind != BTF_FUNCTION && kind != BTF_VARIABLE && kind != BTF_SECTION &&
	       kind != BTF_DECL_TAG;
}

static bool references_are_types(const struct btf *btf, const struct btf_type *type)
{
	for (uint32_t i = 0; i < reference_count(type); i++) {
		uint32_t to = reference(type, i);
		if (to > btf_count(btf))
			return false;
		if (type->kind != BTF_DECL_TAG && !is_type(btf_type(btf, to).kind))
			return false;
	}
	return type->kind != BTF_FUNCTION || btf_type(btf, type->type).kind == BTF_PROTOTYPE;
}

/* Members lie in their structure, values have the sizes that values have. */
static bool sizes_agree(const struct btf *btf, const struct btf_type *type)
{
	if (type->kind == BTF_INT || type->kind == BTF_FLOAT)
		return type->bytes && type->bytes <= 16;
	if (type->kind == BTF_ENUM || type->kind == BTF_ENUM64)
		return type->bytes && type->bytes <= 8;
	if (type->kind != BTF_STRUCT && type->kind != BTF_UNION)
		return true;
	for (uint32_t i = 0; i < type->n; i++) {
		struct btf_item item = btf_item(type, i);
		if (item.bits > 64 || item.bit > (uint64_t)type->bytes * 8)
			return false;
	}
	return true;
}

static bool names_lie_inside(const struct btf *btf, const struct btf_type *type)
{
	size_t bytes;

	btf_strings(btf, &bytes);
	if (type->name >= bytes)
		return false;
	for (uint32_t i = 0; type->kind != BTF_SECTION && i < type->n; i++)
		if (btf_item(type, i).name >= bytes)
			return false;
	return true;
}

int btf_check(const struct btf *btf)
{
	for (uint32_t id = 1; id <= btf_count(btf); id++) {
		struct btf_type type = btf_type(btf, id);
		if (!references_are_types(btf, &type) || !sizes_agree(btf, &type) ||
		    !names_lie_inside(btf, &type))
			return -EINVAL;
	}
	int error = check_circles(btf, true);
	return error ? error : check_circles(btf, false);
}
