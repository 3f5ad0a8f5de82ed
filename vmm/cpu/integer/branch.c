/*
 * Near branches. The target is checked by the branch itself, before it changes anything (Intel's
 * behaviour; AMD's processors fault at the target when it is not canonical).
 */
#include "vmm/cpu/integer/branch.h"
#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/integer.h"
#include "vmm/cpu/integer/stack.h"
#include "vmm/cpu/system/system.h"

bool branch_check(struct cpu *cpu, const struct insn *insn, uint64_t target, uint64_t *ret_target)
{
	target = zero_extend(target, branch_size(cpu, insn));
	if (cpu_code64(cpu) ? !address_is_canonical(target) : target > cpu->seg[SEG_CS].limit)
		return raise_gp(cpu, 0);
	*ret_target = target;
	return true;
}

static bool jump(struct cpu *cpu, const struct insn *insn, uint64_t target)
{
	return branch_check(cpu, insn, target, &cpu->next_rip);
}

static bool jump_relative(struct cpu *cpu, const struct insn *insn)
{
	return jump(cpu, insn, cpu->next_rip + insn->imm);
}

bool exec_jcc(struct cpu *cpu, const struct insn *insn)
{
	return !flags_condition(cpu, insn->opcode & 15) || jump_relative(cpu, insn);
}

bool exec_jmp(struct cpu *cpu, const struct insn *insn)
{
	uint64_t target;

	if (insn->far)
		return exec_jmp_far(cpu, insn);
	if (insn->operand[0].kind == OPERAND_IMM)
		return jump_relative(cpu, insn);
	return operand_read(cpu, insn, 0, &target) && jump(cpu, insn, target);
}

/* JCXZ, JECXZ, JRCXZ: the counter is as wide as an address. */
bool exec_jrcxz(struct cpu *cpu, const struct insn *insn)
{
	return gpr_read(cpu, RCX, insn->addr_size) != 0 || jump_relative(cpu, insn);
}

static bool loop(struct cpu *cpu, const struct insn *insn, bool condition)
{
	uint64_t count = zero_extend(cpu->gpr[RCX] - 1, insn->addr_size);

	if (condition && count != 0 && !jump_relative(cpu, insn))
		return false;
	gpr_write(cpu, RCX, insn->addr_size, count);
	return true;
}

bool exec_loop(struct cpu *cpu, const struct insn *insn)
{
	return loop(cpu, insn, true);
}

bool exec_loope(struct cpu *cpu, const struct insn *insn)
{
	return loop(cpu, insn, flag_zf(cpu));
}

bool exec_loopne(struct cpu *cpu, const struct insn *insn)
{
	return loop(cpu, insn, !flag_zf(cpu));
}

/*
 * A target in memory: the pointer and the stack are both checked before the pointer is read, which
 * may cross the boundary.
 */
static bool call_target(struct cpu *cpu, const struct insn *insn, unsigned size,
			uint64_t *ret_target)
{
	uint64_t linear;

	if (insn->operand[0].kind == OPERAND_IMM) {
		*ret_target = cpu->next_rip + insn->imm;
		return true;
	}
	if (insn->operand[0].kind == OPERAND_MEM &&
	    (!insn_linear(cpu, insn, size, ACCESS_READ, &linear) ||
	     !linear_probe(cpu, linear, size, ACCESS_READ, PRIVILEGE_CURRENT) ||
	     !stack_probe(cpu, stack_offset(cpu, -(int64_t)size), size, ACCESS_WRITE)))
		return false;
	return operand_read(cpu, insn, 0, ret_target);
}

bool exec_call(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = branch_size(cpu, insn);
	uint64_t target;

	if (insn->far)
		return exec_call_far(cpu, insn);
	if (!call_target(cpu, insn, size, &target) || !branch_check(cpu, insn, target, &target) ||
	    !stack_push(cpu, size, cpu->next_rip))
		return false;
	cpu->next_rip = target;
	return true;
}

bool exec_ret(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = branch_size(cpu, insn);
	uint64_t target;

	if (insn->far)
		return exec_ret_far(cpu, insn);
	if (!stack_read(cpu, stack_offset(cpu, 0), size, &target) || !jump(cpu, insn, target))
		return false;
	stack_set(cpu, stack_offset(cpu, (int64_t)(size + (insn->imm & 0xffff))));
	return true;
}
