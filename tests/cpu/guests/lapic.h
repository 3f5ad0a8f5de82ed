/* The local APIC at its usual address (SDM 3A 10.4). */
#ifndef REPRISE_TESTS_CPU_GUESTS_LAPIC_H
#define REPRISE_TESTS_CPU_GUESTS_LAPIC_H

	.set LAPIC, 0xfee00000
	.set LAPIC_ID, 0x20
	.set LAPIC_TPR, 0x80
	.set LAPIC_PPR, 0xa0
	.set LAPIC_EOI, 0xb0
	.set LAPIC_LDR, 0xd0
	.set LAPIC_DFR, 0xe0
	.set LAPIC_SVR, 0xf0
	.set LAPIC_ISR, 0x100
	.set LAPIC_TMR, 0x180
	.set LAPIC_IRR, 0x200
	.set LAPIC_ESR, 0x280
	.set LAPIC_ICR, 0x300
	.set LAPIC_ICR_HIGH, 0x310
	.set LAPIC_LVT_TIMER, 0x320
	.set LAPIC_LVT_LINT0, 0x350
	.set LAPIC_LVT_LINT1, 0x360
	.set LAPIC_LVT_ERROR, 0x370
	.set LAPIC_INITIAL, 0x380
	.set LAPIC_CURRENT, 0x390
	.set LAPIC_DIVIDE, 0x3e0

	/* EDI must hold LAPIC: 64-bit code cannot name it in 32 bits. */
	.macro LAPIC_SET reg, value
	.if BITS == 64
	movl $\value, \reg(%rdi)
	.else
	movl $\value, \reg(%edi)
	.endif
	.endm
	.macro LAPIC_GET reg
	.if BITS == 64
	movl \reg(%rdi), %eax
	.else
	movl \reg(%edi), %eax
	.endif
	.endm

	/* An interrupt, or an NMI, to this processor itself. */
	.macro SELF_IPI vector
	LAPIC_SET LAPIC_ICR, "0x44000+\vector"
	.endm
	.macro SELF_NMI
	LAPIC_SET LAPIC_ICR, 0x44400
	.endm

	.macro LAPIC_ON
	mov $LAPIC, %edi
	LAPIC_SET LAPIC_SVR, 0x1ff
	.endm

#endif
