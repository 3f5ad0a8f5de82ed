/* Memory and MMX operands of vector instructions. */
#include "vmm/cpu/vector/operand.h"

#include "vmm/cpu/vector/x87.h"

bool vector_check_available(struct cpu *cpu, uint16_t row_flags)
{
	if (!(row_flags & ROW_SSE))
		return cpu->cr0 & (CR0_EM | CR0_TS) ? raise_fault(cpu, VECTOR_NM) : true;
	if (cpu->cr0 & CR0_EM)
		return raise_ud(cpu);
	if (!(cpu->cr4 & CR4_OSFXSR))
		/* An MMX form does not mind, an XMM form is #UD before #NM. */
		return row_flags & ROW_FPU ? true : raise_ud(cpu);
	return cpu->cr0 & CR0_TS ? raise_fault(cpu, VECTOR_NM) : true;
}

bool vector_read_unaligned(struct cpu *cpu, const struct insn *insn, uint32_t size, void *buffer)
{
	uint64_t linear;

	return insn_linear(cpu, insn, size, ACCESS_READ, &linear) &&
	       linear_read(cpu, linear, buffer, size, PRIVILEGE_CURRENT);
}

/* In 64-bit mode #GP(0) for misalignment comes before #SS(0) for what is not canonical. */
static bool aligned_linear(struct cpu *cpu, const struct insn *insn, uint32_t size,
			   enum access_kind kind, uint64_t *ret_linear)
{
	if (cpu_code64(cpu) && !insn_is_aligned(cpu, insn, size))
		return raise_gp(cpu, 0);
	if (!insn_linear(cpu, insn, size, kind, ret_linear))
		return false;
	return *ret_linear & (size - 1) ? raise_gp(cpu, 0) : true;
}

bool vector_read_memory(struct cpu *cpu, const struct insn *insn, uint32_t size, void *buffer)
{
	uint64_t linear;

	if (size == 16 ? !aligned_linear(cpu, insn, size, ACCESS_READ, &linear)
		       : !insn_linear(cpu, insn, size, ACCESS_READ, &linear))
		return false;
	return linear_read(cpu, linear, buffer, size, PRIVILEGE_CURRENT);
}

bool vector_write_memory(struct cpu *cpu, const struct insn *insn, uint32_t size, const void *data,
			 bool aligned)
{
	uint64_t linear;

	if (aligned ? !aligned_linear(cpu, insn, size, ACCESS_WRITE, &linear)
		    : !insn_linear(cpu, insn, size, ACCESS_WRITE, &linear))
		return false;
	return linear_write(cpu, linear, data, size, PRIVILEGE_CURRENT);
}

bool mmx_check(struct cpu *cpu)
{
	if (cpu->cr0 & CR0_TS)
		return raise_fault(cpu, VECTOR_NM);
	return x87_check_pending(cpu);
}

uint64_t mmx_read(const struct cpu *cpu, unsigned n)
{
	uint64_t value;

	memcpy(&value, cpu->fx.st[(n - x87_top(cpu)) & 7], sizeof(value));
	return value;
}

void mmx_enter(struct cpu *cpu)
{
	if (x87_top(cpu))
		x87_set_top(cpu, 0);
	cpu->fx.ftw = 0xff;
}

void mmx_write(struct cpu *cpu, unsigned n, uint64_t value)
{
	memcpy(cpu->fx.st[n], &value, sizeof(value));
	/* Sign and exponent become all ones (SDM 1 9.2.2). */
	cpu->fx.st[n][8] = 0xff;
	cpu->fx.st[n][9] = 0xff;
}
