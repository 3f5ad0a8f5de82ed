/* Moves, extensions, conditional moves, and what does nothing at all. */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/integer.h"
#include "vmm/cpu/system/system.h"

static bool is_register(const struct operand *operand, enum reg_class reg_class)
{
	return operand->kind == OPERAND_REG && operand->reg_class == reg_class;
}

static bool either_is(const struct insn *insn, enum reg_class reg_class)
{
	return is_register(&insn->operand[0], reg_class) ||
	       is_register(&insn->operand[1], reg_class);
}

bool exec_mov(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value;

	if (either_is(insn, REG_SEG))
		return exec_mov_segment(cpu, insn);
	if (either_is(insn, REG_CR))
		return exec_mov_control(cpu, insn);
	if (either_is(insn, REG_DR))
		return exec_mov_debug(cpu, insn);
	return operand_read(cpu, insn, 1, &value) && operand_write(cpu, insn, 0, value);
}

bool exec_movzx(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value;

	if (!operand_read(cpu, insn, 1, &value))
		return false;
	reg_write(cpu, &insn->operand[0], value);
	return true;
}

bool exec_movsx(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value;

	if (!operand_read(cpu, insn, 1, &value))
		return false;
	reg_write(cpu, &insn->operand[0], sign_extend(value, insn->operand[1].size));
	return true;
}

bool exec_lea(struct cpu *cpu, const struct insn *insn)
{
	reg_write(cpu, &insn->operand[0], insn_offset(cpu, insn));
	return true;
}

/* CBW, CWDE, CDQE by operand size. */
bool exec_cbw(struct cpu *cpu, const struct insn *insn)
{
	unsigned half = insn->op_size / 2;

	gpr_write(cpu, RAX, insn->op_size, sign_extend(gpr_read(cpu, RAX, half), half));
	return true;
}

/* CWD, CDQ, CQO by operand size. */
bool exec_cwd(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value = sign_extend(gpr_read(cpu, RAX, insn->op_size), insn->op_size);

	gpr_write(cpu, RDX, insn->op_size, (int64_t)value < 0 ? UINT64_MAX : 0);
	return true;
}

/* The condition is the opcode's low four bits. */
bool exec_setcc(struct cpu *cpu, const struct insn *insn)
{
	return operand_write(cpu, insn, 0, flags_condition(cpu, insn->opcode & 15));
}

/* The source is read, and faults, whatever the condition; a 32-bit form always clears the upper
 * half. */
bool exec_cmovcc(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *destination = &insn->operand[0];
	uint64_t value;

	if (!operand_read(cpu, insn, 1, &value))
		return false;
	if (!flags_condition(cpu, insn->opcode & 15))
		value = reg_read(cpu, destination);
	reg_write(cpu, destination, value);
	return true;
}

bool exec_xlat(struct cpu *cpu, const struct insn *insn)
{
	uint64_t offset = cpu->gpr[RBX] + gpr_read(cpu, RAX, 1), linear;
	uint8_t value;

	if (!segment_linear(cpu, insn->seg, zero_extend(offset, insn->addr_size), 1, ACCESS_READ,
			    &linear) ||
	    !linear_read(cpu, linear, &value, 1, PRIVILEGE_CURRENT))
		return false;
	gpr_write(cpu, RAX, 1, value);
	return true;
}

bool exec_nop(struct cpu *cpu, const struct insn *insn)
{
	(void)cpu;
	(void)insn;
	return true;
}
