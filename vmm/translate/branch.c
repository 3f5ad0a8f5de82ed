/* The ends of blocks: polls, the count, branches. */
#include "vmm/translate/generate.h"

#include <string.h>

#include <Zydis/Mnemonic.h>

#include "vmm/translate/space.h"

#define CC_NS 9u

/* ---- polls ---- */

static void emit_alu_imm8(struct emitter *e, unsigned extension, unsigned reg, uint8_t value)
{
	struct encoding c = {.opcode = 0x83,
			     .wide = true,
			     .has_modrm = true,
			     .reg = (uint8_t)extension,
			     .rm = (uint8_t)reg,
			     .n_imm = 1,
			     .imm = {value}};
	emit_encoding(e, &c);
}

static void emit_inc(struct emitter *e, unsigned reg)
{
	struct encoding c = {.opcode = 0xff, .wide = true, .has_modrm = true, .rm = (uint8_t)reg};
	emit_encoding(e, &c);
}

/*
 * Counts the block and leaves if that uses up the budget. The flags that change, all or all but CF,
 * are written by the instruction that follows; a stop takes place behind it.
 */
void poll_emit(struct generator *g)
{
	const struct planned *planned = &g->plan->insns[g->at];
	uint8_t n = (uint8_t)g->plan->n;

	generator_restore_count(g);
	if (planned->effect.writes == FLAGS_ARITH) {
		emit_alu_imm8(g->e, 0, COUNT_REGISTER, n);
	} else {
		if (n > 1)
			emit_lea(g->e, COUNT_REGISTER, COUNT_REGISTER, GPR_ZERO, n - 1);
		emit_inc(g->e, COUNT_REGISTER);
	}
	g->ahead = true;
	g->count_saved = false;
	struct deferred *deferred = generator_defer(g, DEFERRED_POLL, emit_jump_if(g->e, CC_NS));
	encoding_from_insn(&planned->insn, planned->bytes, &deferred->encoding);
	deferred->n = (int8_t)((int)g->at + 1 - n);
	deferred->site = generator_site(g, SITE_POLL, generator_next_rip(g));
}

static void emit_not_rcx(struct emitter *e)
{
	emit8(e, 0x48);
	emit8(e, 0xf7);
	emit8(e, 0xd1);
}

/* bswap rcx; movsx ecx, cl: 0 or -1, the sign of what was in RCX */
static void emit_sign_of_rcx(struct emitter *e)
{
	emit8(e, 0x48);
	emit8(e, 0x0f);
	emit8(e, 0xc9);
	emit8(e, 0x0f);
	emit8(e, 0xbe);
	emit8(e, 0xc9);
}

/* Instructions that have retired when a poll at the end stops: all but a branch. */
static unsigned retired_at_end(const struct generator *g)
{
	return g->plan->end == END_BRANCH ? g->plan->n - 1 : g->plan->n;
}

static uint64_t rip_at_end(const struct generator *g)
{
	return g->plan->end == END_BRANCH ? generator_rip(g) : generator_next_rip(g);
}

/* What to add to the count where n instructions of the block have retired. */
static int8_t count_of(const struct generator *g, unsigned n)
{
	return (int8_t)(g->ahead ? (int)n - (int)g->plan->n : (int)n);
}

static void defer_stop(struct generator *g, uint32_t patch)
{
	struct deferred *deferred = generator_defer(g, DEFERRED_RESTORE, patch);

	deferred->n = count_of(g, retired_at_end(g));
	deferred->site = generator_site(g, SITE_POLL, rip_at_end(g));
}

/*
 * A poll that spares the flags: JRCXZ on the sign of the count. goes_on: code follows directly
 * behind the branch; otherwise the way out lies there (emit_stop()). RCX is left in its slot.
 */
static void poll_at_end(struct generator *g, bool goes_on)
{
	generator_restore_count(g);
	emit_store(g->e, CONTEXT_SCRATCH(SCRATCH_RCX), RCX);
	emit_move(g->e, RCX, COUNT_REGISTER);
	if (goes_on)
		emit_not_rcx(g->e);
	emit_sign_of_rcx(g->e);
	uint32_t over = emit_short(g->e, EMIT_JRCXZ);
	if (goes_on) {
		defer_stop(g, emit_jump(g->e));
		emit_patch_short(g->e, over);
	} else {
		g->stop = over;
	}
}

/* The same where it is planned, with RCX put back. */
static void poll_if_planned(struct generator *g, bool goes_on)
{
	if (g->plan->poll != POLL_AT_END)
		return;
	poll_at_end(g, goes_on);
	emit_load(g->e, RCX, CONTEXT_SCRATCH(SCRATCH_RCX));
}

static void emit_stop(struct generator *g)
{
	if (g->stop == NONE)
		return;
	emit_patch_short(g->e, g->stop);
	g->stop = NONE;
	defer_stop(g, emit_jump(g->e));
}

/* ---- direct branches ---- */

static void emit_count(struct generator *g)
{
	generator_restore_count(g);
	if (!g->ahead)
		emit_lea(g->e, COUNT_REGISTER, COUNT_REGISTER, GPR_ZERO, g->plan->n);
}

bool branch_is_near(const struct generator *g, uint64_t rip)
{
	return !g->plan->crosses && (rip & PAGE_MASK) == (g->plan->linear & PAGE_MASK);
}

/* Where a translation of the same page begins, or NONE. */
uint32_t branch_near_code(const struct generator *g, uint64_t rip)
{
	uint64_t gpa = (g->plan->gpa & PAGE_MASK) | rip % PAGE_BYTES;
	uint32_t mode = g->translation->mode & ~(MODE_ALONE | MODE_LOOP);
	uint32_t index = code_cache_lookup(g->cache, gpa, rip, mode);

	if (index == NONE || g->cache->translations[index].crosses)
		return NONE;
	return g->cache->translations[index].code;
}

void branch_defer_near(struct generator *g, uint64_t rip, uint32_t patch)
{
	struct deferred *deferred = generator_defer(g, DEFERRED_EXIT, patch);

	deferred->site = generator_site(g, SITE_NEAR, rip);
	if (deferred->site != NONE)
		g->cache->sites[deferred->site].patch = patch;
}

/* patch: of the branch that is to lead to the link, or NONE. Returns the link. */
uint32_t branch_defer_far(struct generator *g, uint64_t rip, uint32_t patch)
{
	uint32_t link = spaces_find_link(g->spaces, rip, g->home), site = NONE;

	if (link != NONE && patch == NONE)
		return link;
	if (link == NONE) {
		link = spaces_add_link(g->spaces, rip, g->home);
		site = generator_site(g, SITE_FAR, rip);
		if (link == NONE || site == NONE) {
			g->e->full = true;
			return 0;
		}
		g->cache->sites[site].link = link;
	}
	struct deferred *deferred = generator_defer(g, DEFERRED_LINK, patch);
	deferred->site = site;
	deferred->constant = link;
	return link;
}

static void jump_to(struct generator *g, uint64_t rip, bool near)
{
	uint32_t code = near ? branch_near_code(g, rip) : NONE;

	if (!near) {
		emit_jump_memory(g->e, space_link_address(branch_defer_far(g, rip, NONE)));
	} else if (code != NONE) {
		emit_jump_to(g->e, code);
	} else {
		branch_defer_near(g, rip, emit_jump(g->e));
	}
}

static void jump_if_to(struct generator *g, unsigned cc, uint64_t rip)
{
	uint32_t code = branch_is_near(g, rip) ? branch_near_code(g, rip) : NONE;
	uint32_t displacement = emit_jump_if(g->e, cc);

	if (!branch_is_near(g, rip))
		branch_defer_far(g, rip, displacement);
	else if (code != NONE)
		emit_patch(g->e, displacement, code);
	else
		branch_defer_near(g, rip, displacement);
}

/* What follows the block is not written here: a jump there. */
void branch_emit_next(struct generator *g)
{
	uint64_t rip = g->plan->linear + g->plan->bytes;

	jump_to(g, rip, branch_is_near(g, rip) && !g->plan->far_end);
	emit_stop(g);
}

uint64_t branch_direct_target(const struct generator *g)
{
	return generator_next_rip(g) + g->plan->insns[g->at].insn.imm;
}

static void emit_conditional(struct generator *g)
{
	poll_if_planned(g, true);
	emit_count(g);
	jump_if_to(g, g->plan->insns[g->at].insn.opcode & 15, branch_direct_target(g));
}

/* The instruction itself leads over a jump to the way on. */
static void emit_loop(struct generator *g)
{
	const struct insn *insn = &g->plan->insns[g->at].insn;

	poll_if_planned(g, true);
	emit_count(g);
	if (insn->addr_size == 4)
		emit8(g->e, 0x67);
	uint32_t taken = emit_short(g->e, insn->opcode);
	uint32_t over = emit_short(g->e, EMIT_JMP);
	emit_patch_short(g->e, taken);
	uint64_t target = branch_direct_target(g);
	jump_to(g, target, branch_is_near(g, target));
	emit_patch_short(g->e, over);
}

/* push [constant]: the return address. */
static void emit_push_return(struct generator *g, uint8_t state)
{
	uint64_t address = generator_next_rip(g);

	generator_mark(g, state);
	if (address == (uint64_t)(int32_t)address) {
		emit8(g->e, 0x68); /* push imm32, sign-extended */
		emit32(g->e, (uint32_t)address);
	} else {
		emit_push_memory(g->e, 0);
		generator_defer(g, DEFERRED_CONSTANT, g->e->at - 4)->constant = address;
	}
	generator_note_return(g, address);
}

static void emit_direct(struct generator *g, bool call)
{
	uint64_t target = branch_direct_target(g);

	poll_if_planned(g, false);
	if (call)
		emit_push_return(g, 0);
	emit_count(g);
	jump_to(g, target, branch_is_near(g, target));
	emit_stop(g);
}

/* ---- indirect branches ---- */

/* movzx ecx, r11w */
static void emit_lookup_index(struct emitter *e)
{
	struct encoding c = {
		.map = 1, .opcode = 0xb7, .has_modrm = true, .reg = RCX, .rm = COUNT_REGISTER};
	emit_encoding(e, &c);
}

/* mov ecx, [table + rcx * 8]: addresses of code fit 32 bits. */
static struct encoding lookup_operand(uint32_t table)
{
	return (struct encoding){.opcode = 0x8b,
				 .has_modrm = true,
				 .memory = true,
				 .reg = RCX,
				 .base = GPR_ZERO,
				 .index = RCX,
				 .scale = 3,
				 .disp = (int32_t)(RUNTIME_BASE + RUNTIME_SPACE + table)};
}

/*
 * The target is in R11, RCX in its slot. Goes on with the address of its translation in RCX; or
 * leaves if the target is not noted, having done nothing: interp then runs the branch.
 */
static void emit_lookup(struct generator *g)
{
	struct encoding tag = lookup_operand(offsetof(struct runtime_space, minus_rip));
	struct encoding code = lookup_operand(offsetof(struct runtime_space, code));

	tag.wide = true;
	emit_lookup_index(g->e);
	emit_encoding(g->e, &tag);
	emit_lea(g->e, RCX, RCX, COUNT_REGISTER, 0);
	uint32_t hit = emit_short(g->e, EMIT_JRCXZ);
	struct deferred *miss = generator_defer(g, DEFERRED_MISS, emit_jump(g->e));
	miss->n = count_of(g, g->plan->n - 1);
	miss->site = generator_site(g, SITE_MISS, generator_rip(g));
	emit_patch_short(g->e, hit);
	emit_lookup_index(g->e);
	emit_encoding(g->e, &code);
	miss->constant = g->e->at;
}

static void emit_jump_found(struct generator *g)
{
	emit_count(g);
	emit8(g->e, 0xff); /* jmp rcx */
	emit8(g->e, 0xe1);
	emit_stop(g);
}

static void emit_return(struct generator *g)
{
	const struct insn *insn = &g->plan->insns[g->at].insn;
	struct encoding load = {.opcode = 0x8b,
				.wide = true,
				.has_modrm = true,
				.memory = true,
				.reg = COUNT_REGISTER,
				.base = RSP,
				.index = GPR_ZERO};
	int32_t popped = 8 + (insn->n_operands ? (int32_t)(insn->imm & 0xffff) : 0);

	if (g->plan->poll == POLL_AT_END)
		poll_at_end(g, false);
	else
		emit_store(g->e, CONTEXT_SCRATCH(SCRATCH_RCX), RCX);
	generator_spoil_r11(g);
	generator_mark(g, MARK_RCX_SAVED);
	emit_encoding(g->e, &load);
	emit_lookup(g);
	emit_lea(g->e, RSP, RSP, GPR_ZERO, popped);
	emit_jump_found(g);
}

/* The target of JMP or CALL to R11. */
static void load_target(struct generator *g, const struct planned *planned)
{
	const struct insn *insn = &planned->insn;
	struct encoding c;

	if (insn->operand[0].kind == OPERAND_REG) {
		if (insn->operand[0].reg == R11) {
			generator_load_guest_r11(g);
		} else {
			generator_spoil_r11(g);
			emit_move(g->e, COUNT_REGISTER, insn->operand[0].reg);
		}
		g->r11 = R11_OTHER;
		return;
	}
	encoding_from_insn(insn, planned->bytes, &c);
	c.opcode = 0x8b;
	c.wide = true;
	c.reg = COUNT_REGISTER;
	g->lowering->address(g, insn, generator_rip(g), &c);
	if (insn->base == R11 || insn->index == R11)
		generator_load_guest_r11(g);
	generator_free_r11(g);
	generator_mark(g, 0);
	emit_encoding(g->e, &c);
	g->r11 = R11_OTHER;
}

static void emit_indirect(struct generator *g, bool call)
{
	if (g->plan->poll == POLL_AT_END) {
		poll_at_end(g, true);
		emit_load(g->e, RCX, CONTEXT_SCRATCH(SCRATCH_RCX)); /* it may name RCX */
	} else {
		emit_store(g->e, CONTEXT_SCRATCH(SCRATCH_RCX), RCX);
	}
	load_target(g, &g->plan->insns[g->at]);
	emit_lookup(g);
	if (call)
		emit_push_return(g, MARK_RCX_SAVED);
	emit_jump_found(g);
}

/* ---- */

static void emit_branch(struct generator *g)
{
	const struct planned *last = &g->plan->insns[g->at];
	bool direct = last->insn.n_operands && last->insn.operand[0].kind == OPERAND_IMM;

	switch ((enum insn_class)last->effect.cls) {
	case CLASS_JCC:
		emit_conditional(g);
		break;
	case CLASS_LOOP:
		emit_loop(g);
		break;
	case CLASS_RET:
		emit_return(g);
		break;
	case CLASS_STRING:
		string_emit_repeated(g);
		break;
	default:
		if (direct)
			emit_direct(g, last->effect.cls == CLASS_CALL);
		else
			emit_indirect(g, last->effect.cls == CLASS_CALL);
	}
}

static void emit_interp_exit(struct generator *g)
{
	emit_count(g);
	struct deferred *deferred = generator_defer(g, DEFERRED_EXIT, emit_jump(g->e));
	deferred->site = generator_site(g, SITE_INTERP, g->plan->linear + g->plan->bytes);
	if (deferred->site != NONE)
		g->cache->sites[deferred->site].mnemonic = g->plan->left;
}

void branch_emit(struct generator *g)
{
	switch ((enum block_end)g->plan->end) {
	case END_BRANCH:
		emit_branch(g);
		break;
	case END_INTERP:
		poll_if_planned(g, true);
		emit_interp_exit(g);
		break;
	case END_NEXT:
		poll_if_planned(g, !g->plan->far_end);
		emit_count(g);
		break;
	}
}

/* Whether the block goes on behind its last instruction, which has not been written. */
bool branch_falls_through(const struct plan *plan)
{
	if (plan->end == END_NEXT)
		return true;
	if (plan->end == END_INTERP)
		return false;
	uint8_t cls = plan->insns[plan->n - 1].effect.cls;
	return cls == CLASS_JCC || cls == CLASS_LOOP || cls == CLASS_STRING;
}

bool branch_is_possible(const struct insn *insn, uint64_t linear,
			bool (*target_possible)(const struct insn *insn, uint64_t linear))
{
	if (insn->n_operands && insn->operand[0].kind == OPERAND_IMM &&
	    insn->mnemonic != ZYDIS_MNEMONIC_RET)
		return address_is_canonical(linear + insn->length + insn->imm);
	if (insn->prefixes & PREFIX_OPSIZE)
		return false;
	return insn->mnemonic == ZYDIS_MNEMONIC_RET || target_possible(insn, linear);
}
