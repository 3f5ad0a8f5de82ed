/* Operands of vector instructions: XMM registers, the MMX view of the x87 registers, memory. */
#ifndef REPRISE_VMM_CPU_VECTOR_OPERAND_H
#define REPRISE_VMM_CPU_VECTOR_OPERAND_H

#include <string.h>

#include "vmm/cpu/vector/vector.h"

/* One register's worth, with the alignment that kernels want. */
struct xmm {
	union {
		uint8_t byte[16];
		uint16_t word[8];
		uint32_t dword[4];
		uint64_t qword[2];
	};
} __attribute__((aligned(16), may_alias));

static inline struct xmm *xmm_register(struct cpu *cpu, unsigned n)
{
	return (struct xmm *)cpu->fx.xmm[n];
}

static inline bool operand_is_mmx(const struct operand *operand)
{
	return operand->kind == OPERAND_REG && operand->reg_class == REG_MMX;
}

/*
 * An XMM form of a row that also has an MMX form: vector_check_available() has left CR4.OSFXSR to
 * us.
 */
static inline bool xmm_check(struct cpu *cpu)
{
	return (cpu->cr4 & CR4_OSFXSR) ? true : raise_ud(cpu);
}

/* Reads the memory operand; 16-byte ones must be aligned: #GP(0) (SDM 1 11.3). */
bool vector_read_memory(struct cpu *cpu, const struct insn *insn, uint32_t size, void *buffer);

/* The same without the alignment check. */
bool vector_read_unaligned(struct cpu *cpu, const struct insn *insn, uint32_t size, void *buffer);

/* Writes size bytes to the memory operand; aligned: #GP(0) when the address is not so. */
bool vector_write_memory(struct cpu *cpu, const struct insn *insn, uint32_t size, const void *data,
			 bool aligned);

/*
 * Source operand n, XMM register or memory: gives a pointer to the register itself or, read from
 * memory and zero-extended, to *buffer.
 */
static inline bool xmm_source(struct cpu *cpu, const struct insn *insn, unsigned n,
			      struct xmm *buffer, const struct xmm **ret_source)
{
	const struct operand *operand = &insn->operand[n];

	if (operand->kind == OPERAND_REG) {
		*ret_source = xmm_register(cpu, operand->reg);
		return true;
	}
	*ret_source = buffer;
	buffer->qword[0] = 0;
	buffer->qword[1] = 0;
	return vector_read_memory(cpu, insn, operand->size, buffer);
}

/* ---- MMX (SDM 1 9.6): MMn is the physical x87 register n ---- */

/* The checks of an MMX form that vector_check_available() has left: #NM, then pending #MF. */
bool mmx_check(struct cpu *cpu);

/* The value of MMn, before or after mmx_enter(). */
uint64_t mmx_read(const struct cpu *cpu, unsigned n);

/* What every MMX instruction does to the x87 state: TOP = 0, all tags valid (EMMS: empty). */
void mmx_enter(struct cpu *cpu);

/* Writes MMn, after mmx_enter(). */
void mmx_write(struct cpu *cpu, unsigned n, uint64_t value);

#endif
