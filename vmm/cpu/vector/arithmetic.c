/*
 * SSE floating-point instructions that can raise SIMD exceptions. While all of them are masked the
 * kernel runs straight on the destination; otherwise on a copy that is committed when none is
 * raised.
 */
#include "vmm/cpu/flags.h"
#include "vmm/cpu/vector/mxcsr.h"
#include "vmm/cpu/vector/native.h"
#include "vmm/cpu/vector/operand.h"

/* Shape of the result of an instruction that can underflow, by mandatory prefix. */
static const uint8_t width_by_prefix[4] = {FP_SINGLE, FP_DOUBLE, FP_SINGLE_SCALAR,
					   FP_DOUBLE_SCALAR};

/* What to look at for tiny results of a map 0F instruction. */
static enum fp_width result_width(const struct insn *insn)
{
	switch (insn->opcode) {
	case 0x58: /* ADD */
	case 0x59: /* MUL */
	case 0x5c: /* SUB */
	case 0x5e: /* DIV */
		return width_by_prefix[native_prefix_index(insn->mandatory)];
	case 0x5a: /* CVT between single and double: only narrowing can underflow */
		if (insn->mandatory == 0x66)
			return FP_SINGLE;
		return insn->mandatory == 0xf2 ? FP_SINGLE_SCALAR : FP_NO_UNDERFLOW;
	case 0x7c: /* HADD, HSUB, ADDSUB: 66 double, F2 single */
	case 0x7d:
	case 0xd0:
		return insn->mandatory == 0x66 ? FP_DOUBLE : FP_SINGLE;
	default:
		return FP_NO_UNDERFLOW;
	}
}

static bool arithmetic_run(struct cpu *cpu, const struct insn *insn, kernel_fn *kernel,
			   enum fp_width width)
{
	struct xmm buffer, result;
	struct xmm *destination = xmm_register(cpu, insn->operand[0].reg);
	const struct xmm *source;

	if (!xmm_source(cpu, insn, 1, &buffer, &source))
		return false;
	if (mxcsr_all_masked(cpu)) {
		kernel(destination, source);
		return true;
	}
	result = *destination;
	mxcsr_begin(cpu);
	kernel(&result, source);
	if (!mxcsr_end(cpu, &result, width))
		return false;
	*destination = result;
	return true;
}

bool exec_sse_arithmetic(struct cpu *cpu, const struct insn *insn)
{
	return arithmetic_run(cpu, insn, native_xmm_kernel(insn), result_width(insn));
}

/* CMPccPS/PD/SS/SD; bits 3 to 7 of the predicate are ignored. */
bool exec_sse_compare(struct cpu *cpu, const struct insn *insn)
{
	unsigned row = NATIVE_CMPPS + native_prefix_index(insn->mandatory);

	return arithmetic_run(cpu, insn, native_kernel(native_immediate[row][insn->imm & 7]),
			      FP_NO_UNDERFLOW);
}

bool exec_sse_round(struct cpu *cpu, const struct insn *insn)
{
	unsigned row = NATIVE_ROUNDPS + (insn->opcode - 0x08);

	return arithmetic_run(cpu, insn, native_kernel(native_immediate[row][insn->imm & 15]),
			      FP_NO_UNDERFLOW);
}

/* One step of a dot product: a kernel of map 0F, ADD or MUL, whose exceptions are its own. */
static bool dot_step(struct cpu *cpu, bool single, uint8_t opcode, struct xmm *value,
		     const struct xmm *source)
{
	mxcsr_begin(cpu);
	native_kernel(native_xmm_0f[single ? 0 : 1][opcode])(value, source);
	return mxcsr_end(cpu, value, single ? FP_SINGLE : FP_DOUBLE);
}

/*
 * DPPS (0F 3A 40), DPPD (41). Step by step, as the SDM's pseudocode has them (SDM 2A): an exception
 * of the products that is unmasked keeps the sums from being made; and of several NaNs Intel's and
 * AMD's own DPPS choose different ones.
 */
bool exec_sse_dot_product(struct cpu *cpu, const struct insn *insn)
{
	bool single = insn->opcode == 0x40;
	struct xmm *destination = xmm_register(cpu, insn->operand[0].reg);
	struct xmm value = *destination, other, buffer, zero = {.qword = {0, 0}};
	unsigned elements = single ? 4 : 2, bytes = 16 / elements;
	const struct xmm *source;

	if (!xmm_source(cpu, insn, 1, &buffer, &source))
		return false;
	other = *source;
	for (unsigned i = 0; i < elements; i++)
		if (!(insn->imm & (0x10u << i))) {
			memset(value.byte + i * bytes, 0, bytes);
			memset(other.byte + i * bytes, 0, bytes);
		}
	if (!dot_step(cpu, single, 0x59, &value, &other))
		return false;
	if (single) {
		other = (struct xmm){.dword = {value.dword[1], value.dword[3]}};
		value = (struct xmm){.dword = {value.dword[0], value.dword[2]}};
		if (!dot_step(cpu, true, 0x58, &value, &other))
			return false;
	}
	other = zero;
	memcpy(&other, value.byte + bytes, bytes);
	memset(value.byte + bytes, 0, 16 - bytes);
	if (!dot_step(cpu, single, 0x58, &value, &other))
		return false;
	for (unsigned i = 0; i < elements; i++)
		memcpy(destination->byte + i * bytes, insn->imm & (1u << i) ? &value : &zero,
		       bytes);
	return true;
}

/* One of the four ordered or unordered compares on the low elements; its flags. */
static uint32_t compare_flags(const struct insn *insn, const struct xmm *a, const struct xmm *b)
{
	bool zf, pf, cf;

	if (insn->opcode == 0x2e && insn->mandatory)
		__asm__ volatile("ucomisd %4, %3"
				 : "=@ccz"(zf), "=@ccp"(pf), "=@ccc"(cf)
				 : "x"(*(const double *)a), "m"(*b));
	else if (insn->opcode == 0x2e)
		__asm__ volatile("ucomiss %4, %3"
				 : "=@ccz"(zf), "=@ccp"(pf), "=@ccc"(cf)
				 : "x"(*(const float *)a), "m"(*b));
	else if (insn->mandatory)
		__asm__ volatile("comisd %4, %3"
				 : "=@ccz"(zf), "=@ccp"(pf), "=@ccc"(cf)
				 : "x"(*(const double *)a), "m"(*b));
	else
		__asm__ volatile("comiss %4, %3"
				 : "=@ccz"(zf), "=@ccp"(pf), "=@ccc"(cf)
				 : "x"(*(const float *)a), "m"(*b));
	return (zf ? FLAG_ZF : 0) | (pf ? FLAG_PF : 0) | (cf ? FLAG_CF : 0);
}

/* COMISS, COMISD, UCOMISS, UCOMISD: OF, SF and AF become 0. */
bool exec_sse_compare_flags(struct cpu *cpu, const struct insn *insn)
{
	struct xmm buffer;
	const struct xmm *a = xmm_register(cpu, insn->operand[0].reg), *b;
	uint32_t flags;

	if (!xmm_source(cpu, insn, 1, &buffer, &b))
		return false;
	if (mxcsr_all_masked(cpu)) {
		flags = compare_flags(insn, a, b);
	} else {
		mxcsr_begin(cpu);
		flags = compare_flags(insn, a, b);
		if (!mxcsr_end(cpu, NULL, FP_NO_UNDERFLOW))
			return false;
	}
	flags_set_arith(cpu, flags);
	return true;
}

/* PTEST: ZF of the AND, CF of the AND NOT. */
bool exec_ptest(struct cpu *cpu, const struct insn *insn)
{
	struct xmm buffer;
	const struct xmm *a = xmm_register(cpu, insn->operand[0].reg), *b;
	uint32_t flags = 0;

	if (!xmm_source(cpu, insn, 1, &buffer, &b))
		return false;
	if (!((a->qword[0] & b->qword[0]) | (a->qword[1] & b->qword[1])))
		flags |= FLAG_ZF;
	if (!((~a->qword[0] & b->qword[0]) | (~a->qword[1] & b->qword[1])))
		flags |= FLAG_CF;
	flags_set_arith(cpu, flags);
	return true;
}
