/*
 * x87 control instructions and EMMS. Those whose name begins with FN do not wait: they do not
 * report a pending exception (SDM 1 8.3.11).
 */
#include "vmm/cpu/vector/operand.h"
#include "vmm/cpu/vector/x87.h"

/* FWAIT: #NM only with both CR0.MP and CR0.TS (SDM 2A); its row has no ROW_FPU. */
bool exec_fwait(struct cpu *cpu, const struct insn *insn)
{
	if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		return raise_fault(cpu, VECTOR_NM);
	return x87_check_pending(cpu);
}

/* FNOP. */
bool exec_fnop(struct cpu *cpu, const struct insn *insn)
{
	return x87_check_pending(cpu);
}

/* FNENI, FNDISI, FNSETPM: 8087 and 80287 instructions that do nothing, not even wait. */
bool exec_x87_ignored(struct cpu *cpu, const struct insn *insn)
{
	return true;
}

bool exec_fninit(struct cpu *cpu, const struct insn *insn)
{
	x87_initialize(cpu);
	return true;
}

bool exec_fnclex(struct cpu *cpu, const struct insn *insn)
{
	cpu->fx.fsw &= (uint16_t) ~(FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B);
	return true;
}

bool exec_fnstcw(struct cpu *cpu, const struct insn *insn)
{
	return vector_write_memory(cpu, insn, 2, &cpu->fx.fcw, false);
}

bool exec_fldcw(struct cpu *cpu, const struct insn *insn)
{
	uint16_t fcw;

	if (!x87_check_pending(cpu) || !vector_read_unaligned(cpu, insn, 2, &fcw))
		return false;
	x87_set_control(cpu, fcw);
	return true;
}

/* To AX (DF E0) or memory. */
bool exec_fnstsw(struct cpu *cpu, const struct insn *insn)
{
	if ((insn->modrm >> 6) != 3)
		return vector_write_memory(cpu, insn, 2, &cpu->fx.fsw, false);
	gpr_write(cpu, RAX, 2, cpu->fx.fsw);
	return true;
}

/* Empties all registers and, as every MMX instruction, sets TOP to 0 (SDM 3A table 12-1). */
bool exec_emms(struct cpu *cpu, const struct insn *insn)
{
	if (!mmx_check(cpu))
		return false;
	mmx_enter(cpu);
	cpu->fx.ftw = 0;
	return true;
}

/*
 * The environment (SDM 1 figures 8-9 to 8-12): control, status and tag word, then the instruction
 * and operand pointers, which this machine keeps at 0. In the 32-bit format every word is followed
 * by a reserved one, which is stored as ones; the operand pointer's selector is the last word.
 */
struct environment {
	union {
		uint16_t short_form[7];
		uint32_t long_form[7];
	};
};

static unsigned environment_bytes(const struct insn *insn)
{
	return insn->op_size == 2 ? 14 : 28;
}

static void environment_get(const struct cpu *cpu, const struct insn *insn,
			    struct environment *ret_environment)
{
	struct environment *e = ret_environment;
	uint16_t words[3] = {cpu->fx.fcw, cpu->fx.fsw, x87_full_tags(cpu)};

	memset(e, 0, sizeof(*e));
	for (unsigned i = 0; i < 3; i++) {
		if (insn->op_size == 2)
			e->short_form[i] = words[i];
		else
			e->long_form[i] = 0xffff0000u | words[i];
	}
	if (insn->op_size != 2)
		e->long_form[6] = 0xffff0000u;
}

static void environment_set(struct cpu *cpu, const struct insn *insn, const struct environment *e)
{
	uint16_t words[3];

	for (unsigned i = 0; i < 3; i++)
		words[i] = insn->op_size == 2 ? e->short_form[i] : (uint16_t)e->long_form[i];
	x87_set_top(cpu, (words[1] & FSW_TOP) >> FSW_TOP_SHIFT);
	cpu->fx.fsw = words[1];
	cpu->fx.ftw = x87_abridged_tags(words[2]);
	x87_set_control(cpu, words[0]);
}

bool exec_fnstenv(struct cpu *cpu, const struct insn *insn)
{
	struct environment e;

	environment_get(cpu, insn, &e);
	if (!vector_write_memory(cpu, insn, environment_bytes(insn), &e, false))
		return false;
	/* All exceptions become masked (SDM 2A). */
	x87_set_control(cpu, cpu->fx.fcw | FSW_EXCEPTIONS);
	return true;
}

bool exec_fldenv(struct cpu *cpu, const struct insn *insn)
{
	struct environment e;

	if (!x87_check_pending(cpu) ||
	    !vector_read_unaligned(cpu, insn, environment_bytes(insn), &e))
		return false;
	environment_set(cpu, insn, &e);
	return true;
}

/* FNSAVE's image: the environment, then the registers in stack order. */
#define SAVE_BYTES_MAX (28 + 8 * X87_REGISTER_BYTES)

bool exec_fnsave(struct cpu *cpu, const struct insn *insn)
{
	unsigned head = environment_bytes(insn);
	uint8_t image[SAVE_BYTES_MAX];
	struct environment e;

	environment_get(cpu, insn, &e);
	memcpy(image, &e, head);
	for (unsigned i = 0; i < 8; i++)
		memcpy(image + head + i * X87_REGISTER_BYTES, cpu->fx.st[i], X87_REGISTER_BYTES);
	if (!vector_write_memory(cpu, insn, head + 8 * X87_REGISTER_BYTES, image, false))
		return false;
	x87_initialize(cpu);
	return true;
}

bool exec_frstor(struct cpu *cpu, const struct insn *insn)
{
	unsigned head = environment_bytes(insn);
	uint8_t image[SAVE_BYTES_MAX];
	struct environment e;

	if (!x87_check_pending(cpu) ||
	    !vector_read_unaligned(cpu, insn, head + 8 * X87_REGISTER_BYTES, image))
		return false;
	memcpy(&e, image, head);
	environment_set(cpu, insn, &e);
	for (unsigned i = 0; i < 8; i++)
		memcpy(cpu->fx.st[i], image + head + i * X87_REGISTER_BYTES, X87_REGISTER_BYTES);
	return true;
}
