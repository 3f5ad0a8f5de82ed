/* Moves between XMM, MMX, general registers and memory: no host instruction is needed. */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/vector/operand.h"

/* Whole registers; aligned: memory must be. */
static bool move_whole(struct cpu *cpu, const struct insn *insn, bool aligned)
{
	const struct operand *to = &insn->operand[0], *from = &insn->operand[1];

	if (to->kind == OPERAND_MEM)
		return vector_write_memory(cpu, insn, 16, cpu->fx.xmm[from->reg], aligned);
	if (from->kind == OPERAND_REG) {
		*xmm_register(cpu, to->reg) = *xmm_register(cpu, from->reg);
		return true;
	}
	/* A read that fails may not have touched the register. */
	struct xmm value;
	if (aligned ? !vector_read_memory(cpu, insn, 16, &value)
		    : !vector_read_unaligned(cpu, insn, 16, &value))
		return false;
	*xmm_register(cpu, to->reg) = value;
	return true;
}

/* MOVAPS, MOVAPD, MOVDQA, MOVNTPS, MOVNTPD, MOVNTDQ, MOVNTDQA. */
bool exec_move_aligned(struct cpu *cpu, const struct insn *insn)
{
	return move_whole(cpu, insn, true);
}

/* MOVUPS, MOVUPD, MOVDQU, LDDQU. */
bool exec_move_unaligned(struct cpu *cpu, const struct insn *insn)
{
	return move_whole(cpu, insn, false);
}

/* MOVSS and MOVSD: a load clears the rest of the register, a register move keeps it. */
static bool move_scalar(struct cpu *cpu, const struct insn *insn, unsigned size)
{
	const struct operand *to = &insn->operand[0], *from = &insn->operand[1];
	struct xmm *destination;
	uint64_t value = 0;

	if (to->kind == OPERAND_MEM)
		return vector_write_memory(cpu, insn, size, cpu->fx.xmm[from->reg], false);
	destination = xmm_register(cpu, to->reg);
	if (from->kind == OPERAND_REG) {
		memcpy(destination, cpu->fx.xmm[from->reg], size);
		return true;
	}
	if (!vector_read_unaligned(cpu, insn, size, &value))
		return false;
	destination->qword[0] = value;
	destination->qword[1] = 0;
	return true;
}

bool exec_movss(struct cpu *cpu, const struct insn *insn)
{
	return move_scalar(cpu, insn, 4);
}

bool exec_sse_movsd(struct cpu *cpu, const struct insn *insn)
{
	return move_scalar(cpu, insn, 8);
}

/* 8 bytes between one half of a register and memory. */
static bool move_half(struct cpu *cpu, const struct insn *insn, unsigned half)
{
	const struct operand *to = &insn->operand[0], *from = &insn->operand[1];
	uint64_t value;

	if (to->kind == OPERAND_MEM)
		return vector_write_memory(cpu, insn, 8, cpu->fx.xmm[from->reg] + 8 * half, false);
	if (!vector_read_unaligned(cpu, insn, 8, &value))
		return false;
	xmm_register(cpu, to->reg)->qword[half] = value;
	return true;
}

/* MOVLPS, MOVLPD. */
bool exec_move_low(struct cpu *cpu, const struct insn *insn)
{
	return move_half(cpu, insn, 0);
}

/* MOVHPS, MOVHPD. */
bool exec_move_high(struct cpu *cpu, const struct insn *insn)
{
	return move_half(cpu, insn, 1);
}

bool exec_movhlps(struct cpu *cpu, const struct insn *insn)
{
	xmm_register(cpu, insn->operand[0].reg)->qword[0] =
		xmm_register(cpu, insn->operand[1].reg)->qword[1];
	return true;
}

bool exec_movlhps(struct cpu *cpu, const struct insn *insn)
{
	xmm_register(cpu, insn->operand[0].reg)->qword[1] =
		xmm_register(cpu, insn->operand[1].reg)->qword[0];
	return true;
}

/* The forms of exec_move_low_element that touch an MMX register. */
static bool move_mmx(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *to = &insn->operand[0], *from = &insn->operand[1];
	uint64_t value = 0;

	if (!mmx_check(cpu))
		return false;
	if (operand_is_mmx(from))
		value = mmx_read(cpu, from->reg);
	else if (from->kind == OPERAND_MEM) {
		if (!vector_read_unaligned(cpu, insn, from->size, &value))
			return false;
	} else if (from->reg_class == REG_XMM)
		value = xmm_register(cpu, from->reg)->qword[0];
	else
		value = gpr_read(cpu, from->reg, from->size);

	if (to->kind == OPERAND_MEM && !vector_write_memory(cpu, insn, to->size, &value, false))
		return false;
	mmx_enter(cpu);
	if (operand_is_mmx(to))
		mmx_write(cpu, to->reg, value);
	else if (to->kind == OPERAND_REG && to->reg_class == REG_XMM)
		*xmm_register(cpu, to->reg) = (struct xmm){.qword = {value, 0}};
	else if (to->kind == OPERAND_REG)
		gpr_write(cpu, to->reg, to->size, value);
	return true;
}

/*
 * MOVD, MOVQ, MOVQ2DQ, MOVDQ2Q, MOVNTQ: 4 or 8 bytes, zero-extended into an XMM or MMX register.
 */
bool exec_move_low_element(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *to = &insn->operand[0], *from = &insn->operand[1];
	uint64_t value = 0;

	if (operand_is_mmx(to) || operand_is_mmx(from))
		return move_mmx(cpu, insn);
	if (!xmm_check(cpu))
		return false;
	if (from->kind == OPERAND_MEM) {
		if (!vector_read_unaligned(cpu, insn, from->size, &value))
			return false;
	} else if (from->reg_class == REG_XMM)
		value = xmm_register(cpu, from->reg)->qword[0];
	else
		value = gpr_read(cpu, from->reg, from->size);

	if (to->kind == OPERAND_MEM)
		return vector_write_memory(cpu, insn, to->size, &value, false);
	if (to->reg_class == REG_XMM)
		*xmm_register(cpu, to->reg) = (struct xmm){.qword = {value, 0}};
	else
		gpr_write(cpu, to->reg, to->size, value);
	return true;
}

bool exec_movnti(struct cpu *cpu, const struct insn *insn)
{
	return operand_write(cpu, insn, 0, reg_read(cpu, &insn->operand[1]));
}

/*
 * MASKMOVQ, MASKMOVDQU: the bytes whose mask has its sign set go to DS:(E/R)DI. With an empty mask
 * memory is not accessed at all; otherwise the whole operand is checked for writing first.
 */
static bool masked_store(struct cpu *cpu, const struct insn *insn, const uint8_t *value,
			 const uint8_t *mask, unsigned size)
{
	uint64_t linear, offset = zero_extend(cpu->gpr[RDI], insn->addr_size);
	unsigned i = 0, end;

	while (i < size && !(mask[i] & 0x80))
		i++;
	if (i == size)
		return true;
	if (!segment_linear(cpu, insn->seg, offset, size, ACCESS_WRITE, &linear) ||
	    !linear_probe(cpu, linear, size, ACCESS_WRITE, PRIVILEGE_CURRENT))
		return false;
	for (; i < size; i = end) {
		bool store = mask[i] & 0x80;
		for (end = i + 1; end < size && !(mask[end] & 0x80) == !store;)
			end++;
		if (store && !linear_write(cpu, linear + i, value + i, end - i, PRIVILEGE_CURRENT))
			return false;
	}
	return true;
}

bool exec_maskmovdqu(struct cpu *cpu, const struct insn *insn)
{
	return masked_store(cpu, insn, cpu->fx.xmm[insn->operand[0].reg],
			    cpu->fx.xmm[insn->operand[1].reg], 16);
}

bool exec_maskmovq(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value, mask;

	if (!mmx_check(cpu))
		return false;
	value = mmx_read(cpu, insn->operand[0].reg);
	mask = mmx_read(cpu, insn->operand[1].reg);
	if (!masked_store(cpu, insn, (const uint8_t *)&value, (const uint8_t *)&mask, 8))
		return false;
	mmx_enter(cpu);
	return true;
}
