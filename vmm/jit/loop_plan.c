/* Which loops can be written as one, and how their accesses move. */
#include <Zydis/Mnemonic.h>

#include "vmm/jit/loop.h"
#include "vmm/jit/track.h"

/* More rounds than a page has for a longer stride are few. */
#define STRIDE_MAX 1024

static bool fits(int64_t value)
{
	return value == (int32_t)value;
}

/* ---- instructions ---- */

/* What is written without a way out of its own, but for its memory operand. */
static bool is_plain(const struct planned *planned)
{
	switch ((enum insn_class)planned->effect.cls) {
	case CLASS_COPY:
	case CLASS_VECTOR:
		return planned->effect.rule != RULE_DIVIDE &&
		       planned->insn.mnemonic != ZYDIS_MNEMONIC_CLD;
	case CLASS_LEA:
	case CLASS_NOTHING:
	case CLASS_JCC:
		return true;
	default:
		return false;
	}
}

static bool accesses_memory(const struct planned *planned)
{
	return planned->effect.cls != CLASS_NOTHING && planned->effect.cls != CLASS_LEA &&
	       insn_accesses_memory(&planned->insn);
}

/* ---- strides ---- */

/* How far a value moves with each round; false: that is not known. */
static bool stride_of_register(const struct tracker *t, uint16_t id, int64_t *ret_stride)
{
	*ret_stride = 0;
	if (id == ID_CONSTANT)
		return true;
	if (id >= 16 || t->gpr[id].id != id)
		return false;
	*ret_stride = t->gpr[id].plus;
	return true;
}

static const struct sum *find_sum(const struct tracker *t, uint16_t id)
{
	for (unsigned i = 0; i < t->n_sums; i++)
		if (t->sums[i].id == id)
			return &t->sums[i];
	return NULL;
}

static uint8_t gpr_of(uint16_t id)
{
	return id == ID_CONSTANT ? GPR_ZERO : (uint8_t)id;
}

static bool stride_of_sum(const struct tracker *t, const struct sum *sum, int64_t *ret_stride)
{
	int64_t base, index;

	if (!sum || !stride_of_register(t, sum->base, &base) ||
	    !stride_of_register(t, sum->index, &index))
		return false;
	*ret_stride = base + (int64_t)((uint64_t)index << sum->scale);
	return true;
}

/* ---- ranges ---- */

static bool place_range(struct loop_range *to, const struct tracker *t, const struct range *range)
{
	int64_t stride = 0;

	to->at = (struct loop_sum){GPR_ZERO, GPR_ZERO, 0};
	if (range->id < 16) {
		to->at.base = (uint8_t)range->id;
		if (!stride_of_register(t, range->id, &stride))
			return false;
	} else if (range->id < ID_PAGE) {
		const struct sum *sum = find_sum(t, range->id);
		if (!stride_of_sum(t, sum, &stride))
			return false;
		to->at = (struct loop_sum){gpr_of(sum->base), gpr_of(sum->index), sum->scale};
	}
	if (stride > STRIDE_MAX || stride < -STRIDE_MAX)
		return false;
	to->stride = (int32_t)stride;
	return true;
}

static bool plan_range(struct loop *loop, const struct tracker *t, const struct range *range)
{
	struct loop_range *to = &loop->range[loop->n_ranges];

	if (loop->n_ranges == LOOP_RANGES || !place_range(to, t, range))
		return false;
	/* What is known of the page alone counts from that; constants may be any. */
	if (range->id < ID_PAGE && !fits(range->first))
		return false;
	to->first = range->first;
	to->bytes = (uint16_t)(range->end - range->first);
	to->write = range->write;
	to->aligned = false;
	to->in_page = range->id == ID_PAGE;
	to->folded = (struct loop_sum){GPR_ZERO, GPR_ZERO, 0};
	to->host = GPR_ZERO;
	loop->n_ranges++;
	return true;
}

/* ---- accesses ---- */

static bool stands_still(const struct tracker *t, uint16_t id)
{
	int64_t stride;

	return id < 16 && stride_of_register(t, id, &stride) && stride == 0;
}

/* Of two registers the one that stands still is folded into what is added to the other. */
static bool fold(struct loop_access *to, const struct tracker *t, const struct insn *insn,
		 unsigned i, struct loop_sum *ret_folded)
{
	struct value base = t->access[i].base, index = t->access[i].index;
	int64_t disp = (int32_t)insn->disp;

	if (stands_still(t, base.id)) {
		*ret_folded = (struct loop_sum){(uint8_t)base.id, GPR_ZERO, 0};
		to->moving = insn->index;
		to->scale = insn->scale;
		disp += base.plus;
	} else if (stands_still(t, index.id)) {
		*ret_folded = (struct loop_sum){GPR_ZERO, (uint8_t)index.id, insn->scale};
		to->moving = insn->base;
		to->scale = 0;
		disp += (int64_t)((uint64_t)index.plus << insn->scale);
	} else {
		return false;
	}
	to->disp = (int32_t)disp;
	return fits(disp);
}

static bool same_sum(struct loop_sum a, struct loop_sum b)
{
	return a.base == b.base && a.index == b.index && a.scale == b.scale;
}

static bool plan_moving(struct loop_access *to, const struct tracker *t, const struct insn *insn,
			unsigned i, struct loop_sum *ret_folded)
{
	*ret_folded = (struct loop_sum){GPR_ZERO, GPR_ZERO, 0};
	if (insn->base != GPR_ZERO && insn->index != GPR_ZERO)
		return fold(to, t, insn, i, ret_folded);
	to->moving = insn->base != GPR_ZERO ? insn->base : insn->index;
	to->scale = insn->base != GPR_ZERO ? 0 : insn->scale;
	to->disp = (int32_t)insn->disp;
	return true;
}

/* seen: whether an access of the range came before. */
static bool plan_access(struct loop *loop, const struct tracker *t, const struct planned *planned,
			unsigned i, bool seen)
{
	const struct insn *insn = &planned->insn;
	struct loop_access *to = &loop->access[i];
	struct loop_range *range = &loop->range[t->access[i].range];
	int64_t at = t->access[i].plus - range->first;
	struct loop_sum folded;

	to->range = t->access[i].range;
	if (jit_must_be_aligned(insn, jit_shared_operand(planned)->size)) {
		if ((at | range->stride) % 16)
			return false;
		range->aligned = true;
	}
	if (!range->stride) {
		to->disp = (int32_t)at;
		return true;
	}
	if (!plan_moving(to, t, insn, i, &folded) || (seen && !same_sum(folded, range->folded)))
		return false;
	range->folded = folded;
	return true;
}

/* ---- */

static bool plan_accesses(struct loop *loop, const struct tracker *t, const struct plan *plan)
{
	bool seen[LOOP_RANGES] = {false};

	for (unsigned i = 0; i + 1 < plan->n; i++) {
		uint8_t range = t->access[i].range;
		loop->access[i].range = LOOP_NONE;
		if (range == TRACK_NONE) {
			if (accesses_memory(&plan->insns[i]))
				return false;
			continue;
		}
		if (!plan_access(loop, t, &plan->insns[i], i, seen[range]))
			return false;
		seen[range] = true;
	}
	return true;
}

bool loop_plan(struct loop *loop, const struct plan *plan)
{
	struct tracker t;

	for (unsigned i = 0; i + 1 < plan->n; i++)
		if (!is_plain(&plan->insns[i]))
			return false;
	track_plan(&t, plan);
	loop->n_exits = 0;
	loop->n_ranges = 0;
	for (unsigned i = 0; i < t.n_ranges; i++)
		if (!plan_range(loop, &t, &t.ranges[i]))
			return false;
	return plan_accesses(loop, &t, plan);
}

bool loop_is_possible(const struct plan *plan)
{
	struct loop loop;

	return loop_plan(&loop, plan);
}

/* ---- registers ---- */

static uint16_t bit_of(unsigned reg)
{
	return reg < 16 ? (uint16_t)(1u << reg) : 0;
}

static uint16_t named_by(const struct insn *insn)
{
	uint16_t named = bit_of(insn->base) | bit_of(insn->index);

	for (unsigned i = 0; i < insn->n_operands; i++) {
		const struct operand *operand = &insn->operand[i];
		if (operand->kind == OPERAND_REG &&
		    (operand->reg_class == REG_GPR || operand->reg_class == REG_GPR_HIGH))
			named |= bit_of(operand->reg);
	}
	if (track_takes_unnamed(insn))
		named |= bit_of(RAX) | bit_of(RCX) | bit_of(RDX) | bit_of(RBX);
	return named;
}

#define DISPLACED (1u << JIT_TEMP | 1u << JIT_TEMP2 | 1u << JIT_COUNT)

/* The lowest of a set, which goes out of it. */
static uint8_t take(uint16_t *set)
{
	unsigned reg = (unsigned)__builtin_ctz(*set);

	*set &= (uint16_t)(*set - 1);
	return (uint8_t)reg;
}

static void give_homes(struct loop *loop, uint16_t displaced, uint16_t *free)
{
	while (displaced)
		loop->home[take(&displaced)] = take(free);
}

void loop_give_registers(struct loop *loop, const struct plan *plan)
{
	uint16_t named = 0;

	for (unsigned i = 0; i + 1 < plan->n; i++)
		named |= named_by(&plan->insns[i].insn);
	uint16_t free = (uint16_t) ~(named | DISPLACED | bit_of(RSP)), lendable = free;
	uint16_t displaced = named & DISPLACED;
	unsigned n_displaced = (unsigned)__builtin_popcount(displaced);
	unsigned n_free = (unsigned)__builtin_popcount(free);

	for (unsigned reg = 0; reg < 16; reg++)
		loop->home[reg] = GPR_ZERO;
	/* What stays in memory needs temporaries. */
	if (n_displaced + loop->n_ranges <= n_free + 2)
		free |= bit_of(JIT_TEMP) | bit_of(JIT_TEMP2);
	else if (n_displaced <= n_free + 1)
		free |= bit_of(JIT_TEMP2);
	if (n_displaced <= (unsigned)__builtin_popcount(free))
		give_homes(loop, displaced, &free);
	else /* they are added to slots in a temporary: loop_operand() */
		free = lendable = 0;
	for (unsigned i = 0; i < loop->n_ranges; i++)
		loop->range[i].host = free ? take(&free) : GPR_ZERO;
	loop->borrowed = lendable & (uint16_t)~free;
}
