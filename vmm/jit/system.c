/* What kernels do with their flags and GS base, at CPL 0: on struct cpu, where it always is up to
 * date meanwhile. */
#include "vmm/jit/code.h"

#include <Zydis/Mnemonic.h>

#define CPU_FLAGS     ((int32_t)offsetof(struct cpu, rflags_rest))
#define CPU_KERNEL_GS ((int32_t)offsetof(struct cpu, kernel_gs_base))
#define CPU_GS                                                                                     \
	((int32_t)(offsetof(struct cpu, seg) + SEG_GS * sizeof(struct segment) +                   \
		   offsetof(struct segment, base)))

static void load_cpu(struct generator *g)
{
	emit_load(g->e, JIT_TEMP, JIT_CONTEXT(cpu));
}

/* and/or dword [cpu's flags], value; JIT_TEMP: the cpu */
static void change_flags(struct emitter *e, unsigned extension, uint32_t value)
{
	struct encoding c = {.opcode = 0x81,
			     .has_modrm = true,
			     .memory = true,
			     .reg = (uint8_t)extension,
			     .base = JIT_TEMP,
			     .index = GPR_ZERO,
			     .disp = CPU_FLAGS,
			     .n_imm = 4};

	for (unsigned i = 0; i < 4; i++)
		c.imm[i] = (uint8_t)(value >> (8 * i));
	emit_encoding(e, &c);
}

static void copy_field(struct emitter *e, uint32_t to, uint32_t from)
{
	emit_load(e, JIT_TEMP2, from);
	emit_store(e, to, JIT_TEMP2);
}

/* ---- AC, which lifts SMAP ---- */

static void emit_ac(struct generator *g, bool set)
{
	code_lose_flags(g);
	load_cpu(g);
	change_flags(g->e, set ? ALU_OR : ALU_AND, set ? FLAG_AC : ~FLAG_AC);
	copy_field(g->e, JIT_CONTEXT(tlb_read),
		   set ? JIT_CONTEXT(lifted_read) : JIT_CONTEXT(plain_read));
	copy_field(g->e, JIT_CONTEXT(tlb_write),
		   set ? JIT_CONTEXT(lifted_write) : JIT_CONTEXT(plain_write));
}

/* ---- IF ---- */

static void emit_cli(struct generator *g)
{
	code_lose_flags(g);
	load_cpu(g);
	change_flags(g->e, ALU_AND, ~FLAG_IF);
}

/* test dword [cpu's flags], IF */
static void test_if(struct emitter *e)
{
	struct encoding c = {.opcode = 0xf7,
			     .has_modrm = true,
			     .memory = true,
			     .base = JIT_TEMP,
			     .index = GPR_ZERO,
			     .disp = CPU_FLAGS,
			     .n_imm = 4,
			     .imm = {0, FLAG_IF >> 8, 0, 0}};
	emit_encoding(e, &c);
}

/* Nothing can stop in front of the next instruction: so nobody sees the shadow that it runs in. */
static bool next_follows_for_sure(const struct generator *g)
{
	const struct planned *next = &g->plan->insns[g->at + 1];

	if (g->at + 1 >= g->plan->n)
		return false;
	switch ((enum insn_class)next->effect.cls) {
	case CLASS_NOTHING:
	case CLASS_LEA:
		return true;
	case CLASS_COPY:
		return !next->effect.can_fault;
	default:
		return false;
	}
}

/* With a shadow that can be seen it is not for translated code, nor while somebody waits for IF. */
static void emit_sti(struct generator *g)
{
	code_lose_flags(g);
	load_cpu(g);
	if (!next_follows_for_sure(g)) {
		test_if(g->e);
		code_defer_slow(g, emit_jump_if(g->e, CC_Z));
		return;
	}
	emit_load(g->e, JIT_TEMP2, JIT_CONTEXT(window));
	code_immediate(g->e, ALU_AND, JIT_TEMP2, FLAG_IF, false);
	code_defer_slow(g, emit_jump_if(g->e, CC_NZ));
	change_flags(g->e, ALU_OR, FLAG_IF);
}

/* ---- DF, which no code here reads ---- */

void jit_write_cld(struct generator *g)
{
	code_lose_flags(g);
	load_cpu(g);
	change_flags(g->e, ALU_AND, ~FLAG_DF);
}

/* ---- PUSHF, POPF ---- */

/* movzx reg, byte [flags' slot + offset] */
static void load_slot_byte(struct emitter *e, unsigned reg, uint32_t offset)
{
	struct encoding c = {.map = 1,
			     .opcode = 0xb6,
			     .has_modrm = true,
			     .memory = true,
			     .reg = (uint8_t)reg,
			     .base = GPR_ZERO,
			     .index = GPR_ZERO,
			     .disp = (int32_t)(CONTEXT_SCRATCH(SCRATCH_FLAGS) + offset)};
	emit_encoding(e, &c);
}

#define LOW_FLAGS ((int32_t)(FLAGS_ARITH & 0xff))
#define OF_SHIFT  11

_Static_assert(FLAG_OF == 1u << OF_SHIFT, "as shifted");

static void emit_pushf(struct generator *g)
{
	struct emitter *e = g->e;

	code_stack_address(g, RSP, -8);
	code_translate(g, true, 8, false);
	emit_store(e, JIT_CONTEXT(target), JIT_TEMP);
	load_slot_byte(e, JIT_TEMP2, 1);
	code_immediate(e, ALU_AND, JIT_TEMP2, LOW_FLAGS, false);
	load_slot_byte(e, JIT_TEMP, 0);
	code_shift(e, SHIFT_LEFT, JIT_TEMP, OF_SHIFT, false);
	code_register(e, 0x0b, JIT_TEMP2, JIT_TEMP, false); /* or */
	load_cpu(g);
	code_memory(e, OP_LOAD, JIT_TEMP, JIT_TEMP, CPU_FLAGS, false);
	code_immediate(e, ALU_AND, JIT_TEMP, (int32_t) ~(FLAG_RF | FLAG_VM), false);
	code_register(e, 0x0b, JIT_TEMP2, JIT_TEMP, false);
	emit_load(e, JIT_TEMP, JIT_CONTEXT(target));
	code_memory(e, OP_STORE, JIT_TEMP2, JIT_TEMP, 0, true);
	emit_lea(e, RSP, RSP, GPR_ZERO, -8);
}

/* mov byte [flags' slot + offset], reg */
static void store_slot_byte(struct emitter *e, unsigned reg, uint32_t offset)
{
	struct encoding c = {.opcode = 0x88,
			     .low_bytes = true,
			     .has_modrm = true,
			     .memory = true,
			     .reg = (uint8_t)reg,
			     .base = GPR_ZERO,
			     .index = GPR_ZERO,
			     .disp = (int32_t)(CONTEXT_SCRATCH(SCRATCH_FLAGS) + offset)};
	emit_encoding(e, &c);
}

/* Leaves unless nothing but arithmetic flags and IF changes; IF does not get set while somebody
 * waits for that. */
static void check_popped(struct generator *g)
{
	struct emitter *e = g->e;

	code_memory(e, OP_LOAD, JIT_TEMP, JIT_TEMP, 0, true);
	emit_store(e, JIT_CONTEXT(target), JIT_TEMP);
	emit_load(e, JIT_TEMP2, JIT_CONTEXT(cpu));
	code_memory(e, OP_XOR, JIT_TEMP, JIT_TEMP2, CPU_FLAGS, true);
	code_immediate(e, ALU_AND, JIT_TEMP, (int32_t) ~(FLAGS_ARITH | FLAG_IF), true);
	code_defer_slow(g, emit_jump_if(e, CC_NZ));
	emit_load(e, JIT_TEMP, JIT_CONTEXT(target));
	code_memory(e, 0x23, JIT_TEMP, GPR_ZERO, (int32_t)JIT_CONTEXT(window), false); /* and */
	code_defer_slow(g, emit_jump_if(e, CC_NZ));
}

static void emit_popf(struct generator *g)
{
	struct emitter *e = g->e;

	code_stack_address(g, RSP, 0);
	code_translate(g, false, 8, false);
	check_popped(g);
	load_cpu(g);
	change_flags(e, ALU_AND, ~FLAG_IF);
	emit_load(e, JIT_TEMP2, JIT_CONTEXT(target));
	code_immediate(e, ALU_AND, JIT_TEMP2, FLAG_IF, false);
	code_memory(e, 0x09, JIT_TEMP2, JIT_TEMP, CPU_FLAGS, false); /* or [cpu's flags] */
	emit_load(e, JIT_TEMP2, JIT_CONTEXT(target));
	store_slot_byte(e, JIT_TEMP2, 1);
	code_shift(e, SHIFT_RIGHT, JIT_TEMP2, OF_SHIFT, false);
	code_immediate(e, ALU_AND, JIT_TEMP2, 1, false);
	store_slot_byte(e, JIT_TEMP2, 0);
	emit_lea(e, RSP, RSP, GPR_ZERO, 8);
	g->flags_live = false;
	g->flags_saved = true;
}

/* ---- SWAPGS ---- */

static void emit_swapgs(struct generator *g)
{
	struct emitter *e = g->e;

	load_cpu(g);
	code_memory(e, OP_LOAD, JIT_TEMP2, JIT_TEMP, CPU_KERNEL_GS, true);
	code_memory(e, 0x87, JIT_TEMP2, JIT_TEMP, CPU_GS, true); /* xchg */
	code_memory(e, OP_STORE, JIT_TEMP2, JIT_TEMP, CPU_KERNEL_GS, true);
	code_memory(e, OP_LOAD, JIT_TEMP2, JIT_TEMP, CPU_GS, true);
	emit_store(e, JIT_CONTEXT(gs_base), JIT_TEMP2);
}

/* ---- */

bool jit_system_is_possible(const struct insn *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_POPFQ:
		return insn->op_size == 8;
	case ZYDIS_MNEMONIC_CLI:
	case ZYDIS_MNEMONIC_STI:
	case ZYDIS_MNEMONIC_CLAC:
	case ZYDIS_MNEMONIC_STAC:
	case ZYDIS_MNEMONIC_SWAPGS:
		return true;
	default:
		return false;
	}
}

void jit_write_system(struct generator *g, const struct insn *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_PUSHFQ:
		emit_pushf(g);
		break;
	case ZYDIS_MNEMONIC_POPFQ:
		emit_popf(g);
		break;
	case ZYDIS_MNEMONIC_CLI:
		emit_cli(g);
		break;
	case ZYDIS_MNEMONIC_STI:
		emit_sti(g);
		break;
	case ZYDIS_MNEMONIC_CLAC:
		emit_ac(g, false);
		break;
	case ZYDIS_MNEMONIC_STAC:
		emit_ac(g, true);
		break;
	case ZYDIS_MNEMONIC_SWAPGS:
		emit_swapgs(g);
		break;
	default:
		break;
	}
}
