/*
 * String instructions: one call is one iteration. Addresses that can fault are all probed, source
 * first, before anything is read, since reading may cross the boundary.
 */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/integer.h"

/* Linear address of the element at seg:reg, checked. */
static bool element_linear(struct cpu *cpu, const struct insn *insn, unsigned seg, unsigned reg,
			   enum access_kind kind, uint64_t *ret_linear)
{
	return segment_linear(cpu, seg, gpr_read(cpu, reg, insn->addr_size), insn->op_size, kind,
			      ret_linear);
}

static bool element_probe(struct cpu *cpu, const struct insn *insn, unsigned seg, unsigned reg,
			  enum access_kind kind, uint64_t *ret_linear)
{
	return element_linear(cpu, insn, seg, reg, kind, ret_linear) &&
	       linear_probe(cpu, *ret_linear, insn->op_size, kind, PRIVILEGE_CURRENT);
}

static bool element_read(struct cpu *cpu, const struct insn *insn, unsigned seg, unsigned reg,
			 uint64_t *ret_value)
{
	uint64_t linear;

	*ret_value = 0;
	return element_linear(cpu, insn, seg, reg, ACCESS_READ, &linear) &&
	       linear_read(cpu, linear, ret_value, insn->op_size, PRIVILEGE_CURRENT);
}

/* Moves RSI or RDI one element on, the way DF says. */
static void advance(struct cpu *cpu, const struct insn *insn, unsigned reg)
{
	uint64_t offset = gpr_read(cpu, reg, insn->addr_size);

	offset += cpu->rflags_rest & FLAG_DF ? -(uint64_t)insn->op_size : insn->op_size;
	gpr_write(cpu, reg, insn->addr_size, offset);
}

bool exec_movs(struct cpu *cpu, const struct insn *insn)
{
	uint64_t from, to, value = 0;

	if (!element_probe(cpu, insn, insn->seg, RSI, ACCESS_READ, &from) ||
	    !element_probe(cpu, insn, SEG_ES, RDI, ACCESS_WRITE, &to) ||
	    !linear_read(cpu, from, &value, insn->op_size, PRIVILEGE_CURRENT) ||
	    !linear_write(cpu, to, &value, insn->op_size, PRIVILEGE_CURRENT))
		return false;
	advance(cpu, insn, RSI);
	advance(cpu, insn, RDI);
	return true;
}

bool exec_cmps(struct cpu *cpu, const struct insn *insn)
{
	uint64_t left, right, a = 0, b = 0;

	if (!element_probe(cpu, insn, insn->seg, RSI, ACCESS_READ, &left) ||
	    !element_probe(cpu, insn, SEG_ES, RDI, ACCESS_READ, &right) ||
	    !linear_read(cpu, left, &a, insn->op_size, PRIVILEGE_CURRENT) ||
	    !linear_read(cpu, right, &b, insn->op_size, PRIVILEGE_CURRENT))
		return false;
	flags_sub(cpu, a, b, a - b, insn->op_size);
	advance(cpu, insn, RSI);
	advance(cpu, insn, RDI);
	return true;
}

bool exec_scas(struct cpu *cpu, const struct insn *insn)
{
	uint64_t a = gpr_read(cpu, RAX, insn->op_size), b;

	if (!element_read(cpu, insn, SEG_ES, RDI, &b))
		return false;
	flags_sub(cpu, a, b, a - b, insn->op_size);
	advance(cpu, insn, RDI);
	return true;
}

bool exec_lods(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value;

	if (!element_read(cpu, insn, insn->seg, RSI, &value))
		return false;
	gpr_write(cpu, RAX, insn->op_size, value);
	advance(cpu, insn, RSI);
	return true;
}

bool exec_stos(struct cpu *cpu, const struct insn *insn)
{
	uint64_t linear;

	if (!element_linear(cpu, insn, SEG_ES, RDI, ACCESS_WRITE, &linear) ||
	    !linear_write(cpu, linear, &cpu->gpr[RAX], insn->op_size, PRIVILEGE_CURRENT))
		return false;
	advance(cpu, insn, RDI);
	return true;
}
