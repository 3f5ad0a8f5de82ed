/*
 * Instructions whose register form and memory form mean the same: the kernel runs on the
 * destination and the source. Integer and logic; floating point that can raise exceptions is in
 * arithmetic.c.
 */
#include "vmm/cpu/vector/native.h"
#include "vmm/cpu/vector/operand.h"

/* The row of native_immediate for an instruction with an immediate; XMM forms. */
static unsigned xmm_immediate_row(const struct insn *insn)
{
	static const uint8_t rows_0f3a[256] = {
		[0x0c] = NATIVE_BLENDPS, [0x0d] = NATIVE_BLENDPD, [0x0e] = NATIVE_PBLENDW,
		[0x0f] = NATIVE_PALIGNR, [0x42] = NATIVE_MPSADBW,
	};
	static const uint8_t rows_shuffle[4] = {0, NATIVE_PSHUFD, NATIVE_PSHUFHW, NATIVE_PSHUFLW};

	if (insn->opcode_map == 3)
		return rows_0f3a[insn->opcode];
	if (insn->opcode == 0x70)
		return rows_shuffle[native_prefix_index(insn->mandatory)];
	return insn->mandatory ? NATIVE_SHUFPD : NATIVE_SHUFPS;
}

/* XMM, XMM/m: SSE only. */
bool exec_sse_packed(struct cpu *cpu, const struct insn *insn)
{
	struct xmm buffer;
	const struct xmm *source;

	if (!xmm_source(cpu, insn, 1, &buffer, &source))
		return false;
	native_xmm_kernel(insn)(xmm_register(cpu, insn->operand[0].reg), source);
	return true;
}

/* XMM, XMM/m128, imm8: SSE only. */
bool exec_sse_packed_imm(struct cpu *cpu, const struct insn *insn)
{
	struct xmm buffer;
	const struct xmm *source;
	const uint8_t *code = native_immediate[xmm_immediate_row(insn)][(uint8_t)insn->imm];

	if (!xmm_source(cpu, insn, 1, &buffer, &source))
		return false;
	native_kernel(code)(xmm_register(cpu, insn->operand[0].reg), source);
	return true;
}

/* Source operand of an MMX form: register or memory, zero-extended to 8 bytes. */
static bool mmx_source(struct cpu *cpu, const struct insn *insn, uint64_t *ret_value)
{
	const struct operand *operand = &insn->operand[1];
	uint64_t value = 0;

	if (operand->kind == OPERAND_REG)
		value = mmx_read(cpu, operand->reg);
	else if (!vector_read_unaligned(cpu, insn, operand->size, &value))
		return false;
	*ret_value = value;
	return true;
}

static bool mmx_run(struct cpu *cpu, const struct insn *insn, kernel_fn *kernel)
{
	unsigned n = insn->operand[0].reg;
	uint64_t source, destination;

	if (!mmx_check(cpu) || !mmx_source(cpu, insn, &source))
		return false;
	mmx_enter(cpu);
	destination = mmx_read(cpu, n);
	kernel(&destination, &source);
	mmx_write(cpu, n, destination);
	return true;
}

/* MM, MM/m or XMM, XMM/m. */
bool exec_packed(struct cpu *cpu, const struct insn *insn)
{
	if (operand_is_mmx(&insn->operand[0]))
		return mmx_run(cpu, insn, native_mmx_kernel(insn));
	return xmm_check(cpu) && exec_sse_packed(cpu, insn);
}

/* PALIGNR. */
bool exec_packed_imm(struct cpu *cpu, const struct insn *insn)
{
	if (operand_is_mmx(&insn->operand[0]))
		return mmx_run(
			cpu, insn,
			native_kernel(native_immediate[NATIVE_PALIGNR_MMX][(uint8_t)insn->imm]));
	return xmm_check(cpu) && exec_sse_packed_imm(cpu, insn);
}

bool exec_pshufw(struct cpu *cpu, const struct insn *insn)
{
	return mmx_run(cpu, insn,
		       native_kernel(native_immediate[NATIVE_PSHUFW_MMX][(uint8_t)insn->imm]));
}

/*
 * PSLLW … PSRLQ: by a register or memory operand as any packed instruction; by an immediate
 * (opcodes 71 to 73) through the kernel of the former, which is at D0, E0 or F0 plus 1, 2, 3.
 */
bool exec_packed_shift(struct cpu *cpu, const struct insn *insn)
{
	static const uint8_t base[8] = {[2] = 0xd0, [4] = 0xe0, [6] = 0xf0};
	struct xmm count = {.qword = {(uint8_t)insn->imm, 0}};
	unsigned n = insn->operand[0].reg;
	uint64_t value;
	unsigned opcode;

	if (insn->opcode > 0x73)
		return exec_packed(cpu, insn);
	opcode = base[(insn->modrm >> 3) & 7] + (insn->opcode & 3);
	if (!operand_is_mmx(&insn->operand[0])) {
		if (!xmm_check(cpu))
			return false;
		native_kernel(native_xmm_0f[1][opcode])(xmm_register(cpu, n), &count);
		return true;
	}
	if (!mmx_check(cpu))
		return false;
	mmx_enter(cpu);
	value = mmx_read(cpu, n);
	native_kernel(native_mmx_0f[opcode])(&value, &count);
	mmx_write(cpu, n, value);
	return true;
}

bool exec_pslldq(struct cpu *cpu, const struct insn *insn)
{
	unsigned n = (uint8_t)insn->imm < 16 ? (uint8_t)insn->imm : 16;
	struct xmm *xmm = xmm_register(cpu, insn->operand[0].reg);

	memmove(xmm->byte + n, xmm->byte, 16 - n);
	memset(xmm->byte, 0, n);
	return true;
}

bool exec_psrldq(struct cpu *cpu, const struct insn *insn)
{
	unsigned n = (uint8_t)insn->imm < 16 ? (uint8_t)insn->imm : 16;
	struct xmm *xmm = xmm_register(cpu, insn->operand[0].reg);

	memmove(xmm->byte, xmm->byte + n, 16 - n);
	memset(xmm->byte + 16 - n, 0, n);
	return true;
}

/* PBLENDVB, BLENDVPS, BLENDVPD: elements whose sign is set in XMM0 are taken from the source. */
static bool blend_by_mask(struct cpu *cpu, const struct insn *insn, unsigned element_bytes)
{
	struct xmm buffer, mask = *xmm_register(cpu, 0);
	struct xmm *destination = xmm_register(cpu, insn->operand[0].reg);
	const struct xmm *source;

	if (!xmm_source(cpu, insn, 1, &buffer, &source))
		return false;
	for (unsigned i = 0; i < 16; i += element_bytes)
		if (mask.byte[i + element_bytes - 1] & 0x80)
			memcpy(destination->byte + i, source->byte + i, element_bytes);
	return true;
}

bool exec_pblendvb(struct cpu *cpu, const struct insn *insn)
{
	return blend_by_mask(cpu, insn, 1);
}

bool exec_blendvps(struct cpu *cpu, const struct insn *insn)
{
	return blend_by_mask(cpu, insn, 4);
}

bool exec_blendvpd(struct cpu *cpu, const struct insn *insn)
{
	return blend_by_mask(cpu, insn, 8);
}
