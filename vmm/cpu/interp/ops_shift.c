/* Shifts and rotates of registers, multiplication into a register, bit tests, byte swaps. */
#include "vmm/cpu/interp/handler.h"
#include "vmm/cpu/interp/ops.h"

enum shift_op { SHIFT_SHL, SHIFT_SHR, SHIFT_SAR, SHIFT_ROL, SHIFT_ROR, SHIFT_COUNT };

/*
 * count is not 0 and below the operand's width. The last bit shifted out is CF; OF is as for a
 * shift by one of the last step (docs/undefined-flags.md); AF is 0.
 */
ALWAYS_INLINE uint64_t shift(struct cpu *cpu, enum shift_op op, unsigned size, uint64_t a,
			     unsigned count)
{
	unsigned bits = 8 * size;
	uint64_t r;
	bool cf, top;

	switch (op) {
	case SHIFT_SHL:
		r = a << count;
		cf = (a >> (bits - count)) & 1;
		flags_logic(cpu, r, size);
		flags_set_cf_of(cpu, cf, cf ^ ((r >> (bits - 1)) & 1));
		return r;
	case SHIFT_SHR:
		r = a >> count;
		cf = (a >> (count - 1)) & 1;
		flags_logic(cpu, r, size);
		/* The top bit before the last step: zero unless this is the only one. */
		flags_set_cf_of(cpu, cf, count == 1 && ((a >> (bits - 1)) & 1));
		return r;
	case SHIFT_SAR:
		r = (uint64_t)((int64_t)sign_extend(a, size) >> count);
		cf = ((int64_t)sign_extend(a, size) >> (count - 1)) & 1;
		flags_logic(cpu, r, size);
		flags_set_cf_of(cpu, cf, false);
		return r;
	case SHIFT_ROL:
		r = (a << count) | (a >> (bits - count));
		top = (r >> (bits - 1)) & 1;
		flags_set_cf_of(cpu, r & 1, top ^ (r & 1));
		return r;
	default:
		r = (a >> count) | (a << (bits - count));
		top = (r >> (bits - 1)) & 1;
		flags_set_cf_of(cpu, top, top ^ ((r >> (bits - 2)) & 1));
		return r;
	}
}

#define DEFINE_SHIFT(op, size)                                                                     \
	static const struct uop *op##_ri_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		reg_set(cpu, uop->dst, size,                                                       \
			shift(cpu, op, size, reg_get(cpu, uop->dst, size),                         \
			      uop->imm &(8 * (size)-1)));                                          \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *op##_rc_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		unsigned count = cpu->gpr[RCX] & (8 * (size)-1);                                   \
		uint64_t a = reg_get(cpu, uop->dst, size);                                         \
		reg_set(cpu, uop->dst, size, count ? shift(cpu, op, size, a, count) : a);          \
		NEXT;                                                                              \
	}
DEFINE_SHIFT(SHIFT_SHL, 4)
DEFINE_SHIFT(SHIFT_SHL, 8)
DEFINE_SHIFT(SHIFT_SHR, 4)
DEFINE_SHIFT(SHIFT_SHR, 8)
DEFINE_SHIFT(SHIFT_SAR, 4)
DEFINE_SHIFT(SHIFT_SAR, 8)
DEFINE_SHIFT(SHIFT_ROL, 4)
DEFINE_SHIFT(SHIFT_ROL, 8)
DEFINE_SHIFT(SHIFT_ROR, 4)
DEFINE_SHIFT(SHIFT_ROR, 8)

#define SHIFT_ROW(op) [op] = {{op##_ri_4, op##_rc_4}, {op##_ri_8, op##_rc_8}}
/* By operation, 64-bit operand, count in CL. */
static uop_fn *const shift_handlers[SHIFT_COUNT][2][2] = {
	SHIFT_ROW(SHIFT_SHL), SHIFT_ROW(SHIFT_SHR), SHIFT_ROW(SHIFT_SAR),
	SHIFT_ROW(SHIFT_ROL), SHIFT_ROW(SHIFT_ROR),
};

static int shift_of(uint16_t mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_SHL:
		return SHIFT_SHL;
	case ZYDIS_MNEMONIC_SHR:
		return SHIFT_SHR;
	case ZYDIS_MNEMONIC_SAR:
		return SHIFT_SAR;
	case ZYDIS_MNEMONIC_ROL:
		return SHIFT_ROL;
	case ZYDIS_MNEMONIC_ROR:
		return SHIFT_ROR;
	default:
		return -1;
	}
}

static uop_fn *select_shift_count(const struct insn *insn, enum form form)
{
	unsigned size = insn->operand[0].size;
	int op = shift_of(insn->mnemonic);

	if (op < 0 || (size != 4 && size != 8) || insn->operand[0].kind != OPERAND_REG)
		return NULL;
	if (form == FORM_RI)
		return insn->imm & (8 * size - 1) ? shift_handlers[op][size == 8][0] : NULL;
	return insn->operand[1].kind == OPERAND_REG ? shift_handlers[op][size == 8][1] : NULL;
}

/* ---- IMUL with two or three operands: SF, ZF, PF from the low half, AF 0 ---- */

ALWAYS_INLINE uint64_t multiply(struct cpu *cpu, unsigned size, uint64_t a, uint64_t b)
{
	__int128 product = (__int128)(int64_t)sign_extend(a, size) * (int64_t)sign_extend(b, size);
	uint64_t r = (uint64_t)product;
	bool overflow = product != (__int128)(int64_t)sign_extend(r, size);

	flags_logic(cpu, r, size);
	flags_set_cf_of(cpu, overflow, overflow);
	return r;
}

#define DEFINE_IMUL(size)                                                                          \
	static const struct uop *imul_rr_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		reg_set(cpu, uop->dst, size,                                                       \
			multiply(cpu, size, reg_get(cpu, uop->dst, size),                          \
				 reg_get(cpu, uop->src, size)));                                   \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *imul_rm_##size(struct cpu *cpu, const struct uop *uop)            \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop);                                            \
		HOST_FOR_READ(host, linear, size);                                                 \
		reg_set(cpu, uop->dst, size,                                                       \
			multiply(cpu, size, reg_get(cpu, uop->dst, size), host_get(host, size)));  \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *imul_rri_##size(struct cpu *cpu, const struct uop *uop)           \
	{                                                                                          \
		reg_set(cpu, uop->dst, size,                                                       \
			multiply(cpu, size, reg_get(cpu, uop->src, size), uop->imm));              \
		NEXT;                                                                              \
	}
DEFINE_IMUL(4)
DEFINE_IMUL(8)

static uop_fn *select_imul(const struct insn *insn, enum form form)
{
	static uop_fn *const handlers[2][3] = {{imul_rr_4, imul_rm_4, imul_rri_4},
					       {imul_rr_8, imul_rm_8, imul_rri_8}};
	unsigned size = insn->operand[0].size;

	if (insn->n_operands < 2 || (size != 4 && size != 8))
		return NULL;
	if (insn->n_operands == 3)
		return form == FORM_RR ? handlers[size == 8][2] : NULL;
	return form == FORM_RR   ? handlers[size == 8][0]
	       : form == FORM_RM ? handlers[size == 8][1]
				 : NULL;
}

/* ---- BT of a register: only CF changes (ours: OF too stays) ---- */

#define DEFINE_BT(size)                                                                            \
	static const struct uop *bt_ri_##size(struct cpu *cpu, const struct uop *uop)              \
	{                                                                                          \
		uint64_t a = reg_get(cpu, uop->dst, size);                                         \
		flags_set_cf_of(cpu, (a >> (uop->imm & (8 * (size)-1))) & 1, flag_of(cpu));        \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *bt_rr_##size(struct cpu *cpu, const struct uop *uop)              \
	{                                                                                          \
		uint64_t a = reg_get(cpu, uop->dst, size), b = reg_get(cpu, uop->src, size);       \
		flags_set_cf_of(cpu, (a >> (b & (8 * (size)-1))) & 1, flag_of(cpu));               \
		NEXT;                                                                              \
	}
DEFINE_BT(4)
DEFINE_BT(8)

static uop_fn *select_bit_test(unsigned size, enum form form)
{
	if ((size != 4 && size != 8) || (form != FORM_RR && form != FORM_RI))
		return NULL;
	if (form == FORM_RR)
		return size == 8 ? bt_rr_8 : bt_rr_4;
	return size == 8 ? bt_ri_8 : bt_ri_4;
}

/* ---- BSWAP ---- */

static const struct uop *bswap_4(struct cpu *cpu, const struct uop *uop)
{
	reg_set(cpu, uop->dst, 4, __builtin_bswap32((uint32_t)reg_get(cpu, uop->dst, 4)));
	NEXT;
}

static const struct uop *bswap_8(struct cpu *cpu, const struct uop *uop)
{
	reg_set(cpu, uop->dst, 8, __builtin_bswap64(reg_get(cpu, uop->dst, 8)));
	NEXT;
}

uop_fn *select_shift(const struct insn *insn, enum form form)
{
	unsigned size = insn->operand[0].size;

	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_IMUL:
		return select_imul(insn, form);
	case ZYDIS_MNEMONIC_BT:
		return select_bit_test(size, form);
	case ZYDIS_MNEMONIC_BSWAP:
		return size == 8 ? bswap_8 : size == 4 ? bswap_4 : NULL;
	default:
		return select_shift_count(insn, form);
	}
}
