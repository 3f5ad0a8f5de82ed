/* Moves, extensions, address computation, conditional moves and sets. */
#include "vmm/cpu/interp/handler.h"
#include "vmm/cpu/interp/ops.h"

/* ---- MOV ---- */

#define DEFINE_MOV(size)                                                                           \
	static const struct uop *mov_rr_##size(struct cpu *cpu, const struct uop *uop)             \
	{                                                                                          \
		reg_set(cpu, uop->dst, size, reg_get(cpu, uop->src, size));                        \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *mov_ri_##size(struct cpu *cpu, const struct uop *uop)             \
	{                                                                                          \
		reg_set(cpu, uop->dst, size, uop->imm);                                            \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *mov_rm_##size(struct cpu *cpu, const struct uop *uop)             \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop);                                            \
		HOST_FOR_READ(host, linear, size);                                                 \
		reg_set(cpu, uop->dst, size, host_get(host, size));                                \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *mov_mr_##size(struct cpu *cpu, const struct uop *uop)             \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop);                                            \
		HOST_FOR_WRITE(host, linear, size);                                                \
		host_set(host, size, reg_get(cpu, uop->src, size));                                \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *mov_mi_##size(struct cpu *cpu, const struct uop *uop)             \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop);                                            \
		HOST_FOR_WRITE(host, linear, size);                                                \
		host_set(host, size, uop->imm);                                                    \
		NEXT;                                                                              \
	}

DEFINE_MOV(1)
DEFINE_MOV(2)
DEFINE_MOV(4)
DEFINE_MOV(8)

#define MOV_FORMS(size)                                                                            \
	{                                                                                          \
		[FORM_RR] = mov_rr_##size, [FORM_RI] = mov_ri_##size, [FORM_RM] = mov_rm_##size,   \
		[FORM_MR] = mov_mr_##size, [FORM_MI] = mov_mi_##size,                              \
	}
static uop_fn *const mov_handlers[4][FORM_COUNT] = {MOV_FORMS(1), MOV_FORMS(2), MOV_FORMS(4),
						    MOV_FORMS(8)};

/* ---- MOVZX MOVSX MOVSXD ---- */

ALWAYS_INLINE uint64_t extend(uint64_t value, bool is_signed, unsigned from)
{
	return is_signed ? sign_extend(value, from) : value;
}

#define DEFINE_EXTEND(name, is_signed, from, to)                                                   \
	static const struct uop *name##_rr_##from##_##to(struct cpu *cpu, const struct uop *uop)   \
	{                                                                                          \
		reg_set(cpu, uop->dst, to, extend(reg_get(cpu, uop->src, from), is_signed, from)); \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *name##_rm_##from##_##to(struct cpu *cpu, const struct uop *uop)   \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop);                                            \
		HOST_FOR_READ(host, linear, from);                                                 \
		reg_set(cpu, uop->dst, to, extend(host_get(host, from), is_signed, from));         \
		NEXT;                                                                              \
	}

DEFINE_EXTEND(movzx, false, 1, 2)
DEFINE_EXTEND(movzx, false, 1, 4)
DEFINE_EXTEND(movzx, false, 1, 8)
DEFINE_EXTEND(movzx, false, 2, 4)
DEFINE_EXTEND(movzx, false, 2, 8)
DEFINE_EXTEND(movsx, true, 1, 2)
DEFINE_EXTEND(movsx, true, 1, 4)
DEFINE_EXTEND(movsx, true, 1, 8)
DEFINE_EXTEND(movsx, true, 2, 4)
DEFINE_EXTEND(movsx, true, 2, 8)
DEFINE_EXTEND(movsx, true, 4, 8)

#define EXTEND_ROW(name, from, to)                                                                 \
	{                                                                                          \
		name##_rr_##from##_##to, name##_rm_##from##_##to                                   \
	}
/* By signedness, source size index, destination size index, memory source. */
static uop_fn *const extend_handlers[2][4][4][2] = {
	{
		[0] = {[1] = EXTEND_ROW(movzx, 1, 2),
		       [2] = EXTEND_ROW(movzx, 1, 4),
		       [3] = EXTEND_ROW(movzx, 1, 8)},
		[1] = {[2] = EXTEND_ROW(movzx, 2, 4), [3] = EXTEND_ROW(movzx, 2, 8)},
	},
	{
		[0] = {[1] = EXTEND_ROW(movsx, 1, 2),
		       [2] = EXTEND_ROW(movsx, 1, 4),
		       [3] = EXTEND_ROW(movsx, 1, 8)},
		[1] = {[2] = EXTEND_ROW(movsx, 2, 4), [3] = EXTEND_ROW(movsx, 2, 8)},
		[2] = {[3] = EXTEND_ROW(movsx, 4, 8)},
	},
};

/* ---- LEA ---- */

#define DEFINE_LEA(size)                                                                           \
	static const struct uop *lea_##size(struct cpu *cpu, const struct uop *uop)                \
	{                                                                                          \
		reg_set(cpu, uop->dst, size, uop_offset(cpu, uop));                                \
		NEXT;                                                                              \
	}
DEFINE_LEA(2)
DEFINE_LEA(4)
DEFINE_LEA(8)
static uop_fn *const lea_handlers[4] = {[1] = lea_2, [2] = lea_4, [3] = lea_8};

/* ---- CMOVcc: memory is read, and a 32-bit destination cleared above, in any case ---- */

#define DEFINE_CMOV(size)                                                                          \
	static const struct uop *cmov_rr_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		uint64_t value = reg_get(cpu, uop->src, size);                                     \
		if (!flags_condition(cpu, uop->cc))                                                \
			value = reg_get(cpu, uop->dst, size);                                      \
		reg_set(cpu, uop->dst, size, value);                                               \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *cmov_rm_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop);                                            \
		HOST_FOR_READ(host, linear, size);                                                 \
		uint64_t value = host_get(host, size);                                             \
		if (!flags_condition(cpu, uop->cc))                                                \
			value = reg_get(cpu, uop->dst, size);                                      \
		reg_set(cpu, uop->dst, size, value);                                               \
		NEXT;                                                                              \
	}
DEFINE_CMOV(2)
DEFINE_CMOV(4)
DEFINE_CMOV(8)
static uop_fn *const cmov_handlers[4][2] = {
	[1] = {cmov_rr_2, cmov_rm_2}, [2] = {cmov_rr_4, cmov_rm_4}, [3] = {cmov_rr_8, cmov_rm_8}};

/* ---- SETcc ---- */

static const struct uop *set_r(struct cpu *cpu, const struct uop *uop)
{
	reg_set(cpu, uop->dst, 1, flags_condition(cpu, uop->cc));
	NEXT;
}

static const struct uop *set_m(struct cpu *cpu, const struct uop *uop)
{
	uint64_t linear = uop_linear(cpu, uop);
	HOST_FOR_WRITE(host, linear, 1);
	*host = flags_condition(cpu, uop->cc);
	NEXT;
}

/* ---- XCHG of registers, CDQ and its kin, NOP ---- */

#define DEFINE_XCHG(size)                                                                          \
	static const struct uop *xchg_rr_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		uint64_t a = reg_get(cpu, uop->dst, size), b = reg_get(cpu, uop->src, size);       \
		reg_set(cpu, uop->dst, size, b);                                                   \
		reg_set(cpu, uop->src, size, a);                                                   \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *xchg_mr_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop);                                            \
		HOST_FOR_WRITE(host, linear, size);                                                \
		uint64_t a = host_get(host, size);                                                 \
		host_set(host, size, reg_get(cpu, uop->src, size));                                \
		reg_set(cpu, uop->src, size, a);                                                   \
		NEXT;                                                                              \
	}
DEFINE_XCHG(4)
DEFINE_XCHG(8)

static const struct uop *cdqe(struct cpu *cpu, const struct uop *uop)
{
	cpu->gpr[RAX] = sign_extend(cpu->gpr[RAX], 4);
	NEXT;
}

static const struct uop *cwde(struct cpu *cpu, const struct uop *uop)
{
	cpu->gpr[RAX] = (uint32_t)sign_extend(cpu->gpr[RAX], 2);
	NEXT;
}

static const struct uop *cdq(struct cpu *cpu, const struct uop *uop)
{
	cpu->gpr[RDX] = (uint32_t)(sign_extend(cpu->gpr[RAX], 4) >> 32);
	NEXT;
}

static const struct uop *cqo(struct cpu *cpu, const struct uop *uop)
{
	cpu->gpr[RDX] = -(cpu->gpr[RAX] >> 63);
	NEXT;
}

static const struct uop *nop(struct cpu *cpu, const struct uop *uop)
{
	NEXT;
}

static uop_fn *select_without_operands(const struct insn *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_CDQE:
		return cdqe;
	case ZYDIS_MNEMONIC_CWDE:
		return cwde;
	case ZYDIS_MNEMONIC_CDQ:
		return cdq;
	case ZYDIS_MNEMONIC_CQO:
		return cqo;
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_ENDBR64:
	case ZYDIS_MNEMONIC_ENDBR32:
		return nop;
	default:
		return NULL;
	}
}

static uop_fn *select_exchange(unsigned size, enum form form)
{
	if (form != FORM_RR && form != FORM_MR)
		return NULL;
	if (size == 4)
		return form == FORM_RR ? xchg_rr_4 : xchg_mr_4;
	if (size == 8)
		return form == FORM_RR ? xchg_rr_8 : xchg_mr_8;
	return NULL;
}

uop_fn *select_move(const struct insn *insn, enum form form)
{
	unsigned to = size_index(insn->operand[0].size), from = size_index(insn->operand[1].size);
	bool reads = form == FORM_RR || form == FORM_RM;

	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return form < FORM_COUNT ? mov_handlers[to][form] : NULL;
	case ZYDIS_MNEMONIC_MOVZX:
		return reads ? extend_handlers[0][from][to][form == FORM_RM] : NULL;
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		return reads ? extend_handlers[1][from][to][form == FORM_RM] : NULL;
	case ZYDIS_MNEMONIC_LEA:
		return lea_handlers[to];
	case ZYDIS_MNEMONIC_XCHG:
		return select_exchange(insn->operand[0].size, form);
	default:
		break;
	}
	if (move_condition(insn->mnemonic) >= 0)
		return reads ? cmov_handlers[to][form == FORM_RM] : NULL;
	if (set_condition(insn->mnemonic) >= 0)
		return form == FORM_R ? set_r : form == FORM_M ? set_m : NULL;
	return select_without_operands(insn);
}
