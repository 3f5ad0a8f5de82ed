/* Instructions that move single elements or sign bits, and the string compares. */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/vector/approximate.h"
#include "vmm/cpu/vector/native.h"
#include "vmm/cpu/vector/operand.h"

/* Writes a value that fits 4 bytes to a general register; at least 4 bytes wide (SDM 2B, PEXTRW).
 */
static void write_gpr(struct cpu *cpu, const struct operand *to, uint64_t value)
{
	gpr_write(cpu, to->reg, to->size < 4 ? 4 : to->size, value);
}

/* PMOVMSKB, MM or XMM source. */
bool exec_pmovmskb(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *from = &insn->operand[1];
	uint64_t half[2] = {0, 0};
	unsigned mask = 0;

	if (operand_is_mmx(from)) {
		if (!mmx_check(cpu))
			return false;
		half[0] = mmx_read(cpu, from->reg);
		mmx_enter(cpu);
	} else {
		if (!xmm_check(cpu))
			return false;
		half[0] = xmm_register(cpu, from->reg)->qword[0];
		half[1] = xmm_register(cpu, from->reg)->qword[1];
	}
	for (unsigned i = 0; i < 2; i++) {
		/* Gathers the eight sign bits in the top byte: no two partial products meet. */
		uint64_t signs = (half[i] >> 7) & UINT64_C(0x0101010101010101);
		mask |= (unsigned)((signs * UINT64_C(0x0102040810204080)) >> 56) << (8 * i);
	}
	write_gpr(cpu, &insn->operand[0], mask);
	return true;
}

bool exec_movmskps(struct cpu *cpu, const struct insn *insn)
{
	const struct xmm *from = xmm_register(cpu, insn->operand[1].reg);
	unsigned mask = 0;

	for (unsigned i = 0; i < 4; i++)
		mask |= (from->dword[i] >> 31) << i;
	write_gpr(cpu, &insn->operand[0], mask);
	return true;
}

bool exec_movmskpd(struct cpu *cpu, const struct insn *insn)
{
	const struct xmm *from = xmm_register(cpu, insn->operand[1].reg);

	write_gpr(cpu, &insn->operand[0], (from->qword[0] >> 63) | ((from->qword[1] >> 63) << 1));
	return true;
}

/* Element of size bytes at index imm (modulo the number of elements) to a register or memory. */
static bool extract(struct cpu *cpu, const struct insn *insn, unsigned size)
{
	const struct operand *to = &insn->operand[0];
	unsigned at = ((unsigned)insn->imm % (16 / size)) * size;
	uint64_t value = 0;

	memcpy(&value, cpu->fx.xmm[insn->operand[1].reg] + at, size);
	if (to->kind == OPERAND_MEM)
		return vector_write_memory(cpu, insn, size, &value, false);
	write_gpr(cpu, to, value);
	return true;
}

bool exec_pextrb(struct cpu *cpu, const struct insn *insn)
{
	return extract(cpu, insn, 1);
}

/* PEXTRD, EXTRACTPS. */
bool exec_pextrd(struct cpu *cpu, const struct insn *insn)
{
	return extract(cpu, insn, 4);
}

bool exec_pextrq(struct cpu *cpu, const struct insn *insn)
{
	return extract(cpu, insn, 8);
}

bool exec_pextrw(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value;

	if (!operand_is_mmx(&insn->operand[1]))
		return xmm_check(cpu) && extract(cpu, insn, 2);
	if (!mmx_check(cpu))
		return false;
	value = mmx_read(cpu, insn->operand[1].reg);
	mmx_enter(cpu);
	write_gpr(cpu, &insn->operand[0], (value >> (16 * (insn->imm & 3))) & 0xffff);
	return true;
}

/* The register or memory source of an insertion, size bytes. */
static bool insert_source(struct cpu *cpu, const struct insn *insn, unsigned size,
			  uint64_t *ret_value)
{
	*ret_value = 0;
	if (insn->operand[1].kind == OPERAND_MEM)
		return vector_read_unaligned(cpu, insn, size, ret_value);
	*ret_value = cpu->gpr[insn->operand[1].reg];
	return true;
}

static bool insert(struct cpu *cpu, const struct insn *insn, unsigned size)
{
	unsigned at = ((unsigned)insn->imm % (16 / size)) * size;
	uint64_t value;

	if (!insert_source(cpu, insn, size, &value))
		return false;
	memcpy(cpu->fx.xmm[insn->operand[0].reg] + at, &value, size);
	return true;
}

bool exec_pinsrb(struct cpu *cpu, const struct insn *insn)
{
	return insert(cpu, insn, 1);
}

bool exec_pinsrd(struct cpu *cpu, const struct insn *insn)
{
	return insert(cpu, insn, 4);
}

bool exec_pinsrq(struct cpu *cpu, const struct insn *insn)
{
	return insert(cpu, insn, 8);
}

bool exec_pinsrw(struct cpu *cpu, const struct insn *insn)
{
	unsigned n = insn->operand[0].reg, shift = 16 * (insn->imm & 3);
	uint64_t value;

	if (!operand_is_mmx(&insn->operand[0]))
		return xmm_check(cpu) && insert(cpu, insn, 2);
	if (!mmx_check(cpu) || !insert_source(cpu, insn, 2, &value))
		return false;
	mmx_enter(cpu);
	mmx_write(cpu, n,
		  (mmx_read(cpu, n) & ~(UINT64_C(0xffff) << shift)) | (value & 0xffff) << shift);
	return true;
}

/* INSERTPS: bits 7:6 choose the source element (register source only), 5:4 the place, 3:0 clear. */
bool exec_insertps(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *from = &insn->operand[1];
	struct xmm *to = xmm_register(cpu, insn->operand[0].reg);
	uint32_t element;

	if (from->kind == OPERAND_REG)
		element = xmm_register(cpu, from->reg)->dword[(insn->imm >> 6) & 3];
	else if (!vector_read_unaligned(cpu, insn, 4, &element))
		return false;
	to->dword[(insn->imm >> 4) & 3] = element;
	for (unsigned i = 0; i < 4; i++)
		if (insn->imm & (1u << i))
			to->dword[i] = 0;
	return true;
}

/* RCPPS, RCPSS, RSQRTPS, RSQRTSS. */
bool exec_sse_approximate(struct cpu *cpu, const struct insn *insn)
{
	bool scalar = insn->mandatory == 0xf3;
	struct xmm buffer;
	const struct xmm *source;
	enum approximate_sse which;

	if (insn->opcode == 0x53)
		which = scalar ? APPROXIMATE_RCPSS : APPROXIMATE_RCPPS;
	else
		which = scalar ? APPROXIMATE_RSQRTSS : APPROXIMATE_RSQRTPS;
	if (!xmm_source(cpu, insn, 1, &buffer, &source))
		return false;
	approximate_sse_compute(which, xmm_register(cpu, insn->operand[0].reg), source);
	return true;
}

/* An explicit length: its magnitude saturates at the number of elements, of which 16 is the most.
 */
static int32_t explicit_length(const struct cpu *cpu, const struct insn *insn, unsigned reg)
{
	int64_t length =
		insn->prefixes & PREFIX_REX_W ? (int64_t)cpu->gpr[reg] : (int32_t)cpu->gpr[reg];

	return length > 16 ? 16 : length < -16 ? -16 : (int32_t)length;
}

/* PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM. Memory need not be aligned (SDM 2B). */
bool exec_string_compare(struct cpu *cpu, const struct insn *insn)
{
	const uint8_t *code = native_string[insn->opcode & 3][(uint8_t)insn->imm];
	struct native_string_operands operands = {
		.first_length = explicit_length(cpu, insn, RAX),
		.second_length = explicit_length(cpu, insn, RDX),
	};
	struct xmm second;
	uint32_t flags;

	if (insn->operand[1].kind == OPERAND_REG)
		second = *xmm_register(cpu, insn->operand[1].reg);
	else if (!vector_read_unaligned(cpu, insn, 16, &second))
		return false;
	memcpy(operands.first, cpu->fx.xmm[insn->operand[0].reg], 16);
	flags = native_string_compare(code, &second, &operands);
	if (insn->opcode & 1)
		gpr_write(cpu, RCX, 4, operands.ret_index);
	else
		memcpy(cpu->fx.xmm[0], operands.ret_mask, 16);
	flags_set_arith(cpu, flags & (FLAG_CF | FLAG_ZF | FLAG_SF | FLAG_OF));
	return true;
}
