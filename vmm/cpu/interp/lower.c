/* From decoded instructions to operations: the common forms get handlers of their own. */
#include "vmm/cpu/interp/handler.h"
#include "vmm/cpu/interp/ops.h"

/* ---- condition codes by mnemonic ---- */

#define CONDITIONS(prefix)                                                                         \
	[0] = ZYDIS_MNEMONIC_##prefix##O, [1] = ZYDIS_MNEMONIC_##prefix##NO,                       \
	[2] = ZYDIS_MNEMONIC_##prefix##B, [3] = ZYDIS_MNEMONIC_##prefix##NB,                       \
	[4] = ZYDIS_MNEMONIC_##prefix##Z, [5] = ZYDIS_MNEMONIC_##prefix##NZ,                       \
	[6] = ZYDIS_MNEMONIC_##prefix##BE, [7] = ZYDIS_MNEMONIC_##prefix##NBE,                     \
	[8] = ZYDIS_MNEMONIC_##prefix##S, [9] = ZYDIS_MNEMONIC_##prefix##NS,                       \
	[10] = ZYDIS_MNEMONIC_##prefix##P, [11] = ZYDIS_MNEMONIC_##prefix##NP,                     \
	[12] = ZYDIS_MNEMONIC_##prefix##L, [13] = ZYDIS_MNEMONIC_##prefix##NL,                     \
	[14] = ZYDIS_MNEMONIC_##prefix##LE, [15] = ZYDIS_MNEMONIC_##prefix##NLE

static int find_condition(const uint16_t mnemonics[16], uint16_t mnemonic)
{
	for (int i = 0; i < 16; i++)
		if (mnemonics[i] == mnemonic)
			return i;
	return -1;
}

int jump_condition(uint16_t mnemonic)
{
	static const uint16_t mnemonics[16] = {CONDITIONS(J)};
	return find_condition(mnemonics, mnemonic);
}

int set_condition(uint16_t mnemonic)
{
	static const uint16_t mnemonics[16] = {CONDITIONS(SET)};
	return find_condition(mnemonics, mnemonic);
}

int move_condition(uint16_t mnemonic)
{
	static const uint16_t mnemonics[16] = {CONDITIONS(CMOV)};
	return find_condition(mnemonics, mnemonic);
}

/* ---- operands ---- */

static bool is_gpr(const struct operand *operand)
{
	return operand->kind == OPERAND_REG &&
	       (operand->reg_class == REG_GPR || operand->reg_class == REG_GPR_HIGH);
}

static bool is_vector(const struct operand *operand)
{
	return operand->kind == OPERAND_REG && operand->reg_class == REG_XMM;
}

static enum form form_of(const struct insn *insn)
{
	const struct operand *a = &insn->operand[0], *b = &insn->operand[1];
	bool a_reg = is_gpr(a), b_reg = is_gpr(b);

	if (insn->n_operands == 0)
		return FORM_NONE;
	if (insn->n_operands == 1)
		return a_reg                    ? FORM_R
		       : a->kind == OPERAND_MEM ? FORM_M
		       : a->kind == OPERAND_IMM ? FORM_I
						: FORM_OTHER;
	if (a_reg)
		return b_reg                    ? FORM_RR
		       : b->kind == OPERAND_MEM ? FORM_RM
		       : b->kind == OPERAND_IMM ? FORM_RI
						: FORM_OTHER;
	if (a->kind == OPERAND_MEM)
		return b_reg ? FORM_MR : b->kind == OPERAND_IMM ? FORM_MI : FORM_OTHER;
	return FORM_OTHER;
}

static uint8_t reg_offset(const struct operand *operand)
{
	return operand->reg_class == REG_GPR_HIGH ? operand->reg * 8 + 1 : operand->reg * 8;
}

static bool has_memory(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].kind == OPERAND_MEM)
			return true;
	return false;
}

/*
 * Gives the operation the address of the memory operand. Only addresses that need no segment checks
 * and have the mode's full width can be had; returns false for the others.
 */
static bool lower_address(const struct insn *insn, uint32_t mode, struct uop *uop)
{
	bool code64 = (mode & MODE_CODE_MASK) == MODE_CODE64;
	bool based = insn->seg == SEG_FS || insn->seg == SEG_GS;
	bool flat = insn->seg != SEG_CS && !based; /* a code segment cannot be written */
	int64_t disp = insn->disp;

	if (code64 ? insn->addr_size != 8
		   : (mode & MODE_CODE_MASK) != MODE_CODE32 || !(mode & MODE_FLAT) ||
			     insn->addr_size != 4 || !flat)
		return false;
	uop->base = insn->base;
	if (insn->base == INSN_BASE_RIP) {
		uop->base = GPR_BLOCK;
		disp += uop->off + insn->length;
	}
	if (disp != (int32_t)disp)
		return false;
	uop->index = insn->index;
	uop->scale = insn->scale;
	uop->disp = (int32_t)disp;
	uop->seg = based ? insn->seg : SEG_ZERO;
	return true;
}

static void lower_operands(const struct insn *insn, struct uop *uop)
{
	const struct operand *a = &insn->operand[0], *b = &insn->operand[1];

	uop->imm = insn->imm;
	if (is_gpr(a))
		uop->dst = reg_offset(a);
	if (is_gpr(b))
		uop->src = reg_offset(b);
	if (is_vector(a))
		uop->dst = a->reg;
	if (is_vector(b))
		uop->src = b->reg;
}

static bool in_page(const struct uop *uop, uint64_t page_offset, int64_t target)
{
	int64_t at = (int64_t)page_offset + target;
	int64_t end = (int64_t)page_offset + uop->off + uop->len;
	return at >= 0 && at < PAGE_BYTES && end < PAGE_BYTES;
}

static uop_fn *select_handler(const struct insn *insn, uint32_t mode, struct uop *uop,
			      uint64_t page_offset)
{
	enum form form = form_of(insn);
	uop_fn *fn;

	if (has_memory(insn) && !lower_address(insn, mode, uop))
		return NULL;
	lower_operands(insn, uop);
	if (insn_row(insn->mnemonic)->flags & ROW_ENDS_BLOCK) {
		bool relative = form == FORM_I && insn->mnemonic != ZYDIS_MNEMONIC_RET;
		int64_t target = (int64_t)(uop->off + insn->length + insn->imm);
		bool same_page = relative && in_page(uop, page_offset, target);
		fn = select_branch(insn, form, mode, same_page);
		if (fn && relative) {
			uop->imm = (uint64_t)target;
			uop->same_page = same_page;
		}
		return fn;
	}
	uop->cc = 0;
	int cc = set_condition(insn->mnemonic);
	if (cc < 0)
		cc = move_condition(insn->mnemonic);
	if (cc >= 0)
		uop->cc = (uint8_t)cc;
	if ((fn = select_vector(insn, mode, &uop->cc)) || (fn = select_stack(insn, form, mode)))
		return fn;
	if (form == FORM_OTHER)
		return NULL;
	if ((fn = select_alu(insn, form)) || (fn = select_move(insn, form)))
		return fn;
	return select_shift(insn, form);
}

static void lower_exec(const struct insn *insn, uint32_t mode, struct uop *uop)
{
	const struct insn_row *row = insn_row(insn->mnemonic);
	bool sse_missing = (row->flags & ROW_SSE) && !(mode & MODE_SSE);

	if ((row->flags & ROW_PROTECTED) && !(mode & MODE_PROTECTED))
		uop->fn = uop_invalid;
	else if ((row->flags & ROW_REP) && (insn->prefixes & (PREFIX_REP | PREFIX_REPNE)))
		uop->fn = uop_exec_rep;
	else if (insn_ends_block(insn))
		uop->fn = uop_exec_end;
	else if ((row->flags & (ROW_CPL0 | ROW_FPU)) || sse_missing)
		uop->fn = uop_exec_checked;
	else
		uop->fn = uop_exec;
	uop->exec = row->exec;
}

bool insn_ends_block(const struct insn *insn)
{
	const struct insn_row *row = insn_row(insn->mnemonic);

	if (row->flags & ROW_ENDS_BLOCK)
		return true;
	if ((row->flags & ROW_REP) && (insn->prefixes & (PREFIX_REP | PREFIX_REPNE)))
		return true;
	/* Loads of segment, control and debug registers; their mnemonics are MOV's and POP's. */
	const struct operand *a = &insn->operand[0];
	return a->kind == OPERAND_REG &&
	       (a->reg_class == REG_SEG || a->reg_class == REG_CR || a->reg_class == REG_DR);
}

/* Whether an operation with a handler may still have to run its exec function. */
static bool may_miss(const struct insn *insn)
{
	return has_memory(insn) || insn_ends_block(insn) || insn->mnemonic == ZYDIS_MNEMONIC_PUSH ||
	       insn->mnemonic == ZYDIS_MNEMONIC_POP || insn->mnemonic == ZYDIS_MNEMONIC_LEAVE;
}

void lower_insn(const struct insn *insn, uint32_t mode, uint64_t page_offset, struct uop *ret_uop)
{
	ret_uop->insn = insn;
	ret_uop->len = insn->length;
	ret_uop->seg = SEG_ZERO;
	ret_uop->base = ret_uop->index = GPR_ZERO;
	ret_uop->fn = insn_ends_block(insn) && !(insn_row(insn->mnemonic)->flags & ROW_ENDS_BLOCK)
			      ? NULL
			      : select_handler(insn, mode, ret_uop, page_offset);
	if (!ret_uop->fn)
		lower_exec(insn, mode, ret_uop);
	else if (!may_miss(insn))
		ret_uop->insn = NULL;
}

bool lower_pair(const struct insn *first, const struct insn *second, uint32_t mode,
		uint64_t page_offset, struct uop *uop)
{
	int cc = jump_condition(second->mnemonic);
	uint8_t length = first->length + second->length;
	int64_t target = (int64_t)(uop->off + length + second->imm);
	enum form form = form_of(first);
	struct uop pair = *uop;

	pair.len = length;
	if (cc < 0 || second->op_size != (((mode & MODE_CODE_MASK) == MODE_CODE64) ? 8 : 4) ||
	    !(mode & MODE_FLAT) || !in_page(&pair, page_offset, target))
		return false;
	if (form == FORM_RI && (int64_t)first->imm != (int32_t)first->imm)
		return false;
	pair.insn = NULL;
	pair.fn = select_pair(first, form, (unsigned)cc);
	if (!pair.fn)
		return false;
	lower_operands(first, &pair);
	pair.imm = ((uint64_t)target << 32) | (uint32_t)first->imm;
	*uop = pair;
	return true;
}
