/* Asking about selectors without loading them: LAR, LSL, VERR, VERW, ARPL (SDM 3A 5.10). */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/system/descriptor.h"
#include "vmm/cpu/system/system.h"

#define TYPE_BIT(type) (1u << (type))

/* System types that LAR and LSL know (SDM 2, tables 3-53 and 3-56); long mode has fewer. */
#define LAR_TYPES_LONG                                                                             \
	(TYPE_BIT(TYPE_LDT) | TYPE_BIT(TYPE_TSS32_AVAILABLE) | TYPE_BIT(TYPE_TSS32_BUSY) |         \
	 TYPE_BIT(TYPE_CALL_GATE32))
#define LAR_TYPES_LEGACY                                                                           \
	(LAR_TYPES_LONG | TYPE_BIT(TYPE_TSS16_AVAILABLE) | TYPE_BIT(TYPE_TSS16_BUSY) |             \
	 TYPE_BIT(TYPE_CALL_GATE16) | TYPE_BIT(TYPE_TASK_GATE))
#define GATE_TYPES                                                                                 \
	(TYPE_BIT(TYPE_CALL_GATE16) | TYPE_BIT(TYPE_TASK_GATE) | TYPE_BIT(TYPE_CALL_GATE32))

/* LAR keeps the limit's upper bits too, which Intel leaves undefined. */
#define LAR_MASK 0x00ffff00u

static bool set_zf(struct cpu *cpu, bool value)
{
	flags_set_arith(cpu, (flags_arith(cpu) & ~FLAG_ZF) | (value ? FLAG_ZF : 0));
	return true;
}

/*
 * Reads the descriptor a selector names. *ret_found is false for a null selector and one outside
 * its table. Returns false only when the read itself faults.
 */
static bool find(struct cpu *cpu, uint16_t selector, struct descriptor *descriptor, bool *ret_found)
{
	uint64_t linear;

	*ret_found = !selector_is_null(selector) && descriptor_in_table(cpu, selector, 8, &linear);
	return !*ret_found || descriptor_read(cpu, selector, VECTOR_GP, false, descriptor);
}

static bool privilege_allows(const struct cpu *cpu, const struct descriptor *descriptor)
{
	unsigned dpl = descriptor_dpl(descriptor), rpl = descriptor->selector & SELECTOR_RPL;

	if (descriptor_is_code(descriptor) && descriptor_is_conforming(descriptor))
		return true;
	return cpu->cpl <= dpl && rpl <= dpl;
}

static bool type_is_known(const struct cpu *cpu, const struct descriptor *descriptor,
			  unsigned excluded)
{
	unsigned known = (cpu_long_mode(cpu) ? LAR_TYPES_LONG : LAR_TYPES_LEGACY) & ~excluded;

	return descriptor_is_segment(descriptor) || (known & TYPE_BIT(descriptor_type(descriptor)));
}

/* The descriptor for LAR or LSL, if the program may know about it. */
static bool query(struct cpu *cpu, const struct insn *insn, unsigned excluded,
		  struct descriptor *descriptor, bool *ret_visible)
{
	uint64_t selector;
	bool found;

	if (!operand_read(cpu, insn, 1, &selector) ||
	    !find(cpu, (uint16_t)selector, descriptor, &found))
		return false;
	*ret_visible = found && type_is_known(cpu, descriptor, excluded) &&
		       privilege_allows(cpu, descriptor);
	return true;
}

bool exec_lar(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor descriptor;
	bool visible;

	if (!query(cpu, insn, 0, &descriptor, &visible))
		return false;
	if (visible)
		reg_write(cpu, &insn->operand[0], (uint32_t)(descriptor.low >> 32) & LAR_MASK);
	return set_zf(cpu, visible);
}

bool exec_lsl(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor descriptor;
	bool visible;

	if (!query(cpu, insn, GATE_TYPES, &descriptor, &visible))
		return false;
	if (visible)
		reg_write(cpu, &insn->operand[0], descriptor_limit(&descriptor));
	return set_zf(cpu, visible);
}

static bool verify(struct cpu *cpu, const struct insn *insn, bool write)
{
	struct descriptor descriptor;
	uint64_t selector;
	bool found;

	if (!operand_read(cpu, insn, 0, &selector) ||
	    !find(cpu, (uint16_t)selector, &descriptor, &found))
		return false;
	if (!found || !descriptor_is_segment(&descriptor) || !privilege_allows(cpu, &descriptor))
		return set_zf(cpu, false);
	bool code = descriptor_is_code(&descriptor);
	bool rw = descriptor_attr(&descriptor) & SEG_ATTR_RW;
	return set_zf(cpu, write ? !code && rw : !code || rw);
}

bool exec_verr(struct cpu *cpu, const struct insn *insn)
{
	return verify(cpu, insn, false);
}

bool exec_verw(struct cpu *cpu, const struct insn *insn)
{
	return verify(cpu, insn, true);
}

/* Writes its destination only when it changes it. */
bool exec_arpl(struct cpu *cpu, const struct insn *insn)
{
	uint64_t selector, wanted;

	if (!operand_read(cpu, insn, 0, &selector) || !operand_read(cpu, insn, 1, &wanted))
		return false;
	wanted &= SELECTOR_RPL;
	if ((selector & SELECTOR_RPL) >= wanted)
		return set_zf(cpu, false);
	return operand_write(cpu, insn, 0, (selector & ~(uint64_t)SELECTOR_RPL) | wanted) &&
	       set_zf(cpu, true);
}
