#include "vmm/jit/track.h"

#include <Zydis/Mnemonic.h>

#include "vmm/jit/code.h"
#include "vmm/mmu/mmu.h"

/* Ranges are small: one that crosses a page serves nobody. */
#define RANGE_MAX 192

/* ---- values ---- */

static void renew(struct tracker *t, unsigned reg)
{
	t->gpr[reg] = (struct value){.id = t->n_ids++};
}

static void renew_all(struct tracker *t)
{
	for (unsigned reg = 0; reg < 16; reg++)
		renew(t, reg);
}

static uint16_t sum_of(struct tracker *t, uint16_t base, uint16_t index, uint8_t scale)
{
	for (unsigned i = 0; i < t->n_sums; i++)
		if (t->sums[i].base == base && t->sums[i].index == index &&
		    t->sums[i].scale == scale)
			return t->sums[i].id;
	t->sums[t->n_sums++] = (struct sum){base, index, scale, t->n_ids};
	return t->n_ids++;
}

/* The value of an instruction's address. */
static struct value address_of(struct tracker *t, const struct insn *insn, uint64_t rip)
{
	struct value base = {.id = ID_CONSTANT}, index = base;

	if (insn->base == INSN_BASE_RIP)
		return (struct value){t->relative ? ID_PAGE : ID_CONSTANT,
				      (int64_t)insn_rip_relative(insn, rip)};
	if (insn->base != GPR_ZERO)
		base = t->gpr[insn->base];
	base.plus += (int64_t)(int32_t)insn->disp;
	if (insn->index == GPR_ZERO)
		return base;
	index = t->gpr[insn->index];
	base.id = sum_of(t, base.id, index.id, insn->scale);
	base.plus += (int64_t)((uint64_t)index.plus << insn->scale);
	return base;
}

/* ---- what instructions do to registers ---- */

static bool is_gpr(const struct operand *operand, unsigned size)
{
	return operand->kind == OPERAND_REG && operand->reg_class == REG_GPR &&
	       operand->size == size;
}

bool track_writes_unnamed(const struct insn *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_MUL:
	case ZYDIS_MNEMONIC_IMUL:
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
	case ZYDIS_MNEMONIC_CMPXCHG:
	case ZYDIS_MNEMONIC_CMPXCHG8B:
	case ZYDIS_MNEMONIC_CMPXCHG16B:
	case ZYDIS_MNEMONIC_CBW:
	case ZYDIS_MNEMONIC_CWDE:
	case ZYDIS_MNEMONIC_CDQE:
	case ZYDIS_MNEMONIC_CWD:
	case ZYDIS_MNEMONIC_CDQ:
	case ZYDIS_MNEMONIC_CQO:
	case ZYDIS_MNEMONIC_LAHF:
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPISTRI:
		return true;
	default:
		return false;
	}
}

bool track_takes_unnamed(const struct insn *insn)
{
	return track_writes_unnamed(insn) || insn->mnemonic == ZYDIS_MNEMONIC_SAHF ||
	       insn->mnemonic == ZYDIS_MNEMONIC_PCMPESTRM;
}

static void renew_written(struct tracker *t, const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++) {
		const struct operand *operand = &insn->operand[i];
		if (operand->kind != OPERAND_REG || !insn_writes_operand(insn, i))
			continue;
		if (operand->reg_class == REG_GPR || operand->reg_class == REG_GPR_HIGH)
			renew(t, operand->reg);
	}
	if (track_writes_unnamed(insn)) {
		renew(t, RAX);
		renew(t, RCX);
		renew(t, RDX);
	}
}

/* What a copied instruction adds to its first operand; false when it does something else. */
static bool addend(const struct insn *insn, int64_t *ret_plus)
{
	bool immediate = insn->operand[1].kind == OPERAND_IMM;

	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_ADD:
		*ret_plus = (int64_t)insn->imm;
		return immediate;
	case ZYDIS_MNEMONIC_SUB:
		*ret_plus = -(int64_t)insn->imm;
		return immediate;
	case ZYDIS_MNEMONIC_INC:
		*ret_plus = 1;
		return true;
	case ZYDIS_MNEMONIC_DEC:
		*ret_plus = -1;
		return true;
	default:
		return false;
	}
}

static void follow_copy(struct tracker *t, const struct insn *insn)
{
	int64_t plus;

	if (is_gpr(&insn->operand[0], 8) && addend(insn, &plus))
		t->gpr[insn->operand[0].reg].plus += plus;
	else if (insn->mnemonic == ZYDIS_MNEMONIC_MOV && is_gpr(&insn->operand[0], 8) &&
		 is_gpr(&insn->operand[1], 8))
		t->gpr[insn->operand[0].reg] = t->gpr[insn->operand[1].reg];
	else
		renew_written(t, insn);
}

static void follow_lea(struct tracker *t, const struct insn *insn, uint64_t rip)
{
	unsigned to = insn->operand[0].reg;

	if (insn->operand[0].size == 8 && insn->addr_size == 8)
		t->gpr[to] = address_of(t, insn, rip);
	else
		renew(t, to);
}

static void follow_pop(struct tracker *t, const struct insn *insn)
{
	t->gpr[RSP].plus += 8;
	if (insn->operand[0].kind == OPERAND_REG)
		renew(t, insn->operand[0].reg);
}

static void follow_system(struct tracker *t, const struct insn *insn)
{
	if (insn->mnemonic == ZYDIS_MNEMONIC_STAC || insn->mnemonic == ZYDIS_MNEMONIC_CLAC)
		t->epoch++;
	else
		renew_all(t);
}

/* Registers as they are after an instruction. */
static void follow(struct tracker *t, const struct planned *planned, uint64_t rip)
{
	const struct insn *insn = &planned->insn;

	switch ((enum insn_class)planned->effect.cls) {
	case CLASS_COPY:
	case CLASS_VECTOR:
	case CLASS_X87:
		follow_copy(t, insn);
		break;
	case CLASS_LEA:
		follow_lea(t, insn, rip);
		break;
	case CLASS_PUSH:
		t->gpr[RSP].plus -= 8;
		break;
	case CLASS_POP:
		follow_pop(t, insn);
		break;
	case CLASS_LEAVE:
		t->gpr[RSP] = t->gpr[RBP];
		t->gpr[RSP].plus += 8;
		renew(t, RBP);
		break;
	case CLASS_NOTHING:
	case CLASS_JCC:
		break;
	case CLASS_SYSTEM:
		follow_system(t, insn);
		break;
	default:
		renew_all(t);
	}
}

/* ---- accesses ---- */

struct access {
	struct value at;
	uint16_t bytes;
	bool write;
};

static struct access stack_access(const struct tracker *t, unsigned reg, int64_t plus, bool write)
{
	struct access access = {.at = t->gpr[reg], .bytes = 8, .write = write};

	access.at.plus += plus;
	return access;
}

/* A copied instruction's memory operand. */
static bool copy_access(struct tracker *t, const struct planned *planned, uint64_t rip,
			struct access *ret_access)
{
	const struct insn *insn = &planned->insn;
	const struct operand *memory = jit_shared_operand(planned);

	if (!memory || insn->seg == SEG_FS || insn->seg == SEG_GS)
		return false;
	*ret_access = (struct access){.at = address_of(t, insn, rip),
				      .bytes = memory->size,
				      .write = jit_writes_memory(insn)};
	return true;
}

static bool access_of(struct tracker *t, const struct planned *planned, uint64_t rip,
		      struct access *ret_access)
{
	const struct insn *insn = &planned->insn;

	switch ((enum insn_class)planned->effect.cls) {
	case CLASS_COPY:
	case CLASS_VECTOR:
	case CLASS_X87:
		return copy_access(t, planned, rip, ret_access);
	case CLASS_PUSH:
	case CLASS_CALL:
		*ret_access = stack_access(t, RSP, -8, true);
		return insn->operand[0].kind != OPERAND_MEM;
	case CLASS_POP:
	case CLASS_RET:
		*ret_access = stack_access(t, RSP, 0, false);
		return true;
	case CLASS_LEAVE:
		*ret_access = stack_access(t, RBP, 0, false);
		return true;
	default:
		return false;
	}
}

/* ---- ranges ---- */

static bool same_page(int64_t first, int64_t end)
{
	return (((uint64_t)first ^ (uint64_t)(end - 1)) & PAGE_MASK) == 0;
}

/* Makes the range hold the access, if it may. */
static bool join(struct range *range, uint16_t epoch, const struct access *access)
{
	int64_t first = access->at.plus, end = first + access->bytes;

	first = range->first < first ? range->first : first;
	end = range->end > end ? range->end : end;
	if (range->id != access->at.id || range->epoch != epoch || end - first > RANGE_MAX ||
	    (range->id >= ID_PAGE && !same_page(first, end)))
		return false;
	range->first = first;
	range->end = end;
	range->n++;
	range->write |= access->write;
	return true;
}

static unsigned range_of(struct tracker *t, const struct access *access)
{
	unsigned i = 0;

	while (i < t->n_ranges && !join(&t->ranges[i], t->epoch, access))
		i++;
	if (i == t->n_ranges)
		t->ranges[t->n_ranges++] = (struct range){
			.id = access->at.id,
			.epoch = t->epoch,
			.first = access->at.plus,
			.end = access->at.plus + access->bytes,
			.n = 1,
			.write = access->write,
		};
	return i;
}

static void note_registers(struct tracker *t, unsigned i, const struct insn *insn)
{
	if (insn->base >= 16 || insn->index >= 16)
		return;
	t->access[i].base = t->gpr[insn->base];
	t->access[i].index = t->gpr[insn->index];
}

void track_plan(struct tracker *t, const struct plan *plan)
{
	unsigned n = plan->loop ? plan->n - 1 : plan->n;

	t->relative = plan->relative;
	t->n_ids = 0;
	t->epoch = 0;
	t->n_sums = 0;
	t->n_ranges = 0;
	renew_all(t);
	for (unsigned i = 0; i < n; i++) {
		const struct planned *planned = &plan->insns[i];
		uint64_t rip = plan->linear + planned->offset;
		struct access access;
		t->access[i].range = TRACK_NONE;
		if (access_of(t, planned, rip, &access)) {
			t->access[i].range = (uint8_t)range_of(t, &access);
			t->access[i].plus = access.at.plus;
			note_registers(t, i, &planned->insn);
		}
		follow(t, planned, rip);
	}
}
