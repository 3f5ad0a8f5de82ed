/* PUSH, POP, PUSHA, POPA, ENTER, LEAVE and BOUND. */
#include <string.h>

#include "vmm/cpu/flags.h"
#include "vmm/cpu/integer/integer.h"
#include "vmm/cpu/integer/stack.h"
#include "vmm/cpu/system/system.h"
#include "vmm/mmu/mmu.h"

static bool is_segment_register(const struct operand *operand)
{
	return operand->kind == OPERAND_REG && operand->reg_class == REG_SEG;
}

bool exec_push(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *operand = &insn->operand[0];
	unsigned size = insn->op_size;
	uint64_t value, linear;

	if (is_segment_register(operand))
		return exec_push_segment(cpu, insn);
	if (operand->kind == OPERAND_MEM &&
	    (!insn_linear(cpu, insn, size, ACCESS_READ, &linear) ||
	     !linear_probe(cpu, linear, size, ACCESS_READ, PRIVILEGE_CURRENT) ||
	     !stack_probe(cpu, stack_offset(cpu, -(int64_t)size), size, ACCESS_WRITE)))
		return false;
	return operand_read(cpu, insn, 0, &value) && stack_push(cpu, size, value);
}

/* The destination's address is computed with the stack pointer already moved (SDM 2 "POP"). */
static bool pop_to_memory(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->op_size;
	uint64_t top = stack_offset(cpu, 0), old_rsp = cpu->gpr[RSP], value, linear;
	bool addressed;

	if (!stack_probe(cpu, top, size, ACCESS_READ))
		return false;
	stack_set(cpu, stack_offset(cpu, size));
	addressed = insn_linear(cpu, insn, size, ACCESS_WRITE, &linear);
	cpu->gpr[RSP] = old_rsp;
	if (!addressed || !linear_probe(cpu, linear, size, ACCESS_WRITE, PRIVILEGE_CURRENT) ||
	    !stack_read(cpu, top, size, &value) ||
	    !linear_write(cpu, linear, &value, size, PRIVILEGE_CURRENT))
		return false;
	stack_set(cpu, stack_offset(cpu, size));
	return true;
}

bool exec_pop(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *operand = &insn->operand[0];
	uint64_t value;

	if (is_segment_register(operand))
		return exec_pop_segment(cpu, insn);
	if (operand->kind == OPERAND_MEM)
		return pop_to_memory(cpu, insn);
	if (!stack_pop(cpu, insn->op_size, &value))
		return false;
	reg_write(cpu, operand, value);
	return true;
}

/* PUSHA stores RAX first, at the top; items are counted from the lowest address, RDI's. */
bool exec_pusha(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->op_size;
	int64_t bottom = -8 * (int64_t)size;

	for (int64_t i = 7; i >= 0; i--)
		if (!stack_probe(cpu, stack_offset(cpu, bottom + i * size), size, ACCESS_WRITE))
			return false;
	for (int64_t i = 7; i >= 0; i--)
		if (!stack_write(cpu, stack_offset(cpu, bottom + i * size), size,
				 cpu->gpr[RDI - i]))
			return false;
	stack_set(cpu, stack_offset(cpu, bottom));
	return true;
}

bool exec_popa(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->op_size;
	uint64_t value[8];

	for (int64_t i = 0; i < 8; i++)
		if (!stack_probe(cpu, stack_offset(cpu, i * size), size, ACCESS_READ))
			return false;
	for (int64_t i = 0; i < 8; i++)
		if (!stack_read(cpu, stack_offset(cpu, i * size), size, &value[i]))
			return false;
	for (unsigned i = 0; i < 8; i++)
		if (RDI - i != RSP)
			gpr_write(cpu, RDI - i, size, value[i]);
	stack_set(cpu, stack_offset(cpu, 8 * (int64_t)size));
	return true;
}

/*
 * ENTER level n > 0 pushes rBP, then n - 1 frame pointers found below rBP, then the new frame
 * pointer. Everything is checked and read before the first item is written.
 */
#define ENTER_MAX_ITEMS 33

struct enter {
	unsigned size, level;
	uint64_t frame; /* the new frame pointer: all of rSP after the first push */
	unsigned n_items;
	uint64_t item[ENTER_MAX_ITEMS]; /* in the order of pushing */
};

static uint64_t enter_item_offset(const struct cpu *cpu, const struct enter *enter, unsigned n)
{
	return stack_offset(cpu, -(int64_t)((n + 1) * enter->size));
}

static uint64_t enter_source_offset(const struct cpu *cpu, const struct enter *enter, unsigned n)
{
	return zero_extend(cpu->gpr[RBP] - (uint64_t)n * enter->size, stack_width(cpu));
}

/* Puts into value the bytes at offset that earlier pushes of this ENTER would have changed. */
static void enter_overlay(const struct cpu *cpu, const struct enter *enter, uint64_t offset,
			  uint64_t *value)
{
	for (unsigned i = 0; i < enter->n_items; i++) {
		for (unsigned byte = 0; byte < enter->size; byte++) {
			uint64_t at = enter_item_offset(cpu, enter, i) + byte - offset;
			if (at < enter->size)
				memcpy((uint8_t *)value + at,
				       (const uint8_t *)&enter->item[i] + byte, 1);
		}
	}
}

static bool enter_check(struct cpu *cpu, const struct enter *enter, uint64_t new_top)
{
	unsigned pushes = enter->level ? enter->level + 1 : 1;

	for (unsigned i = 0; i < pushes; i++) {
		if (i > 0 && i < enter->level &&
		    !stack_probe(cpu, enter_source_offset(cpu, enter, i), enter->size, ACCESS_READ))
			return false;
		if (!stack_probe(cpu, enter_item_offset(cpu, enter, i), enter->size, ACCESS_WRITE))
			return false;
	}
	/* The final stack pointer must be writable too, though nothing is written there. */
	if (!stack_probe(cpu, new_top, enter->size, ACCESS_WRITE))
		return false;
	if (mmu_alignment_checked(cpu) && (cpu->seg[SEG_SS].base + new_top) % enter->size)
		return raise_fault_error(cpu, VECTOR_AC, 0);
	return true;
}

static bool enter_read(struct cpu *cpu, struct enter *enter)
{
	enter->item[enter->n_items++] = gpr_read(cpu, RBP, enter->size);
	for (unsigned i = 1; i < enter->level; i++) {
		uint64_t offset = enter_source_offset(cpu, enter, i), value;
		if (!stack_read(cpu, offset, enter->size, &value))
			return false;
		enter_overlay(cpu, enter, offset, &value);
		enter->item[enter->n_items++] = value;
	}
	if (enter->level > 0)
		enter->item[enter->n_items++] = enter->frame;
	return true;
}

bool exec_enter(struct cpu *cpu, const struct insn *insn)
{
	struct enter enter = {.size = insn->op_size, .level = insn->imm2 & 31};
	unsigned pushes = enter.level ? enter.level + 1 : 1;
	uint64_t first = stack_offset(cpu, -(int64_t)enter.size);
	uint64_t top = stack_offset(cpu, -(int64_t)(pushes * enter.size + (insn->imm & 0xffff)));

	enter.frame = cpu->gpr[RSP];
	memcpy(&enter.frame, &first, stack_width(cpu));
	if (!enter_check(cpu, &enter, top) || !enter_read(cpu, &enter))
		return false;
	for (unsigned i = 0; i < enter.n_items; i++)
		if (!stack_write(cpu, enter_item_offset(cpu, &enter, i), enter.size, enter.item[i]))
			return false;
	gpr_write(cpu, RBP, enter.size, enter.frame);
	stack_set(cpu, top);
	return true;
}

bool exec_leave(struct cpu *cpu, const struct insn *insn)
{
	uint64_t frame = zero_extend(cpu->gpr[RBP], stack_width(cpu)), value;

	if (!stack_read(cpu, frame, insn->op_size, &value))
		return false;
	stack_set(cpu, zero_extend(frame + insn->op_size, stack_width(cpu)));
	gpr_write(cpu, RBP, insn->op_size, value);
	return true;
}

/* Signed bounds, lower first, inclusive. */
bool exec_bound(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->op_size;
	uint64_t lower = 0, upper = 0, linear;
	int64_t index = (int64_t)sign_extend(reg_read(cpu, &insn->operand[0]), size);

	if (!insn_linear(cpu, insn, 2 * size, ACCESS_READ, &linear) ||
	    !linear_read(cpu, linear, &lower, size, PRIVILEGE_CURRENT) ||
	    !linear_read(cpu, (uint32_t)(linear + size), &upper, size, PRIVILEGE_CURRENT))
		return false;
	if (index < (int64_t)sign_extend(lower, size) || index > (int64_t)sign_extend(upper, size))
		return raise_fault(cpu, VECTOR_BR);
	return true;
}
