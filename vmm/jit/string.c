/*
 * MOVS and STOS. A repeated one, a block of its own, runs as it stands if all its iterations, each
 * of which counts, fit the budget, and its operands a page each. Otherwise the block is left in
 * front of it, as it is while DF is set.
 */
#include "vmm/jit/code.h"

#include "vmm/mmu/mmu.h"

static bool moves(const struct insn *insn)
{
	return insn->opcode == 0xa4 || insn->opcode == 0xa5;
}

bool jit_string_is_possible(const struct insn *insn)
{
	return insn->addr_size == 8 &&
	       !(moves(insn) && (insn->seg == SEG_FS || insn->seg == SEG_GS));
}

/* With DF set the block is left in front of the instruction. */
static void check_direction(struct generator *g)
{
	struct encoding test = {.opcode = 0xf7,
				.has_modrm = true,
				.memory = true,
				.base = JIT_TEMP,
				.index = GPR_ZERO,
				.disp = offsetof(struct cpu, rflags_rest),
				.n_imm = 4,
				.imm = {0, FLAG_DF >> 8, 0, 0}};

	code_lose_flags(g);
	emit_load(g->e, JIT_TEMP, JIT_CONTEXT(cpu));
	emit_encoding(g->e, &test);
	code_defer_slow(g, emit_jump_if(g->e, CC_NZ));
}

/* mov reg, [base] or the reverse, of the operand's size; the register is one that has a low byte
 * under REX. */
static void move_element(struct emitter *e, bool store, unsigned reg, const struct insn *insn)
{
	struct encoding c = {.opcode = (uint8_t)((store ? 0x88 : 0x8a) | (insn->op_size != 1)),
			     .opsize = insn->op_size == 2,
			     .wide = insn->op_size == 8,
			     .has_modrm = true,
			     .memory = true,
			     .reg = (uint8_t)reg,
			     .base = store ? JIT_TEMP : JIT_TEMP2,
			     .index = GPR_ZERO};
	emit_encoding(e, &c);
}

void jit_write_string(struct generator *g, const struct insn *insn)
{
	struct emitter *e = g->e;
	unsigned size = insn->op_size;

	check_direction(g);
	if (moves(insn)) {
		code_stack_address(g, RSI, 0);
		code_translate(g, false, size, false);
		emit_store(e, JIT_CONTEXT(target), JIT_TEMP);
	}
	code_stack_address(g, RDI, 0);
	code_translate(g, true, size, false);
	if (moves(insn)) {
		emit_load(e, JIT_TEMP2, JIT_CONTEXT(target));
		move_element(e, false, JIT_TEMP2, insn);
		emit_lea(e, RSI, RSI, GPR_ZERO, (int32_t)size);
	}
	move_element(e, true, moves(insn) ? JIT_TEMP2 : RAX, insn);
	emit_lea(e, RDI, RDI, GPR_ZERO, (int32_t)size);
}

/* ---- repeated ---- */

/* lea to, [base + size * rcx]; base GPR_ZERO: none */
static void add_bytes(struct emitter *e, unsigned to, unsigned base, unsigned size)
{
	struct encoding lea = {.opcode = 0x8d,
			       .wide = true,
			       .has_modrm = true,
			       .memory = true,
			       .guest = true,
			       .reg = (uint8_t)to,
			       .base = (uint8_t)base,
			       .index = RCX,
			       .scale = (uint8_t)__builtin_ctz(size)};
	emit_encoding(e, &lea);
}

/* JIT_TEMP2 is the count with all iterations; or they are interp's. */
static void check_budget(struct generator *g, unsigned size)
{
	struct emitter *e = g->e;

	code_immediate(e, ALU_CMP, RCX, (int32_t)(PAGE_BYTES / size), true);
	code_defer_slow(g, emit_jump_if(e, CC_A));
	emit_lea(e, JIT_TEMP2, JIT_COUNT, RCX, -1);
	code_register(e, 0x85, JIT_TEMP2, JIT_TEMP2, true); /* test */
	code_defer_slow(g, emit_jump_if(e, CC_G));
}

/* The host address of all elements at reg in JIT_TEMP. */
static void translate_all(struct generator *g, bool write, unsigned reg, unsigned size)
{
	struct emitter *e = g->e;

	code_stack_address(g, reg, 0);
	code_find_page(g, write);
	add_bytes(e, JIT_TEMP, JIT_TEMP, size);
	code_immediate(e, ALU_CMP, JIT_TEMP, PAGE_BYTES, true);
	code_defer_slow(g, emit_jump_if(e, CC_A));
	code_add_host(e);
	add_bytes(e, JIT_TEMP2, GPR_ZERO, size);
	code_register(e, OP_SUB, JIT_TEMP, JIT_TEMP2, true);
}

static void emit_bare_repeat(struct emitter *e, const struct insn *insn)
{
	struct encoding c = {.opcode = insn->opcode,
			     .opsize = insn->op_size == 2,
			     .wide = insn->op_size == 8,
			     .repeat = 0xf3};
	emit_encoding(e, &c);
}

/* Registers end as if the guest's addresses had been used. */
static void run_all(struct emitter *e, const struct insn *insn)
{
	unsigned size = insn->op_size;

	emit_lea(e, JIT_COUNT, JIT_COUNT, RCX, -1);
	add_bytes(e, JIT_TEMP2, RDI, size);
	emit_move(e, RDI, JIT_TEMP);
	if (moves(insn)) {
		add_bytes(e, JIT_TEMP, RSI, size);
		emit_load(e, RSI, JIT_CONTEXT(target));
	}
	emit_bare_repeat(e, insn);
	emit_move(e, RDI, JIT_TEMP2);
	if (moves(insn))
		emit_move(e, RSI, JIT_TEMP);
}

void jit_write_repeat(struct generator *g, const struct insn *insn)
{
	struct emitter *e = g->e;

	check_direction(g);
	code_register(e, 0x85, RCX, RCX, true); /* test: none at all counts 1 */
	uint32_t none = emit_jump_if(e, CC_Z);
	check_budget(g, insn->op_size);
	if (moves(insn)) {
		translate_all(g, false, RSI, insn->op_size);
		emit_store(e, JIT_CONTEXT(target), JIT_TEMP);
	}
	translate_all(g, true, RDI, insn->op_size);
	run_all(e, insn);
	emit_patch(e, none, e->at);
}
