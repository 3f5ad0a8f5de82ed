/*
 * The guest's MXCSR and SIMD floating-point exceptions (SDM 1 10.2.3, 11.5). vector.h says how the
 * register is kept live in the host's.
 */
#ifndef REPRISE_VMM_CPU_VECTOR_MXCSR_H
#define REPRISE_VMM_CPU_VECTOR_MXCSR_H

#include "vmm/cpu/vector/vector.h"

#define MXCSR_FLAGS      0x3fu
#define MXCSR_IE         0x01u
#define MXCSR_DE         0x02u
#define MXCSR_ZE         0x04u
#define MXCSR_OE         0x08u
#define MXCSR_UE         0x10u
#define MXCSR_PE         0x20u
#define MXCSR_DAZ        0x40u
#define MXCSR_MASKS      0x1f80u
#define MXCSR_MASK_SHIFT 7
#define MXCSR_RC         0x6000u
#define MXCSR_FTZ        0x8000u
#define MXCSR_DEFAULT    0x1f80u

/* The bits that can be set; also what FXSAVE stores as MXCSR_MASK. Others raise #GP. */
#define MXCSR_VALID 0xffffu

/* What tiny results look like, so that an exact one can be found where underflow is unmasked. */
enum fp_width {
	FP_NO_UNDERFLOW, /* the instruction never underflows */
	FP_SINGLE,
	FP_DOUBLE,
	FP_SINGLE_SCALAR,
	FP_DOUBLE_SCALAR,
};

static inline uint32_t mxcsr_host_read(void)
{
	uint32_t value;

	__asm__ volatile("stmxcsr %0" : "=m"(value) : : "memory");
	return value;
}

static inline void mxcsr_host_write(uint32_t value)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(value) : "memory");
}

/* The usual case: no exception can stop the instruction, so it may run straight on the registers.
 */
static inline bool mxcsr_all_masked(const struct cpu *cpu)
{
	return (cpu->fx.mxcsr & MXCSR_MASKS) == MXCSR_MASKS;
}

/* The guest's MXCSR with its sticky flags up to date, between vector_enter and vector_leave. */
uint32_t mxcsr_read(struct cpu *cpu);

/* Gives the guest a new MXCSR; reserved bits have been checked. */
void mxcsr_write(struct cpu *cpu, uint32_t value);

/*
 * Bracket an instruction that may raise an unmasked exception. mxcsr_begin clears the host's flags;
 * mxcsr_end returns true when nothing unmasked was raised; else it has raised #XM (#UD without
 * CR4.OSXMMEXCPT) and the instruction must not commit. Either way the flags have become sticky.
 * result: the instruction's would-be destination, looked at for tiny results; NULL with
 * FP_NO_UNDERFLOW.
 */
void mxcsr_begin(struct cpu *cpu);
bool mxcsr_end(struct cpu *cpu, const void *result, enum fp_width width);

#endif
