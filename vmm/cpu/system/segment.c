/* Segment registers: loads with their checks, FS and GS bases. */
#include <string.h>

#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/stack.h"
#include "vmm/cpu/system/segment.h"
#include "vmm/cpu/system/system.h"

/* ---- checks ---- */

static bool is_writable_data(const struct descriptor *descriptor)
{
	return (descriptor_attr(descriptor) & (SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_RW)) ==
	       (SEG_ATTR_S | SEG_ATTR_RW);
}

static bool is_readable(const struct descriptor *descriptor)
{
	uint32_t attr = descriptor_attr(descriptor);

	return (attr & SEG_ATTR_S) && (!(attr & SEG_ATTR_CODE) || (attr & SEG_ATTR_RW));
}

static bool is_conforming_code(uint32_t attr)
{
	return (~attr & (SEG_ATTR_CODE | SEG_ATTR_DC)) == 0;
}

bool segment_check_stack(struct cpu *cpu, uint16_t selector, unsigned cpl, enum vector bad,
			 bool external, struct descriptor *ret_descriptor)
{
	uint32_t error = selector_error(selector, external);

	if (selector_is_null(selector))
		return raise_fault_error(cpu, bad, external);
	if (!descriptor_read(cpu, selector, bad, external, ret_descriptor))
		return false;
	if ((selector & SELECTOR_RPL) != cpl || !is_writable_data(ret_descriptor) ||
	    descriptor_dpl(ret_descriptor) != cpl)
		return raise_fault_error(cpu, bad, error);
	if (!descriptor_present(ret_descriptor))
		return raise_fault_error(cpu, VECTOR_SS, error);
	return true;
}

bool segment_check_data(struct cpu *cpu, uint16_t selector, unsigned cpl, enum vector bad,
			struct descriptor *ret_descriptor)
{
	uint32_t error = selector_error(selector, false);
	unsigned rpl = selector & SELECTOR_RPL;

	if (!descriptor_read(cpu, selector, bad, false, ret_descriptor))
		return false;
	if (!is_readable(ret_descriptor))
		return raise_fault_error(cpu, bad, error);
	if (!is_conforming_code(descriptor_attr(ret_descriptor)) &&
	    (rpl > descriptor_dpl(ret_descriptor) || cpl > descriptor_dpl(ret_descriptor)))
		return raise_fault_error(cpu, bad, error);
	if (!descriptor_present(ret_descriptor))
		return raise_fault_error(cpu, VECTOR_NP, error);
	return true;
}

/* ---- loads ---- */

static bool load_null(struct cpu *cpu, unsigned seg, uint16_t selector)
{
	/* 64-bit mode runs on a null SS, except at CPL 3. */
	if (seg == SEG_SS && !(cpu_code64(cpu) && cpu->cpl < 3 && selector == cpu->cpl))
		return raise_gp(cpu, 0);
	cpu->seg[seg] = segment_null(selector);
	return true;
}

static bool load_protected(struct cpu *cpu, unsigned seg, uint16_t selector)
{
	struct descriptor descriptor;

	if (selector_is_null(selector))
		return load_null(cpu, seg, selector);
	if (!(seg == SEG_SS
		      ? segment_check_stack(cpu, selector, cpu->cpl, VECTOR_GP, false, &descriptor)
		      : segment_check_data(cpu, selector, cpu->cpl, VECTOR_GP, &descriptor)))
		return false;
	if (!descriptor_set_accessed(cpu, &descriptor))
		return false;
	cpu->seg[seg] = segment_from_descriptor(&descriptor, selector);
	return true;
}

bool segment_load(struct cpu *cpu, unsigned seg, uint16_t selector)
{
	if (cpu_v8086(cpu)) {
		cpu->seg[seg] = segment_v8086(selector);
	} else if (!(cpu->cr0 & CR0_PE)) {
		/* Limit and attributes stay: "unreal" mode. */
		cpu->seg[seg].selector = selector;
		cpu->seg[seg].base = (uint32_t)selector << 4;
	} else if (!load_protected(cpu, seg, selector)) {
		return false;
	}
	cpu_update_mode(cpu);
	return true;
}

void segment_drop_privileged(struct cpu *cpu)
{
	static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned i = 0; i < sizeof(data); i++) {
		struct segment *segment = &cpu->seg[data[i]];
		unsigned dpl = (segment->attr & SEG_ATTR_DPL) >> SEG_ATTR_DPL_SHIFT;

		/* A base of FS or GS set by MSR stays; the RPL of a null selector does not. */
		if (segment->attr & SEG_ATTR_NULL)
			segment->selector = 0;
		else if (dpl < cpu->cpl && !is_conforming_code(segment->attr))
			*segment = segment_null(0);
	}
}

/* ---- MOV, PUSH, POP ---- */

static void begin_shadow(struct cpu *cpu, unsigned seg)
{
	if (seg == SEG_SS) {
		cpu->shadow = SHADOW_SS;
		cpu_update_mode(cpu);
	}
}

static bool load_from_operand(struct cpu *cpu, const struct insn *insn)
{
	unsigned seg = insn->operand[0].reg;
	uint64_t selector;

	if (seg == SEG_CS || seg > SEG_GS)
		return raise_ud(cpu);
	if (!operand_read(cpu, insn, 1, &selector) || !segment_load(cpu, seg, (uint16_t)selector))
		return false;
	begin_shadow(cpu, seg);
	return true;
}

bool exec_mov_segment(struct cpu *cpu, const struct insn *insn)
{
	unsigned source = insn->operand[1].reg;

	if (insn->operand[0].kind == OPERAND_REG && insn->operand[0].reg_class == REG_SEG)
		return load_from_operand(cpu, insn);
	if (source > SEG_GS)
		return raise_ud(cpu);
	return operand_write(cpu, insn, 0, cpu->seg[source].selector);
}

bool exec_push_segment(struct cpu *cpu, const struct insn *insn)
{
	return stack_push(cpu, insn->op_size, cpu->seg[insn->operand[0].reg].selector);
}

bool exec_pop_segment(struct cpu *cpu, const struct insn *insn)
{
	unsigned seg = insn->operand[0].reg;
	/* The pointer has the width of the old SS, which a POP SS replaces. */
	unsigned width = stack_width(cpu);
	uint64_t top = stack_offset(cpu, insn->op_size), selector;

	if (!stack_read(cpu, stack_offset(cpu, 0), insn->op_size, &selector) ||
	    !segment_load(cpu, seg, (uint16_t)selector))
		return false;
	gpr_write(cpu, RSP, width, top);
	begin_shadow(cpu, seg);
	return true;
}

/* ---- LDS and its kin ---- */

bool segment_read_far_pointer(struct cpu *cpu, const struct insn *insn, uint64_t *ret_offset,
			      uint16_t *ret_selector)
{
	unsigned size = insn->op_size;
	uint64_t linear, offset = 0;
	uint16_t selector = 0;

	if (!insn_linear(cpu, insn, size + 2, ACCESS_READ, &linear) ||
	    !linear_read(cpu, linear, &offset, size, PRIVILEGE_CURRENT))
		return false;
	linear = cpu_code64(cpu) ? linear + size : (uint32_t)(linear + size);
	if (!linear_read(cpu, linear, &selector, 2, PRIVILEGE_CURRENT))
		return false;
	*ret_offset = offset;
	*ret_selector = selector;
	return true;
}

static bool load_far_pointer(struct cpu *cpu, const struct insn *insn, unsigned seg)
{
	unsigned size = insn->op_size;
	uint64_t offset;
	uint16_t selector;

	if (!segment_read_far_pointer(cpu, insn, &offset, &selector) ||
	    !segment_load(cpu, seg, selector))
		return false;
	gpr_write(cpu, insn->operand[0].reg, size, offset);
	return true;
}

bool exec_lds(struct cpu *cpu, const struct insn *insn)
{
	return load_far_pointer(cpu, insn, SEG_DS);
}

bool exec_les(struct cpu *cpu, const struct insn *insn)
{
	return load_far_pointer(cpu, insn, SEG_ES);
}

bool exec_lfs(struct cpu *cpu, const struct insn *insn)
{
	return load_far_pointer(cpu, insn, SEG_FS);
}

bool exec_lgs(struct cpu *cpu, const struct insn *insn)
{
	return load_far_pointer(cpu, insn, SEG_GS);
}

bool exec_lss(struct cpu *cpu, const struct insn *insn)
{
	return load_far_pointer(cpu, insn, SEG_SS);
}

/* ---- FS and GS bases ---- */

bool exec_swapgs(struct cpu *cpu, const struct insn *insn)
{
	uint64_t base = cpu->seg[SEG_GS].base;

	if (!cpu_code64(cpu))
		return raise_ud(cpu);
	cpu->seg[SEG_GS].base = cpu->kernel_gs_base;
	cpu->kernel_gs_base = base;
	return true;
}

static bool read_base(struct cpu *cpu, const struct insn *insn, unsigned seg)
{
	if (!cpu_code64(cpu) || !(cpu->cr4 & CR4_FSGSBASE))
		return raise_ud(cpu);
	reg_write(cpu, &insn->operand[0], cpu->seg[seg].base);
	return true;
}

static bool write_base(struct cpu *cpu, const struct insn *insn, unsigned seg)
{
	uint64_t base = reg_read(cpu, &insn->operand[0]);

	if (!cpu_code64(cpu) || !(cpu->cr4 & CR4_FSGSBASE))
		return raise_ud(cpu);
	if (!address_is_canonical(base))
		return raise_gp(cpu, 0);
	cpu->seg[seg].base = base;
	return true;
}

bool exec_rdfsbase(struct cpu *cpu, const struct insn *insn)
{
	return read_base(cpu, insn, SEG_FS);
}

bool exec_rdgsbase(struct cpu *cpu, const struct insn *insn)
{
	return read_base(cpu, insn, SEG_GS);
}

bool exec_wrfsbase(struct cpu *cpu, const struct insn *insn)
{
	return write_base(cpu, insn, SEG_FS);
}

bool exec_wrgsbase(struct cpu *cpu, const struct insn *insn)
{
	return write_base(cpu, insn, SEG_GS);
}
