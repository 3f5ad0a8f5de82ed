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

/* ---- the short way: every exception masked, no stack fault possible ---- */

#define FSW_C1 0x200u

static bool all_masked(const struct cpu *cpu)
{
	return (cpu->fx.fcw & FSW_EXCEPTIONS) == FSW_EXCEPTIONS;
}

static bool register_is_full(const struct cpu *cpu, unsigned i)
{
	return cpu->fx.ftw & (1u << ((x87_top(cpu) + i) & 7));
}

/* Takes over what an instruction of the short way did to the status word. */
static void status_commit(struct cpu *cpu, unsigned fsw)
{
	cpu->fx.fsw &= (uint16_t)~FSW_C1;
	cpu->fx.fsw |= (uint16_t)(fsw & (FSW_EXCEPTIONS | FSW_C1));
}

static void pop_register(struct cpu *cpu)
{
	unsigned top = x87_top(cpu);

	cpu->fx.ftw &= (uint8_t) ~(1u << top);
	x87_set_top(cpu, (top + 1) & 7);
}

static void push_register(struct cpu *cpu, const uint8_t *value)
{
	unsigned top = (x87_top(cpu) - 1) & 7;

	x87_set_top(cpu, top);
	cpu->fx.ftw |= (uint8_t)(1u << top);
	memcpy(cpu->fx.st[0], value, X87_REGISTER_BYTES);
}

/* FADD, FMUL, FSUB(R), FDIV(R) by ModRM.reg; 2 and 3 compare. */
static bool is_arithmetic(unsigned reg)
{
	return reg != 2 && reg != 3;
}

/*
 * Arithmetic with a register operand: D8 (to ST(0)), DC and DE (to ST(i), DE pops). Returns false,
 * having done nothing, when the instruction needs the long way.
 */
static bool combine_registers(struct cpu *cpu, const struct insn *insn)
{
	unsigned row = insn->opcode & 7, reg = (insn->modrm >> 3) & 7, i = insn->modrm & 7, fsw;

	if ((row != 0 && row != 4 && row != 6) || !is_arithmetic(reg) || i == 0 ||
	    !all_masked(cpu) || !register_is_full(cpu, 0) || !register_is_full(cpu, i))
		return false;
	fsw = native_x87_combine(cpu->fx.st[0], cpu->fx.st[i], NULL,
				 native_x87_register[row & 4][reg << 3 | 1], &cpu->fx.fcw);
	status_commit(cpu, fsw);
	if (row == 6)
		pop_register(cpu);
	return true;
}

/*
 * FLD ST(i), FXCH, FST ST(i), FSTP ST(i) and the constants 1 and 0, which raise nothing but stack
 * faults. Returns false, having done nothing, when it is none of these or a stack fault is due.
 */
static bool move_registers(struct cpu *cpu, const struct insn *insn)
{
	static const uint8_t zero[X87_REGISTER_BYTES],
		one[X87_REGISTER_BYTES] = {[7] = 0x80, [8] = 0xff, [9] = 0x3f};
	unsigned code = (unsigned)insn->opcode << 8 | insn->modrm, i = insn->modrm & 7;
	uint8_t value[X87_REGISTER_BYTES];

	if (code == 0xd9e8 || code == 0xd9ee) { /* FLD1, FLDZ */
		if (register_is_full(cpu, 7))
			return false;
		push_register(cpu, code == 0xd9e8 ? one : zero);
	} else if (!register_is_full(cpu, 0)) {
		return false;
	} else if ((code & ~7u) == 0xd9c0) { /* FLD ST(i) */
		if (!register_is_full(cpu, i) || register_is_full(cpu, 7))
			return false;
		memcpy(value, cpu->fx.st[i], X87_REGISTER_BYTES);
		push_register(cpu, value);
	} else if ((code & ~7u) == 0xd9c8) { /* FXCH */
		if (!register_is_full(cpu, i))
			return false;
		memcpy(value, cpu->fx.st[i], X87_REGISTER_BYTES);
		memcpy(cpu->fx.st[i], cpu->fx.st[0], X87_REGISTER_BYTES);
		memcpy(cpu->fx.st[0], value, X87_REGISTER_BYTES);
	} else if ((code & ~15u) == 0xddd0) { /* FST ST(i), FSTP ST(i) */
		memcpy(cpu->fx.st[i], cpu->fx.st[0], X87_REGISTER_BYTES);
		cpu->fx.ftw |= (uint8_t)(1u << ((x87_top(cpu) + i) & 7));
		if (code & 8)
			pop_register(cpu);
	} else {
		return false;
	}
	status_commit(cpu, 0);
	return true;
}

/* The same as combine_registers with a memory operand: D8, DA, DC, DE. */
static bool combine_memory(struct cpu *cpu, unsigned row, unsigned reg, uint8_t *value)
{
	uint8_t unused[X87_REGISTER_BYTES] = {0};

	if ((row & 1) || !is_arithmetic(reg) || !all_masked(cpu) || !register_is_full(cpu, 0))
		return false;
	status_commit(cpu, native_x87_combine(cpu->fx.st[0], unused, value,
					      native_x87_memory[row][reg], &cpu->fx.fcw));
	return true;
}

/* FLD, FILD, FBLD. */
static bool load_memory(struct cpu *cpu, unsigned row, unsigned reg, uint8_t *value)
{
	uint8_t loaded[X87_REGISTER_BYTES];

	if (!(row & 1) || !all_masked(cpu) || register_is_full(cpu, 7))
		return false;
	status_commit(cpu, native_x87_load(loaded, NULL, value, native_x87_memory[row][reg],
					   &cpu->fx.fcw));
	push_register(cpu, loaded);
	return true;
}

/* ---- instructions ---- */

/* Arithmetic and moves between registers; everything with a register ModRM that is not control. */
bool exec_x87_register(struct cpu *cpu, const struct insn *insn)
{
	struct fx_state image;

	if (!x87_check_pending(cpu))
		return false;
	if (move_registers(cpu, insn) || combine_registers(cpu, insn))
		return true;
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

/*
 * FCOMI, FUCOMI and their popping forms. An unmasked invalid operation leaves the flags alone (SDM
 * 2A; AMD's processors set them all the same).
 */
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

static bool x87_load(struct cpu *cpu, const struct insn *insn, unsigned row, unsigned reg)
{
	struct fx_state image;
	uint8_t value[16] = {0};

	if (!vector_read_unaligned(cpu, insn, memory_bytes[row][reg], value))
		return false;
	if (combine_memory(cpu, row, reg, value) || load_memory(cpu, row, reg, value))
		return true;
	image_load(cpu, &image);
	native_x87_run(&image, native_x87_memory[row][reg], value, 0);
	image_commit(cpu, &image);
	return true;
}

/* All stores pop but FST and FIST, which are ModRM.reg 2. */
static bool is_popping_store(unsigned reg)
{
	return reg != 2;
}

static bool store_short(struct cpu *cpu, const struct insn *insn, unsigned row, unsigned reg)
{
	unsigned size = memory_bytes[row][reg], fsw;
	uint8_t value[16] = {0};

	fsw = native_x87_store(cpu->fx.st[0], NULL, value, native_x87_memory[row][reg],
			       &cpu->fx.fcw);
	if (!vector_write_memory(cpu, insn, size, value, false))
		return false;
	status_commit(cpu, fsw);
	pop_register(cpu);
	return true;
}

static bool store_long(struct cpu *cpu, const struct insn *insn, unsigned row, unsigned reg)
{
	unsigned size = memory_bytes[row][reg];
	struct fx_state image;
	uint8_t value[16] = {0};

	/* A store that will not be made because of an unmasked exception has no fault of its
	 * address either. */
	image_load(cpu, &image);
	native_x87_run(&image, native_x87_memory[row][reg], value, 0);
	if (!(image.fsw & ~image.fcw & FSW_STOPS_STORE) &&
	    !vector_write_memory(cpu, insn, size, value, false))
		return false;
	image_commit(cpu, &image);
	return true;
}

/* Arithmetic with a memory operand, loads and stores. */
bool exec_x87_memory(struct cpu *cpu, const struct insn *insn)
{
	unsigned row = insn->opcode & 7, reg = (insn->modrm >> 3) & 7;

	if (!x87_check_pending(cpu))
		return false;
	if (!(memory_stores[row] & (1u << reg)))
		return x87_load(cpu, insn, row, reg);
	if (is_popping_store(reg) && all_masked(cpu) && register_is_full(cpu, 0))
		return store_short(cpu, insn, row, reg);
	return store_long(cpu, insn, row, reg);
}

/* Mnemonics that have both register and memory forms. */
bool exec_x87(struct cpu *cpu, const struct insn *insn)
{
	return (insn->modrm >> 6) == 3 ? exec_x87_register(cpu, insn) : exec_x87_memory(cpu, insn);
}
