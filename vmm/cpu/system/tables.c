/* The registers that point at descriptor tables and the task: GDTR, IDTR, LDTR, TR. */
#include <string.h>

#include "vmm/cpu/flags.h"
#include "vmm/cpu/system/descriptor.h"
#include "vmm/cpu/system/system.h"

/* ---- GDTR and IDTR ---- */

/* Bytes of a base in memory; the operand size does not change it, only how much of it counts. */
static unsigned base_bytes(const struct cpu *cpu)
{
	return cpu_code64(cpu) ? 8 : 4;
}

static bool load_table(struct cpu *cpu, const struct insn *insn, struct table_register *table)
{
	unsigned n = 2 + base_bytes(cpu);
	uint8_t bytes[10];
	uint64_t linear, base = 0;

	if (!insn_linear(cpu, insn, n, ACCESS_READ, &linear) ||
	    !linear_read(cpu, linear, bytes, n, PRIVILEGE_CURRENT))
		return false;
	memcpy(&base, bytes + 2, n - 2);
	if (!address_is_canonical(base))
		return raise_gp(cpu, 0);
	if (!cpu_code64(cpu) && insn->op_size == 2)
		base &= 0xffffff;
	memcpy(&table->limit, bytes, 2);
	table->base = base;
	return true;
}

bool exec_lgdt(struct cpu *cpu, const struct insn *insn)
{
	return load_table(cpu, insn, &cpu->gdtr);
}

bool exec_lidt(struct cpu *cpu, const struct insn *insn)
{
	return load_table(cpu, insn, &cpu->idtr);
}

/* UMIP keeps the values from less privileged code (SDM 3A 2.5). */
static bool check_umip(struct cpu *cpu)
{
	return !(cpu->cr4 & CR4_UMIP) || cpu->cpl == 0 || raise_gp(cpu, 0);
}

static bool store_table(struct cpu *cpu, const struct insn *insn,
			const struct table_register *table)
{
	unsigned n = 2 + base_bytes(cpu);
	uint8_t bytes[10];
	uint64_t linear;

	memcpy(bytes, &table->limit, 2);
	memcpy(bytes + 2, &table->base, 8);
	return check_umip(cpu) && insn_linear(cpu, insn, n, ACCESS_WRITE, &linear) &&
	       linear_write(cpu, linear, bytes, n, PRIVILEGE_CURRENT);
}

bool exec_sgdt(struct cpu *cpu, const struct insn *insn)
{
	return store_table(cpu, insn, &cpu->gdtr);
}

bool exec_sidt(struct cpu *cpu, const struct insn *insn)
{
	return store_table(cpu, insn, &cpu->idtr);
}

bool exec_sldt(struct cpu *cpu, const struct insn *insn)
{
	return check_umip(cpu) && operand_write(cpu, insn, 0, cpu->seg[SEG_LDTR].selector);
}

bool exec_str(struct cpu *cpu, const struct insn *insn)
{
	return check_umip(cpu) && operand_write(cpu, insn, 0, cpu->seg[SEG_TR].selector);
}

/* ---- LDTR and TR ---- */

static bool type_fits(const struct cpu *cpu, const struct descriptor *descriptor, unsigned seg)
{
	unsigned type = descriptor_type(descriptor);

	if (descriptor_is_segment(descriptor))
		return false;
	if (seg == SEG_LDTR)
		return type == TYPE_LDT;
	return type == TYPE_TSS32_AVAILABLE ||
	       (type == TYPE_TSS16_AVAILABLE && !cpu_long_mode(cpu));
}

/* Reads and checks a descriptor for LLDT or LTR; the selector is not null. */
static bool read_system_segment(struct cpu *cpu, uint16_t selector, unsigned seg,
				struct descriptor *descriptor)
{
	uint32_t error = selector_error(selector, false);

	if (selector & SELECTOR_TI)
		return raise_gp(cpu, error);
	if (!descriptor_read(cpu, selector, VECTOR_GP, false, descriptor))
		return false;
	if (!type_fits(cpu, descriptor, seg))
		return raise_gp(cpu, error);
	if (!descriptor_present(descriptor))
		return raise_fault_error(cpu, VECTOR_NP, error);
	if (!descriptor_read_upper(cpu, VECTOR_GP, false, descriptor))
		return false;
	if (!address_is_canonical(descriptor_base(descriptor)))
		return raise_gp(cpu, error);
	return true;
}

bool exec_lldt(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor descriptor;
	uint64_t operand;

	if (!operand_read(cpu, insn, 0, &operand))
		return false;
	uint16_t selector = (uint16_t)operand;
	if (selector_is_null(selector)) {
		cpu->seg[SEG_LDTR] = segment_null(selector);
		return true;
	}
	if (!read_system_segment(cpu, selector, SEG_LDTR, &descriptor))
		return false;
	cpu->seg[SEG_LDTR] = segment_from_descriptor(&descriptor, selector);
	return true;
}

bool exec_ltr(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor descriptor;
	uint64_t operand;

	if (!operand_read(cpu, insn, 0, &operand))
		return false;
	uint16_t selector = (uint16_t)operand;
	if (selector_is_null(selector))
		return raise_gp(cpu, 0);
	if (!read_system_segment(cpu, selector, SEG_TR, &descriptor) ||
	    !descriptor_set_type(cpu, &descriptor, descriptor_type(&descriptor) | TYPE_BUSY))
		return false;
	cpu->seg[SEG_TR] = segment_from_descriptor(&descriptor, selector);
	cpu->seg[SEG_TR].attr |= TYPE_BUSY;
	return true;
}
