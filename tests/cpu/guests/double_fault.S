/*
 * Faults while a fault is delivered (SDM 3A 6.15, interrupt 8, table 6-5) and the EXT bit of error
 * codes (6.13). Gates are made absent or bad one by one.
 */
#include "guest.h"
#include "lapic.h"

	.set VECTOR, 0x60

	/* The gate of a vector: absent, or back. */
	.macro ABSENT32 vector
	andb $0x7f, idt32 + 8 * (\vector) + 5
	.endm
	.macro PRESENT32 vector
	orb $0x80, idt32 + 8 * (\vector) + 5
	.endm
	.macro ABSENT64 vector
	andb $0x7f, idt64 + 16 * (\vector) + 5
	.endm
	.macro PRESENT64 vector
	orb $0x80, idt64 + 16 * (\vector) + 5
	.endm

	.text
	.globl main
main:
	LAPIC_ON
	ABSENT32 UD
	TRY "ud2"
	CHECK_FAULT NP, UD*8+3, "protected: a benign fault, absent gate: #NP with IDT and EXT"
	PRESENT32 UD
	ABSENT32 GP
	mov $0xf8, %ecx
	TRY "mov %ecx, %ds"
	CHECK_FAULT DF, 0, "protected: #GP, then #NP: double fault"
	ABSENT32 DE
	xor %ecx, %ecx
	TRY "div %ecx"
	CHECK_FAULT DF, 0, "protected: #DE, then #NP: double fault"
	PRESENT32 DE
	PRESENT32 GP
	ABSENT32 0x50
	TRY "int $0x50"
	CHECK_FAULT NP, 0x50*8+2, "protected: INT n, absent gate: no EXT"
	ABSENT32 BP
	TRY "int3"
	CHECK_FAULT NP, BP*8+2, "protected: INT3, absent gate: no EXT"
	PRESENT32 BP
	TRY "int1"
	mov caught_code, %eax
	and $0x7fffffff, %eax
	CHECK FAULT(DB,0), "protected: INT1 reaches #DB"
	ABSENT32 DB
	TRY "int1"
	CHECK_FAULT NP, DB*8+3, "protected: INT1, absent gate: EXT (SDM 2, INT n)"
	PRESENT32 DB
	ABSENT32 VECTOR
	SELF_IPI VECTOR
	TRY_AT 71f, "sti; nop; 71: nop; nop"
	CHECK_FAULT NP, VECTOR*8+3, "protected: an interrupt, absent gate: EXT"
	PRESENT32 VECTOR
	LAPIC_ON
	LAPIC_SET LAPIC_EOI, 0
	/* An interrupt is benign: the #NP's own gate absent makes it a contributory pair. */
	ABSENT32 NP
	ABSENT32 VECTOR
	SELF_IPI VECTOR
	TRY_AT 71f, "sti; nop; 71: nop; nop"
	CHECK_FAULT DF, 0, "protected: an interrupt, #NP, #NP: double fault"
	PRESENT32 VECTOR
	PRESENT32 NP
	/* A gate to a segment that cannot be: the selector, with EXT. */
	movw $0xf8, idt32 + 8 * UD + 2
	TRY "ud2"
	CHECK_FAULT GP, 0xf9, "protected: the gate's segment does not exist: #GP with EXT"
	movw $KERNEL_CS, idt32 + 8 * UD + 2
	/* Beyond the IDT. */
	movw $8 * 0x50 - 1, idt32_pointer
	lidt idt32_pointer
	TRY "int $0x50"
	CHECK_FAULT GP, 0x50*8+2, "protected: INT n beyond the IDT"
	movw $2047, idt32_pointer
	lidt idt32_pointer

	call enter_long
	MODE64
	LAPIC_ON
	ABSENT64 UD
	TRY "ud2"
	CHECK_FAULT NP, UD*8+3, "64-bit: a benign fault, absent gate: #NP with IDT and EXT"
	PRESENT64 UD
	ABSENT64 GP
	mov $0x800000000000, %rcx
	TRY "mov (%rcx), %al"
	CHECK_FAULT DF, 0, "64-bit: #GP, then #NP: double fault"
	PRESENT64 GP
	/* A page fault whose handler's stack is missing. */
	movb $1, idt64 + 16 * DF + 4
	movb $2, idt64 + 16 * PF + 4
	movl $0, tss64 + 0x2c
	movl $0x80, tss64 + 0x30
	mov $0x10000000000, %rcx
	TRY "mov (%rcx), %al"
	CHECK_FAULT DF, 0, "64-bit: #PF, then #PF on its stack: double fault, on its own"
	mov caught_cr2, %eax
	CHECK 0xfffffff8, "64-bit: CR2 is of the second #PF, of its first push"
	/* #GP and then #PF is no double fault (table 6-5). */
	movb $0, idt64 + 16 * PF + 4
	movb $2, idt64 + 16 * GP + 4
	mov $0x800000000000, %rcx
	TRY "mov (%rcx), %al"
	CHECK_FAULT PF, 2, "64-bit: #GP, then #PF: the page fault"
	/* A stack that is not canonical: #SS, and with #GP that makes a double fault. */
	movl $0x8000, tss64 + 0x30
	TRY "ud2"
	CHECK_FAULT UD, 0, "64-bit: another vector's stack does not matter"
	TRY "mov (%rcx), %al"
	CHECK_FAULT DF, 0, "64-bit: #GP, then #SS: double fault"
	movb $2, idt64 + 16 * UD + 4
	TRY "ud2"
	CHECK_FAULT SS, 1, "64-bit: #UD, then #SS: #SS with EXT"
	jmp finish64
	.section .note.GNU-stack, "", @progbits
