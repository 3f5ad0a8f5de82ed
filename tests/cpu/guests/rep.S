/*
 * Repeated string instructions (SDM 2, REP): interrupted between iterations, faulting in the middle,
 * and resumed, with registers that say how far they came.
 */
#include "guest.h"
#include "lapic.h"

	.set VECTOR, 0x60
	.set N, 0x20000
	.set BUFFER, 0x800000

	.text
	.globl main
main:
	LAPIC_ON
	HOOK VECTOR, on_timer
	LAPIC_SET LAPIC_DIVIDE, 0xb
	LAPIC_SET LAPIC_LVT_TIMER, 0x20000+VECTOR
	LAPIC_SET LAPIC_INITIAL, 200
	movl $71f, rep_ip
	mov $BUFFER, %edi
	mov $N, %ecx
	mov $0x5a, %al
	sti
71:	rep stosb
	cli
	mov %ecx, %eax
	CHECK 0, "protected: REP STOSB runs to its end"
	mov %edi, %eax
	CHECK BUFFER+N, "protected: EDI is behind the last byte"
	cmpl $2, n_inside
	seta %al
	movzbl %al, %eax
	CHECK 1, "protected: it was interrupted on the way"
	CHECK_MEM bad_sum, 0, "protected: ECX and EDI agree each time"
	CHECK_MEM rf_missing, 0, "protected: RF is set in the images (SDM 3B 17.3.1.1)"
	mov $BUFFER, %edi
	mov $N, %ecx
	mov $0x5a, %al
	repe scasb
	mov %ecx, %eax
	CHECK 0, "protected: every byte was written"
	mov $LAPIC, %edi
	LAPIC_SET LAPIC_LVT_TIMER, 0x10000
	sti
	nop
	nop
	cli
	/* Between a REP and what is before it RF is clear. */
	movl $0, flags_seen
	HOOK VECTOR, on_single
	SELF_IPI VECTOR
	mov $BUFFER, %edi
	mov $2, %ecx
	sti
	nop
	rep stosb
	cli
	mov flags_seen, %eax
	CHECK 0, "protected: an interrupt before the first iteration: RF clear"
	/* Counts of 0 touch nothing. */
	xor %ecx, %ecx
	mov $0xf0000000, %edi
	mov $1, %eax
	cmp $2, %eax
	TRY "rep stosb"
	CHECK_NO_FAULT "protected: a count of 0"
	xor %ecx, %ecx
	xor %eax, %eax
	inc %eax /* ZF clear */
	repe cmpsb
	setz %al
	movzbl %al, %eax
	CHECK 0, "protected: a count of 0 leaves the flags"
	/* 16-bit addresses count in CX and SI, DI alone. */
	mov $0x12340002, %ecx
	mov $0x00010000, %edi
	.byte 0x67
	rep stosb
	mov %ecx, %eax
	CHECK 0x12340000, "protected: 16-bit addresses count in CX"
	mov %edi, %eax
	CHECK 0x10002, "protected: and move DI"
	/* Backwards. */
	std
	mov $BUFFER+7, %edi
	mov $2, %ecx
	mov $0x11111111, %eax
	rep stosl
	cld
	mov %edi, %eax
	CHECK BUFFER-1, "protected: with DF set, backwards"
	call enter_long
	MODE64
	/* A page that is missing in the middle. */
	movl $0, pd + 8 * 5 /* 10 to 12 MiB */
	mov %cr3, %rax
	mov %rax, %cr3
	mov $0xa00000 - 5, %edi
	mov $16, %ecx
	mov $0x77, %al
	TRY "rep stosb"
	CHECK_FAULT PF, 2, "64-bit: REP STOSB into a missing page"
	mov caught_sp, %ebp
	mov 8(%rbp), %eax
	CHECK 11, "64-bit: RCX has what is left"
	mov 48(%rbp), %eax
	CHECK 0xa00000, "64-bit: RDI is at the fault"
	mov caught_cr2, %eax
	CHECK 0xa00000, "64-bit: CR2 is there too"
	HOOK PF, on_page_fault
	mov $0xa00000 - 5, %edi
	mov $16, %ecx
	mov $0x78, %al
	rep stosb
	mov %edi, %eax
	CHECK 0xa0000b, "64-bit: resumed after the page is there"
	mov 0xa00007, %eax
	CHECK 0x78787878, "64-bit: to the end"
	/* MOVS that overlaps, ascending, repeats its pattern. */
	movl $0x04030201, BUFFER
	mov $BUFFER, %esi
	mov $BUFFER+3, %edi
	mov $9, %ecx
	rep movsb
	mov BUFFER+8, %eax
	CHECK 0x03020103, "64-bit: an overlapping REP MOVSB goes byte by byte"
	/* REPNE SCASB stops behind what it found. */
	mov $BUFFER, %edi
	mov $100, %ecx
	mov $2, %al
	repne scasb
	mov %ecx, %eax
	CHECK 98, "64-bit: REPNE SCASB"
	/* 32-bit addresses use ECX and clear the upper halves. */
	mov $0x100000002, %rcx
	mov $BUFFER, %edi
	.byte 0x67
	rep stosb
	mov %rcx, %rax
	CHECK64 0, 0, "64-bit: 32-bit addresses count in ECX"
	jmp finish64

on_page_fault:
	movl $0xa00087, pd + 8 * 5
	mov %cr2, %rax
	invlpg (%rax)
	ret

	MODE32
on_timer:
	mov F32_EIP(%ebp), %eax
	cmp rep_ip, %eax
	jne 1f
	cmpl $N, 32(%ebp)
	je 1f
	incl n_inside
	mov 8(%ebp), %eax /* EDI */
	add 32(%ebp), %eax
	sub $BUFFER+N, %eax
	or %eax, bad_sum
	testl $0x10000, F32_FLAGS(%ebp)
	jnz 1f
	incl rf_missing
1:	LAPIC_ON
	LAPIC_SET LAPIC_EOI, 0
	ret
on_single:
	mov F32_FLAGS(%ebp), %eax
	and $0x10000, %eax
	mov %eax, flags_seen
	jmp 1b
	.bss
	.balign 4
rep_ip:	.skip 4
n_inside: .skip 4
bad_sum: .skip 4
rf_missing: .skip 4
flags_seen: .skip 4
	.section .note.GNU-stack, "", @progbits
