/* Planning a block: decoding, which flags live, where it ends and polls. */
#include "vmm/translate/generate.h"

#include <string.h>

#include "vmm/cpu/breakpoints.h"

static bool ends_block(enum insn_class cls)
{
	switch (cls) {
	case CLASS_JCC:
	case CLASS_JMP:
	case CLASS_CALL:
	case CLASS_RET:
	case CLASS_LOOP:
	case CLASS_TRANSFER:
		return true;
	default:
		return false;
	}
}

static bool is_repeated(const struct planned *planned)
{
	return planned->effect.cls == CLASS_STRING &&
	       (planned->insn.prefixes & (PREFIX_REP | PREFIX_REPNE));
}

static bool is_ruled_out(const struct planned *planned, const struct plan_rules *rules)
{
	return (planned->effect.cls == CLASS_TSC && rules->no_tsc) ||
	       (planned->effect.cls == CLASS_X87 && rules->no_x87) ||
	       (planned->effect.cls == CLASS_VECTOR && rules->no_vector) ||
	       (planned->effect.cls == CLASS_SYSTEM && !rules->kernel);
}

static bool has_breakpoint(const struct plan *plan, uint64_t linear, const struct plan_rules *rules)
{
	return plan->relative ? breakpoints_lie_in_pages(rules->breakpoints, linear, linear)
			      : breakpoints_lie_in(rules->breakpoints, linear, linear);
}

/*
 * A store of an MMX register that faults has made the switch to MMX on some hosts, though in the
 * machine it has changed nothing: it is copied only behind an instruction that made the switch.
 */
static bool may_switch_and_fault(const struct planned *planned, bool switched)
{
	return planned->effect.mmx && !switched && planned->insn.operand[0].kind == OPERAND_MEM;
}

static bool is_direct(const struct insn *insn)
{
	return insn->n_operands && insn->operand[0].kind == OPERAND_IMM;
}

/* Where a direct branch leads. */
static uint64_t target_of(const struct plan *plan, const struct planned *branch)
{
	return plan->linear + branch->offset + branch->insn.length + branch->insn.imm;
}

/* A branch out of a loop, which is not taken while it goes on. */
static bool is_way_out(const struct plan *plan, const struct planned *planned)
{
	return plan->loop && planned->effect.cls == CLASS_JCC &&
	       target_of(plan, planned) != plan->linear;
}

/* Decodes until something ends the block. */
static void decode(struct plan *plan, const uint8_t *code, uint32_t n, uint32_t mode,
		   const struct plan_rules *rules)
{
	bool mmx = false; /* the last instruction with x87 or MMX state was of MMX */

	plan->end = END_INTERP;
	while (plan->n < rules->max_insns) {
		struct planned *planned = &plan->insns[plan->n];
		uint64_t linear = plan->linear + plan->bytes;
		if (plan->bytes >= n) {
			plan->end = END_NEXT;
			plan->far_end = true;
			return;
		}
		if (has_breakpoint(plan, linear, rules))
			return;
		enum insn_decode_result result =
			insn_decode(code + plan->bytes, n - plan->bytes, mode, &planned->insn);
		if (result == INSN_TRUNCATED) {
			plan->end = END_NEXT;
			plan->far_end = true;
			return;
		}
		if (result != INSN_OK)
			return;
		classify(&planned->insn, rules->host, &planned->effect);
		plan->left = planned->insn.mnemonic;
		if (!rules->possible(planned, linear) || is_ruled_out(planned, rules) ||
		    may_switch_and_fault(planned, mmx))
			return;
		if (planned->effect.cls == CLASS_X87)
			mmx = planned->effect.mmx;
		if (is_repeated(planned) && plan->n) { /* is a block of its own */
			plan->end = END_NEXT;
			return;
		}
		planned->bytes = code + plan->bytes;
		planned->offset = plan->bytes;
		plan->bytes += planned->insn.length;
		plan->n++;
		if (is_way_out(plan, planned))
			continue;
		if (ends_block(planned->effect.cls) || is_repeated(planned)) {
			plan->end = END_BRANCH;
			return;
		}
	}
	plan->end = END_NEXT;
}

/* The state may be looked at in front of it: a fault, or what a branch out of a loop leads to. */
static bool shows_flags(const struct plan *plan, const struct insn_effect *effect)
{
	return plan->loop ? effect->cls == CLASS_JCC : effect->can_fault;
}

/* Which flags live after each instruction: all of them wherever the state may be looked at. */
static void find_live_flags(struct plan *plan)
{
	uint32_t live = FLAGS_ARITH;

	for (unsigned i = plan->n; i-- > 0;) {
		const struct insn_effect *effect = &plan->insns[i].effect;
		plan->insns[i].live = live;
		live = (live & ~effect->writes) | effect->reads;
		if (shows_flags(plan, effect))
			live = FLAGS_ARITH;
	}
	plan->live = live;
}

/* Leaves instructions from the nth on to interp. */
static void cut(struct plan *plan, unsigned n)
{
	plan->bytes = plan->insns[n].offset;
	plan->left = plan->insns[n].insn.mnemonic;
	plan->n = n;
	plan->end = END_INTERP;
	plan->far_end = false;
}

static bool must_cut(const struct planned *planned, const struct plan_rules *rules)
{
	return (planned->effect.inexact & planned->live) &&
	       !fix_possible(planned, rules->any_register);
}

static void settle_flags(struct plan *plan, const struct plan_rules *rules)
{
	bool again;

	do {
		again = false;
		find_live_flags(plan);
		for (unsigned i = 0; i < plan->n && !again; i++) {
			if (must_cut(&plan->insns[i], rules)) {
				cut(plan, i);
				again = true;
			}
		}
	} while (again);
}

/* ---- polls ---- */

static bool same_page(uint64_t a, uint64_t b)
{
	return (a & PAGE_MASK) == (b & PAGE_MASK);
}

/* Inside a page, and onwards, as many instructions can follow as it has bytes. Every other way on
 * needs a poll. */
static bool needs_poll(const struct plan *plan)
{
	if (plan->end == END_INTERP)
		return false;
	if (plan->end == END_NEXT)
		return plan->far_end;
	const struct planned *last = &plan->insns[plan->n - 1];
	if (last->effect.cls == CLASS_STRING) /* counts itself */
		return false;
	uint64_t at = plan->linear + last->offset, next = at + last->insn.length;
	if (plan->crosses || last->effect.cls == CLASS_RET || !is_direct(&last->insn))
		return true;
	uint64_t target = target_of(plan, last);
	bool falls_through = last->effect.cls == CLASS_JCC || last->effect.cls == CLASS_LOOP;
	return target <= at || !same_page(at, target) || (falls_through && !same_page(at, next));
}

static bool sets_all_flags(const struct planned *planned)
{
	return (planned->effect.writes | FLAG_CF) == FLAGS_ARITH && !planned->effect.reads &&
	       !planned->effect.can_fault && copy_is_plain(planned);
}

static void place_poll(struct plan *plan, bool always)
{
	bool repeated = is_repeated(&plan->insns[plan->n - 1]);

	plan->poll = !repeated && (always || needs_poll(plan)) ? POLL_AT_END : POLL_NONE;
	if (plan->poll == POLL_NONE)
		return;
	for (unsigned i = plan->n; i-- > 0;) {
		if (!sets_all_flags(&plan->insns[i]))
			continue;
		plan->poll = POLL_IN_FRONT;
		plan->poll_at = (uint8_t)i;
		return;
	}
}

/* Of code that crosses into the next page only the first instruction. */
static void keep_one(struct plan *plan)
{
	if (plan->n > 1)
		cut(plan, 1);
	if (plan->end == END_INTERP)
		plan->end = END_NEXT;
	plan->far_end = true;
}

static void begin(struct plan *plan, bool loop)
{
	plan->n = 0;
	plan->bytes = 0;
	plan->far_end = false;
	plan->loop = loop;
}

bool plan_block(struct plan *plan, const uint8_t *code, uint32_t n, uint32_t mode,
		const struct plan_rules *rules)
{
	begin(plan, false);
	decode(plan, code, n, mode, rules);
	if (plan->crosses && plan->n)
		keep_one(plan);
	settle_flags(plan, rules);
	if (!plan->n)
		return false;
	place_poll(plan, rules->poll_always);
	return true;
}

/* ---- loops ---- */

static bool is_closed(const struct plan *plan)
{
	if (plan->end != END_BRANCH || plan->crosses)
		return false;
	const struct planned *last = &plan->insns[plan->n - 1];
	return (last->effect.cls == CLASS_JCC || last->effect.cls == CLASS_JMP) &&
	       is_direct(&last->insn) && target_of(plan, last) == plan->linear;
}

static bool place_loop_poll(struct plan *plan)
{
	plan->poll = POLL_IN_FRONT;
	for (unsigned i = plan->n; i-- > 0;) {
		if (!effect_sets_flags(&plan->insns[i].effect))
			continue;
		plan->poll_at = (uint8_t)i;
		return true;
	}
	return false;
}

bool plan_loop(struct plan *plan, const uint8_t *code, uint32_t n, uint32_t mode,
	       const struct plan_rules *rules)
{
	begin(plan, true);
	decode(plan, code, n, mode, rules);
	if (!is_closed(plan))
		return false;
	find_live_flags(plan);
	for (unsigned i = 0; i < plan->n; i++)
		if (must_cut(&plan->insns[i], rules))
			return false;
	return place_loop_poll(plan);
}
