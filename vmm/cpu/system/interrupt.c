/* INT n and its kin, and IRET in every mode (SDM 2, INT and IRET; SDM 3A 20.2.1). */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/system/far_stack.h"
#include "vmm/cpu/system/rflags.h"
#include "vmm/cpu/system/segment.h"
#include "vmm/cpu/system/system.h"
#include "vmm/cpu/system/task.h"
#include "vmm/cpu/system/transfer.h"

bool exec_int(struct cpu *cpu, const struct insn *insn)
{
	return interrupt_software(cpu, (uint8_t)insn->imm, true);
}

bool exec_int1(struct cpu *cpu, const struct insn *insn)
{
	return interrupt_software(cpu, VECTOR_DB, false);
}

bool exec_int3(struct cpu *cpu, const struct insn *insn)
{
	return interrupt_software(cpu, VECTOR_BP, false);
}

bool exec_into(struct cpu *cpu, const struct insn *insn)
{
	return !flag_of(cpu) || interrupt_software(cpu, VECTOR_OF, false);
}

/* ---- IRET ---- */

/* Popped values in the order in which they lie on the stack. */
enum iret_frame {
	FRAME_RIP,
	FRAME_CS,
	FRAME_FLAGS,
	FRAME_RSP,
	FRAME_SS,
	FRAME_ES,
	FRAME_DS,
	FRAME_FS,
	FRAME_GS,
	FRAME_COUNT,
};

/* RFLAGS after the return; privilege is that of before it. */
static uint64_t returned_flags(const struct cpu *cpu, unsigned size, uint64_t popped)
{
	uint64_t mask = rflags_loadable(cpu, size);

	if (size != 2)
		mask |= FLAG_RF | (cpu->cpl == 0 ? FLAG_VIF | FLAG_VIP : 0);
	return (cpu_rflags(cpu) & ~mask) | (popped & mask);
}

/* Ends every IRET; cpu_set_rflags() brings the mode up to date. */
static bool finish(struct cpu *cpu, uint64_t rflags)
{
	cpu_set_rflags(cpu, rflags);
	return true;
}

static bool return_real(struct cpu *cpu, unsigned size, const struct far_stack *stack,
			const uint64_t *frame)
{
	uint64_t rflags = returned_flags(cpu, size, frame[FRAME_FLAGS]);

	if (!transfer_check_real(cpu, frame[FRAME_RIP]))
		return false;
	cpu->gpr[RSP] = far_stack_pointer(stack);
	transfer_enter_real(cpu, (uint16_t)frame[FRAME_CS], frame[FRAME_RIP]);
	return finish(cpu, rflags);
}

static bool return_v8086(struct cpu *cpu, struct far_stack *stack, uint64_t *frame)
{
	static const uint8_t segs[] = {
		[FRAME_CS] = SEG_CS, [FRAME_SS] = SEG_SS, [FRAME_ES] = SEG_ES,
		[FRAME_DS] = SEG_DS, [FRAME_FS] = SEG_FS, [FRAME_GS] = SEG_GS,
	};

	if (!far_stack_pop(cpu, stack, FRAME_COUNT - FRAME_RSP, frame + FRAME_RSP))
		return false;
	if (frame[FRAME_RIP] > 0xffff)
		return raise_gp(cpu, 0);
	cpu->seg[SEG_CS] = segment_v8086((uint16_t)frame[FRAME_CS]);
	for (unsigned i = FRAME_SS; i <= FRAME_GS; i++)
		cpu->seg[segs[i]] = segment_v8086((uint16_t)frame[i]);
	cpu->gpr[RSP] = frame[FRAME_RSP];
	cpu->next_rip = frame[FRAME_RIP];
	cpu->cpl = 3;
	return finish(cpu, frame[FRAME_FLAGS]);
}

static bool return_same(struct cpu *cpu, struct transfer *transfer, const struct far_stack *stack,
			uint64_t rflags)
{
	if (!transfer_check_rip(cpu, transfer) || !descriptor_set_accessed(cpu, &transfer->code))
		return false;
	cpu->gpr[RSP] = far_stack_pointer(stack);
	transfer_enter(cpu, transfer);
	return finish(cpu, rflags);
}

/* To less privilege, and always from 64-bit mode: SS:RSP is popped too. */
static bool return_with_stack(struct cpu *cpu, struct transfer *transfer, struct far_stack *stack,
			      uint64_t *frame, uint64_t rflags)
{
	bool outer = transfer->cpl != cpu->cpl;
	struct descriptor descriptor;
	struct segment ss;

	if (!far_stack_pop(cpu, stack, 2, frame + FRAME_RSP) ||
	    !transfer_check_stack(cpu, transfer, (uint16_t)frame[FRAME_SS], &ss, &descriptor) ||
	    !transfer_check_rip(cpu, transfer) ||
	    !descriptor_probe_accessed(cpu, &transfer->code) ||
	    !descriptor_probe_accessed(cpu, &descriptor) ||
	    !descriptor_set_accessed(cpu, &transfer->code) ||
	    !descriptor_set_accessed(cpu, &descriptor))
		return false;
	cpu->gpr[RSP] = far_stack_pointer_loaded(cpu, &ss, transfer->wide, frame[FRAME_RSP]);
	cpu->seg[SEG_SS] = ss;
	transfer_enter(cpu, transfer);
	if (outer)
		segment_drop_privileged(cpu);
	return finish(cpu, rflags);
}

static bool return_protected(struct cpu *cpu, unsigned size, struct far_stack *stack,
			     uint64_t *frame)
{
	uint64_t rflags = returned_flags(cpu, size, frame[FRAME_FLAGS]);
	struct transfer transfer = {.rip = frame[FRAME_RIP]};

	if (size == 4 && (frame[FRAME_FLAGS] & FLAG_VM) && cpu->cpl == 0 && !cpu_long_mode(cpu))
		return return_v8086(cpu, stack, frame);
	if (!transfer_check_return(cpu, (uint16_t)frame[FRAME_CS], &transfer))
		return false;
	if (transfer.cpl != cpu->cpl || cpu_code64(cpu))
		return return_with_stack(cpu, &transfer, stack, frame, rflags);
	return return_same(cpu, &transfer, stack, rflags);
}

/* NT says that the current task was called: back to its caller (SDM 3A 7.4). */
static bool return_to_task(struct cpu *cpu)
{
	struct task_switch how = {
		.reason = TASK_RETURN,
		.rip = cpu->next_rip,
		.rflags = cpu_rflags(cpu) & ~(uint64_t)(FLAG_NT | FLAG_RF),
	};

	if (cpu_long_mode(cpu))
		return raise_gp(cpu, 0);
	return task_find_link(cpu, &how) && task_switch(cpu, &how);
}

bool exec_iret(struct cpu *cpu, const struct insn *insn)
{
	struct far_stack stack;
	uint64_t frame[FRAME_COUNT];

	/* One that faults ends the blocking too (SDM 3A 6.7.1). */
	cpu->nmi_blocked = false;
	if (!rflags_check_v8086_iopl(cpu))
		return false;
	if (cpu_protected(cpu) && (cpu->rflags_rest & FLAG_NT))
		return return_to_task(cpu);
	far_stack_init_current(&stack, cpu, insn->op_size);
	if (!far_stack_pop(cpu, &stack, 3, frame))
		return false;
	if (!cpu_protected(cpu))
		return return_real(cpu, insn->op_size, &stack, frame);
	return return_protected(cpu, insn->op_size, &stack, frame);
}
