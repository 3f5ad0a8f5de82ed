/*
 * Interrupt shadows, shared by the guests that look at them. VECTOR's hook notes before which
 * instruction the interrupt was taken.
 */
#ifndef REPRISE_TESTS_CPU_GUESTS_SHADOW_H
#define REPRISE_TESTS_CPU_GUESTS_SHADOW_H

	/* Runs insn with the interrupt waiting; it must have been taken at the label at (0: never). */
	.macro SHADOW at, name, insn
	movl $0, seen_ip
	SELF_IPI VECTOR
	mov %esp, ss_esp
	\insn
	cli
	mov seen_ip, %eax
	CHECK \at, "\name"
	/* What was not taken is taken now. */
	sti
	nop
	nop
	cli
	.endm

	/* The interrupt comes while IF is set and the shadow is on. */
	.macro SHADOW_SS insn, name
	movl $0, seen_ip
	sti
	nop
	\insn
	SELF_IPI VECTOR
71:	nop
	nop
	cli
	mov seen_ip, %eax
	CHECK 71b, "\name"
	.endm

	.macro SHADOW_HANDLER64
on_interrupt64:
	mov F64_RIP(%rbp), %rax
	mov %eax, seen_ip
	mov 8(%rbp), %eax /* ECX */
	mov %eax, seen_ecx
	LAPIC_ON
	LAPIC_SET LAPIC_EOI, 0
	ret
	.endm

	.macro SHADOW_DATA
ss_esp:	.long 0, KERNEL_DS
seen_ip: .long 0
seen_ecx: .long 0
	.endm

#endif
