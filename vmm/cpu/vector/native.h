/*
 * Host instructions as functions: the code tables of native.S.
 *
 * A kernel is one instruction: void kernel(void *destination, const void *source). XMM kernels take
 * 16-byte aligned pointers and read as much of the source as the instruction does; MMX kernels take
 * 8-byte operands and end with EMMS. They know nothing of the guest: no decoding, no checks.
 * Floating point kernels run under the live MXCSR (mxcsr.h).
 */
#ifndef REPRISE_VMM_CPU_VECTOR_NATIVE_H
#define REPRISE_VMM_CPU_VECTOR_NATIVE_H

#include <stdint.h>

#include "vmm/cpu/cpu.h"
#include "vmm/cpu/insn.h"

typedef void kernel_fn(void *destination, const void *source);

#define NATIVE_KERNEL_BYTES 16

/* Rows of native_immediate: instructions with an immediate byte. */
enum native_immediate {
	NATIVE_PSHUFD,
	NATIVE_PSHUFHW,
	NATIVE_PSHUFLW,
	NATIVE_CMPPS,
	NATIVE_CMPPD,
	NATIVE_CMPSS,
	NATIVE_CMPSD,
	NATIVE_SHUFPS,
	NATIVE_SHUFPD,
	NATIVE_ROUNDPS,
	NATIVE_ROUNDPD,
	NATIVE_ROUNDSS,
	NATIVE_ROUNDSD,
	NATIVE_BLENDPS,
	NATIVE_BLENDPD,
	NATIVE_PBLENDW,
	NATIVE_PALIGNR,
	NATIVE_MPSADBW,
	NATIVE_PSHUFW_MMX,
	NATIVE_PALIGNR_MMX,
	NATIVE_IMMEDIATE_COUNT,
};

extern const uint8_t native_xmm_0f[4][256][NATIVE_KERNEL_BYTES]; /* by prefix: none 66 F3 F2 */
extern const uint8_t native_xmm_0f38[256][NATIVE_KERNEL_BYTES];  /* prefix 66 */
extern const uint8_t native_mmx_0f[256][NATIVE_KERNEL_BYTES];
extern const uint8_t native_mmx_0f38[256][NATIVE_KERNEL_BYTES];
extern const uint8_t native_immediate[NATIVE_IMMEDIATE_COUNT][256][NATIVE_KERNEL_BYTES];
extern const uint8_t native_string[4][256][8];      /* by opcode 60..63 and immediate */
extern const uint8_t native_x87_register[8][64][4]; /* by opcode D8..DF and ModRM C0..FF */
extern const uint8_t native_x87_memory[8][8][4];    /* by opcode D8..DF and ModRM.reg */

static inline kernel_fn *native_kernel(const uint8_t *code)
{
	return (kernel_fn *)(uintptr_t)code;
}

/* Index of a mandatory prefix (0, 66, F3, F2) into native_xmm_0f. */
static inline unsigned native_prefix_index(uint8_t mandatory)
{
	static const uint8_t index[8] = {[0x66 & 7] = 1, [0xf3 & 7] = 2, [0xf2 & 7] = 3};

	return index[mandatory & 7];
}

/* The kernel of an XMM instruction without immediate in map 0F or 0F38. */
static inline kernel_fn *native_xmm_kernel(const struct insn *insn)
{
	if (insn->opcode_map == 2)
		return native_kernel(native_xmm_0f38[insn->opcode]);
	return native_kernel(native_xmm_0f[native_prefix_index(insn->mandatory)][insn->opcode]);
}

static inline kernel_fn *native_mmx_kernel(const struct insn *insn)
{
	if (insn->opcode_map == 2)
		return native_kernel(native_mmx_0f38[insn->opcode]);
	return native_kernel(native_mmx_0f[insn->opcode]);
}

/*
 * Runs one x87 instruction (an entry of native_x87_register or native_x87_memory) on the image,
 * whose exception flags must be clear, under the image's own control word: exceptions it unmasks
 * are left pending in the image as the hardware does and never reach the host. memory: the memory
 * operand, or NULL. flags: CF, PF and ZF as the instruction finds them, at their RFLAGS positions;
 * returns RFLAGS after it. The image's XMM registers pass through unchanged; its mxcsr is
 * overwritten.
 */
unsigned native_x87_run(struct fx_state *image, const void *code, void *memory, unsigned flags);

/*
 * Short ways for instructions that cannot meet an empty register or a full stack, under a control
 * word that masks every exception. Registers are 10 bytes; memory is the memory operand or NULL;
 * each returns FSW: the exceptions and C1 are the instruction's. combine  code works on ST(0) and
 * ST(1), which are *st0 and *sti, and pops nothing load     code pushes one register, which becomes
 * *st0 store    code pops one register, which is *st0
 */
typedef unsigned native_x87_fn(void *st0, void *sti, void *memory, const void *code,
			       const uint16_t *fcw);
native_x87_fn native_x87_combine, native_x87_load, native_x87_store;

/* Operands of PCMPxSTRx. */
struct native_string_operands {
	uint8_t first[16];
	uint8_t ret_mask[16];                /* PCMPxSTRM */
	int32_t first_length, second_length; /* PCMPESTRx: RAX, RDX, in -16..16 */
	uint32_t ret_index;                  /* PCMPxSTRI */
} __attribute__((aligned(16)));

/* Runs an entry of native_string; returns RFLAGS after it. source must be 16-byte aligned. */
unsigned native_string_compare(const void *code, const void *source,
			       struct native_string_operands *operands);

#endif
