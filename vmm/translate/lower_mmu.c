/*
 * Operands of code that runs with the hardware MMU: a GS prefix adds the bias. RSP has it already,
 * FS too. An address that a 32-bit displacement does not reach goes through R11.
 */
#include "vmm/translate/generate.h"

static bool is_rip_relative(const struct insn *insn)
{
	return insn->base == INSN_BASE_RIP;
}

/* An absolute operand reaches the low 2 GiB. */
static bool reaches(uint64_t address)
{
	return address <= INT32_MAX;
}

static bool mmu_possible(const struct insn *insn, uint64_t linear)
{
	bool special = is_rip_relative(insn) || insn->base == RSP;

	if (insn->seg == SEG_GS || (insn->seg == SEG_FS && special))
		return false;
	return insn->addr_size == 8 || (insn->addr_size == 4 && !special);
}

static bool mmu_takes_r11(const struct insn *insn, uint64_t linear)
{
	return is_rip_relative(insn) && !reaches(insn_rip_relative(insn, linear));
}

static void address_constant(struct generator *g, uint64_t address, struct encoding *c)
{
	c->segment = ENCODING_GS;
	if (reaches(address)) {
		c->base = GPR_ZERO;
		c->disp = (int32_t)address;
		return;
	}
	int64_t distance = (int64_t)(address - g->r11_constant);
	if (g->r11 != R11_CONSTANT || distance != (int32_t)distance) {
		generator_free_r11(g);
		emit_constant(g->e, COUNT_REGISTER, address);
		g->r11 = R11_CONSTANT;
		g->r11_constant = address;
		distance = 0;
	}
	c->base = COUNT_REGISTER;
	c->disp = (int32_t)distance;
}

static void mmu_address(struct generator *g, const struct insn *insn, uint64_t linear,
			struct encoding *c)
{
	c->addr32 = insn->addr_size == 4;
	if (insn->seg == SEG_FS)
		c->segment = ENCODING_FS;
	else if (is_rip_relative(insn))
		address_constant(g, insn_rip_relative(insn, linear), c);
	else
		c->segment = insn->base == RSP ? ENCODING_FLAT : ENCODING_GS;
}

const struct lowering lowering_mmu = {
	.name = "mmu",
	.possible = mmu_possible,
	.takes_r11 = mmu_takes_r11,
	.address = mmu_address,
};
