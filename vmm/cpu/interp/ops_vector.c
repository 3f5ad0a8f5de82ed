/* Moves and bitwise operations on XMM registers: what compilers and string functions use all the
 * time. */
#include <string.h>

#include "vmm/cpu/interp/handler.h"
#include "vmm/cpu/interp/ops.h"

struct vector128 {
	uint64_t low, high;
};

ALWAYS_INLINE struct vector128 xmm_get(const struct cpu *cpu, unsigned reg)
{
	struct vector128 value;
	memcpy(&value, cpu->fx.xmm[reg], sizeof(value));
	return value;
}

ALWAYS_INLINE void xmm_set(struct cpu *cpu, unsigned reg, struct vector128 value)
{
	memcpy(cpu->fx.xmm[reg], &value, sizeof(value));
}

static const struct uop *mov_xx(struct cpu *cpu, const struct uop *uop)
{
	xmm_set(cpu, uop->dst, xmm_get(cpu, uop->src));
	NEXT;
}

/* The aligned forms' #GP is left to the exec function, by way of uop_exec_checked(). */
#define CHECK_ALIGNED(linear)                                                                      \
	do {                                                                                       \
		if (UNLIKELY(uop->cc && (linear) % 16))                                            \
			return uop_exec_checked(cpu, uop);                                         \
	} while (0)

static const struct uop *mov_xm_16(struct cpu *cpu, const struct uop *uop)
{
	uint64_t linear = uop_linear(cpu, uop);
	CHECK_ALIGNED(linear);
	HOST_FOR_READ(host, linear, 16);
	memcpy(cpu->fx.xmm[uop->dst], host, 16);
	NEXT;
}

static const struct uop *mov_mx_16(struct cpu *cpu, const struct uop *uop)
{
	uint64_t linear = uop_linear(cpu, uop);
	CHECK_ALIGNED(linear);
	HOST_FOR_WRITE(host, linear, 16);
	memcpy(host, cpu->fx.xmm[uop->src], 16);
	NEXT;
}

#define DEFINE_SCALAR_MOVE(size)                                                                   \
	static const struct uop *mov_xm_##size(struct cpu *cpu, const struct uop *uop)             \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop);                                            \
		HOST_FOR_READ(host, linear, size);                                                 \
		xmm_set(cpu, uop->dst, (struct vector128){host_get(host, size), 0});               \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct uop *mov_mx_##size(struct cpu *cpu, const struct uop *uop)             \
	{                                                                                          \
		uint64_t linear = uop_linear(cpu, uop);                                            \
		HOST_FOR_WRITE(host, linear, size);                                                \
		memcpy(host, cpu->fx.xmm[uop->src], size);                                         \
		NEXT;                                                                              \
	}
DEFINE_SCALAR_MOVE(4)
DEFINE_SCALAR_MOVE(8)

static const struct uop *pxor_xx(struct cpu *cpu, const struct uop *uop)
{
	struct vector128 a = xmm_get(cpu, uop->dst), b = xmm_get(cpu, uop->src);
	xmm_set(cpu, uop->dst, (struct vector128){a.low ^ b.low, a.high ^ b.high});
	NEXT;
}

/* A 16-byte move between memory and a register; aligned says whether the address must be. */
static uop_fn *select_wide(const struct insn *insn)
{
	if (insn->operand[0].kind == OPERAND_MEM)
		return mov_mx_16;
	return insn->operand[1].kind == OPERAND_MEM ? mov_xm_16 : mov_xx;
}

static bool moves_aligned(uint16_t mnemonic)
{
	return mnemonic == ZYDIS_MNEMONIC_MOVAPS || mnemonic == ZYDIS_MNEMONIC_MOVAPD ||
	       mnemonic == ZYDIS_MNEMONIC_MOVDQA;
}

static bool moves_wide(uint16_t mnemonic)
{
	return moves_aligned(mnemonic) || mnemonic == ZYDIS_MNEMONIC_MOVUPS ||
	       mnemonic == ZYDIS_MNEMONIC_MOVUPD || mnemonic == ZYDIS_MNEMONIC_MOVDQU;
}

static bool is_xmm(const struct operand *operand)
{
	return operand->kind == OPERAND_REG && operand->reg_class == REG_XMM;
}

static uop_fn *select_scalar(const struct insn *insn)
{
	const struct operand *a = &insn->operand[0], *b = &insn->operand[1];

	if (is_xmm(a) && b->kind == OPERAND_MEM)
		return b->size == 4 ? mov_xm_4 : b->size == 8 ? mov_xm_8 : NULL;
	if (a->kind == OPERAND_MEM && is_xmm(b))
		return a->size == 4 ? mov_mx_4 : a->size == 8 ? mov_mx_8 : NULL;
	return NULL;
}

uop_fn *select_vector(const struct insn *insn, uint32_t mode, uint8_t *ret_aligned)
{
	if (!(mode & MODE_SSE) || !(insn_row(insn->mnemonic)->flags & ROW_SSE))
		return NULL;
	if (moves_wide(insn->mnemonic)) {
		*ret_aligned = moves_aligned(insn->mnemonic);
		return select_wide(insn);
	}
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_MOVQ:
	case ZYDIS_MNEMONIC_MOVD:
	case ZYDIS_MNEMONIC_MOVSS:
	case ZYDIS_MNEMONIC_MOVSD_XMM:
		return select_scalar(insn);
	case ZYDIS_MNEMONIC_PXOR:
	case ZYDIS_MNEMONIC_XORPS:
	case ZYDIS_MNEMONIC_XORPD:
		return is_xmm(&insn->operand[0]) && is_xmm(&insn->operand[1]) ? pxor_xx : NULL;
	default:
		return NULL;
	}
}
