#include "vmm/translate/classify.h"

#include <Zydis/Mnemonic.h>

#define ROW(name, insn_class, flag_rule)                                                           \
	[ZYDIS_MNEMONIC_##name] = {.cls = CLASS_##insn_class, .rule = RULE_##flag_rule},

static const struct {
	uint8_t cls, rule;
} rows[INSN_MNEMONIC_COUNT] = {
#include "vmm/translate/rows.h"
};

#define FLAGS_ARITH_BUT_CF (FLAGS_ARITH & ~FLAG_CF)

bool insn_accesses_memory(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].kind == OPERAND_MEM)
			return true;
	return false;
}

static bool has_mmx(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].kind == OPERAND_REG && insn->operand[i].reg_class == REG_MMX)
			return true;
	return false;
}

/* Flags that a condition code reads (SDM 2 appendix B, table B-10). */
static uint32_t condition_flags(unsigned cc)
{
	static const uint32_t flags[8] = {
		FLAG_OF, FLAG_CF, FLAG_ZF,           FLAG_CF | FLAG_ZF,
		FLAG_SF, FLAG_PF, FLAG_SF | FLAG_OF, FLAG_ZF | FLAG_SF | FLAG_OF,
	};
	return flags[cc >> 1 & 7];
}

/* The masked count of a shift by an immediate or by 1; -1: it is in CL. */
static int shift_count(const struct insn *insn)
{
	unsigned mask = insn->operand[0].size == 8 ? 63 : 31;
	const struct operand *last = &insn->operand[insn->n_operands - 1];

	return last->kind == OPERAND_IMM ? (int)(insn->imm & mask) : -1;
}

/* A shift or rotate. affected: the flags that it writes; af: the host's AF agrees, where it is one.
 */
static void apply_shift(const struct insn *insn, const struct host_flags *host, uint32_t affected,
			bool af, struct insn_effect *effect)
{
	bool of = insn->mnemonic == ZYDIS_MNEMONIC_SAR ? host->sar_overflow : host->overflow;
	int count = shift_count(insn);

	if (count == 0)
		return;
	if (count == 1) /* OF is defined */
		of = true;
	effect->inexact = affected & ((af ? 0 : FLAG_AF) | (of ? 0 : FLAG_OF));
	if (count > 0) /* one of 0 keeps them all */
		effect->writes = affected & ~effect->inexact;
}

/* An instruction of the row is not what it seems to be for all operands. */
static bool is_odd_one(const struct insn *insn, enum flag_rule rule)
{
	unsigned size = insn->operand[0].size;

	switch (rule) {
	case RULE_DOUBLE_SHIFT: /* 16-bit ones by more than 16 have undefined results */
		return size == 2;
	case RULE_ROTATE_CARRY: /* OF after a multiple of the width */
		return size < 4;
	default:
		break;
	}
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_FSTP:
		return insn->operand[0].kind == OPERAND_MEM && insn->operand[0].size == 10;
	case ZYDIS_MNEMONIC_BSWAP:
	case ZYDIS_MNEMONIC_MOVSXD: /* Intel's processors read 2 bytes, the machine 4 */
		return size == 2;
	case ZYDIS_MNEMONIC_MOV: /* control, debug and segment registers; MOV with a 64-bit address
				  */
		if (!insn->modrm_at)
			return insn_accesses_memory(insn);
		return insn->operand[0].reg_class > REG_GPR_HIGH ||
		       insn->operand[1].reg_class > REG_GPR_HIGH;
	default:
		return false;
	}
}

static void apply_rule(const struct insn *insn, const struct host_flags *host,
		       struct insn_effect *effect)
{
	switch ((enum flag_rule)effect->rule) {
	case RULE_NONE:
		break;
	case RULE_CARRY:
		effect->reads = FLAG_CF;
		effect->writes = FLAGS_ARITH;
		break;
	case RULE_ALL:
		effect->writes = FLAGS_ARITH;
		break;
	case RULE_INC:
		effect->writes = FLAGS_ARITH_BUT_CF;
		break;
	case RULE_CONDITION:
		effect->reads = condition_flags(insn->opcode & 15);
		break;
	case RULE_SHIFT:
		apply_shift(insn, host, FLAGS_ARITH, host->shift, effect);
		break;
	case RULE_DOUBLE_SHIFT:
		apply_shift(insn, host, FLAGS_ARITH, host->double_shift, effect);
		break;
	case RULE_ROTATE:
		apply_shift(insn, host, FLAG_CF | FLAG_OF, true, effect);
		break;
	case RULE_X87_CONDITION:
		effect->reads = FLAG_CF | FLAG_ZF | FLAG_PF;
		break;
	case RULE_ROTATE_CARRY:
		apply_shift(insn, host, FLAG_CF | FLAG_OF, true, effect);
		effect->reads = FLAG_CF;
		break;
	case RULE_COMPLEMENT:
		effect->reads = FLAG_CF;
		break;
	case RULE_MULTIPLY:
		effect->writes = host->multiply ? FLAGS_ARITH : FLAG_CF | FLAG_OF;
		effect->inexact = host->multiply ? 0 : FLAGS_ARITH & ~(FLAG_CF | FLAG_OF);
		break;
	case RULE_DIVIDE:
		effect->inexact = host->divide ? 0 : FLAGS_ARITH;
		break;
	case RULE_BIT:
	case RULE_SET_CARRY:
		effect->writes = FLAG_CF;
		break;
	case RULE_SCAN:
		effect->writes = host->scan ? FLAGS_ARITH : FLAG_ZF;
		effect->inexact = host->scan ? 0 : FLAGS_ARITH & ~FLAG_ZF;
		break;
	case RULE_ZERO:
		effect->writes = FLAG_ZF;
		break;
	case RULE_STATUS_READ:
		effect->reads = FLAGS_ARITH & ~FLAG_OF;
		break;
	case RULE_STATUS_WRITE:
		effect->writes = FLAGS_ARITH & ~FLAG_OF;
		break;
	}
}

static bool may_fault(const struct insn *insn, enum insn_class cls, enum flag_rule rule)
{
	switch (cls) {
	case CLASS_NOTHING:
	case CLASS_LEA:
	case CLASS_JCC:
	case CLASS_LOOP:
	case CLASS_TSC:
		return false;
	case CLASS_COPY:
		return rule == RULE_DIVIDE || insn_accesses_memory(insn);
	default:
		return true;
	}
}

void classify(const struct insn *insn, const struct host_flags *host,
	      struct insn_effect *ret_effect)
{
	struct insn_effect effect = {
		.cls = rows[insn->mnemonic].cls,
		.rule = rows[insn->mnemonic].rule,
	};

	effect.mmx = has_mmx(insn);
	if (effect.cls == CLASS_VECTOR && effect.mmx)
		effect.cls = CLASS_X87;
	if (insn->far || is_odd_one(insn, effect.rule))
		effect.cls = CLASS_INTERP;
	if (effect.cls != CLASS_INTERP)
		apply_rule(insn, host, &effect);
	effect.can_fault = may_fault(insn, effect.cls, effect.rule);
	*ret_effect = effect;
}

bool effect_sets_flags(const struct insn_effect *effect)
{
	return (effect->writes | effect->inexact) == FLAGS_ARITH && !effect->reads &&
	       effect->rule != RULE_DIVIDE;
}
