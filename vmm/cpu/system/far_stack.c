/* Checked pushes and pops on stacks that are not, or not yet, the vCPU's own. */
#include <string.h>

#include "vmm/cpu/flags.h"
#include "vmm/cpu/system/far_stack.h"
#include "vmm/mmu/mmu.h"

static unsigned far_stack_width(const struct segment *ss, bool wide)
{
	if (wide)
		return 8;
	return ss->attr & SEG_ATTR_DB ? 4 : 2;
}

/* A 16-bit stack pointer wraps within SP and keeps the upper bits. */
static uint64_t add_to_pointer(const struct far_stack *stack, int64_t delta)
{
	uint64_t moved = stack->sp + (uint64_t)delta;

	switch (stack->width) {
	case 2:
		return (stack->sp & ~UINT64_C(0xffff)) | (moved & 0xffff);
	case 4:
		return (uint32_t)moved;
	default:
		return moved;
	}
}

void far_stack_init_current(struct far_stack *stack, const struct cpu *cpu, unsigned push_bytes)
{
	stack->ss = &cpu->seg[SEG_SS];
	stack->sp = cpu->gpr[RSP];
	stack->error = 0;
	stack->width = (uint8_t)far_stack_width(stack->ss, cpu_code64(cpu));
	stack->priv = PRIVILEGE_CURRENT;
	stack->push_bytes = (uint8_t)push_bytes;
	stack->n = 0;
}

void far_stack_init_new(struct far_stack *stack, const struct cpu *cpu, const struct segment *ss,
			uint64_t sp, bool wide, unsigned push_bytes, unsigned cpl, uint32_t error)
{
	stack->ss = ss;
	stack->sp = sp;
	stack->error = error;
	stack->width = (uint8_t)far_stack_width(ss, wide);
	/* On the way to more privilege the vCPU still has the old CPL: its own would deny it. */
	stack->priv = cpl == cpu->cpl || cpl == 3 ? PRIVILEGE_CURRENT : PRIVILEGE_SYSTEM;
	stack->push_bytes = (uint8_t)push_bytes;
	stack->n = 0;
}

/* Segment limit check of n bytes at a stack offset (SDM 3A 5.3); real mode has the same limits. */
static bool offset_fits(const struct cpu *cpu, const struct segment *ss, uint64_t offset,
			uint32_t n)
{
	uint64_t last = offset + n - 1;

	if ((ss->attr & SEG_ATTR_NULL) && cpu_protected(cpu))
		return false;
	if ((ss->attr & (SEG_ATTR_CODE | SEG_ATTR_DC)) == SEG_ATTR_DC) { /* expand-down */
		uint64_t top = ss->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff;
		return offset > ss->limit && last <= top;
	}
	return last <= ss->limit;
}

static bool far_stack_linear(struct cpu *cpu, const struct far_stack *stack, uint64_t sp,
			     uint32_t n, uint64_t *ret_linear)
{
	uint64_t offset = zero_extend(sp, stack->width);

	if (stack->width == 8) {
		if (!address_is_canonical(offset) || !address_is_canonical(offset + n - 1))
			return raise_fault_error(cpu, VECTOR_SS, stack->error);
		*ret_linear = offset;
		return true;
	}
	if (!offset_fits(cpu, stack->ss, offset, n))
		return raise_fault_error(cpu, VECTOR_SS, stack->error);
	*ret_linear = (uint32_t)(stack->ss->base + offset);
	return true;
}

bool far_stack_push(struct cpu *cpu, struct far_stack *stack, uint64_t value)
{
	uint64_t sp = add_to_pointer(stack, -(int64_t)stack->push_bytes);

	if (!far_stack_linear(cpu, stack, sp, stack->push_bytes, &stack->linear[stack->n]))
		return false;
	stack->value[stack->n++] = value;
	stack->sp = sp;
	return true;
}

/* Whether each value is an access of its own, because each has to be aligned. */
static bool values_stand_alone(const struct cpu *cpu, const struct far_stack *stack)
{
	return stack->priv == PRIVILEGE_CURRENT && mmu_alignment_checked(cpu);
}

/* How many pushes from the given one on lie directly below each other. */
static unsigned run_length(const struct cpu *cpu, const struct far_stack *stack, unsigned first)
{
	unsigned i = first + 1;

	if (values_stand_alone(cpu, stack))
		return 1;
	while (i < stack->n && stack->linear[i] + stack->push_bytes == stack->linear[i - 1])
		i++;
	return i - first;
}

static bool probe_run(struct cpu *cpu, const struct far_stack *stack, unsigned first, unsigned n)
{
	return linear_probe(cpu, stack->linear[first + n - 1], n * stack->push_bytes, ACCESS_WRITE,
			    (enum privilege)stack->priv);
}

/* After a run could not be pushed as one: the fault is that of the first push that cannot be made.
 */
static bool fail_push(struct cpu *cpu, const struct far_stack *stack, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n && probe_run(cpu, stack, i, 1); i++)
		;
	return false;
}

bool far_stack_probe(struct cpu *cpu, const struct far_stack *stack)
{
	for (unsigned i = 0; i < stack->n;) {
		unsigned run = run_length(cpu, stack, i);
		if (!probe_run(cpu, stack, i, run))
			return fail_push(cpu, stack, i, run);
		i += run;
	}
	return true;
}

bool far_stack_write(struct cpu *cpu, const struct far_stack *stack)
{
	uint8_t bytes[FAR_STACK_MAX_PUSHES * 8];

	for (unsigned i = 0; i < stack->n;) {
		unsigned run = run_length(cpu, stack, i);
		for (unsigned k = 0; k < run; k++)
			memory_copy_word(bytes + (run - 1 - k) * stack->push_bytes,
					 &stack->value[i + k], stack->push_bytes);
		if (!linear_write(cpu, stack->linear[i + run - 1], bytes, run * stack->push_bytes,
				  (enum privilege)stack->priv))
			return cpu->stop == CPU_STOP_FAULT && fail_push(cpu, stack, i, run);
		i += run;
	}
	return true;
}

static bool pop_one(struct cpu *cpu, struct far_stack *stack, uint64_t *ret_value)
{
	uint64_t linear, value = 0;

	if (!far_stack_linear(cpu, stack, stack->sp, stack->push_bytes, &linear) ||
	    !linear_read(cpu, linear, &value, stack->push_bytes, (enum privilege)stack->priv))
		return false;
	*ret_value = value;
	stack->sp = add_to_pointer(stack, stack->push_bytes);
	return true;
}

bool far_stack_pop(struct cpu *cpu, struct far_stack *stack, unsigned n, uint64_t *ret_values)
{
	uint8_t bytes[16 * 8];
	uint32_t total = n * stack->push_bytes;
	uint64_t linear;

	/* One read where the values cannot wrap; the 64-bit IRET frame is the usual case. */
	if (stack->width == 8 && n <= 16 && !values_stand_alone(cpu, stack)) {
		if (!far_stack_linear(cpu, stack, stack->sp, total, &linear) ||
		    !linear_read(cpu, linear, bytes, total, (enum privilege)stack->priv))
			return false;
		for (unsigned i = 0; i < n; i++) {
			ret_values[i] = 0;
			memory_copy_word(&ret_values[i], bytes + i * stack->push_bytes,
					 stack->push_bytes);
		}
		stack->sp += total;
		return true;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!pop_one(cpu, stack, &ret_values[i]))
			return false;
	}
	return true;
}

void far_stack_skip(struct far_stack *stack, uint32_t bytes)
{
	stack->sp = add_to_pointer(stack, bytes);
}

uint64_t far_stack_pointer_loaded(const struct cpu *cpu, const struct segment *ss, bool wide,
				  uint64_t popped)
{
	switch (far_stack_width(ss, wide)) {
	case 2:
		return (uint32_t)((cpu->gpr[RSP] & ~UINT64_C(0xffff)) | (popped & 0xffff));
	case 4:
		return (uint32_t)popped;
	default:
		return popped;
	}
}
