/*
 * Undefined flags put right where they live and the host's are not the machine's
 * (docs/undefined-flags.md). RAX is borrowed, through its scratch slot, for LAHF and SAHF; nothing
 * here can fault.
 */
#include "vmm/translate/generate.h"

#include <string.h>

#include <Zydis/Mnemonic.h>

#define SAHF_AF 0x10u

/* ---- pieces ---- */

static void emit_lahf(struct emitter *e)
{
	emit8(e, 0x9f);
}

/* seto al */
static void emit_overflow_to_al(struct emitter *e)
{
	emit8(e, 0x0f);
	emit8(e, 0x90);
	emit8(e, 0xc0);
}

/* From AL (0 or 1) and AH: add al, 0x7f sets OF, sahf the others. */
static void emit_flags_from_ax(struct emitter *e)
{
	emit8(e, 0x04);
	emit8(e, 0x7f);
	emit8(e, 0x9e);
}

static void save_rax(struct generator *g)
{
	emit_store(g->e, CONTEXT_SCRATCH(SCRATCH_RAX), RAX);
}

static void restore_rax(struct generator *g)
{
	emit_load(g->e, RAX, CONTEXT_SCRATCH(SCRATCH_RAX));
}

/* test reg, reg of the operand's size */
static void emit_test(struct emitter *e, const struct operand *operand)
{
	struct encoding c = {
		.opcode = operand->size == 1 ? 0x84 : 0x85,
		.opsize = operand->size == 2,
		.wide = operand->size == 8,
		.low_bytes =
			operand->size == 1 && operand->reg_class == REG_GPR && operand->reg >= 4,
		.has_modrm = true,
		.reg = operand->reg,
		.rm = operand->reg,
	};
	emit_encoding(e, &c);
}

/* ---- products: SF, ZF, PF by the low half, AF 0; CF and OF, which are equal, stay ---- */

static struct operand product(const struct insn *insn)
{
	struct operand rax = {.kind = OPERAND_REG,
			      .reg_class = REG_GPR,
			      .reg = RAX,
			      .size = insn->operand[0].size};
	return insn->n_operands == 1 ? rax : insn->operand[0];
}

static void fix_product(struct generator *g, const struct insn *insn)
{
	struct operand low = product(insn);

	save_rax(g);
	/* setb [slot] */
	struct encoding setb = {.map = 1,
				.opcode = 0x92,
				.has_modrm = true,
				.memory = true,
				.base = GPR_ZERO,
				.index = GPR_ZERO,
				.disp = (int32_t)CONTEXT_SCRATCH(SCRATCH_FLAGS)};
	emit_encoding(g->e, &setb);
	emit_test(g->e, &low);
	emit_lahf(g->e);
	/* or ah, [slot]; mov al, [slot] */
	struct encoding slot = setb;
	slot.map = 0;
	slot.opcode = 0x0a;
	slot.reg = 4;
	emit_encoding(g->e, &slot);
	slot.opcode = 0x8a;
	slot.reg = RAX;
	emit_encoding(g->e, &slot);
	emit_flags_from_ax(g->e);
	restore_rax(g);
}

/* ---- quotients: all flags as before ---- */

void flags_save(struct generator *g)
{
	save_rax(g);
	emit_lahf(g->e);
	emit_overflow_to_al(g->e);
	emit_store(g->e, CONTEXT_SCRATCH(SCRATCH_FLAGS), RAX);
	restore_rax(g);
}

void flags_restore(struct generator *g)
{
	save_rax(g);
	emit_load(g->e, RAX, CONTEXT_SCRATCH(SCRATCH_FLAGS));
	emit_flags_from_ax(g->e);
	restore_rax(g);
}

/* ---- shifts: AF 0, unless the count is 0 ---- */

static bool count_is_constant(const struct insn *insn)
{
	return insn->operand[insn->n_operands - 1].kind == OPERAND_IMM;
}

/* test cl, mask: whether anything was shifted. */
static void emit_test_count(struct emitter *e, unsigned size)
{
	struct encoding c = {.opcode = 0xf6,
			     .has_modrm = true,
			     .rm = RCX,
			     .n_imm = 1,
			     .imm = {size == 8 ? 63 : 31}};
	emit_encoding(e, &c);
}

static void clear_af(struct generator *g, const struct insn *insn)
{
	uint32_t over = NONE;

	save_rax(g);
	emit_lahf(g->e);
	emit_overflow_to_al(g->e);
	if (!count_is_constant(insn)) {
		emit_test_count(g->e, insn->operand[0].size);
		over = emit_short(g->e, EMIT_JZ);
	}
	emit8(g->e, 0x80); /* and ah, ~AF */
	emit8(g->e, 0xe4);
	emit8(g->e, (uint8_t)~SAHF_AF);
	if (over != NONE)
		emit_patch_short(g->e, over);
	emit_flags_from_ax(g->e);
	restore_rax(g);
}

/* ---- scans: flags as TEST of the source gives them ---- */

static bool scans_itself(const struct insn *insn)
{
	return insn->operand[0].reg == insn->operand[1].reg;
}

/* cmp [slot], 0: the source was kept there. */
static void compare_kept_source(struct generator *g, unsigned size)
{
	struct encoding c = {.opcode = 0x83,
			     .opsize = size == 2,
			     .wide = size == 8,
			     .has_modrm = true,
			     .memory = true,
			     .reg = 7,
			     .base = GPR_ZERO,
			     .index = GPR_ZERO,
			     .n_imm = 1,
			     .disp = (int32_t)CONTEXT_SCRATCH(SCRATCH_FLAGS)};
	emit_encoding(g->e, &c);
}

/* ---- */

static bool is_simple_register(const struct operand *operand, bool any)
{
	return operand->kind == OPERAND_REG && operand->reg_class == REG_GPR &&
	       (any || (operand->reg != RSP && operand->reg != R11));
}

bool fix_possible(const struct planned *planned, bool any_register)
{
	const struct insn *insn = &planned->insn;
	struct operand low;

	switch ((enum flag_rule)planned->effect.rule) {
	case RULE_MULTIPLY:
		low = product(insn);
		return is_simple_register(&low, any_register);
	case RULE_DIVIDE:
		return true;
	case RULE_SCAN: /* the source is tested afterwards */
		return is_simple_register(&insn->operand[1], any_register);
	case RULE_SHIFT:
	case RULE_DOUBLE_SHIFT: /* the count is tested afterwards */
		return count_is_constant(insn) || insn->operand[0].kind != OPERAND_REG ||
		       (insn->operand[0].reg_class == REG_GPR && insn->operand[0].reg != RCX);
	default:
		return false;
	}
}

static bool needs_fix(const struct planned *planned)
{
	return (planned->effect.inexact & planned->live) != 0;
}

void fix_before(struct generator *g, const struct planned *planned)
{
	if (!needs_fix(planned))
		return;
	if (planned->effect.rule == RULE_DIVIDE)
		flags_save(g);
	else if (planned->effect.rule == RULE_SCAN && scans_itself(&planned->insn))
		emit_store(g->e, CONTEXT_SCRATCH(SCRATCH_FLAGS), planned->insn.operand[1].reg);
}

void fix_after(struct generator *g, const struct planned *planned)
{
	if (!needs_fix(planned))
		return;
	switch ((enum flag_rule)planned->effect.rule) {
	case RULE_MULTIPLY:
		fix_product(g, &planned->insn);
		break;
	case RULE_DIVIDE:
		flags_restore(g);
		break;
	case RULE_SCAN:
		if (scans_itself(&planned->insn))
			compare_kept_source(g, planned->insn.operand[1].size);
		else
			emit_test(g->e, &planned->insn.operand[1]);
		break;
	default:
		clear_af(g, &planned->insn);
	}
}
