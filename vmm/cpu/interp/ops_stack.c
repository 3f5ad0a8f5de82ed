/* PUSH, POP and LEAVE of 64-bit code. */
#include "vmm/cpu/interp/handler.h"
#include "vmm/cpu/interp/ops.h"

static const struct uop *push_r(struct cpu *cpu, const struct uop *uop)
{
	uint64_t stack = cpu->gpr[RSP] - 8;
	HOST_FOR_WRITE(host, stack, 8);
	host_set(host, 8, reg_get(cpu, uop->dst, 8));
	cpu->gpr[RSP] = stack;
	NEXT;
}

static const struct uop *push_i(struct cpu *cpu, const struct uop *uop)
{
	uint64_t stack = cpu->gpr[RSP] - 8;
	HOST_FOR_WRITE(host, stack, 8);
	host_set(host, 8, uop->imm);
	cpu->gpr[RSP] = stack;
	NEXT;
}

static const struct uop *pop_r(struct cpu *cpu, const struct uop *uop)
{
	uint64_t stack = cpu->gpr[RSP];
	HOST_FOR_READ(host, stack, 8);
	cpu->gpr[RSP] = stack + 8;
	reg_set(cpu, uop->dst, 8, host_get(host, 8)); /* last: POP RSP */
	NEXT;
}

static const struct uop *leave(struct cpu *cpu, const struct uop *uop)
{
	uint64_t stack = cpu->gpr[RBP];
	HOST_FOR_READ(host, stack, 8);
	cpu->gpr[RBP] = host_get(host, 8);
	cpu->gpr[RSP] = stack + 8;
	NEXT;
}

uop_fn *select_stack(const struct insn *insn, enum form form, uint32_t mode)
{
	if ((mode & MODE_CODE_MASK) != MODE_CODE64 || insn->op_size != 8)
		return NULL;
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		return form == FORM_R ? push_r : form == FORM_I ? push_i : NULL;
	case ZYDIS_MNEMONIC_POP:
		return form == FORM_R ? pop_r : NULL;
	case ZYDIS_MNEMONIC_LEAVE:
		return leave;
	default:
		return NULL;
	}
}
