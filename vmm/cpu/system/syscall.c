/*
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM 2; SDM 3A 5.8.7, 5.8.8). They load fixed segments without
 * reading descriptors. Vendor differences: segment.h.
 */
#include "vmm/cpu/system/descriptor.h"
#include "vmm/cpu/system/system.h"

#define SYSENTER_SELECTOR 0xfffcu

static struct segment flat_segment(uint16_t selector, uint32_t attr)
{
	return (struct segment){.limit = UINT32_MAX, .attr = attr, .selector = selector};
}

static void enter_flat(struct cpu *cpu, unsigned cpl, uint16_t cs, uint16_t ss, bool wide)
{
	uint32_t dpl = cpl << SEG_ATTR_DPL_SHIFT;

	cpu->seg[SEG_CS] =
		flat_segment((uint16_t)(cs | cpl), (wide ? ATTR_CODE64 : ATTR_CODE32) | dpl);
	cpu->seg[SEG_SS] = flat_segment((uint16_t)(ss | cpl), ATTR_DATA32 | dpl);
	cpu->cpl = (uint8_t)cpl;
}

static bool check_syscall(struct cpu *cpu)
{
	return (cpu_code64(cpu) && (cpu->efer & EFER_SCE)) || raise_ud(cpu);
}

bool exec_syscall(struct cpu *cpu, const struct insn *insn)
{
	uint16_t cs = (cpu->star >> 32) & SYSENTER_SELECTOR;
	uint64_t rflags = cpu_rflags(cpu) & ~(uint64_t)FLAG_RF;

	if (!check_syscall(cpu))
		return false;
	cpu->gpr[RCX] = cpu->next_rip;
	cpu->gpr[R11] = rflags;
	cpu->next_rip = cpu->lstar;
	enter_flat(cpu, 0, cs, (uint16_t)(cs + 8), true);
	cpu_set_rflags(cpu, rflags & ~cpu->sfmask);
	return true;
}

bool exec_sysret(struct cpu *cpu, const struct insn *insn)
{
	bool wide = insn->op_size == 8;
	uint16_t base = (uint16_t)(cpu->star >> 48);
	uint64_t target = wide ? cpu->gpr[RCX] : (uint32_t)cpu->gpr[RCX];

	if (!check_syscall(cpu))
		return false;
	if (cpu->cpl != 0 || !address_is_canonical(target))
		return raise_gp(cpu, 0);
	cpu->next_rip = target;
	enter_flat(cpu, 3, (uint16_t)(base + (wide ? 16 : 0)), (uint16_t)(base + 8), wide);
	/*
	 * Unlike POPF and IRET, a TF that SYSRET loads traps at once, at the target. No manual says
	 * so; Linux (entry_64.S) returns by IRET when TF is set because of it.
	 */
	if (cpu->gpr[R11] & FLAG_TF)
		cpu->pending_db |= DR6_BS;
	cpu_set_rflags(cpu, cpu->gpr[R11] & ~(uint64_t)(FLAG_RF | FLAG_VM));
	return true;
}

static bool check_sysenter(struct cpu *cpu)
{
	return ((cpu->cr0 & CR0_PE) && (cpu->sysenter_cs & SYSENTER_SELECTOR)) || raise_gp(cpu, 0);
}

bool exec_sysenter(struct cpu *cpu, const struct insn *insn)
{
	uint16_t cs = cpu->sysenter_cs & SYSENTER_SELECTOR;
	bool wide = cpu_long_mode(cpu);

	if (!check_sysenter(cpu))
		return false;
	cpu->gpr[RSP] = wide ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
	cpu->next_rip = wide ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip;
	enter_flat(cpu, 0, cs, (uint16_t)(cs + 8), wide);
	cpu_set_rflags(cpu, cpu_rflags(cpu) & ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF));
	return true;
}

bool exec_sysexit(struct cpu *cpu, const struct insn *insn)
{
	uint16_t base = cpu->sysenter_cs & SYSENTER_SELECTOR;
	bool wide = insn->op_size == 8;
	uint64_t rsp = cpu->gpr[RCX], rip = cpu->gpr[RDX];

	if (!check_sysenter(cpu))
		return false;
	if (cpu->cpl != 0 || (wide && !(address_is_canonical(rsp) && address_is_canonical(rip))))
		return raise_gp(cpu, 0);
	cpu->gpr[RSP] = wide ? rsp : (uint32_t)rsp;
	cpu->next_rip = wide ? rip : (uint32_t)rip;
	enter_flat(cpu, 3, (uint16_t)(base + (wide ? 32 : 16)), (uint16_t)(base + (wide ? 40 : 24)),
		   wide);
	cpu_update_mode(cpu);
	return true;
}
