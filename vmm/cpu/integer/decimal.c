/*
 * Decimal adjustments (SDM 2 "DAA" and following; none in 64-bit mode). Flags that the manual
 * leaves undefined: SF, ZF and PF follow AL, the others are 0.
 */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/integer.h"

static void flags_decimal(struct cpu *cpu, uint8_t al, bool cf, bool af)
{
	flags_logic(cpu, al, 1);
	flags_set_cf_of(cpu, cf, false);
	if (af)
		cpu->cc_aux |= CC_AF;
}

/* DAA, and DAS with subtract set. */
static void adjust_packed(struct cpu *cpu, bool subtract)
{
	uint8_t al = (uint8_t)cpu->gpr[RAX], result = al;
	bool high = al > 0x99 || flag_cf(cpu), low = (al & 15) > 9 || flag_af(cpu);
	bool cf = high;

	if (low) {
		if (subtract ? al < 6 : al > 0xff - 6)
			cf = true;
		result = (uint8_t)(subtract ? result - 6 : result + 6);
	}
	if (high)
		result = (uint8_t)(subtract ? result - 0x60 : result + 0x60);
	gpr_write(cpu, RAX, 1, result);
	flags_decimal(cpu, result, cf, low);
}

bool exec_daa(struct cpu *cpu, const struct insn *insn)
{
	adjust_packed(cpu, false);
	return true;
}

bool exec_das(struct cpu *cpu, const struct insn *insn)
{
	adjust_packed(cpu, true);
	return true;
}

/* AAA adds 0x106 to AX; AAS takes 6 from AX, then 1 from AH. */
static void adjust_unpacked(struct cpu *cpu, unsigned delta)
{
	unsigned ax = (unsigned)gpr_read(cpu, RAX, 2);
	bool adjust = (ax & 15) > 9 || flag_af(cpu);

	if (adjust)
		ax += delta;
	gpr_write(cpu, RAX, 2, ax & 0xff0f);
	flags_decimal(cpu, ax & 15, adjust, adjust);
}

bool exec_aaa(struct cpu *cpu, const struct insn *insn)
{
	adjust_unpacked(cpu, 0x106);
	return true;
}

bool exec_aas(struct cpu *cpu, const struct insn *insn)
{
	adjust_unpacked(cpu, -0x106u);
	return true;
}

bool exec_aam(struct cpu *cpu, const struct insn *insn)
{
	uint8_t base = (uint8_t)insn->imm, al = (uint8_t)cpu->gpr[RAX];

	if (base == 0)
		return raise_fault(cpu, VECTOR_DE);
	gpr_write(cpu, RAX, 2, (uint64_t)(al / base) << 8 | al % base);
	flags_decimal(cpu, al % base, false, false);
	return true;
}

bool exec_aad(struct cpu *cpu, const struct insn *insn)
{
	unsigned ax = (unsigned)gpr_read(cpu, RAX, 2);
	uint8_t al = (uint8_t)(ax + (ax >> 8) * (uint8_t)insn->imm);

	gpr_write(cpu, RAX, 2, al);
	flags_decimal(cpu, al, false, false);
	return true;
}
