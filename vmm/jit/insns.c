/*
 * Instructions. Those that are copied have their memory operand translated and the registers that
 * are not in place loaded; everything that can fail comes before anything changes.
 */
#include "vmm/jit/code.h"

#include <Zydis/Mnemonic.h>

#include "vmm/cpu/exec.h"
#include "vmm/jit/share.h"

/* ---- what an instruction names ---- */

static bool is_gpr(const struct operand *operand)
{
	return operand->kind == OPERAND_REG && operand->reg_class == REG_GPR;
}

static bool is_displaced(const struct operand *operand)
{
	return is_gpr(operand) && code_is_displaced(operand->reg);
}

static const struct operand *memory_operand(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].kind == OPERAND_MEM)
			return &insn->operand[i];
	return NULL;
}

static bool names_high_byte(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].reg_class == REG_GPR_HIGH)
			return true;
	return false;
}

/* Different registers among the operands that are not in place. */
static unsigned count_displaced(const struct insn *insn)
{
	uint32_t seen = 0;

	for (unsigned i = 0; i < insn->n_operands; i++)
		if (is_displaced(&insn->operand[i]))
			seen |= 1u << insn->operand[i].reg;
	return (unsigned)__builtin_popcount(seen);
}

/* Of x87 and MMX, where the first operand may be one that is only read. */
static bool stores(const struct insn *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_FST:
	case ZYDIS_MNEMONIC_FSTP:
	case ZYDIS_MNEMONIC_FIST:
	case ZYDIS_MNEMONIC_FISTP:
	case ZYDIS_MNEMONIC_FISTTP:
	case ZYDIS_MNEMONIC_FNSTCW:
	case ZYDIS_MNEMONIC_FNSTSW:
		return true;
	default:
		return false;
	}
}

static bool is_x87(const struct insn *insn)
{
	return insn->opcode_map == 0 && insn->opcode >= 0xd8 && insn->opcode <= 0xdf;
}

bool jit_writes_memory(const struct insn *insn)
{
	if (is_x87(insn))
		return stores(insn);
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_MUL:
	case ZYDIS_MNEMONIC_IMUL:
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		return false;
	default:
		break;
	}
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].kind == OPERAND_MEM)
			return insn_writes_operand(insn, i);
	return false;
}

bool jit_must_be_aligned(const struct insn *insn, unsigned size)
{
	return size == 16 && ((insn_row(insn->mnemonic)->flags & ROW_ALIGN16) ||
			      insn->mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B);
}

/* ---- what can be written ---- */

/* Counted from the page where the code lies, the address still is a displacement. */
static bool base_is_possible(const struct insn *insn)
{
	int64_t disp = (int64_t)insn->disp, most = INT32_MAX - 2 * (int64_t)PAGE_BYTES;

	return insn->base != INSN_BASE_RIP || (disp <= most && disp >= -most);
}

static bool memory_possible(const struct insn *insn)
{
	const struct operand *memory = memory_operand(insn);

	if (!memory)
		return true;
	return base_is_possible(insn) && insn->addr_size == 8 && memory->size &&
	       memory->size <= 16 && !names_high_byte(insn);
}

/* A bit number in a register reaches beyond the operand. */
static bool is_bit_string(const struct planned *planned)
{
	const struct insn *insn = &planned->insn;

	return planned->effect.rule == RULE_BIT && memory_operand(insn) &&
	       insn->operand[1].kind == OPERAND_REG;
}

const struct operand *jit_shared_operand(const struct planned *planned)
{
	return is_bit_string(planned) ? NULL : memory_operand(&planned->insn);
}

static bool copy_is_possible(const struct planned *planned)
{
	const struct insn *insn = &planned->insn;

	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_STD:
		return false;
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		if (insn->operand[0].size < 4)
			return false;
		break;
	default:
		break;
	}
	/* What is put right afterwards tests an operand that must still be there. */
	if (planned->effect.rule == RULE_SCAN && count_displaced(insn) > 1)
		return false;
	return memory_possible(insn) && count_displaced(insn) <= (memory_operand(insn) ? 1u : 2u);
}

static bool lea_is_possible(const struct insn *insn)
{
	return insn->operand[0].size >= 4 && base_is_possible(insn) &&
	       (insn->base != INSN_BASE_RIP || insn->addr_size == 8);
}

static bool push_is_possible(const struct insn *insn)
{
	const struct operand *operand = &insn->operand[0];

	if (insn->op_size != 8)
		return false;
	if (operand->kind == OPERAND_IMM)
		return true;
	if (operand->kind == OPERAND_MEM)
		return operand->size == 8 && memory_possible(insn);
	return is_gpr(operand) && operand->size == 8;
}

static bool target_is_possible(const struct insn *insn, uint64_t linear)
{
	const struct operand *operand = &insn->operand[0];

	(void)linear;
	return operand->size == 8 && (operand->kind == OPERAND_REG || memory_possible(insn));
}

bool jit_possible(const struct planned *planned, uint64_t linear)
{
	const struct insn *insn = &planned->insn;

	switch ((enum insn_class)planned->effect.cls) {
	case CLASS_COPY:
	case CLASS_VECTOR:
	case CLASS_X87:
		return copy_is_possible(planned);
	case CLASS_NOTHING:
	case CLASS_TSC:
		return true;
	case CLASS_LEA:
		return lea_is_possible(insn);
	case CLASS_PUSH:
		return push_is_possible(insn);
	case CLASS_POP:
		return is_gpr(&insn->operand[0]) && insn->operand[0].size == 8;
	case CLASS_LEAVE:
		return insn->op_size == 8;
	case CLASS_JCC:
	case CLASS_JMP:
	case CLASS_CALL:
	case CLASS_RET:
		return branch_is_possible(insn, linear, target_is_possible);
	case CLASS_SYSTEM:
		return jit_system_is_possible(insn);
	case CLASS_STRING:
		return jit_string_is_possible(insn);
	case CLASS_TRANSFER:
		return insn->mnemonic == ZYDIS_MNEMONIC_SYSCALL || insn->op_size == 8;
	case CLASS_LOOP:
	case CLASS_INTERP:
		break;
	}
	return false;
}

/* ---- copies ---- */

/* Where the displaced registers of one instruction are for a moment. */
struct places {
	unsigned n;
	uint8_t guest[2], host[2];
	bool written[2];
	bool stay; /* they are there for longer */
};

static unsigned place_of(const struct places *places, unsigned reg)
{
	for (unsigned i = 0; i < places->n; i++)
		if (places->guest[i] == reg)
			return places->host[i];
	return reg;
}

/* Puts the displaced registers of the operands into temporaries. */
static struct places find_places(const struct generator *g, const struct insn *insn)
{
	struct places places = {.n = 0, .host = {JIT_TEMP2, JIT_TEMP}};

	for (unsigned i = 0; i < insn->n_operands; i++) {
		const struct operand *operand = &insn->operand[i];
		unsigned n = 0;
		if (!is_displaced(operand))
			continue;
		while (n < places.n && places.guest[n] != operand->reg)
			n++;
		if (n == places.n)
			places.n++;
		places.guest[n] = operand->reg;
		if (code_home(g, operand->reg) != GPR_ZERO) {
			places.host[n] = (uint8_t)code_home(g, operand->reg);
			places.stay = true;
		}
		places.written[n] |= insn_writes_operand(insn, i);
	}
	return places;
}

static void load_places(struct generator *g, const struct insn *insn, const struct places *places)
{
	for (unsigned i = 0; i < places->n && !places->stay; i++) {
		bool whole = insn_only_writes(insn) && is_displaced(&insn->operand[0]) &&
			     places->guest[i] == insn->operand[0].reg &&
			     !(insn->operand[1].kind == OPERAND_REG &&
			       insn->operand[1].reg == places->guest[i]);
		if (!whole)
			code_load_guest(g, places->host[i], places->guest[i]);
	}
}

static void store_places(struct generator *g, const struct places *places)
{
	for (unsigned i = 0; i < places->n && !places->stay; i++)
		if (places->written[i])
			emit_store(g->e, CONTEXT_GPR(places->guest[i]), places->host[i]);
}

/* The instruction with its operands where they are now. */
static struct planned move_to_place(const struct planned *planned, const struct places *places)
{
	struct planned moved = *planned;

	for (unsigned i = 0; i < moved.insn.n_operands; i++) {
		struct operand *operand = &moved.insn.operand[i];
		if (is_displaced(operand))
			operand->reg = (uint8_t)place_of(places, operand->reg);
	}
	return moved;
}

/* at: where its memory operand is, if it has one. */
static struct encoding encode(const struct planned *planned, const struct places *places,
			      struct host_operand at)
{
	const struct insn *insn = &planned->insn;
	struct encoding c;

	encoding_from_insn(insn, planned->bytes, &c);
	for (unsigned i = 0; i < insn->n_operands; i++) {
		const struct operand *operand = &insn->operand[i];
		if (!is_displaced(operand))
			continue;
		if (operand->field == FIELD_REG)
			c.reg = (uint8_t)place_of(places, operand->reg);
		else
			c.rm = (uint8_t)place_of(places, operand->reg);
	}
	if (c.memory) {
		c.base = at.base;
		c.index = at.index;
		c.scale = at.scale;
		c.disp = at.disp;
		c.segment = ENCODING_FLAT;
	}
	return c;
}

static struct host_operand translate_operand(struct generator *g, const struct insn *insn)
{
	const struct operand *memory = memory_operand(insn);

	return code_operand(g, insn, jit_writes_memory(insn), memory->size,
			    jit_must_be_aligned(insn, memory->size));
}

/* Of the flags that stand before it, CF alone matters. */
static bool needs_carry_only(const struct insn_effect *effect)
{
	return effect->rule == RULE_CARRY || effect->rule == RULE_INC ||
	       (effect->rule == RULE_CONDITION && effect->reads == FLAG_CF);
}

/* Whether it reads flags, or keeps some that are looked at later. */
static bool needs_flags(const struct planned *planned)
{
	const struct insn_effect *effect = &planned->effect;

	return effect->rule != RULE_NONE && !effect_sets_flags(effect) &&
	       (effect->reads || (planned->live & ~effect->writes));
}

static void prepare_flags(struct generator *g, const struct planned *planned)
{
	const struct insn_effect *effect = &planned->effect;

	if (!needs_flags(planned))
		return;
	if (needs_carry_only(effect))
		code_load_carry(g);
	else
		code_load_flags(g);
}

/* After it: only conditions leave flags alone. */
static void flags_changed(struct generator *g, const struct insn_effect *effect)
{
	if (effect->rule == RULE_NONE || effect->rule == RULE_CONDITION ||
	    effect->rule == RULE_X87_CONDITION || effect->rule == RULE_STATUS_READ)
		return;
	g->flags_live = true;
	g->flags_saved = false;
}

/* What the temporaries hold behind an instruction. other: one has been used otherwise. */
static void hold_places(struct generator *g, const struct places *places, bool other)
{
	unsigned in[2] = {GPR_ZERO, GPR_ZERO};

	for (unsigned i = 0; i < places->n; i++)
		in[places->host[i] == JIT_TEMP2] = places->guest[i];
	if (places->stay)
		return;
	if (places->n || other)
		code_hold(g, in[0], in[1]);
	else
		g->held.at = g->e->at; /* as before */
}

static void emit_copy(struct generator *g, const struct planned *planned)
{
	const struct insn *insn = &planned->insn;
	struct places places = find_places(g, insn);
	struct planned moved = move_to_place(planned, &places);
	struct host_operand at = code_at_temp(0);

	if (is_bit_string(planned))
		jit_translate_bits(g, insn, jit_writes_memory(insn));
	else if (memory_operand(insn))
		at = translate_operand(g, insn);
	prepare_flags(g, planned);
	load_places(g, insn, &places);
	fix_before(g, &moved);
	bool held = g->held.at == g->e->at;
	struct encoding c = encode(planned, &places, at);
	emit_encoding(g->e, &c);
	flags_changed(g, &planned->effect);
	store_places(g, &places);
	uint32_t end = g->e->at;
	fix_after(g, &moved, &c);
	if (g->e->at == end)
		hold_places(g, &places, !held);
}

/* ---- division ---- */

/* cmp reg, divisor: the operand that an encoding of a division has. */
static void compare_divisor(struct emitter *e, const struct encoding *division, unsigned reg)
{
	struct encoding c = *division;

	c.opcode = OP_CMP;
	c.reg = (uint8_t)reg;
	emit_encoding(e, &c);
}

/* cmp divisor, value */
static void compare_divisor_value(struct emitter *e, const struct encoding *division, int8_t value)
{
	struct encoding c = *division;

	c.opcode = 0x83;
	c.reg = ALU_CMP;
	c.n_imm = 1;
	c.imm[0] = (uint8_t)value;
	emit_encoding(e, &c);
}

/*
 * What could raise #DE is interp's: an unsigned quotient that does not fit; a signed dividend that
 * is more than its low half, or a divisor of 0 or -1.
 */
static void check_division(struct generator *g, const struct encoding *c, bool is_signed)
{
	if (!is_signed) {
		compare_divisor(g->e, c, RDX);
		code_defer_slow(g, emit_jump_if(g->e, CC_AE));
		return;
	}
	code_register(g->e, OP_LOAD, JIT_TEMP2, RAX, c->wide);
	code_shift(g->e, SHIFT_ARITHMETIC, JIT_TEMP2, c->wide ? 63 : 31, c->wide);
	code_register(g->e, OP_CMP, JIT_TEMP2, RDX, c->wide);
	code_defer_slow(g, emit_jump_if(g->e, CC_NZ));
	compare_divisor_value(g->e, c, 0);
	code_defer_slow(g, emit_jump_if(g->e, CC_Z));
	compare_divisor_value(g->e, c, -1);
	code_defer_slow(g, emit_jump_if(g->e, CC_Z));
}

/* Flags stay as they were. */
static void emit_division(struct generator *g, const struct planned *planned)
{
	const struct insn *insn = &planned->insn;
	struct places places = find_places(g, insn);

	struct host_operand at = code_at_temp(0);

	places.host[0] = JIT_TEMP;
	code_lose_flags(g);
	if (memory_operand(insn))
		at = translate_operand(g, insn);
	load_places(g, insn, &places);
	struct encoding c = encode(planned, &places, at);
	check_division(g, &c, insn->mnemonic == ZYDIS_MNEMONIC_IDIV);
	emit_encoding(g->e, &c);
}

/* ---- LEA ---- */

static void emit_lea_insn(struct generator *g, const struct planned *planned)
{
	const struct insn *insn = &planned->insn;
	const struct operand *to = &insn->operand[0];
	bool home = code_home(g, to->reg) != GPR_ZERO;
	unsigned host = home                         ? code_home(g, to->reg)
			: code_is_displaced(to->reg) ? JIT_TEMP
						     : to->reg;
	struct encoding c;

	encoding_from_insn(insn, planned->bytes, &c);
	c.reg = (uint8_t)host;
	c.addr32 = insn->addr_size == 4;
	if (insn->base == INSN_BASE_RIP) {
		code_linear(g, host, insn_rip_relative(insn, generator_rip(g)));
		if (to->size == 4)
			code_register(g->e, OP_LOAD, host, host, false);
	} else {
		c.base = (uint8_t)code_address_register(g, insn->base, insn->index, JIT_TEMP);
		c.index = (uint8_t)code_address_register(g, insn->index, insn->base, JIT_TEMP2);
		emit_encoding(g->e, &c);
	}
	if (code_is_displaced(to->reg) && !home) {
		emit_store(g->e, CONTEXT_GPR(to->reg), host);
		code_hold(g, to->reg, GPR_ZERO);
	}
}

/* ---- the stack ---- */

static void store_immediate(struct emitter *e, int32_t disp, int32_t value)
{
	struct encoding c = {.opcode = 0xc7,
			     .wide = true,
			     .has_modrm = true,
			     .memory = true,
			     .base = JIT_TEMP,
			     .index = GPR_ZERO,
			     .disp = disp,
			     .n_imm = 4};

	for (unsigned i = 0; i < 4; i++)
		c.imm[i] = (uint8_t)((uint32_t)value >> (8 * i));
	emit_encoding(e, &c);
}

static void emit_push(struct generator *g, const struct planned *planned)
{
	const struct insn *insn = &planned->insn;
	const struct operand *operand = &insn->operand[0];
	unsigned from = operand->reg;

	if (operand->kind == OPERAND_MEM) {
		translate_operand(g, insn);
		code_memory(g->e, OP_LOAD, JIT_TEMP, JIT_TEMP, 0, true);
		emit_store(g->e, JIT_CONTEXT(target), JIT_TEMP);
	}
	int32_t disp = code_stack(g, RSP, -8, true, 8);
	if (operand->kind == OPERAND_MEM)
		emit_load(g->e, JIT_TEMP2, JIT_CONTEXT(target));
	else if (operand->kind == OPERAND_REG && code_is_displaced(from))
		emit_load(g->e, JIT_TEMP2, CONTEXT_GPR(from));
	if (operand->kind == OPERAND_IMM)
		store_immediate(g->e, disp, (int32_t)insn->imm);
	else
		code_memory(g->e, OP_STORE,
			    operand->kind == OPERAND_REG && !code_is_displaced(from) ? from
										     : JIT_TEMP2,
			    JIT_TEMP, disp, true);
	emit_lea(g->e, RSP, RSP, GPR_ZERO, -8);
}

static void emit_pop(struct generator *g, const struct planned *planned)
{
	unsigned to = planned->insn.operand[0].reg;
	unsigned host = code_is_displaced(to) ? JIT_TEMP2 : to;

	int32_t disp = code_stack(g, RSP, 0, false, 8);
	code_memory(g->e, OP_LOAD, host, JIT_TEMP, disp, true);
	if (code_is_displaced(to))
		emit_store(g->e, CONTEXT_GPR(to), host);
	if (to != RSP)
		emit_lea(g->e, RSP, RSP, GPR_ZERO, 8);
}

/* ---- pushes and pops in a row, with one look-up ---- */

#define ROW_MAX 16u

static bool is_simple(const struct planned *planned, enum insn_class cls)
{
	const struct operand *operand = &planned->insn.operand[0];

	return planned->effect.cls == cls && is_gpr(operand) && operand->reg != RSP;
}

/* How many simple ones of a class stand in a row in front of the nth instruction. */
static unsigned row_length(const struct generator *g, unsigned n, enum insn_class cls)
{
	unsigned length = 0;

	while (g->at + length < n && length < ROW_MAX &&
	       is_simple(&g->plan->insns[g->at + length], cls) &&
	       g->share->access[g->at + length].range == g->share->access[g->at].range)
		length++;
	return length;
}

static void emit_pushes(struct generator *g, unsigned length)
{
	int32_t top = -8 * (int32_t)length, disp = 8 * (int32_t)(length - 1);
	bool shared = code_is_shared(g);

	disp = code_stack(g, RSP, shared ? -8 : top, true, 8 * length) + (shared ? 0 : disp);
	for (unsigned i = 0; i < length; i++) {
		unsigned reg = g->plan->insns[g->at + i].insn.operand[0].reg;
		bool displaced = code_is_displaced(reg);
		if (displaced)
			emit_load(g->e, JIT_TEMP2, CONTEXT_GPR(reg));
		code_memory(g->e, OP_STORE, displaced ? JIT_TEMP2 : reg, JIT_TEMP,
			    disp - 8 * (int32_t)i, true);
	}
	emit_lea(g->e, RSP, RSP, GPR_ZERO, top);
}

static void emit_pops(struct generator *g, unsigned length)
{
	int32_t disp = code_stack(g, RSP, 0, false, 8 * length);

	for (unsigned i = 0; i < length; i++) {
		unsigned reg = g->plan->insns[g->at + i].insn.operand[0].reg;
		bool displaced = code_is_displaced(reg);
		code_memory(g->e, OP_LOAD, displaced ? JIT_TEMP2 : reg, JIT_TEMP,
			    disp + 8 * (int32_t)i, true);
		if (displaced)
			emit_store(g->e, CONTEXT_GPR(reg), JIT_TEMP2);
	}
	emit_lea(g->e, RSP, RSP, GPR_ZERO, 8 * (int32_t)length);
}

unsigned jit_write_row(struct generator *g, unsigned n)
{
	unsigned pushes = row_length(g, n, CLASS_PUSH), pops = row_length(g, n, CLASS_POP);

	if (pushes > 1)
		emit_pushes(g, pushes);
	else if (pops > 1)
		emit_pops(g, pops);
	return pushes > 1 ? pushes : pops > 1 ? pops : 0;
}

static void emit_leave(struct generator *g)
{
	int32_t disp = code_stack(g, RBP, 0, false, 8);

	emit_lea(g->e, RSP, RBP, GPR_ZERO, 8);
	code_memory(g->e, OP_LOAD, RBP, JIT_TEMP, disp, true);
}

/* ---- the clock ---- */

static void emit_tsc(struct generator *g, const struct planned *planned)
{
	static const uint8_t shift_product[] = {0x48, 0x0f, 0xac, 0xd0, 0x20}; /* shrd rax,rdx,32 */
	struct emitter *e = g->e;
	struct encoding mul = {.opcode = 0xf7,
			       .wide = true,
			       .has_modrm = true,
			       .memory = true,
			       .reg = 4,
			       .base = GPR_ZERO,
			       .index = GPR_ZERO,
			       .disp = (int32_t)CONTEXT(tsc_ratio)};

	code_lose_flags(g);
	emit_lea(e, RAX, JIT_COUNT, GPR_ZERO, (int32_t)g->at - (int32_t)g->plan->n);
	code_memory(e, OP_ADD, RAX, GPR_ZERO, (int32_t)CONTEXT(tsc_count), true);
	emit_encoding(e, &mul);
	code_bytes(e, shift_product, sizeof(shift_product));
	code_memory(e, OP_ADD, RAX, GPR_ZERO, (int32_t)CONTEXT(tsc_base), true);
	emit_move(e, RDX, RAX);
	code_shift(e, SHIFT_RIGHT, RDX, 32, true);
	code_register(e, OP_LOAD, RAX, RAX, false);
	if (planned->insn.mnemonic == ZYDIS_MNEMONIC_RDTSCP)
		emit_load(e, RCX, CONTEXT(tsc_aux));
}

/* ---- */

void jit_write_insn(struct generator *g, const struct planned *planned)
{
	switch ((enum insn_class)planned->effect.cls) {
	case CLASS_COPY:
	case CLASS_VECTOR:
	case CLASS_X87:
		if (planned->insn.mnemonic == ZYDIS_MNEMONIC_CLD)
			jit_write_cld(g);
		else if (planned->effect.rule == RULE_DIVIDE)
			emit_division(g, planned);
		else
			emit_copy(g, planned);
		break;
	case CLASS_LEA:
		emit_lea_insn(g, planned);
		break;
	case CLASS_PUSH:
		emit_push(g, planned);
		break;
	case CLASS_POP:
		emit_pop(g, planned);
		break;
	case CLASS_LEAVE:
		emit_leave(g);
		break;
	case CLASS_TSC:
		emit_tsc(g, planned);
		break;
	case CLASS_STRING:
		jit_write_string(g, &planned->insn);
		break;
	case CLASS_SYSTEM:
		jit_write_system(g, &planned->insn);
		break;
	default:
		break;
	}
}
