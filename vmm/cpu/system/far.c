/* Far CALL, JMP and RET (SDM 3A 5.8): code segments, call gates, tasks. */
#include <string.h>

#include "vmm/cpu/flags.h"
#include "vmm/cpu/system/far_stack.h"
#include "vmm/cpu/system/inner_stack.h"
#include "vmm/cpu/system/segment.h"
#include "vmm/cpu/system/system.h"
#include "vmm/cpu/system/task.h"
#include "vmm/cpu/system/transfer.h"

/* The pointer that a far CALL or JMP names. */
struct far_pointer {
	uint16_t selector;
	uint64_t offset;
};

static bool read_far_pointer(struct cpu *cpu, const struct insn *insn, struct far_pointer *pointer)
{
	if (insn->operand[0].kind == OPERAND_MEM)
		return segment_read_far_pointer(cpu, insn, &pointer->offset, &pointer->selector);
	pointer->selector = insn->imm2;
	pointer->offset = zero_extend(insn->imm, insn->op_size);
	return true;
}

static bool in_real_fashion(const struct cpu *cpu)
{
	return !(cpu->cr0 & CR0_PE) || cpu_v8086(cpu);
}

static bool push_return(struct cpu *cpu, struct far_stack *stack)
{
	return far_stack_push(cpu, stack, cpu->seg[SEG_CS].selector) &&
	       far_stack_push(cpu, stack, cpu->next_rip);
}

/* ---- code segments ---- */

static bool jump_real(struct cpu *cpu, const struct far_pointer *pointer)
{
	if (!transfer_check_real(cpu, pointer->offset))
		return false;
	transfer_enter_real(cpu, pointer->selector, pointer->offset);
	cpu_update_mode(cpu);
	return true;
}

static bool call_real(struct cpu *cpu, const struct insn *insn, const struct far_pointer *pointer)
{
	struct far_stack stack;

	far_stack_init_current(&stack, cpu, insn->op_size);
	if (!push_return(cpu, &stack) || !transfer_check_real(cpu, pointer->offset) ||
	    !far_stack_probe(cpu, &stack) || !far_stack_write(cpu, &stack))
		return false;
	cpu->gpr[RSP] = far_stack_pointer(&stack);
	transfer_enter_real(cpu, pointer->selector, pointer->offset);
	cpu_update_mode(cpu);
	return true;
}

static bool jump_to(struct cpu *cpu, struct transfer *transfer)
{
	if (!transfer_check_rip(cpu, transfer) || !descriptor_set_accessed(cpu, &transfer->code))
		return false;
	transfer_enter(cpu, transfer);
	cpu_update_mode(cpu);
	return true;
}

/* A call without a change of privilege; stack is the vCPU's own. */
static bool call_same(struct cpu *cpu, struct transfer *transfer, struct far_stack *stack)
{
	if (!push_return(cpu, stack) || !transfer_check_rip(cpu, transfer) ||
	    !descriptor_probe_accessed(cpu, &transfer->code) || !far_stack_probe(cpu, stack) ||
	    !far_stack_write(cpu, stack) || !descriptor_set_accessed(cpu, &transfer->code))
		return false;
	cpu->gpr[RSP] = far_stack_pointer(stack);
	transfer_enter(cpu, transfer);
	cpu_update_mode(cpu);
	return true;
}

/* ---- call gates ---- */

#define GATE_MAX_PARAMETERS 31

/* Copies the gate's parameters from the old stack to the new one, keeping their order. */
static bool copy_parameters(struct cpu *cpu, struct far_stack *stack, unsigned count)
{
	uint64_t values[GATE_MAX_PARAMETERS];
	struct far_stack old;

	far_stack_init_current(&old, cpu, stack->push_bytes);
	if (!far_stack_pop(cpu, &old, count, values))
		return false;
	while (count--) {
		if (!far_stack_push(cpu, stack, values[count]))
			return false;
	}
	return true;
}

/* The new stack of a call to more privilege, in the mode's format. */
static bool find_inner(struct cpu *cpu, const struct transfer *transfer, struct inner_stack *inner)
{
	if (!cpu_long_mode(cpu))
		return inner_stack_legacy(cpu, transfer->cpl, false, inner);
	inner->ss = segment_null(transfer->cpl);
	inner->descriptor = (struct descriptor){.selector = 0};
	return inner_stack_long(cpu, transfer->cpl, 0, false, &inner->sp);
}

static bool call_inner(struct cpu *cpu, struct transfer *transfer, unsigned push_bytes,
		       unsigned n_parameters)
{
	struct inner_stack inner;
	struct far_stack stack;

	if (!find_inner(cpu, transfer, &inner))
		return false;
	far_stack_init_new(&stack, cpu, &inner.ss, inner.sp, cpu_long_mode(cpu), push_bytes,
			   transfer->cpl, selector_error(inner.ss.selector, false));
	if (!far_stack_push(cpu, &stack, cpu->seg[SEG_SS].selector) ||
	    !far_stack_push(cpu, &stack, cpu->gpr[RSP]) ||
	    !copy_parameters(cpu, &stack, n_parameters) || !push_return(cpu, &stack) ||
	    !transfer_check_rip(cpu, transfer) ||
	    !descriptor_probe_accessed(cpu, &transfer->code) ||
	    !descriptor_probe_accessed(cpu, &inner.descriptor) || !far_stack_probe(cpu, &stack) ||
	    !far_stack_write(cpu, &stack) || !descriptor_set_accessed(cpu, &transfer->code) ||
	    !descriptor_set_accessed(cpu, &inner.descriptor))
		return false;
	cpu->seg[SEG_SS] = inner.ss;
	cpu->gpr[RSP] = far_stack_pointer(&stack);
	transfer_enter(cpu, transfer);
	cpu_update_mode(cpu);
	return true;
}

static unsigned gate_push_bytes(const struct cpu *cpu, const struct descriptor *gate)
{
	if (cpu_long_mode(cpu))
		return 8;
	return descriptor_type(gate) == TYPE_CALL_GATE32 ? 4 : 2;
}

/* Gate checks common to every kind (SDM 3A 5.8.4): privilege, then presence. */
static bool check_gate(struct cpu *cpu, const struct descriptor *gate)
{
	unsigned dpl = descriptor_dpl(gate), rpl = gate->selector & SELECTOR_RPL;
	uint32_t error = selector_error(gate->selector, false);

	if (dpl < cpu->cpl || dpl < rpl)
		return raise_gp(cpu, error);
	return descriptor_present(gate) || raise_fault_error(cpu, VECTOR_NP, error);
}

static bool through_call_gate(struct cpu *cpu, struct descriptor *gate, bool jump)
{
	struct transfer transfer;
	struct far_stack stack;

	if (!check_gate(cpu, gate) || !descriptor_read_upper(cpu, VECTOR_GP, false, gate) ||
	    !transfer_check_gate(cpu, gate_selector(gate), jump, &transfer))
		return false;
	transfer.rip = gate_offset(gate);
	if (jump)
		return jump_to(cpu, &transfer);
	if (transfer.cpl < cpu->cpl) {
		unsigned n_parameters = cpu_long_mode(cpu) ? 0 : (gate->low >> 32) & 31;
		return call_inner(cpu, &transfer, gate_push_bytes(cpu, gate), n_parameters);
	}
	far_stack_init_current(&stack, cpu, gate_push_bytes(cpu, gate));
	return call_same(cpu, &transfer, &stack);
}

/* ---- tasks ---- */

static bool to_task(struct cpu *cpu, const struct descriptor *descriptor, bool jump)
{
	struct task_switch how = {
		.selector = descriptor->selector,
		.reason = jump ? TASK_JUMP : TASK_CALL,
		.rip = cpu->next_rip,
		.rflags = cpu_rflags(cpu) & ~(uint64_t)FLAG_RF,
	};

	if (!check_gate(cpu, descriptor))
		return false;
	if (descriptor_type(descriptor) == TYPE_TASK_GATE)
		how.selector = gate_selector(descriptor);
	return task_find(cpu, &how) && task_switch(cpu, &how);
}

/* ---- CALL and JMP ---- */

/* What lies behind a selector that is no code segment. */
static bool through_system(struct cpu *cpu, struct descriptor *descriptor, bool jump)
{
	bool legacy = !cpu_long_mode(cpu);
	unsigned type = descriptor_is_segment(descriptor) ? 0 : descriptor_type(descriptor);

	if (type == TYPE_CALL_GATE32 || (legacy && type == TYPE_CALL_GATE16))
		return through_call_gate(cpu, descriptor, jump);
	if (legacy && (type == TYPE_TASK_GATE || type == TYPE_TSS16_AVAILABLE ||
		       type == TYPE_TSS32_AVAILABLE))
		return to_task(cpu, descriptor, jump);
	return raise_gp(cpu, selector_error(descriptor->selector, false));
}

static bool transfer_protected(struct cpu *cpu, const struct insn *insn,
			       const struct far_pointer *pointer, bool jump)
{
	struct transfer transfer = {.rip = pointer->offset};
	struct far_stack stack;

	if (selector_is_null(pointer->selector))
		return raise_gp(cpu, 0);
	if (!descriptor_read(cpu, pointer->selector, VECTOR_GP, false, &transfer.code))
		return false;
	if (!descriptor_is_code(&transfer.code))
		return through_system(cpu, &transfer.code, jump);
	if (!transfer_check_direct(cpu, pointer->selector, &transfer))
		return false;
	if (jump)
		return jump_to(cpu, &transfer);
	far_stack_init_current(&stack, cpu, insn->op_size);
	return call_same(cpu, &transfer, &stack);
}

bool exec_jmp_far(struct cpu *cpu, const struct insn *insn)
{
	struct far_pointer pointer;

	if (!read_far_pointer(cpu, insn, &pointer))
		return false;
	return in_real_fashion(cpu) ? jump_real(cpu, &pointer)
				    : transfer_protected(cpu, insn, &pointer, true);
}

bool exec_call_far(struct cpu *cpu, const struct insn *insn)
{
	struct far_pointer pointer;

	if (!read_far_pointer(cpu, insn, &pointer))
		return false;
	return in_real_fashion(cpu) ? call_real(cpu, insn, &pointer)
				    : transfer_protected(cpu, insn, &pointer, false);
}

/* ---- RET ---- */

static bool return_real(struct cpu *cpu, struct far_stack *stack, const uint64_t *popped,
			uint32_t extra)
{
	if (!transfer_check_real(cpu, popped[0]))
		return false;
	far_stack_skip(stack, extra);
	cpu->gpr[RSP] = far_stack_pointer(stack);
	transfer_enter_real(cpu, (uint16_t)popped[1], popped[0]);
	cpu_update_mode(cpu);
	return true;
}

static bool return_same(struct cpu *cpu, struct far_stack *stack, struct transfer *transfer,
			uint32_t extra)
{
	if (!transfer_check_rip(cpu, transfer) || !descriptor_set_accessed(cpu, &transfer->code))
		return false;
	far_stack_skip(stack, extra);
	cpu->gpr[RSP] = far_stack_pointer(stack);
	transfer_enter(cpu, transfer);
	cpu_update_mode(cpu);
	return true;
}

static bool return_outer(struct cpu *cpu, struct far_stack *stack, struct transfer *transfer,
			 uint32_t extra)
{
	uint64_t popped[2];
	struct segment ss;
	struct descriptor descriptor;
	struct far_stack outer;

	far_stack_skip(stack, extra);
	if (!far_stack_pop(cpu, stack, 2, popped) ||
	    !transfer_check_stack(cpu, transfer, (uint16_t)popped[1], &ss, &descriptor) ||
	    !transfer_check_rip(cpu, transfer) ||
	    !descriptor_probe_accessed(cpu, &transfer->code) ||
	    !descriptor_probe_accessed(cpu, &descriptor) ||
	    !descriptor_set_accessed(cpu, &transfer->code) ||
	    !descriptor_set_accessed(cpu, &descriptor))
		return false;
	far_stack_init_new(&outer, cpu, &ss,
			   far_stack_pointer_loaded(cpu, &ss, transfer->wide, popped[0]),
			   transfer->wide, stack->push_bytes, transfer->cpl, 0);
	far_stack_skip(&outer, extra);
	cpu->gpr[RSP] = far_stack_pointer(&outer);
	cpu->seg[SEG_SS] = ss;
	transfer_enter(cpu, transfer);
	segment_drop_privileged(cpu);
	cpu_update_mode(cpu);
	return true;
}

bool exec_ret_far(struct cpu *cpu, const struct insn *insn)
{
	uint32_t extra = insn->n_operands ? (uint16_t)insn->imm : 0;
	struct transfer transfer;
	struct far_stack stack;
	uint64_t popped[2];

	far_stack_init_current(&stack, cpu, insn->op_size);
	if (!far_stack_pop(cpu, &stack, 2, popped))
		return false;
	if (in_real_fashion(cpu))
		return return_real(cpu, &stack, popped, extra);
	transfer.rip = popped[0];
	if (!transfer_check_return(cpu, (uint16_t)popped[1], &transfer))
		return false;
	return transfer.cpl == cpu->cpl ? return_same(cpu, &stack, &transfer, extra)
					: return_outer(cpu, &stack, &transfer, extra);
}
