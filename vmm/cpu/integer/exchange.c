/*
 * Exchanges. LOCK changes nothing: one vCPU runs at a time and instructions are atomic. A compare
 * that fails still writes memory back, as processors do (SDM 2 "CMPXCHG").
 */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/integer.h"

bool exec_xchg(struct cpu *cpu, const struct insn *insn)
{
	unsigned memory = insn->operand[1].kind == OPERAND_MEM ? 1 : 0;
	unsigned other = 1 - memory;
	uint64_t a, b;

	if (!operand_probe_write(cpu, insn, memory) || !operand_read(cpu, insn, memory, &a) ||
	    !operand_read(cpu, insn, other, &b) || !operand_write(cpu, insn, memory, b))
		return false;
	reg_write(cpu, &insn->operand[other], a);
	return true;
}

bool exec_xadd(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	uint64_t a, b;

	if (!operand_probe_write(cpu, insn, 0) || !operand_read(cpu, insn, 0, &a) ||
	    !operand_read(cpu, insn, 1, &b))
		return false;
	/* The destination last: it wins when both operands are one register. */
	if (insn->operand[0].kind == OPERAND_MEM) {
		if (!operand_write(cpu, insn, 0, a + b))
			return false;
		reg_write(cpu, &insn->operand[1], a);
	} else {
		reg_write(cpu, &insn->operand[1], a);
		reg_write(cpu, &insn->operand[0], a + b);
	}
	flags_add(cpu, a, b, a + b, size);
	return true;
}

bool exec_cmpxchg(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	uint64_t destination, source, accumulator = gpr_read(cpu, RAX, size);
	bool equal;

	if (!operand_probe_write(cpu, insn, 0) || !operand_read(cpu, insn, 0, &destination) ||
	    !operand_read(cpu, insn, 1, &source))
		return false;
	equal = accumulator == destination;
	/* A register is not written on failure: its upper half stays. */
	if ((equal || insn->operand[0].kind == OPERAND_MEM) &&
	    !operand_write(cpu, insn, 0, equal ? source : destination))
		return false;
	if (!equal)
		gpr_write(cpu, RAX, size, destination);
	flags_sub(cpu, accumulator, destination, accumulator - destination, size);
	return true;
}

static void set_zf(struct cpu *cpu, bool zf)
{
	uint32_t flags = flags_arith(cpu) & ~FLAG_ZF;

	flags_set_arith(cpu, flags | (zf ? FLAG_ZF : 0));
}

/* Both halves are half bytes wide. */
static bool compare_exchange_pair(struct cpu *cpu, const struct insn *insn, unsigned half)
{
	uint64_t linear, word[2] = {0, 0};
	uint8_t old[16], new_bytes[16];
	bool equal;

	if (half == 8 && !insn_is_aligned(cpu, insn, 16))
		return raise_gp(cpu, 0);
	if (!insn_linear(cpu, insn, 2 * half, ACCESS_WRITE, &linear) ||
	    !linear_probe(cpu, linear, 2 * half, ACCESS_WRITE, PRIVILEGE_CURRENT) ||
	    !linear_read(cpu, linear, old, 2 * half, PRIVILEGE_CURRENT))
		return false;
	__builtin_memcpy(&word[0], old, half);
	__builtin_memcpy(&word[1], old + half, half);
	equal = word[0] == gpr_read(cpu, RAX, half) && word[1] == gpr_read(cpu, RDX, half);
	__builtin_memcpy(new_bytes, equal ? &cpu->gpr[RBX] : &word[0], half);
	__builtin_memcpy(new_bytes + half, equal ? &cpu->gpr[RCX] : &word[1], half);
	if (!linear_write(cpu, linear, new_bytes, 2 * half, PRIVILEGE_CURRENT))
		return false;
	if (!equal) {
		gpr_write(cpu, RAX, half, word[0]);
		gpr_write(cpu, RDX, half, word[1]);
	}
	set_zf(cpu, equal);
	return true;
}

bool exec_cmpxchg8b(struct cpu *cpu, const struct insn *insn)
{
	return compare_exchange_pair(cpu, insn, 4);
}

bool exec_cmpxchg16b(struct cpu *cpu, const struct insn *insn)
{
	return compare_exchange_pair(cpu, insn, 8);
}
