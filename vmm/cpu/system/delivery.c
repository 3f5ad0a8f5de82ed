/*
 * Entering a handler: real mode through the vector table, otherwise through the IDT's interrupt,
 * trap and task gates (SDM 3A 6.11 to 6.14, 20.1.4, 20.3). Checks come first, then the frame is
 * written, then registers change.
 */
#include "vmm/cpu/system/delivery.h"
#include "vmm/cpu/system/descriptor.h"
#include "vmm/cpu/system/far_stack.h"
#include "vmm/cpu/system/inner_stack.h"
#include "vmm/cpu/system/task.h"
#include "vmm/cpu/exec.h"

#define ERROR_IDT 2u

/* A gate and the handler it leads to. */
struct handler {
	struct descriptor gate;
	unsigned gate_type;
	struct descriptor code;
	uint64_t rip;
	unsigned cpl;
};

static bool external(const struct delivery *delivery)
{
	return !delivery->software;
}

/* ---- real mode ---- */

static bool deliver_real(struct cpu *cpu, const struct delivery *delivery)
{
	uint32_t entry = delivery->vector * 4u;
	struct far_stack stack;
	uint16_t target[2];

	if (entry + 3 > cpu->idtr.limit)
		return raise_gp(cpu, delivery->vector * 8u + ERROR_IDT + external(delivery));
	if (!linear_read(cpu, (uint32_t)(cpu->idtr.base + entry), target, sizeof(target),
			 PRIVILEGE_SYSTEM))
		return false;
	far_stack_init_current(&stack, cpu, 2);
	if (!far_stack_push(cpu, &stack, delivery->rflags) ||
	    !far_stack_push(cpu, &stack, cpu->seg[SEG_CS].selector) ||
	    !far_stack_push(cpu, &stack, delivery->rip))
		return false;
	if (target[0] > cpu->seg[SEG_CS].limit)
		return raise_gp(cpu, external(delivery));
	if (!far_stack_probe(cpu, &stack) || !far_stack_write(cpu, &stack))
		return false;

	cpu->gpr[RSP] = far_stack_pointer(&stack);
	cpu->seg[SEG_CS].selector = target[1];
	cpu->seg[SEG_CS].base = (uint32_t)target[1] << 4;
	cpu->next_rip = target[0];
	cpu->rflags_rest &= ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
	return true;
}

/* ---- the gate ---- */

static bool gate_type_fits(const struct cpu *cpu, unsigned type)
{
	switch (type) {
	case TYPE_INTERRUPT_GATE32:
	case TYPE_TRAP_GATE32:
		return true;
	case TYPE_TASK_GATE:
	case TYPE_INTERRUPT_GATE16:
	case TYPE_TRAP_GATE16:
		return !cpu_long_mode(cpu);
	default:
		return false;
	}
}

static bool read_gate(struct cpu *cpu, const struct delivery *delivery, struct descriptor *gate)
{
	uint32_t bytes = cpu_long_mode(cpu) ? 16 : 8, offset = delivery->vector * bytes;
	uint32_t error = delivery->vector * 8u + ERROR_IDT + external(delivery);

	gate->linear = cpu->idtr.base + offset;
	gate->high = 0;
	gate->selector = 0;
	if (offset + bytes - 1 > cpu->idtr.limit)
		return raise_gp(cpu, error);
	if (!cpu_long_mode(cpu))
		gate->linear = (uint32_t)gate->linear;
	uint64_t words[2] = {0, 0};
	if (!linear_read(cpu, gate->linear, words, bytes, PRIVILEGE_SYSTEM))
		return false;
	gate->low = words[0];
	gate->high = (uint32_t)words[1];
	if (descriptor_is_segment(gate) || !gate_type_fits(cpu, descriptor_type(gate)))
		return raise_gp(cpu, error);
	if (delivery->software && descriptor_dpl(gate) < cpu->cpl)
		return raise_gp(cpu, error);
	if (!descriptor_present(gate))
		return raise_fault_error(cpu, VECTOR_NP, error);
	return true;
}

/* The code segment behind an interrupt or trap gate, and the CPL it runs at. */
static bool read_handler(struct cpu *cpu, const struct delivery *delivery, struct handler *handler)
{
	bool ext = external(delivery);
	uint16_t selector = gate_selector(&handler->gate);
	struct descriptor *code = &handler->code;

	if (selector_is_null(selector))
		return raise_gp(cpu, ext);
	if (!descriptor_read(cpu, selector, VECTOR_GP, ext, code))
		return false;
	if (!descriptor_is_code(code) || descriptor_dpl(code) > cpu->cpl)
		return raise_gp(cpu, selector_error(selector, ext));
	if (cpu_long_mode(cpu) &&
	    (descriptor_attr(code) & (SEG_ATTR_L | SEG_ATTR_DB)) != SEG_ATTR_L)
		return raise_gp(cpu, selector_error(selector, ext));
	if (!descriptor_present(code))
		return raise_fault_error(cpu, VECTOR_NP, selector_error(selector, ext));
	handler->cpl = descriptor_is_conforming(code) ? cpu->cpl : descriptor_dpl(code);
	/* Virtual-8086 mode is left through a nonconforming segment of privilege 0 only. */
	if (cpu_v8086(cpu) && handler->cpl != 0)
		return raise_gp(cpu, selector_error(selector, ext));
	handler->rip = gate_offset(&handler->gate);
	handler->gate_type = descriptor_type(&handler->gate);
	return true;
}

/* ---- entering through an interrupt or trap gate ---- */

static bool check_entry(struct cpu *cpu, const struct delivery *delivery,
			const struct handler *handler)
{
	bool fits = cpu_long_mode(cpu) ? address_is_canonical(handler->rip)
				       : handler->rip <= descriptor_limit(&handler->code);

	return fits || raise_gp(cpu, external(delivery));
}

static bool push_all(struct cpu *cpu, struct far_stack *stack, const uint64_t *values, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!far_stack_push(cpu, stack, values[i]))
			return false;
	}
	return true;
}

/* The frame from RFLAGS down, alike in every mode. */
static bool push_return(struct cpu *cpu, const struct delivery *delivery, struct far_stack *stack)
{
	const uint64_t values[] = {delivery->rflags, cpu->seg[SEG_CS].selector, delivery->rip,
				   delivery->error};

	return push_all(cpu, stack, values, delivery->has_error ? 4 : 3);
}

static void enter_handler(struct cpu *cpu, const struct handler *handler)
{
	uint16_t selector = gate_selector(&handler->gate);

	cpu->seg[SEG_CS] = segment_from_descriptor(
		&handler->code, (uint16_t)((selector & ~SELECTOR_RPL) | handler->cpl));
	cpu->cpl = (uint8_t)handler->cpl;
	cpu->next_rip = handler->rip;
	cpu->rflags_rest &= ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_VM | FLAG_RF);
	if (!(handler->gate_type & 1)) /* interrupt gates are the even types */
		cpu->rflags_rest &= ~(uint64_t)FLAG_IF;
}

/* SDM 3A 6.14: 16-byte gates, an aligned frame that always holds SS:RSP, IST. */
static bool deliver_long(struct cpu *cpu, const struct delivery *delivery,
			 const struct handler *handler)
{
	unsigned ist = (handler->gate.low >> 32) & 7;
	uint64_t sp = cpu->gpr[RSP];
	struct segment null_ss = segment_null((uint16_t)handler->cpl);
	struct far_stack stack;

	if ((ist || handler->cpl < cpu->cpl) &&
	    !inner_stack_long(cpu, handler->cpl, ist, external(delivery), &sp))
		return false;
	far_stack_init_new(&stack, cpu, &null_ss, sp & ~UINT64_C(15), true, 8, handler->cpl,
			   external(delivery));
	const uint64_t outer[] = {cpu->seg[SEG_SS].selector, cpu->gpr[RSP]};
	if (!push_all(cpu, &stack, outer, 2) || !push_return(cpu, delivery, &stack) ||
	    !check_entry(cpu, delivery, handler) ||
	    !descriptor_probe_accessed(cpu, &handler->code) || !far_stack_write(cpu, &stack) ||
	    !descriptor_set_accessed(cpu, &handler->code))
		return false;
	if (handler->cpl < cpu->cpl)
		cpu->seg[SEG_SS] = null_ss;
	cpu->gpr[RSP] = far_stack_pointer(&stack);
	enter_handler(cpu, handler);
	return true;
}

static unsigned gate_push_bytes(const struct handler *handler)
{
	return handler->gate_type & 8 ? 4 : 2;
}

static bool deliver_same(struct cpu *cpu, const struct delivery *delivery,
			 const struct handler *handler)
{
	struct far_stack stack;

	far_stack_init_current(&stack, cpu, gate_push_bytes(handler));
	stack.error = external(delivery);
	if (!push_return(cpu, delivery, &stack) || !check_entry(cpu, delivery, handler) ||
	    !descriptor_probe_accessed(cpu, &handler->code) || !far_stack_probe(cpu, &stack) ||
	    !far_stack_write(cpu, &stack) || !descriptor_set_accessed(cpu, &handler->code))
		return false;
	cpu->gpr[RSP] = far_stack_pointer(&stack);
	enter_handler(cpu, handler);
	return true;
}

/* Virtual-8086 segments mean nothing to the handler: they are saved and made null (SDM 3A 20.3.1).
 */
static bool push_v8086_segments(struct cpu *cpu, struct far_stack *stack)
{
	const uint64_t values[] = {cpu->seg[SEG_GS].selector, cpu->seg[SEG_FS].selector,
				   cpu->seg[SEG_DS].selector, cpu->seg[SEG_ES].selector};

	return !cpu_v8086(cpu) || push_all(cpu, stack, values, 4);
}

static void clear_v8086_segments(struct cpu *cpu)
{
	static const uint8_t data[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};

	for (unsigned i = 0; cpu_v8086(cpu) && i < sizeof(data); i++)
		cpu->seg[data[i]] = segment_null(0);
}

static bool deliver_inner(struct cpu *cpu, const struct delivery *delivery,
			  const struct handler *handler)
{
	struct inner_stack inner;
	struct far_stack stack;

	if (!inner_stack_legacy(cpu, handler->cpl, external(delivery), &inner))
		return false;
	far_stack_init_new(&stack, cpu, &inner.ss, inner.sp, false, gate_push_bytes(handler),
			   handler->cpl, selector_error(inner.ss.selector, external(delivery)));
	const uint64_t outer[] = {cpu->seg[SEG_SS].selector, cpu->gpr[RSP]};
	if (!push_v8086_segments(cpu, &stack) || !push_all(cpu, &stack, outer, 2) ||
	    !push_return(cpu, delivery, &stack) || !check_entry(cpu, delivery, handler) ||
	    !descriptor_probe_accessed(cpu, &handler->code) ||
	    !descriptor_probe_accessed(cpu, &inner.descriptor) || !far_stack_probe(cpu, &stack) ||
	    !far_stack_write(cpu, &stack) || !descriptor_set_accessed(cpu, &handler->code) ||
	    !descriptor_set_accessed(cpu, &inner.descriptor))
		return false;
	clear_v8086_segments(cpu);
	cpu->seg[SEG_SS] = inner.ss;
	cpu->gpr[RSP] = far_stack_pointer(&stack);
	enter_handler(cpu, handler);
	return true;
}

/* ---- task gates ---- */

static bool deliver_task(struct cpu *cpu, const struct delivery *delivery,
			 const struct descriptor *gate)
{
	struct task_switch how = {
		.selector = gate_selector(gate),
		.reason = TASK_CALL,
		.external = external(delivery),
		.rip = delivery->rip,
		.rflags = delivery->rflags,
		.has_error = delivery->has_error,
		.error = delivery->error,
	};

	return task_find(cpu, &how) && task_switch(cpu, &how);
}

static bool deliver_gate(struct cpu *cpu, const struct delivery *delivery)
{
	struct handler handler;

	if (!read_gate(cpu, delivery, &handler.gate))
		return false;
	if (descriptor_type(&handler.gate) == TYPE_TASK_GATE)
		return deliver_task(cpu, delivery, &handler.gate);
	if (!read_handler(cpu, delivery, &handler))
		return false;
	if (cpu_long_mode(cpu))
		return deliver_long(cpu, delivery, &handler);
	return handler.cpl < cpu->cpl ? deliver_inner(cpu, delivery, &handler)
				      : deliver_same(cpu, delivery, &handler);
}

bool delivery_run(struct cpu *cpu, const struct delivery *delivery)
{
	if (!(cpu->cr0 & CR0_PE ? deliver_gate(cpu, delivery) : deliver_real(cpu, delivery)))
		return false;
	cpu->shadow = SHADOW_NONE;
	cpu->activity = ACTIVITY_RUNNING;
	return true;
}
