/*
 * Conversions between floating point and integers where one side is a general or MMX register; the
 * others are in arithmetic.c.
 */
#include <emmintrin.h>

#include "vmm/cpu/vector/mxcsr.h"
#include "vmm/cpu/vector/native.h"
#include "vmm/cpu/vector/operand.h"

/* CVTSI2SS or CVTSI2SD of the low size bytes of value, into the low element of *result. */
static void convert_from_integer(struct xmm *result, uint64_t value, unsigned size, bool to_double)
{
	__m128i *x = (__m128i *)result;

	if (to_double && size == 8)
		__asm__ volatile("cvtsi2sdq %1, %0" : "+x"(*x) : "r"(value));
	else if (to_double)
		__asm__ volatile("cvtsi2sdl %1, %0" : "+x"(*x) : "r"((uint32_t)value));
	else if (size == 8)
		__asm__ volatile("cvtsi2ssq %1, %0" : "+x"(*x) : "r"(value));
	else
		__asm__ volatile("cvtsi2ssl %1, %0" : "+x"(*x) : "r"((uint32_t)value));
}

/* CVTSI2SS, CVTSI2SD: only inexact can be raised. */
bool exec_convert_from_gpr(struct cpu *cpu, const struct insn *insn)
{
	bool to_double = insn->mandatory == 0xf2;
	struct xmm *destination = xmm_register(cpu, insn->operand[0].reg);
	struct xmm result = *destination;
	unsigned size = insn->operand[1].size;
	uint64_t value = 0;

	if (insn->operand[1].kind == OPERAND_REG)
		value = cpu->gpr[insn->operand[1].reg];
	else if (!vector_read_unaligned(cpu, insn, size, &value))
		return false;
	if (mxcsr_all_masked(cpu)) {
		convert_from_integer(destination, value, size, to_double);
		return true;
	}
	mxcsr_begin(cpu);
	convert_from_integer(&result, value, size, to_double);
	if (!mxcsr_end(cpu, NULL, FP_NO_UNDERFLOW))
		return false;
	*destination = result;
	return true;
}

/* CVT(T)SS2SI, CVT(T)SD2SI with a 4- or 8-byte result. */
static uint64_t convert_to_integer(const struct xmm *source, unsigned size, bool from_double,
				   bool truncate)
{
	uint64_t wide;
	uint32_t narrow;

	if (size == 8) {
		if (from_double && truncate)
			__asm__ volatile("cvttsd2siq %1, %0" : "=r"(wide) : "m"(source->qword[0]));
		else if (from_double)
			__asm__ volatile("cvtsd2siq %1, %0" : "=r"(wide) : "m"(source->qword[0]));
		else if (truncate)
			__asm__ volatile("cvttss2siq %1, %0" : "=r"(wide) : "m"(source->dword[0]));
		else
			__asm__ volatile("cvtss2siq %1, %0" : "=r"(wide) : "m"(source->dword[0]));
		return wide;
	}
	if (from_double && truncate)
		__asm__ volatile("cvttsd2sil %1, %0" : "=r"(narrow) : "m"(source->qword[0]));
	else if (from_double)
		__asm__ volatile("cvtsd2sil %1, %0" : "=r"(narrow) : "m"(source->qword[0]));
	else if (truncate)
		__asm__ volatile("cvttss2sil %1, %0" : "=r"(narrow) : "m"(source->dword[0]));
	else
		__asm__ volatile("cvtss2sil %1, %0" : "=r"(narrow) : "m"(source->dword[0]));
	return narrow;
}

bool exec_convert_to_gpr(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *to = &insn->operand[0];
	bool from_double = insn->mandatory == 0xf2, truncate = insn->opcode == 0x2c;
	struct xmm buffer;
	const struct xmm *source;
	uint64_t value;

	if (!xmm_source(cpu, insn, 1, &buffer, &source))
		return false;
	if (mxcsr_all_masked(cpu)) {
		gpr_write(cpu, to->reg, to->size,
			  convert_to_integer(source, to->size, from_double, truncate));
		return true;
	}
	mxcsr_begin(cpu);
	value = convert_to_integer(source, to->size, from_double, truncate);
	if (!mxcsr_end(cpu, NULL, FP_NO_UNDERFLOW))
		return false;
	gpr_write(cpu, to->reg, to->size, value);
	return true;
}

/*
 * CVTPI2PS, CVTPI2PD: two 4-byte integers from MMX or memory, through CVTDQ2PS (0F 5B) and CVTDQ2PD
 * (F3 0F E6). A memory operand leaves the x87 state alone, whatever is pending there.
 */
bool exec_convert_from_mmx(struct cpu *cpu, const struct insn *insn)
{
	const struct operand *from = &insn->operand[1];
	bool to_double = insn->mandatory == 0x66;
	bool uses_mmx = operand_is_mmx(from);
	struct xmm source = {.qword = {0, 0}}, result;
	struct xmm *destination = xmm_register(cpu, insn->operand[0].reg);

	if (!xmm_check(cpu) || (uses_mmx && !mmx_check(cpu)))
		return false;
	if (uses_mmx)
		source.qword[0] = mmx_read(cpu, from->reg);
	else if (!vector_read_unaligned(cpu, insn, 8, &source))
		return false;
	mxcsr_begin(cpu);
	native_kernel(to_double ? native_xmm_0f[2][0xe6] : native_xmm_0f[0][0x5b])(&result,
										   &source);
	if (!mxcsr_end(cpu, NULL, FP_NO_UNDERFLOW))
		return false;
	if (uses_mmx)
		mmx_enter(cpu);
	destination->qword[0] = result.qword[0];
	if (to_double)
		destination->qword[1] = result.qword[1];
	return true;
}

/*
 * CVT(T)PS2PI, CVT(T)PD2PI: through CVT(T)PS2DQ on the low half and CVT(T)PD2DQ. One that raises
 * #XM has not switched to MMX yet.
 */
bool exec_convert_to_mmx(struct cpu *cpu, const struct insn *insn)
{
	bool from_double = insn->mandatory == 0x66, truncate = insn->opcode == 0x2c;
	struct xmm buffer, result;
	const struct xmm *source;
	const uint8_t *code;

	if (!xmm_check(cpu) || !mmx_check(cpu) || !xmm_source(cpu, insn, 1, &buffer, &source))
		return false;
	if (from_double)
		code = native_xmm_0f[truncate ? 1 : 3][0xe6];
	else
		code = native_xmm_0f[truncate ? 2 : 1][0x5b];
	if (!from_double) {
		buffer = (struct xmm){.qword = {source->qword[0], 0}};
		source = &buffer;
	}
	mxcsr_begin(cpu);
	native_kernel(code)(&result, source);
	if (!mxcsr_end(cpu, NULL, FP_NO_UNDERFLOW))
		return false;
	mmx_enter(cpu);
	mmx_write(cpu, insn->operand[0].reg, result.qword[0]);
	return true;
}
