/* RFLAGS as a whole, the instructions that move it, and when interrupts can be taken. */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/stack.h"
#include "vmm/cpu/system/rflags.h"
#include "vmm/cpu/system/system.h"

uint64_t cpu_rflags(const struct cpu *cpu)
{
	return cpu->rflags_rest | flags_arith(cpu);
}

void cpu_set_rflags(struct cpu *cpu, uint64_t rflags)
{
	cpu->rflags_rest = (rflags & RFLAGS_WRITABLE & ~(uint64_t)FLAGS_ARITH) | FLAG_FIXED;
	flags_set_arith(cpu, (uint32_t)rflags & FLAGS_ARITH);
	cpu_update_mode(cpu);
}

unsigned cpu_iopl(const struct cpu *cpu)
{
	return (cpu->rflags_rest & FLAG_IOPL) >> FLAG_IOPL_SHIFT;
}

uint64_t rflags_loadable(const struct cpu *cpu, unsigned size)
{
	uint64_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;

	if (size != 2)
		mask |= FLAG_AC | FLAG_ID;
	if (cpu->cpl <= cpu_iopl(cpu))
		mask |= FLAG_IF;
	if (cpu->cpl == 0)
		mask |= FLAG_IOPL;
	return mask;
}

bool rflags_check_v8086_iopl(struct cpu *cpu)
{
	return !cpu_v8086(cpu) || cpu_iopl(cpu) == 3 || raise_gp(cpu, 0);
}

/* ---- taking interrupts ---- */

static bool can_take(const struct cpu *cpu)
{
	/* A debug trap that is due comes first (SDM 3A table 6-2). */
	return cpu->shadow == SHADOW_NONE && !cpu->pending_db &&
	       (cpu->activity == ACTIVITY_RUNNING || cpu->activity == ACTIVITY_HALTED);
}

bool cpu_can_take_interrupt(const struct cpu *cpu)
{
	return (cpu->rflags_rest & FLAG_IF) && can_take(cpu);
}

bool cpu_can_take_nmi(const struct cpu *cpu)
{
	return !cpu->nmi_blocked && can_take(cpu);
}

/* ---- PUSHF, POPF ---- */

bool exec_pushf(struct cpu *cpu, const struct insn *insn)
{
	uint64_t image = cpu_rflags(cpu) & ~(uint64_t)(FLAG_VM | FLAG_RF);

	return rflags_check_v8086_iopl(cpu) && stack_push(cpu, insn->op_size, image);
}

bool exec_popf(struct cpu *cpu, const struct insn *insn)
{
	uint64_t popped, kept, mask = rflags_loadable(cpu, insn->op_size);

	if (!rflags_check_v8086_iopl(cpu) || !stack_pop(cpu, insn->op_size, &popped))
		return false;
	kept = cpu_rflags(cpu) & ~mask;
	if (insn->op_size != 2) {
		kept &= ~(uint64_t)FLAG_RF;
		if (cpu->cpl == 0)
			kept &= ~(uint64_t)(FLAG_VIF | FLAG_VIP);
	}
	cpu_set_rflags(cpu, kept | (popped & mask));
	return true;
}

/* ---- single flags ---- */

/* SDM 2, CLI table 3-7 without VME and PVI; real mode has CPL 0 and passes. */
static bool check_interrupt_flag(struct cpu *cpu)
{
	return cpu->cpl <= cpu_iopl(cpu) || raise_gp(cpu, 0);
}

bool exec_cli(struct cpu *cpu, const struct insn *insn)
{
	if (!check_interrupt_flag(cpu))
		return false;
	cpu->rflags_rest &= ~(uint64_t)FLAG_IF;
	return true;
}

bool exec_sti(struct cpu *cpu, const struct insn *insn)
{
	if (!check_interrupt_flag(cpu))
		return false;
	if (cpu->rflags_rest & FLAG_IF)
		return true;
	cpu->rflags_rest |= FLAG_IF;
	cpu->shadow = SHADOW_STI;
	cpu_update_mode(cpu);
	return true;
}

static bool set_alignment_flag(struct cpu *cpu, bool value)
{
	if (cpu->cpl != 0)
		return raise_ud(cpu);
	cpu->rflags_rest &= ~(uint64_t)FLAG_AC;
	cpu->rflags_rest |= value ? FLAG_AC : 0;
	cpu_update_mode(cpu);
	return true;
}

bool exec_clac(struct cpu *cpu, const struct insn *insn)
{
	return set_alignment_flag(cpu, false);
}

bool exec_stac(struct cpu *cpu, const struct insn *insn)
{
	return set_alignment_flag(cpu, true);
}

bool exec_hlt(struct cpu *cpu, const struct insn *insn)
{
	/* The single-step trap that is due after it would end the halt at once. */
	if (!(cpu->rflags_rest & FLAG_TF))
		cpu->activity = ACTIVITY_HALTED;
	cpu_update_mode(cpu);
	return true;
}
