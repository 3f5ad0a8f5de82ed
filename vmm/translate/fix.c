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

/* ---- shifts and rotates: AF 0, OF by the result, unless the count is 0 ---- */

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

static bool goes_left(const struct insn *insn)
{
	return insn->mnemonic == ZYDIS_MNEMONIC_SHL || insn->mnemonic == ZYDIS_MNEMONIC_SHLD ||
	       insn->mnemonic == ZYDIS_MNEMONIC_ROL || insn->mnemonic == ZYDIS_MNEMONIC_RCL;
}

/* Rotates the destination by 1, to one side and back: it and CF are as before, OF as a last step by
 * 1 leaves it. */
static void rotate_and_back(struct emitter *e, const struct insn *insn,
			    const struct encoding *encoding)
{
	bool left = goes_left(insn),
	     carry = insn->mnemonic != ZYDIS_MNEMONIC_ROL && insn->mnemonic != ZYDIS_MNEMONIC_ROR;
	struct encoding c = *encoding;

	c.map = 0;
	c.opcode = insn->operand[0].size == 1 ? 0xd0 : 0xd1;
	c.n_imm = 0;
	c.reg = (carry ? 2 : 0) + left; /* ROL, ROR, RCL, RCR: 0 to 3 */
	emit_encoding(e, &c);
	c.reg ^= 1;
	emit_encoding(e, &c);
}

/* movzx ecx, (cl << shift): 0 when CL is, but for its upper bits. */
static void emit_count_to_rcx(struct emitter *e, unsigned shift)
{
	struct encoding lea = {.opcode = 0x8d,
			       .has_modrm = true,
			       .memory = true,
			       .reg = RCX,
			       .base = GPR_ZERO,
			       .index = RCX,
			       .scale = (uint8_t)shift};
	struct encoding movzx = {
		.map = 1, .opcode = 0xb6, .has_modrm = true, .reg = RCX, .rm = RCX};

	emit_encoding(e, &lea);
	emit_encoding(e, &movzx);
}

/* encoding: of the instruction, as it was emitted. Nothing here changes flags but OF. */
static void fix_overflow(struct generator *g, const struct insn *insn,
			 const struct encoding *encoding)
{
	if (count_is_constant(insn)) {
		rotate_and_back(g->e, insn, encoding);
		return;
	}
	emit_store(g->e, CONTEXT_SCRATCH(SCRATCH_RCX), RCX);
	emit_count_to_rcx(g->e, insn->operand[0].size == 8 ? 2 : 3);
	uint32_t over = emit_short(g->e, EMIT_JRCXZ);
	emit_load(g->e, RCX, CONTEXT_SCRATCH(SCRATCH_RCX)); /* the operand's address may need it */
	rotate_and_back(g->e, insn, encoding);
	emit_patch_short(g->e, over);
	emit_load(g->e, RCX, CONTEXT_SCRATCH(SCRATCH_RCX));
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
	case RULE_DOUBLE_SHIFT:
	case RULE_ROTATE:
	case RULE_ROTATE_CARRY: /* the count is tested afterwards */
		return count_is_constant(insn) || insn->operand[0].kind != OPERAND_REG ||
		       (insn->operand[0].reg_class == REG_GPR && insn->operand[0].reg != RCX);
	default:
		return false;
	}
}

static uint32_t to_fix(const struct planned *planned)
{
	return planned->effect.inexact & planned->live;
}

void fix_before(struct generator *g, const struct planned *planned)
{
	if (!to_fix(planned))
		return;
	if (planned->effect.rule == RULE_DIVIDE)
		flags_save(g);
	else if (planned->effect.rule == RULE_SCAN && scans_itself(&planned->insn))
		emit_store(g->e, CONTEXT_SCRATCH(SCRATCH_FLAGS), planned->insn.operand[1].reg);
}

void fix_after(struct generator *g, const struct planned *planned, const struct encoding *encoding)
{
	if (!to_fix(planned))
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
		if (to_fix(planned) & FLAG_OF)
			fix_overflow(g, &planned->insn, encoding);
		if (to_fix(planned) & FLAG_AF)
			clear_af(g, &planned->insn);
	}
}
