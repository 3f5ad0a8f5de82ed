/* Addition, subtraction and logic: the instructions that leave all six flags in one step. */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/integer.h"

/* Operands 0 and 1; a destination in memory is checked for writing before it is read. */
static bool read_both(struct cpu *cpu, const struct insn *insn, bool writes, uint64_t *ret_a,
		      uint64_t *ret_b)
{
	return (!writes || operand_probe_write(cpu, insn, 0)) &&
	       operand_read(cpu, insn, 0, ret_a) && operand_read(cpu, insn, 1, ret_b);
}

static bool read_one(struct cpu *cpu, const struct insn *insn, uint64_t *ret_a)
{
	return operand_probe_write(cpu, insn, 0) && operand_read(cpu, insn, 0, ret_a);
}

static bool add(struct cpu *cpu, const struct insn *insn, bool with_carry)
{
	uint64_t a, b, result;

	if (!read_both(cpu, insn, true, &a, &b))
		return false;
	result = a + b + (with_carry && flag_cf(cpu));
	if (!operand_write(cpu, insn, 0, result))
		return false;
	flags_add(cpu, a, b, result, insn->operand[0].size);
	return true;
}

static bool subtract(struct cpu *cpu, const struct insn *insn, bool with_borrow, bool writes)
{
	uint64_t a, b, result;

	if (!read_both(cpu, insn, writes, &a, &b))
		return false;
	result = a - b - (with_borrow && flag_cf(cpu));
	if (writes && !operand_write(cpu, insn, 0, result))
		return false;
	flags_sub(cpu, a, b, result, insn->operand[0].size);
	return true;
}

bool exec_add(struct cpu *cpu, const struct insn *insn)
{
	return add(cpu, insn, false);
}

bool exec_adc(struct cpu *cpu, const struct insn *insn)
{
	return add(cpu, insn, true);
}

bool exec_sub(struct cpu *cpu, const struct insn *insn)
{
	return subtract(cpu, insn, false, true);
}

bool exec_sbb(struct cpu *cpu, const struct insn *insn)
{
	return subtract(cpu, insn, true, true);
}

bool exec_cmp(struct cpu *cpu, const struct insn *insn)
{
	return subtract(cpu, insn, false, false);
}

static bool logic_commit(struct cpu *cpu, const struct insn *insn, uint64_t result)
{
	if (!operand_write(cpu, insn, 0, result))
		return false;
	flags_logic(cpu, result, insn->operand[0].size);
	return true;
}

bool exec_and(struct cpu *cpu, const struct insn *insn)
{
	uint64_t a, b;

	return read_both(cpu, insn, true, &a, &b) && logic_commit(cpu, insn, a & b);
}

bool exec_or(struct cpu *cpu, const struct insn *insn)
{
	uint64_t a, b;

	return read_both(cpu, insn, true, &a, &b) && logic_commit(cpu, insn, a | b);
}

bool exec_xor(struct cpu *cpu, const struct insn *insn)
{
	uint64_t a, b;

	return read_both(cpu, insn, true, &a, &b) && logic_commit(cpu, insn, a ^ b);
}

bool exec_test(struct cpu *cpu, const struct insn *insn)
{
	uint64_t a, b;

	if (!read_both(cpu, insn, false, &a, &b))
		return false;
	flags_logic(cpu, a & b, insn->operand[0].size);
	return true;
}

bool exec_not(struct cpu *cpu, const struct insn *insn)
{
	uint64_t a;

	return read_one(cpu, insn, &a) && operand_write(cpu, insn, 0, ~a);
}

bool exec_neg(struct cpu *cpu, const struct insn *insn)
{
	uint64_t a;

	if (!read_one(cpu, insn, &a) || !operand_write(cpu, insn, 0, -a))
		return false;
	flags_sub(cpu, 0, a, -a, insn->operand[0].size);
	return true;
}

bool exec_inc(struct cpu *cpu, const struct insn *insn)
{
	uint64_t a;

	if (!read_one(cpu, insn, &a) || !operand_write(cpu, insn, 0, a + 1))
		return false;
	flags_inc(cpu, a, a + 1, insn->operand[0].size);
	return true;
}

bool exec_dec(struct cpu *cpu, const struct insn *insn)
{
	uint64_t a;

	if (!read_one(cpu, insn, &a) || !operand_write(cpu, insn, 0, a - 1))
		return false;
	flags_dec(cpu, a, a - 1, insn->operand[0].size);
	return true;
}
