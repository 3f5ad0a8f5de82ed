/* Control registers (SDM 3A 2.5, 4.1.1, 9.8.5) and the instructions on caches of translations. */
#include "vmm/cpu/system/control.h"
#include "vmm/cpu/system/descriptor.h"
#include "vmm/cpu/system/system.h"
#include "vmm/mmu/mmu.h"

/* ---- CR0 ---- */

static bool pae_paging(const struct cpu *cpu, uint64_t cr0, uint64_t cr4)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(cpu->efer & EFER_LME);
}

/* Turning paging on with EFER.LME, or off again, enters and leaves long mode (SDM 3A 9.8.5). */
static bool check_long_switch(struct cpu *cpu, uint64_t cr0)
{
	bool on = cr0 & CR0_PG, was_on = cpu->cr0 & CR0_PG;
	bool code_long = cpu->seg[SEG_CS].attr & SEG_ATTR_L;

	if (on == was_on || !(cpu->efer & EFER_LME))
		return true;
	if (on && (!(cpu->cr4 & CR4_PAE) || code_long ||
		   (cpu->seg[SEG_TR].attr & SEG_ATTR_TYPE) == TYPE_TSS16_BUSY))
		return raise_gp(cpu, 0);
	if (!on && code_long)
		return raise_gp(cpu, 0);
	return true;
}

static bool write_cr0(struct cpu *cpu, uint64_t value)
{
	uint64_t cr0 = (value & CR0_BITS) | CR0_ET;
	uint64_t changed = cr0 ^ cpu->cr0;

	if (value >> 32 || !cr0_is_consistent(cr0))
		return raise_gp(cpu, 0);
	if (!check_long_switch(cpu, cr0))
		return false;
	if (pae_paging(cpu, cr0, cpu->cr4) && (changed & (CR0_PG | CR0_CD | CR0_NW)) &&
	    !mmu_load_pdptes(cpu, cpu->cr3))
		return raise_gp(cpu, 0);
	cpu->cr0 = cr0;
	cpu->efer &= ~(uint64_t)EFER_LMA;
	if ((cr0 & CR0_PG) && (cpu->efer & EFER_LME))
		cpu->efer |= EFER_LMA;
	cpu_update_mode(cpu);
	return true;
}

/* ---- CR3, CR4, CR8 ---- */

static bool write_cr3(struct cpu *cpu, uint64_t value)
{
	if (cpu_long_mode(cpu) && (value & ~CR3_BITS))
		return raise_gp(cpu, 0);
	if (pae_paging(cpu, cpu->cr0, cpu->cr4) && !mmu_load_pdptes(cpu, value))
		return raise_gp(cpu, 0);
	cpu->cr3 = value;
	cpu_update_mode(cpu);
	return true;
}

static bool write_cr4(struct cpu *cpu, uint64_t value)
{
	uint64_t changed = value ^ cpu->cr4;

	if ((value & ~CR4_BITS) || (cpu_long_mode(cpu) && !(value & CR4_PAE)))
		return raise_gp(cpu, 0);
	if (pae_paging(cpu, cpu->cr0, value) &&
	    (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) && !mmu_load_pdptes(cpu, cpu->cr3))
		return raise_gp(cpu, 0);
	cpu->cr4 = value;
	cpu_update_mode(cpu);
	return true;
}

static bool write_cr8(struct cpu *cpu, uint64_t value)
{
	if (value > 15)
		return raise_gp(cpu, 0);
	return cross_cr8_write(cpu, value);
}

/* ---- MOV ---- */

static bool read_control(struct cpu *cpu, unsigned n, uint64_t *ret_value)
{
	switch (n) {
	case 0:
		*ret_value = cpu->cr0;
		return true;
	case 2:
		*ret_value = cpu->cr2;
		return true;
	case 3:
		*ret_value = cpu->cr3;
		return true;
	case 4:
		*ret_value = cpu->cr4;
		return true;
	default:
		return cross_cr8_read(cpu, ret_value);
	}
}

static bool write_control(struct cpu *cpu, unsigned n, uint64_t value)
{
	switch (n) {
	case 0:
		return write_cr0(cpu, value);
	case 2:
		cpu->cr2 = value;
		return true;
	case 3:
		return write_cr3(cpu, value);
	case 4:
		return write_cr4(cpu, value);
	default:
		return write_cr8(cpu, value);
	}
}

/* CR0, CR2, CR3, CR4, and in 64-bit mode CR8. */
static bool control_exists(const struct cpu *cpu, unsigned n)
{
	return n == 0 || (n >= 2 && n <= 4) || (n == 8 && cpu_code64(cpu));
}

bool exec_mov_control(struct cpu *cpu, const struct insn *insn)
{
	bool to_control = insn->operand[0].reg_class == REG_CR;
	unsigned n = insn->operand[to_control ? 0 : 1].reg;
	uint64_t value;

	if (!control_exists(cpu, n))
		return raise_ud(cpu);
	if (cpu->cpl != 0)
		return raise_gp(cpu, 0);
	if (to_control)
		return write_control(cpu, n, reg_read(cpu, &insn->operand[1]));
	if (!read_control(cpu, n, &value))
		return false;
	reg_write(cpu, &insn->operand[0], value);
	return true;
}

/* ---- the machine status word ---- */

bool exec_clts(struct cpu *cpu, const struct insn *insn)
{
	cpu->cr0 &= ~(uint64_t)CR0_TS;
	cpu_update_mode(cpu);
	return true;
}

bool exec_smsw(struct cpu *cpu, const struct insn *insn)
{
	if ((cpu->cr4 & CR4_UMIP) && cpu->cpl != 0)
		return raise_gp(cpu, 0);
	return operand_write(cpu, insn, 0, cpu->cr0);
}

/* Sets PE but never clears it. */
bool exec_lmsw(struct cpu *cpu, const struct insn *insn)
{
	const uint64_t mask = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
	uint64_t value;

	if (!operand_read(cpu, insn, 0, &value))
		return false;
	return write_cr0(cpu, (cpu->cr0 & ~(mask & ~(uint64_t)CR0_PE)) | (value & mask));
}

/* ---- caches ---- */

/* Without a TLB there is nothing to drop; the operand is an address, not an access. */
bool exec_invlpg(struct cpu *cpu, const struct insn *insn)
{
	return true;
}

/* INVD and WBINVD: the machine has no caches that could hold something else than memory. */
bool exec_invd(struct cpu *cpu, const struct insn *insn)
{
	return true;
}
