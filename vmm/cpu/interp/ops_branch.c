/* Near jumps, calls and returns in 64-bit code; jumps in flat 32-bit code. */
#include "vmm/cpu/interp/handler.h"
#include "vmm/cpu/interp/ops.h"

/* Leaves the block for a target inside the same page: the mapping holds, so blocks may be linked.
 */
#define LEAVE_LINKED(target, which)                                                                \
	do {                                                                                       \
		cpu->rip = (target);                                                               \
		cpu->link = (which);                                                               \
		return uop;                                                                        \
	} while (0)

/* Leaves for any address; one that is not canonical is left to the exec function, which raises. */
#define LEAVE_FAR(target)                                                                          \
	do {                                                                                       \
		if (UNLIKELY(!address_is_canonical(target)))                                       \
			return uop_exec_end(cpu, uop);                                             \
		cpu->rip = (target);                                                               \
		cpu->link = LINK_NONE;                                                             \
		return uop;                                                                        \
	} while (0)

ALWAYS_INLINE uint64_t relative_target(const struct cpu *cpu, const struct uop *uop)
{
	return (cpu->gpr[GPR_BLOCK] + uop->imm) & cpu->address_mask;
}

ALWAYS_INLINE uint64_t following(const struct cpu *cpu, const struct uop *uop)
{
	return cpu->gpr[GPR_BLOCK] + uop->off + uop->len;
}

static const struct uop *jmp_page(struct cpu *cpu, const struct uop *uop)
{
	LEAVE_LINKED(relative_target(cpu, uop), LINK_TAKEN);
}

static const struct uop *jmp_far(struct cpu *cpu, const struct uop *uop)
{
	uint64_t target = relative_target(cpu, uop);
	LEAVE_FAR(target);
}

static const struct uop *jmp_r(struct cpu *cpu, const struct uop *uop)
{
	uint64_t target = reg_get(cpu, uop->dst, 8);
	LEAVE_FAR(target);
}

static const struct uop *jmp_m(struct cpu *cpu, const struct uop *uop)
{
	uint64_t linear = uop_linear(cpu, uop);
	HOST_FOR_READ(host, linear, 8);
	uint64_t target = host_get(host, 8);
	LEAVE_FAR(target);
}

#define DEFINE_JCC(number)                                                                         \
	static const struct uop *jcc_page_##number(struct cpu *cpu, const struct uop *uop)         \
	{                                                                                          \
		if (flags_condition(cpu, number))                                                  \
			LEAVE_LINKED(cpu->gpr[GPR_BLOCK] + uop->imm, LINK_TAKEN);                  \
		LEAVE_LINKED(following(cpu, uop), LINK_NEXT);                                      \
	}                                                                                          \
	static const struct uop *jcc_far_##number(struct cpu *cpu, const struct uop *uop)          \
	{                                                                                          \
		if (flags_condition(cpu, number)) {                                                \
			uint64_t target = relative_target(cpu, uop);                               \
			LEAVE_FAR(target);                                                         \
		}                                                                                  \
		uint64_t next = following(cpu, uop) & cpu->address_mask;                           \
		LEAVE_FAR(next);                                                                   \
	}
DEFINE_JCC(0)
DEFINE_JCC(1)
DEFINE_JCC(2)
DEFINE_JCC(3)
DEFINE_JCC(4)
DEFINE_JCC(5)
DEFINE_JCC(6)
DEFINE_JCC(7)
DEFINE_JCC(8)
DEFINE_JCC(9)
DEFINE_JCC(10)
DEFINE_JCC(11)
DEFINE_JCC(12)
DEFINE_JCC(13)
DEFINE_JCC(14)
DEFINE_JCC(15)

#define JCC_ROW(number)                                                                            \
	{                                                                                          \
		jcc_far_##number, jcc_page_##number                                                \
	}
static uop_fn *const jcc_handlers[16][2] = {
	JCC_ROW(0),  JCC_ROW(1),  JCC_ROW(2),  JCC_ROW(3),  JCC_ROW(4),  JCC_ROW(5),
	JCC_ROW(6),  JCC_ROW(7),  JCC_ROW(8),  JCC_ROW(9),  JCC_ROW(10), JCC_ROW(11),
	JCC_ROW(12), JCC_ROW(13), JCC_ROW(14), JCC_ROW(15),
};

/* ---- calls and returns ---- */

static const struct uop *call_rel(struct cpu *cpu, const struct uop *uop)
{
	uint64_t stack = cpu->gpr[RSP] - 8, target = relative_target(cpu, uop);

	if (UNLIKELY(!address_is_canonical(target)))
		return uop_exec_end(cpu, uop);
	HOST_FOR_WRITE(host, stack, 8);
	host_set(host, 8, following(cpu, uop));
	cpu->gpr[RSP] = stack;
	LEAVE_LINKED(target, uop->same_page ? LINK_TAKEN : LINK_NONE);
}

static const struct uop *call_r(struct cpu *cpu, const struct uop *uop)
{
	uint64_t stack = cpu->gpr[RSP] - 8, target = reg_get(cpu, uop->dst, 8);

	if (UNLIKELY(!address_is_canonical(target)))
		return uop_exec_end(cpu, uop);
	HOST_FOR_WRITE(host, stack, 8);
	host_set(host, 8, following(cpu, uop));
	cpu->gpr[RSP] = stack;
	LEAVE_LINKED(target, LINK_NONE);
}

static const struct uop *ret(struct cpu *cpu, const struct uop *uop)
{
	uint64_t stack = cpu->gpr[RSP];
	HOST_FOR_READ(host, stack, 8);
	uint64_t target = host_get(host, 8);

	if (UNLIKELY(!address_is_canonical(target)))
		return uop_exec_end(cpu, uop);
	cpu->gpr[RSP] = stack + 8 + uop->imm;
	LEAVE_LINKED(target, LINK_NONE);
}

static uop_fn *select_branch64(const struct insn *insn, enum form form, bool same_page)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_JMP:
		return form == FORM_R ? jmp_r : form == FORM_M ? jmp_m : NULL;
	case ZYDIS_MNEMONIC_CALL:
		return form == FORM_R ? call_r : form == FORM_I ? call_rel : NULL;
	case ZYDIS_MNEMONIC_RET:
		return insn->n_operands == 0 || form == FORM_I ? ret : NULL;
	default:
		return NULL;
	}
}

uop_fn *select_branch(const struct insn *insn, enum form form, uint32_t mode, bool same_page)
{
	bool code64 = (mode & MODE_CODE_MASK) == MODE_CODE64;
	bool flat32 = (mode & MODE_CODE_MASK) == MODE_CODE32 && (mode & MODE_FLAT);

	if (insn->far || (!code64 && !(flat32 && insn->op_size == 4)))
		return NULL;
	int cc = jump_condition(insn->mnemonic);
	if (cc >= 0)
		return jcc_handlers[cc][same_page];
	if (insn->mnemonic == ZYDIS_MNEMONIC_JMP && form == FORM_I)
		return same_page ? jmp_page : jmp_far;
	return code64 && insn->op_size == 8 ? select_branch64(insn, form, same_page) : NULL;
}
