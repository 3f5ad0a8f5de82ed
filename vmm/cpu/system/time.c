/* The time-stamp counter, performance counters (there are none) and random numbers. */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/system/system.h"
#include "vmm/machine.h"

uint64_t cpu_tsc(const struct cpu *cpu)
{
	return machine_clock_now(cpu->machine) + cpu->tsc_offset;
}

static void set_edx_eax(struct cpu *cpu, uint64_t value)
{
	cpu->gpr[RAX] = (uint32_t)value;
	cpu->gpr[RDX] = value >> 32;
}

bool exec_rdtsc(struct cpu *cpu, const struct insn *insn)
{
	if ((cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
		return raise_gp(cpu, 0);
	set_edx_eax(cpu, cpu_tsc(cpu));
	return true;
}

bool exec_rdtscp(struct cpu *cpu, const struct insn *insn)
{
	if (!exec_rdtsc(cpu, insn))
		return false;
	cpu->gpr[RCX] = (uint32_t)cpu->tsc_aux;
	return true;
}

/* CPUID leaf 0xA says that there are no counters: whatever ECX names does not exist. */
bool exec_rdpmc(struct cpu *cpu, const struct insn *insn)
{
	return raise_gp(cpu, 0);
}

static bool read_random(struct cpu *cpu, const struct insn *insn, bool seed)
{
	uint64_t value;

	if (!cross_random(cpu, seed, &value))
		return false;
	reg_write(cpu, &insn->operand[0], value);
	flags_set_arith(cpu, FLAG_CF);
	return true;
}

bool exec_rdrand(struct cpu *cpu, const struct insn *insn)
{
	return read_random(cpu, insn, false);
}

bool exec_rdseed(struct cpu *cpu, const struct insn *insn)
{
	return read_random(cpu, insn, true);
}
