/*
 * x87 instructions: each runs on the host on an image of the guest's registers (native_x87_run).
 * Control instructions are in x87_control.c.
 */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/vector/approximate.h"
#include "vmm/cpu/vector/native.h"
#include "vmm/cpu/vector/operand.h"
#include "vmm/cpu/vector/x87.h"

/* Unmasked, these keep a store from being made (SDM 1 8.5). */
#define FSW_STOPS_STORE (FSW_IE | FSW_DE | FSW_ZE | FSW_OE | FSW_UE)

/* Bytes of the memory operand by opcode D8..DF and ModRM.reg; 0: no operand here (x87_control.c).
 */
static const uint8_t memory_bytes[8][8] = {
	{4, 4, 4, 4, 4, 4, 4, 4},   /* D8: single */
	{4, 0, 4, 4, 0, 0, 0, 0},   /* D9: FLD, FST, FSTP */
	{4, 4, 4, 4, 4, 4, 4, 4},   /* DA: 4-byte integer */
	{4, 4, 4, 4, 0, 10, 0, 10}, /* DB: FILD, FISTTP, FIST, FISTP, FLD, FSTP */
	{8, 8, 8, 8, 8, 8, 8, 8},   /* DC: double */
	{8, 8, 8, 8, 0, 0, 0, 0},   /* DD: FLD, FISTTP, FST, FSTP */
	{2, 2, 2, 2, 2, 2, 2, 2},   /* DE: 2-byte integer */
	{2, 2, 2, 2, 10, 8, 10, 8}, /* DF: FILD, FISTTP, FIST, FISTP, FBLD, FILD, FBSTP, FISTP */
};

/* Bit n: ModRM.reg n stores. */
static const uint8_t memory_stores[8] = {0, 0x0c, 0, 0x8e, 0, 0x0e, 0, 0xce};

/*
 * The guest's x87 registers with the sticky flags taken out, so that the flags afterwards are those
 * of this instruction, and that nothing is pending when it starts.
 */
static void image_load(const struct cpu *cpu, struct fx_state *image)
{
	memcpy(image, &cpu->fx, offsetof(struct fx_state, xmm));
	image->fsw &= (uint16_t) ~(FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B);
	image->fop = 0;
	image->fip = 0;
	image->fdp = 0;
}

static void image_commit(struct cpu *cpu, const struct fx_state *image)
{
	uint16_t sticky = cpu->fx.fsw & (FSW_EXCEPTIONS | FSW_SF);

	cpu->fx.fsw = image->fsw | sticky;
	cpu->fx.ftw = image->ftw;
	for (unsigned i = 0; i < 8; i++)
		memcpy(cpu->fx.st[i], image->st[i], X87_REGISTER_BYTES);
	x87_update_summary(cpu);
}

/* Arithmetic and moves between registers; everything with a register ModRM that is not control. */
bool exec_x87_register(struct cpu *cpu, const struct insn *insn)
{
	struct fx_state image;

	if (!x87_check_pending(cpu))
		return false;
	image_load(cpu, &image);
	if (insn->opcode == 0xd9 && approximate_x87_is(insn->modrm))
		approximate_x87_compute(insn->modrm, &image);
	else
		native_x87_run(&image, native_x87_register[insn->opcode & 7][insn->modrm & 63],
			       NULL, 0);
	image_commit(cpu, &image);
	return true;
}

/* FCMOVcc: the condition comes from CF, ZF, PF. */
bool exec_fcmov(struct cpu *cpu, const struct insn *insn)
{
	struct fx_state image;

	if (!x87_check_pending(cpu))
		return false;
	image_load(cpu, &image);
	native_x87_run(&image, native_x87_register[insn->opcode & 7][insn->modrm & 63], NULL,
		       flags_arith(cpu) & (FLAG_CF | FLAG_PF | FLAG_ZF));
	image_commit(cpu, &image);
	return true;
}

/* FCOMI, FUCOMI and their popping forms. An unmasked invalid operation leaves the flags alone. */
bool exec_fcomi(struct cpu *cpu, const struct insn *insn)
{
	struct fx_state image;
	unsigned flags;

	if (!x87_check_pending(cpu))
		return false;
	image_load(cpu, &image);
	flags = native_x87_run(&image, native_x87_register[insn->opcode & 7][insn->modrm & 63],
			       NULL, 0);
	if (!(image.fsw & ~image.fcw & FSW_IE))
		flags_set_arith(cpu, flags & (FLAG_CF | FLAG_PF | FLAG_ZF));
	image_commit(cpu, &image);
	return true;
}

static bool x87_load(struct cpu *cpu, const struct insn *insn, const uint8_t *code, unsigned size)
{
	struct fx_state image;
	uint8_t value[16] = {0};

	if (!vector_read_unaligned(cpu, insn, size, value))
		return false;
	image_load(cpu, &image);
	native_x87_run(&image, code, value, 0);
	image_commit(cpu, &image);
	return true;
}

static bool x87_store(struct cpu *cpu, const struct insn *insn, const uint8_t *code, unsigned size)
{
	struct fx_state image;
	uint8_t value[16] = {0};
	uint64_t linear;

	/* A store that will not be made because of an unmasked exception has no page fault either.
	 */
	image_load(cpu, &image);
	native_x87_run(&image, code, value, 0);
	if (!insn_linear(cpu, insn, size, ACCESS_WRITE, &linear))
		return false;
	if (!(image.fsw & ~image.fcw & FSW_STOPS_STORE) &&
	    !linear_write(cpu, linear, value, size, PRIVILEGE_CURRENT))
		return false;
	image_commit(cpu, &image);
	return true;
}

/* Arithmetic with a memory operand, loads and stores. */
bool exec_x87_memory(struct cpu *cpu, const struct insn *insn)
{
	unsigned row = insn->opcode & 7, reg = (insn->modrm >> 3) & 7;
	const uint8_t *code = native_x87_memory[row][reg];

	if (!x87_check_pending(cpu))
		return false;
	if (memory_stores[row] & (1u << reg))
		return x87_store(cpu, insn, code, memory_bytes[row][reg]);
	return x87_load(cpu, insn, code, memory_bytes[row][reg]);
}

/* Mnemonics that have both register and memory forms. */
bool exec_x87(struct cpu *cpu, const struct insn *insn)
{
	return (insn->modrm >> 6) == 3 ? exec_x87_register(cpu, insn) : exec_x87_memory(cpu, insn);
}
