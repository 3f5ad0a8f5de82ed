#include "vmm/cpu/integer/stack.h"
#include "vmm/cpu/flags.h"

uint64_t stack_offset(const struct cpu *cpu, int64_t delta)
{
	return zero_extend(cpu->gpr[RSP] + (uint64_t)delta, stack_width(cpu));
}

void stack_set(struct cpu *cpu, uint64_t offset)
{
	gpr_write(cpu, RSP, stack_width(cpu), offset);
}

bool stack_probe(struct cpu *cpu, uint64_t offset, unsigned size, enum access_kind kind)
{
	uint64_t linear;

	return segment_linear(cpu, SEG_SS, offset, size, kind, &linear) &&
	       linear_probe(cpu, linear, size, kind, PRIVILEGE_CURRENT);
}

bool stack_read(struct cpu *cpu, uint64_t offset, unsigned size, uint64_t *ret_value)
{
	uint64_t linear, value = 0;

	if (!segment_linear(cpu, SEG_SS, offset, size, ACCESS_READ, &linear) ||
	    !linear_read(cpu, linear, &value, size, PRIVILEGE_CURRENT))
		return false;
	*ret_value = value;
	return true;
}

bool stack_write(struct cpu *cpu, uint64_t offset, unsigned size, uint64_t value)
{
	uint64_t linear;

	return segment_linear(cpu, SEG_SS, offset, size, ACCESS_WRITE, &linear) &&
	       linear_write(cpu, linear, &value, size, PRIVILEGE_CURRENT);
}

bool stack_push(struct cpu *cpu, unsigned size, uint64_t value)
{
	uint64_t top = stack_offset(cpu, -(int64_t)size);

	if (!stack_write(cpu, top, size, value))
		return false;
	stack_set(cpu, top);
	return true;
}

bool stack_pop(struct cpu *cpu, unsigned size, uint64_t *ret_value)
{
	if (!stack_read(cpu, stack_offset(cpu, 0), size, ret_value))
		return false;
	stack_set(cpu, stack_offset(cpu, size));
	return true;
}
