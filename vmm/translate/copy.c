/* Instructions that are copied: registers that are not where the guest has them are replaced. */
#include "vmm/translate/generate.h"

#include <string.h>

#include <Zydis/Mnemonic.h>

/* ---- what an instruction names ---- */

static bool is_gpr(const struct operand *operand, unsigned reg)
{
	return operand->kind == OPERAND_REG && operand->reg_class == REG_GPR && operand->reg == reg;
}

static bool has_address(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].kind == OPERAND_MEM)
			return true;
	return false;
}

static bool names_r11(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (is_gpr(&insn->operand[i], R11))
			return true;
	return has_address(insn) && (insn->base == R11 || insn->index == R11);
}

/* RSP as an operand: its low 16 bits are the same with the bias, and are left in place. */
static bool names_rsp(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (is_gpr(&insn->operand[i], RSP) && insn->operand[i].size >= 4)
			return true;
	return false;
}

static bool names_high_byte(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].reg_class == REG_GPR_HIGH)
			return true;
	return false;
}

/* The destination is written whole and not read. */
bool insn_only_writes(const struct insn *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		return insn->operand[0].size >= 4;
	default:
		return false;
	}
}

/* Whether a register operand may be changed. More than the destination only where both are. */
bool insn_writes_operand(const struct insn *insn, unsigned n)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_BT:
		return false;
	case ZYDIS_MNEMONIC_XCHG:
	case ZYDIS_MNEMONIC_XADD:
		return n <= 1;
	default:
		return n == 0;
	}
}

static bool writes_gpr(const struct insn *insn, unsigned reg)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (is_gpr(&insn->operand[i], reg) && insn_writes_operand(insn, i))
			return true;
	return false;
}

/* The guest's R11 is nowhere but in a destination that is written only. */
static bool r11_only_written(const struct insn *insn)
{
	return insn_only_writes(insn) && is_gpr(&insn->operand[0], R11) &&
	       !is_gpr(&insn->operand[1], R11) &&
	       !(has_address(insn) && (insn->base == R11 || insn->index == R11));
}

static bool rsp_only_written(const struct insn *insn)
{
	return insn_only_writes(insn) && is_gpr(&insn->operand[0], RSP) &&
	       !is_gpr(&insn->operand[1], RSP);
}

bool copy_is_plain(const struct planned *planned)
{
	const struct insn *insn = &planned->insn;

	return planned->effect.cls == CLASS_COPY && !has_address(insn) && !names_r11(insn) &&
	       !names_rsp(insn);
}

/* ---- what can be done ---- */

static bool operands_possible(const struct insn *insn, uint64_t linear)
{
	bool r11 = names_r11(insn), rsp = names_rsp(insn);

	if (rsp && names_high_byte(insn)) /* which no REX prefix can stand beside */
		return false;
	if (!has_address(insn))
		return !(r11 && rsp);
	if (!lowering_mmu.possible(insn, linear))
		return false;
	bool address = lowering_mmu.takes_r11(insn, linear);
	if (address && r11 && r11_only_written(insn))
		return !rsp;
	return r11 + rsp + address <= 1;
}

static bool lea_possible(const struct insn *insn)
{
	bool rip = insn->base == INSN_BASE_RIP, rsp = insn->base == RSP;
	unsigned to = insn->operand[0].reg, size = insn->operand[0].size;

	if (rip)
		return size >= 4 && insn->addr_size == 8 && to != RSP;
	if (to == RSP && (size != 8 || insn->base == R11 || insn->index == R11))
		return false;
	if (rsp && size == 8 && (insn->addr_size != 8 || (to == R11 && insn->index == R11)))
		return false;
	return true;
}

static bool stack_possible(const struct insn *insn, uint64_t linear)
{
	const struct operand *operand = &insn->operand[0];

	if (operand->kind == OPERAND_IMM)
		return true;
	if (operand->kind == OPERAND_MEM)
		return lowering_mmu.possible(insn, linear);
	return operand->reg_class == REG_GPR && operand->reg != RSP &&
	       (operand->reg != R11 || operand->size == 8);
}

static bool target_possible(const struct insn *insn, uint64_t linear)
{
	const struct operand *operand = &insn->operand[0];

	return operand->kind == OPERAND_MEM ? lowering_mmu.possible(insn, linear)
					    : operand->reg != RSP;
}

bool copy_possible(const struct planned *planned, uint64_t linear)
{
	const struct insn *insn = &planned->insn;

	switch ((enum insn_class)planned->effect.cls) {
	case CLASS_COPY:
	case CLASS_VECTOR:
	case CLASS_X87:
		return operands_possible(insn, linear);
	case CLASS_NOTHING:
	case CLASS_TSC:
		return true;
	case CLASS_STRING:
		return string_possible(insn);
	case CLASS_LEA:
		return lea_possible(insn);
	case CLASS_PUSH:
	case CLASS_POP:
		return stack_possible(insn, linear);
	case CLASS_LEAVE:
		return insn->op_size == 8;
	case CLASS_JCC:
	case CLASS_JMP:
	case CLASS_CALL:
	case CLASS_RET:
	case CLASS_LOOP:
		return branch_is_possible(insn, linear, target_possible);
	case CLASS_SYSTEM:
	case CLASS_TRANSFER:
	case CLASS_INTERP:
		break;
	}
	return false;
}

/* ---- writing it ---- */

static void load_unbiased_rsp(struct generator *g)
{
	generator_free_r11(g);
	emit_load(g->e, COUNT_REGISTER, CONTEXT(minus_bias));
	emit_lea(g->e, COUNT_REGISTER, RSP, COUNT_REGISTER, 0);
	g->r11 = R11_OTHER;
}

/* RSP = a guest address + bias */
static void store_unbiased_rsp(struct generator *g, unsigned from, int32_t disp)
{
	emit_load(g->e, RSP, CONTEXT(bias));
	emit_lea(g->e, RSP, RSP, from, disp);
}

/* R11 takes RSP's place. */
static void replace_rsp(const struct insn *insn, struct encoding *c)
{
	for (unsigned i = 0; i < insn->n_operands; i++) {
		if (!is_gpr(&insn->operand[i], RSP))
			continue;
		if (insn->operand[i].field == FIELD_REG)
			c->reg = COUNT_REGISTER;
		else
			c->rm = COUNT_REGISTER;
	}
}

/* ADD or SUB of a constant to RSP: LEA moves it; the flags, where they matter, come from the same
 * operation on the value without the bias. */
static bool emit_rsp_adjustment(struct generator *g, const struct planned *planned)
{
	const struct insn *insn = &planned->insn;
	bool add = insn->mnemonic == ZYDIS_MNEMONIC_ADD;
	struct encoding c;

	if ((!add && insn->mnemonic != ZYDIS_MNEMONIC_SUB) || !is_gpr(&insn->operand[0], RSP) ||
	    insn->operand[0].size != 8 || insn->operand[1].kind != OPERAND_IMM ||
	    insn->imm == (uint64_t)INT32_MIN)
		return false;
	int32_t delta = add ? (int32_t)insn->imm : -(int32_t)insn->imm;
	if (planned->live) {
		encoding_from_insn(insn, planned->bytes, &c);
		load_unbiased_rsp(g);
		c.rm = COUNT_REGISTER;
	}
	emit_lea(g->e, RSP, RSP, GPR_ZERO, delta);
	if (planned->live)
		emit_encoding(g->e, &c);
	return true;
}

/* MOV of RSP to another register. */
static bool emit_rsp_read(struct generator *g, const struct insn *insn)
{
	const struct operand *to = &insn->operand[0];

	if (insn->mnemonic != ZYDIS_MNEMONIC_MOV || to->kind != OPERAND_REG || to->size != 8 ||
	    to->reg == RSP || to->reg == R11 || !is_gpr(&insn->operand[1], RSP))
		return false;
	emit_load(g->e, to->reg, CONTEXT(minus_bias));
	emit_lea(g->e, to->reg, RSP, to->reg, 0);
	return true;
}

static void prepare_r11(struct generator *g, const struct insn *insn)
{
	if (!r11_only_written(insn))
		generator_load_guest_r11(g);
	else if (g->r11 != R11_CONSTANT) /* which may be the operand's address */
		generator_free_r11(g);
}

/* ret_encoding: what was emitted, apart from what brings registers into place. */
static void emit_with_registers(struct generator *g, const struct planned *planned,
				struct encoding *ret_encoding)
{
	const struct insn *insn = &planned->insn;
	bool r11 = names_r11(insn), rsp = names_rsp(insn);
	struct encoding c;

	encoding_from_insn(insn, planned->bytes, &c);
	if (c.memory)
		g->lowering->address(g, insn, generator_rip(g), &c);
	if (r11)
		prepare_r11(g, insn);
	if (rsp) {
		if (rsp_only_written(insn))
			generator_spoil_r11(g);
		else
			load_unbiased_rsp(g);
		replace_rsp(insn, &c);
	}
	generator_mark(g, 0);
	emit_encoding(g->e, &c);
	if (r11 && writes_gpr(insn, R11)) {
		emit_store(g->e, CONTEXT_GPR(R11), COUNT_REGISTER);
		g->r11 = R11_GUEST;
	}
	if (rsp && writes_gpr(insn, RSP))
		store_unbiased_rsp(g, COUNT_REGISTER, 0);
	*ret_encoding = c;
}

void copy_emit(struct generator *g, const struct planned *planned)
{
	struct encoding c;

	if (emit_rsp_adjustment(g, planned) || emit_rsp_read(g, &planned->insn))
		return;
	fix_before(g, planned);
	emit_with_registers(g, planned, &c);
	fix_after(g, planned, &c);
}

/* ---- LEA ---- */

/* lea r11, [rsp + index + disp] */
static void lea_rsp_to_r11(struct generator *g, const struct encoding *original)
{
	struct encoding c = *original;

	load_unbiased_rsp(g);
	c.base = COUNT_REGISTER;
	emit_encoding(g->e, &c);
}

static void lea_write(struct generator *g, const struct planned *planned)
{
	const struct insn *insn = &planned->insn;
	unsigned to = insn->operand[0].reg, size = insn->operand[0].size;
	struct encoding c;

	encoding_from_insn(insn, planned->bytes, &c);
	c.addr32 = insn->addr_size == 4;
	if (insn->base == INSN_BASE_RIP) {
		uint64_t address = insn_rip_relative(insn, generator_rip(g));
		emit_constant(g->e, to, size == 4 ? (uint32_t)address : address);
	} else if (insn->base == RSP && size == 8 && to == R11) {
		lea_rsp_to_r11(g, &c);
	} else if (insn->base == RSP && size == 8 && to != RSP) {
		emit_encoding(g->e, &c);
		generator_free_r11(g);
		emit_load(g->e, COUNT_REGISTER, CONTEXT(minus_bias));
		emit_lea(g->e, to, to, COUNT_REGISTER, 0);
		g->r11 = R11_OTHER;
	} else {
		emit_encoding(g->e, &c);
	}
}

void lea_emit(struct generator *g, const struct planned *planned)
{
	const struct insn *insn = &planned->insn;
	const struct operand *to = &insn->operand[0];
	bool to_r11 = to->reg == R11, from_r11 = insn->base == R11 || insn->index == R11;

	if (from_r11 || (to_r11 && to->size < 4))
		generator_load_guest_r11(g);
	else if (to_r11)
		generator_spoil_r11(g);
	lea_write(g, planned);
	if (to_r11) {
		emit_store(g->e, CONTEXT_GPR(R11), COUNT_REGISTER);
		g->r11 = R11_GUEST;
	}
	if (to->reg == RSP && insn->base != RSP) {
		generator_free_r11(g);
		emit_load(g->e, COUNT_REGISTER, CONTEXT(bias));
		emit_lea(g->e, RSP, RSP, COUNT_REGISTER, 0);
		g->r11 = R11_OTHER;
	}
}

/* ---- the stack ---- */

static void emit_stack_memory(struct generator *g, const struct planned *planned)
{
	const struct insn *insn = &planned->insn;
	struct encoding c;

	encoding_from_insn(insn, planned->bytes, &c);
	if (c.memory) {
		g->lowering->address(g, insn, generator_rip(g), &c);
		if (insn->base == R11 || insn->index == R11)
			generator_load_guest_r11(g);
	}
	generator_mark(g, 0);
	emit_encoding(g->e, &c);
}

void push_emit(struct generator *g, const struct planned *planned)
{
	if (!is_gpr(&planned->insn.operand[0], R11)) {
		emit_stack_memory(g, planned);
		return;
	}
	generator_mark(g, 0);
	emit_push_memory(g->e, CONTEXT_GPR(R11));
}

void pop_emit(struct generator *g, const struct planned *planned)
{
	if (!is_gpr(&planned->insn.operand[0], R11)) {
		emit_stack_memory(g, planned);
		return;
	}
	generator_mark(g, 0);
	emit_pop_memory(g->e, CONTEXT_GPR(R11));
	if (g->r11 == R11_GUEST)
		g->r11 = R11_OTHER;
}

/* Everything that can fault is read before RSP and RBP change. */
void leave_emit(struct generator *g, const struct planned *planned)
{
	struct encoding c = {.opcode = 0x8b,
			     .wide = true,
			     .has_modrm = true,
			     .memory = true,
			     .segment = ENCODING_GS,
			     .reg = COUNT_REGISTER,
			     .base = RBP,
			     .index = GPR_ZERO};

	generator_spoil_r11(g);
	generator_mark(g, 0);
	emit_encoding(g->e, &c);
	store_unbiased_rsp(g, RBP, 8);
	emit_move(g->e, RBP, COUNT_REGISTER);
}
