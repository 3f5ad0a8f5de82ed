/* Operands of exec functions: registers, effective addresses, segmentation. */
#include <string.h>

#include "vmm/cpu/exec.h"
#include "vmm/cpu/flags.h"
#include "vmm/machine.h"
#include "vmm/mmu/mmu.h"

/* ---- what decoding and the engines depend on ---- */

static bool segment_is_flat(const struct segment *segment)
{
	uint32_t attr = segment->attr;
	bool expand_down = !(attr & SEG_ATTR_CODE) && (attr & SEG_ATTR_DC);

	return segment->base == 0 && segment->limit == UINT32_MAX && (attr & SEG_ATTR_P) &&
	       (attr & SEG_ATTR_RW) && !(attr & SEG_ATTR_NULL) && !expand_down;
}

static bool segments_are_flat(const struct cpu *cpu)
{
	return segment_is_flat(&cpu->seg[SEG_CS]) && segment_is_flat(&cpu->seg[SEG_SS]) &&
	       segment_is_flat(&cpu->seg[SEG_DS]) && segment_is_flat(&cpu->seg[SEG_ES]);
}

void cpu_update_mode(struct cpu *cpu)
{
	uint32_t mode = cpu_protected(cpu) ? MODE_PROTECTED : 0;

	if (cpu_long_mode(cpu) && (cpu->seg[SEG_CS].attr & SEG_ATTR_L)) {
		mode |= MODE_CODE64 | MODE_FLAT;
	} else {
		mode |= cpu->seg[SEG_CS].attr & SEG_ATTR_DB ? MODE_CODE32 : MODE_CODE16;
		mode |= cpu->seg[SEG_SS].attr & SEG_ATTR_DB ? MODE_STACK32 : 0;
		mode |= segments_are_flat(cpu) ? MODE_FLAT : 0;
	}
	if (!(cpu->cr0 & (CR0_EM | CR0_TS)) && (cpu->cr4 & CR4_OSFXSR))
		mode |= MODE_SSE;
	cpu->mode = mode;
	cpu->address_mask = mode & MODE_CODE64 ? UINT64_MAX : UINT32_MAX;
	cpu->attention = (cpu->rflags_rest & (FLAG_TF | FLAG_RF)) || (cpu->dr7 & 0xff) ||
			 cpu->pending_db || cpu->shadow != SHADOW_NONE ||
			 cpu->activity != ACTIVITY_RUNNING;
	mmu_select(cpu);
	if (cpu->cpl == 3) {
		cpu->in_user = true;
		if (cpu->user_stop && cpu->user_stop[mmu_selected_space(cpu->machine->mmu)])
			cpu->attention = true;
	} else if (cpu->in_user) {
		cpu->in_user = false;
		cpu->kernel_entries++;
	}
}

/* ---- registers ---- */

uint64_t gpr_read(const struct cpu *cpu, unsigned reg, unsigned size)
{
	return zero_extend(cpu->gpr[reg], size);
}

void gpr_write(struct cpu *cpu, unsigned reg, unsigned size, uint64_t value)
{
	if (size >= 4)
		cpu->gpr[reg] = size == 4 ? (uint32_t)value : value;
	else
		memcpy(&cpu->gpr[reg], &value, size);
}

uint64_t reg_read(const struct cpu *cpu, const struct operand *operand)
{
	if (operand->reg_class == REG_GPR_HIGH)
		return (uint8_t)(cpu->gpr[operand->reg] >> 8);
	return gpr_read(cpu, operand->reg, operand->size);
}

void reg_write(struct cpu *cpu, const struct operand *operand, uint64_t value)
{
	if (operand->reg_class == REG_GPR_HIGH)
		((uint8_t *)&cpu->gpr[operand->reg])[1] = (uint8_t)value;
	else
		gpr_write(cpu, operand->reg, operand->size, value);
}

/* ---- addresses ---- */

uint64_t insn_offset(const struct cpu *cpu, const struct insn *insn)
{
	uint64_t base =
		insn->base == INSN_BASE_RIP ? cpu->rip + insn->length : cpu->gpr[insn->base];
	uint64_t offset = base + (cpu->gpr[insn->index] << insn->scale) + (uint64_t)insn->disp;

	return zero_extend(offset, insn->addr_size);
}

static bool raise_segment(struct cpu *cpu, unsigned seg)
{
	return raise_fault_error(cpu, seg == SEG_SS ? VECTOR_SS : VECTOR_GP, 0);
}

static bool linear64(struct cpu *cpu, unsigned seg, uint64_t offset, uint32_t size,
		     uint64_t *ret_linear)
{
	uint64_t linear = offset;

	if (seg == SEG_FS || seg == SEG_GS)
		linear += cpu->seg[seg].base;
	if (!address_is_canonical(linear) || !address_is_canonical(linear + size - 1))
		return raise_segment(cpu, seg);
	*ret_linear = linear;
	return true;
}

static bool type_allows(const struct cpu *cpu, const struct segment *segment, enum access_kind kind)
{
	if (!cpu_protected(cpu))
		return true;
	if ((segment->attr & SEG_ATTR_NULL) || !(segment->attr & SEG_ATTR_P))
		return false;
	bool code = segment->attr & SEG_ATTR_CODE, rw = segment->attr & SEG_ATTR_RW;
	if (kind == ACCESS_EXEC)
		return code;
	return kind == ACCESS_READ ? !code || rw : !code && rw;
}

/* SDM 3A 5.3: expand-down segments hold the offsets above their limit. */
static bool limit_allows(const struct segment *segment, uint64_t offset, uint32_t size)
{
	uint64_t last = offset + size - 1;
	bool expand_down = (segment->attr & (SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_DC)) ==
			   (SEG_ATTR_S | SEG_ATTR_DC);

	if (expand_down)
		return offset > segment->limit &&
		       last <= (segment->attr & SEG_ATTR_DB ? UINT32_MAX : 0xffffu);
	return last <= segment->limit;
}

bool segment_linear(struct cpu *cpu, unsigned seg, uint64_t offset, uint32_t size,
		    enum access_kind kind, uint64_t *ret_linear)
{
	const struct segment *segment = &cpu->seg[seg];

	if (cpu_code64(cpu))
		return linear64(cpu, seg, offset, size, ret_linear);
	if (!type_allows(cpu, segment, kind) || !limit_allows(segment, offset, size))
		return raise_segment(cpu, seg);
	*ret_linear = (uint32_t)(segment->base + offset);
	return true;
}

bool insn_linear(struct cpu *cpu, const struct insn *insn, uint32_t size, enum access_kind kind,
		 uint64_t *ret_linear)
{
	return segment_linear(cpu, insn->seg, insn_offset(cpu, insn), size, kind, ret_linear);
}

bool insn_is_aligned(const struct cpu *cpu, const struct insn *insn, uint32_t size)
{
	bool has_base = insn->seg == SEG_FS || insn->seg == SEG_GS;
	uint64_t base = has_base ? cpu->seg[insn->seg].base : 0;

	return ((insn_offset(cpu, insn) + base) & (size - 1)) == 0;
}

/* ---- integer operands ---- */

bool operand_read(struct cpu *cpu, const struct insn *insn, unsigned n, uint64_t *ret_value)
{
	const struct operand *operand = &insn->operand[n];
	uint64_t linear, value = 0;

	if (operand->kind == OPERAND_REG) {
		*ret_value = reg_read(cpu, operand);
		return true;
	}
	if (operand->kind == OPERAND_IMM) {
		*ret_value = zero_extend(insn->imm, insn->op_size);
		return true;
	}
	if (!insn_linear(cpu, insn, operand->size, ACCESS_READ, &linear) ||
	    !linear_read(cpu, linear, &value, operand->size, PRIVILEGE_CURRENT))
		return false;
	*ret_value = value;
	return true;
}

bool operand_probe_write(struct cpu *cpu, const struct insn *insn, unsigned n)
{
	const struct operand *operand = &insn->operand[n];
	uint64_t linear;

	return operand->kind != OPERAND_MEM ||
	       (insn_linear(cpu, insn, operand->size, ACCESS_WRITE, &linear) &&
		linear_probe(cpu, linear, operand->size, ACCESS_WRITE, PRIVILEGE_CURRENT));
}

bool operand_write(struct cpu *cpu, const struct insn *insn, unsigned n, uint64_t value)
{
	const struct operand *operand = &insn->operand[n];
	uint64_t linear;

	if (operand->kind == OPERAND_REG) {
		reg_write(cpu, operand, value);
		return true;
	}
	return insn_linear(cpu, insn, operand->size, ACCESS_WRITE, &linear) &&
	       linear_write(cpu, linear, &value, operand->size, PRIVILEGE_CURRENT);
}
