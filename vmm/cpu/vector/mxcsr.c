/* MXCSR and SIMD floating-point exceptions. */
#include "vmm/cpu/vector/mxcsr.h"

#include <string.h>

/* The guest's register as the host runs it: every exception masked. */
static uint32_t mxcsr_live(const struct cpu *cpu)
{
	return (cpu->fx.mxcsr & MXCSR_VALID) | MXCSR_MASKS;
}

void vector_enter(struct cpu *cpu)
{
	mxcsr_host_write(mxcsr_live(cpu));
}

void vector_leave(struct cpu *cpu)
{
	cpu->fx.mxcsr |= mxcsr_host_read() & MXCSR_FLAGS;
	mxcsr_host_write(MXCSR_DEFAULT);
}

uint32_t mxcsr_read(struct cpu *cpu)
{
	cpu->fx.mxcsr |= mxcsr_host_read() & MXCSR_FLAGS;
	return cpu->fx.mxcsr;
}

void mxcsr_write(struct cpu *cpu, uint32_t value)
{
	cpu->fx.mxcsr = value;
	mxcsr_host_write(mxcsr_live(cpu));
}

void mxcsr_begin(struct cpu *cpu)
{
	uint32_t control = mxcsr_read(cpu) & ~MXCSR_FLAGS;

	/* Flush-to-zero has an effect only while underflow is masked (SDM 1 10.2.3.3). */
	if (!(control & (MXCSR_UE << MXCSR_MASK_SHIFT)))
		control &= ~MXCSR_FTZ;
	mxcsr_host_write(control | MXCSR_MASKS);
}

static bool single_is_tiny(const uint8_t *value)
{
	uint32_t bits;

	memcpy(&bits, value, sizeof(bits));
	return (bits & 0x7f800000u) == 0 && (bits & 0x7fffffu) != 0;
}

static bool double_is_tiny(const uint8_t *value)
{
	uint64_t bits;

	memcpy(&bits, value, sizeof(bits));
	return ((bits >> 52) & 0x7ff) == 0 && (bits << 12) != 0;
}

static bool result_is_tiny(const uint8_t *result, enum fp_width width)
{
	switch (width) {
	case FP_SINGLE:
		for (unsigned i = 0; i < 16; i += 4)
			if (single_is_tiny(result + i))
				return true;
		return false;
	case FP_DOUBLE:
		return double_is_tiny(result) || double_is_tiny(result + 8);
	case FP_SINGLE_SCALAR:
		return single_is_tiny(result);
	case FP_DOUBLE_SCALAR:
		return double_is_tiny(result);
	case FP_NO_UNDERFLOW:
		break;
	}
	return false;
}

bool mxcsr_end(struct cpu *cpu, const void *result, enum fp_width width)
{
	const uint32_t before_computing = MXCSR_IE | MXCSR_DE | MXCSR_ZE;
	uint32_t enabled = ~(cpu->fx.mxcsr >> MXCSR_MASK_SHIFT) & MXCSR_FLAGS;
	uint32_t flags = mxcsr_host_read() & MXCSR_FLAGS;

	/*
	 * An unmasked exception found in the operands keeps the computation from being made, so it
	 * hides what the result would have raised (SDM 1 11.5.3). Where underflow is unmasked, a
	 * tiny result raises it even when it is exact (SDM 1 4.9.1.5).
	 */
	if (flags & before_computing & enabled)
		flags &= before_computing;
	else if ((enabled & MXCSR_UE) && result_is_tiny(result, width))
		flags |= MXCSR_UE;
	mxcsr_write(cpu, cpu->fx.mxcsr | flags);
	if (!(flags & enabled))
		return true;
	return cpu->cr4 & CR4_OSXMMEXCPT ? raise_fault(cpu, VECTOR_XM) : raise_ud(cpu);
}
