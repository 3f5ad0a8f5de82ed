/* The x87 state that x87, MMX and state-saving instructions share (SDM 1 8.1). */
#ifndef REPRISE_VMM_CPU_VECTOR_X87_H
#define REPRISE_VMM_CPU_VECTOR_X87_H

#include "vmm/cpu/vector/vector.h"

#define FSW_EXCEPTIONS 0x3fu
#define FSW_IE         0x01u
#define FSW_DE         0x02u
#define FSW_ZE         0x04u
#define FSW_OE         0x08u
#define FSW_UE         0x10u
#define FSW_PE         0x20u
#define FSW_SF         0x40u
#define FSW_ES         0x80u
#define FSW_TOP_SHIFT  11
#define FSW_TOP        0x3800u
#define FSW_B          0x8000u

#define FCW_DEFAULT 0x37fu
/* Bits of FCW that hold what is written; bit 6 reads as 1, the others as 0. */
#define FCW_VALID 0x1f3fu
#define FCW_FIXED 0x40u

/* Bytes of a register in memory; the FXSAVE image pads each to 16. */
#define X87_REGISTER_BYTES 10

static inline unsigned x87_top(const struct cpu *cpu)
{
	return (cpu->fx.fsw & FSW_TOP) >> FSW_TOP_SHIFT;
}

/* Changes TOP; the physical registers keep their contents. */
void x87_set_top(struct cpu *cpu, unsigned top);

/* Sets ES and B to what the exception flags and masks say. */
void x87_update_summary(struct cpu *cpu);

/* Sets the control word (reserved bits forced) and the summary. */
void x87_set_control(struct cpu *cpu, uint16_t fcw);

/*
 * What waiting x87 and MMX instructions do first: #MF when an unmasked exception is pending. With
 * CR0.NE = 0 a PC would assert FERR# and wait for IRQ 13; this machine has no such line, and the
 * instruction goes on.
 */
bool x87_check_pending(struct cpu *cpu);

/* FNINIT (SDM 1 8.1.6): the data registers keep their contents. */
void x87_initialize(struct cpu *cpu);

/* The 16-bit tag word made from the abridged one and the contents (SDM 1 8.1.7). */
uint16_t x87_full_tags(const struct cpu *cpu);

/* The abridged tag byte of a 16-bit tag word. */
uint8_t x87_abridged_tags(uint16_t tags);

#endif
