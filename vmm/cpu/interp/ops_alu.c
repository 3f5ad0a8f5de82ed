/* Two-operand arithmetic and logic, increments, negations, comparisons fused with a jump. */
#include "vmm/cpu/interp/handler.h"
#include "vmm/cpu/interp/ops.h"

enum alu_op {
	ALU_ADD,
	ALU_ADC,
	ALU_SUB,
	ALU_SBB,
	ALU_AND,
	ALU_OR,
	ALU_XOR,
	ALU_CMP,
	ALU_TEST,
	ALU_COUNT
};

ALWAYS_INLINE uint64_t alu(struct cpu *cpu, enum alu_op op, unsigned size, uint64_t a, uint64_t b)
{
	uint64_t r;

	switch (op) {
	case ALU_ADD:
		r = a + b;
		flags_add(cpu, a, b, r, size);
		return r;
	case ALU_ADC:
		r = a + b + flag_cf(cpu);
		flags_add(cpu, a, b, r, size);
		return r;
	case ALU_SUB:
	case ALU_CMP:
		r = a - b;
		flags_sub(cpu, a, b, r, size);
		return r;
	case ALU_SBB:
		r = a - b - flag_cf(cpu);
		flags_sub(cpu, a, b, r, size);
		return r;
	case ALU_AND:
	case ALU_TEST:
		r = a & b;
		break;
	case ALU_OR:
		r = a | b;
		break;
	default:
		r = a ^ b;
		break;
	}
	flags_logic(cpu, r, size);
	return r;
}

ALWAYS_INLINE bool alu_writes(enum alu_op op)
{
	return op != ALU_CMP && op != ALU_TEST;
}

#define DEFINE_ALU(op, size)                                                                       \
	static const struct uop *op##_rr_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		uint64_t r = alu(cpu, op, size, reg_get(cpu, uop->dst, size),                      \
				 reg_get(cpu, uop->src, size));                                    \
		if (alu_writes(op))                                                                \
			reg_set(cpu, uop->dst, size, r);                                           \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *op##_ri_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		uint64_t r = alu(cpu, op, size, reg_get(cpu, uop->dst, size), uop->imm);           \
		if (alu_writes(op))                                                                \
			reg_set(cpu, uop->dst, size, r);                                           \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *op##_rm_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop);                                            \
		HOST_FOR_READ(host, linear, size);                                                 \
		uint64_t r =                                                                       \
			alu(cpu, op, size, reg_get(cpu, uop->dst, size), host_get(host, size));    \
		if (alu_writes(op))                                                                \
			reg_set(cpu, uop->dst, size, r);                                           \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *op##_mr_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop), b = reg_get(cpu, uop->src, size);          \
		if (alu_writes(op)) {                                                              \
			HOST_FOR_WRITE(host, linear, size);                                        \
			host_set(host, size, alu(cpu, op, size, host_get(host, size), b));         \
		} else {                                                                           \
			HOST_FOR_READ(host, linear, size);                                         \
			alu(cpu, op, size, host_get(host, size), b);                               \
		}                                                                                  \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *op##_mi_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop), b = uop->imm;                              \
		if (alu_writes(op)) {                                                              \
			HOST_FOR_WRITE(host, linear, size);                                        \
			host_set(host, size, alu(cpu, op, size, host_get(host, size), b));         \
		} else {                                                                           \
			HOST_FOR_READ(host, linear, size);                                         \
			alu(cpu, op, size, host_get(host, size), b);                               \
		}                                                                                  \
		NEXT;                                                                              \
	}
#define DEFINE_ALU_SIZES(op) DEFINE_ALU(op, 1) DEFINE_ALU(op, 2) DEFINE_ALU(op, 4) DEFINE_ALU(op, 8)

DEFINE_ALU_SIZES(ALU_ADD)
DEFINE_ALU_SIZES(ALU_ADC)
DEFINE_ALU_SIZES(ALU_SUB)
DEFINE_ALU_SIZES(ALU_SBB)
DEFINE_ALU_SIZES(ALU_AND)
DEFINE_ALU_SIZES(ALU_OR)
DEFINE_ALU_SIZES(ALU_XOR)
DEFINE_ALU_SIZES(ALU_CMP)
DEFINE_ALU_SIZES(ALU_TEST)

#define ALU_FORMS(op, size)                                                                        \
	{                                                                                          \
		[FORM_RR] = op##_rr_##size, [FORM_RI] = op##_ri_##size,                            \
		[FORM_RM] = op##_rm_##size, [FORM_MR] = op##_mr_##size,                            \
		[FORM_MI] = op##_mi_##size,                                                        \
	}
#define ALU_SIZES(op)                                                                              \
	[op] = {ALU_FORMS(op, 1), ALU_FORMS(op, 2), ALU_FORMS(op, 4), ALU_FORMS(op, 8)}

static uop_fn *const alu_handlers[ALU_COUNT][4][FORM_COUNT] = {
	ALU_SIZES(ALU_ADD), ALU_SIZES(ALU_ADC), ALU_SIZES(ALU_SUB),
	ALU_SIZES(ALU_SBB), ALU_SIZES(ALU_AND), ALU_SIZES(ALU_OR),
	ALU_SIZES(ALU_XOR), ALU_SIZES(ALU_CMP), ALU_SIZES(ALU_TEST),
};

static int alu_of(uint16_t mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_ADD:
		return ALU_ADD;
	case ZYDIS_MNEMONIC_ADC:
		return ALU_ADC;
	case ZYDIS_MNEMONIC_SUB:
		return ALU_SUB;
	case ZYDIS_MNEMONIC_SBB:
		return ALU_SBB;
	case ZYDIS_MNEMONIC_AND:
		return ALU_AND;
	case ZYDIS_MNEMONIC_OR:
		return ALU_OR;
	case ZYDIS_MNEMONIC_XOR:
		return ALU_XOR;
	case ZYDIS_MNEMONIC_CMP:
		return ALU_CMP;
	case ZYDIS_MNEMONIC_TEST:
		return ALU_TEST;
	default:
		return -1;
	}
}

/* ---- one operand: INC DEC NEG NOT ---- */

enum unary_op { UNARY_INC, UNARY_DEC, UNARY_NEG, UNARY_NOT, UNARY_COUNT };

ALWAYS_INLINE uint64_t unary(struct cpu *cpu, enum unary_op op, unsigned size, uint64_t a)
{
	switch (op) {
	case UNARY_INC:
		flags_inc(cpu, a, a + 1, size);
		return a + 1;
	case UNARY_DEC:
		flags_dec(cpu, a, a - 1, size);
		return a - 1;
	case UNARY_NEG:
		flags_sub(cpu, 0, a, -a, size);
		return -a;
	default:
		return ~a;
	}
}

#define DEFINE_UNARY(op, size)                                                                     \
	static const struct uop *op##_r_##size(struct cpu *cpu, const struct uop *uop)             \
	{                                                                                          \
		reg_set(cpu, uop->dst, size, unary(cpu, op, size, reg_get(cpu, uop->dst, size)));  \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *op##_m_##size(struct cpu *cpu, const struct uop *uop)             \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop);                                            \
		HOST_FOR_WRITE(host, linear, size);                                                \
		host_set(host, size, unary(cpu, op, size, host_get(host, size)));                  \
		NEXT;                                                                              \
	}
#define DEFINE_UNARY_SIZES(op)                                                                     \
	DEFINE_UNARY(op, 1) DEFINE_UNARY(op, 2) DEFINE_UNARY(op, 4) DEFINE_UNARY(op, 8)

DEFINE_UNARY_SIZES(UNARY_INC)
DEFINE_UNARY_SIZES(UNARY_DEC)
DEFINE_UNARY_SIZES(UNARY_NEG)
DEFINE_UNARY_SIZES(UNARY_NOT)

#define UNARY_SIZES(op)                                                                            \
	[op] = {{op##_r_1, op##_m_1},                                                              \
		{op##_r_2, op##_m_2},                                                              \
		{op##_r_4, op##_m_4},                                                              \
		{op##_r_8, op##_m_8}}

static uop_fn *const unary_handlers[UNARY_COUNT][4][2] = {
	UNARY_SIZES(UNARY_INC),
	UNARY_SIZES(UNARY_DEC),
	UNARY_SIZES(UNARY_NEG),
	UNARY_SIZES(UNARY_NOT),
};

static int unary_of(uint16_t mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_INC:
		return UNARY_INC;
	case ZYDIS_MNEMONIC_DEC:
		return UNARY_DEC;
	case ZYDIS_MNEMONIC_NEG:
		return UNARY_NEG;
	case ZYDIS_MNEMONIC_NOT:
		return UNARY_NOT;
	default:
		return -1;
	}
}

uop_fn *select_alu(const struct insn *insn, enum form form)
{
	int op = alu_of(insn->mnemonic);
	if (op >= 0 && form < FORM_COUNT)
		return alu_handlers[op][size_index(insn->operand[0].size)][form];
	op = unary_of(insn->mnemonic);
	if (op >= 0 && (form == FORM_R || form == FORM_M))
		return unary_handlers[op][size_index(insn->operand[0].size)][form == FORM_M];
	return NULL;
}

/* ---- CMP or TEST fused with the conditional jump that follows ---- */

/* The condition straight from the operands where that is cheaper than from the flags. */
ALWAYS_INLINE bool compare_holds(const struct cpu *cpu, enum alu_op op, unsigned size, unsigned cc,
				 uint64_t a, uint64_t b)
{
	int64_t sa = (int64_t)sign_extend(a, size), sb = (int64_t)sign_extend(b, size);
	uint64_t ua = zero_extend(a, size), ub = zero_extend(b, size);

	if (op == ALU_CMP) {
		switch (cc) {
		case 2:
			return ua < ub;
		case 3:
			return ua >= ub;
		case 4:
			return ua == ub;
		case 5:
			return ua != ub;
		case 6:
			return ua <= ub;
		case 7:
			return ua > ub;
		case 12:
			return sa < sb;
		case 13:
			return sa >= sb;
		case 14:
			return sa <= sb;
		case 15:
			return sa > sb;
		default:
			break;
		}
	}
	return flags_condition(cpu, cc);
}

/* The pair's off is the comparison's; imm holds the comparison's immediate in its low half and the
 * jump's target, relative to the block, in its high half. */
#define PAIR_IMM(uop)    ((uint64_t)(int32_t)(uop)->imm)
#define PAIR_TARGET(uop) ((uint64_t)((int64_t)(uop)->imm >> 32))

#define DEFINE_PAIR(op, size, number)                                                              \
	static const struct uop *op##_pair_rr_##size##_##number(struct cpu *cpu,                   \
								const struct uop *uop)             \
	{                                                                                          \
		uint64_t a = reg_get(cpu, uop->dst, size), b = reg_get(cpu, uop->src, size);       \
		alu(cpu, op, size, a, b);                                                          \
		return pair_jump(cpu, uop, compare_holds(cpu, op, size, number, a, b));            \
	}                                                                                          \
	static const struct uop *op##_pair_ri_##size##_##number(struct cpu *cpu,                   \
								const struct uop *uop)             \
	{                                                                                          \
		uint64_t a = reg_get(cpu, uop->dst, size), b = PAIR_IMM(uop);                      \
		alu(cpu, op, size, a, b);                                                          \
		return pair_jump(cpu, uop, compare_holds(cpu, op, size, number, a, b));            \
	}

ALWAYS_INLINE const struct uop *pair_jump(struct cpu *cpu, const struct uop *uop, bool taken)
{
	cpu->link = taken ? LINK_TAKEN : LINK_NEXT;
	cpu->rip = cpu->gpr[GPR_BLOCK] + (taken ? PAIR_TARGET(uop) : (uint64_t)uop->off + uop->len);
	return uop;
}

/* clang-format off */
#define DEFINE_PAIRS(op, size) \
	DEFINE_PAIR(op, size, 0) DEFINE_PAIR(op, size, 1) DEFINE_PAIR(op, size, 2) DEFINE_PAIR(op, size, 3) \
	DEFINE_PAIR(op, size, 4) DEFINE_PAIR(op, size, 5) DEFINE_PAIR(op, size, 6) DEFINE_PAIR(op, size, 7) \
	DEFINE_PAIR(op, size, 8) DEFINE_PAIR(op, size, 9) DEFINE_PAIR(op, size, 10) DEFINE_PAIR(op, size, 11) \
	DEFINE_PAIR(op, size, 12) DEFINE_PAIR(op, size, 13) DEFINE_PAIR(op, size, 14) DEFINE_PAIR(op, size, 15)
/* clang-format on */

DEFINE_PAIRS(ALU_CMP, 1)
DEFINE_PAIRS(ALU_CMP, 4)
DEFINE_PAIRS(ALU_CMP, 8)
DEFINE_PAIRS(ALU_TEST, 1)
DEFINE_PAIRS(ALU_TEST, 4)
DEFINE_PAIRS(ALU_TEST, 8)

#define PAIR_ROW(op, size, form)                                                                   \
	{                                                                                          \
		op##_pair_##form##_##size##_0, op##_pair_##form##_##size##_1,                      \
			op##_pair_##form##_##size##_2, op##_pair_##form##_##size##_3,              \
			op##_pair_##form##_##size##_4, op##_pair_##form##_##size##_5,              \
			op##_pair_##form##_##size##_6, op##_pair_##form##_##size##_7,              \
			op##_pair_##form##_##size##_8, op##_pair_##form##_##size##_9,              \
			op##_pair_##form##_##size##_10, op##_pair_##form##_##size##_11,            \
			op##_pair_##form##_##size##_12, op##_pair_##form##_##size##_13,            \
			op##_pair_##form##_##size##_14, op##_pair_##form##_##size##_15,            \
	}
#define PAIR_SIZES(op, form)                                                                       \
	{                                                                                          \
		[0] = PAIR_ROW(op, 1, form), [2] = PAIR_ROW(op, 4, form),                          \
		[3] = PAIR_ROW(op, 8, form),                                                       \
	}

/* By comparison, form, size index (16 bits: none), condition. */
static uop_fn *const pair_handlers[2][2][4][16] = {
	{PAIR_SIZES(ALU_CMP, rr), PAIR_SIZES(ALU_CMP, ri)},
	{PAIR_SIZES(ALU_TEST, rr), PAIR_SIZES(ALU_TEST, ri)},
};

uop_fn *select_pair(const struct insn *compare, enum form form, unsigned cc)
{
	int op = alu_of(compare->mnemonic);
	if ((op != ALU_CMP && op != ALU_TEST) || (form != FORM_RR && form != FORM_RI))
		return NULL;
	return pair_handlers[op == ALU_TEST][form == FORM_RI][size_index(compare->operand[0].size)]
			    [cc];
}
