/* Instructions on the status flags themselves. */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/integer.h"

#define FLAGS_AH (FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF)

bool exec_lahf(struct cpu *cpu, const struct insn *insn)
{
	uint64_t ah = (flags_arith(cpu) & FLAGS_AH) | FLAG_FIXED;

	gpr_write(cpu, RAX, 2, gpr_read(cpu, RAX, 1) | ah << 8);
	return true;
}

bool exec_sahf(struct cpu *cpu, const struct insn *insn)
{
	uint32_t ah = (uint32_t)(cpu->gpr[RAX] >> 8) & FLAGS_AH;

	flags_set_arith(cpu, ah | (flags_arith(cpu) & FLAG_OF));
	return true;
}

bool exec_clc(struct cpu *cpu, const struct insn *insn)
{
	flags_set_cf_of(cpu, false, flag_of(cpu));
	return true;
}

bool exec_stc(struct cpu *cpu, const struct insn *insn)
{
	flags_set_cf_of(cpu, true, flag_of(cpu));
	return true;
}

bool exec_cmc(struct cpu *cpu, const struct insn *insn)
{
	flags_set_cf_of(cpu, !flag_cf(cpu), flag_of(cpu));
	return true;
}

bool exec_cld(struct cpu *cpu, const struct insn *insn)
{
	cpu->rflags_rest &= ~(uint64_t)FLAG_DF;
	return true;
}

bool exec_std(struct cpu *cpu, const struct insn *insn)
{
	cpu->rflags_rest |= FLAG_DF;
	return true;
}

bool exec_salc(struct cpu *cpu, const struct insn *insn)
{
	gpr_write(cpu, RAX, 1, flag_cf(cpu) ? 0xff : 0);
	return true;
}
