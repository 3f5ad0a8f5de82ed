/*
 * NMIs: IF does not hold them off, one in progress does until IRET (SDM 3A 6.7.1), one more is held
 * pending, loads of SS hold off for an instruction.
 */
#include "guest.h"
#include "lapic.h"

	/* Each NMI adds to n_nmis; the one that nests is noted by its depth. */
	.text
	.globl main
main:
	LAPIC_ON
	HOOK NMI, on_nmi32
	movl $0, n_nmis
	SELF_NMI
	nop
	nop
	CHECK_MEM n_nmis, 1, "protected: taken with IF clear"
	/* The handler sends another to itself: held until its IRET. */
	movl $0, n_nmis
	movl $1, resend
	SELF_NMI
	nop
	nop
	CHECK_MEM n_nmis, 2, "protected: one that comes in the handler is not lost"
	CHECK_MEM nested, 0, "protected: nor taken before IRET"
	/* Three sent in the handler: one is kept. */
	movl $0, n_nmis
	movl $3, resend
	SELF_NMI
	nop
	nop
	CHECK_MEM n_nmis, 2, "protected: only one is held pending"
	/* An IRET inside the handler, to the handler itself, ends the blocking. */
	movl $0, n_nmis
	movl $1, resend
	movl $1, iret_early
	SELF_NMI
	nop
	CHECK_MEM nested, 1, "protected: any IRET ends the blocking"
	/* An IRET that faults ends it too (6.7.1). */
	movl $0, n_nmis
	movl $0, nested
	movl $1, resend
	movl $1, iret_fault
	HOOK GP, on_gp32
	SELF_NMI
	nop
	nop
	CHECK_MEM nmis_at_gp, 2, "protected: an IRET that faults ends the blocking"
	CHECK_MEM n_nmis, 2, "protected: and the NMI comes once"
	UNHOOK GP
	/* The store that sends the NMI is the instruction under the shadow. */
	movl $0, n_nmis
	mov %ss, %ecx
	movl $0, nmi_ip
	mov %ecx, %ss
	SELF_NMI
71:	nop
	CHECK_MEM nmi_ip, 71b, "protected: MOV SS, then the store that sends: taken after the store"
	/* Priority: an NMI before a maskable interrupt (SDM 3A table 6-2). */
	HOOK 0x60, on_interrupt32
	movl $0, order
	pushl $0x202
	SELF_IPI 0x60
	mov %ecx, %ss
	SELF_NMI
	popfl
	nop
	nop
	cli
	CHECK_MEM order, 0x12, "protected: the NMI, then the interrupt"
	call enter_long
	MODE64
	LAPIC_ON
	HOOK NMI, on_nmi64
	movl $0, n_nmis
	movl $1, resend
	SELF_NMI
	nop
	nop
	CHECK_MEM n_nmis, 2, "64-bit: one that comes in the handler is not lost"
	CHECK_MEM nested64, 0, "64-bit: nor taken before IRET"
	/* IST: the second NMI, taken right after IRETQ, starts at the stack's top again. */
	movb $1, idt64 + 16 * NMI + 4
	movl $0, n_nmis
	movl $1, resend
	SELF_NMI
	nop
	nop
	mov nmi_sp, %eax
	CHECK stack_end-12288, "64-bit: an NMI on its IST stack, above its frame"
	jmp finish64

on_nmi64:
	incl n_nmis
	lea F64_SS+8(%rbp), %rax
	mov %eax, nmi_sp
	cmpl $0, depth64
	je 1f
	incl nested64
1:	incl depth64
	cmpl $0, resend
	je 2f
	decl resend
	LAPIC_ON
	SELF_NMI
	nop
	nop
2:	decl depth64
	ret
	MODE32
on_nmi32:
	incl n_nmis
	shll $4, order
	orl $1, order
	mov F32_EIP(%ebp), %eax
	mov %eax, nmi_ip
	cmpl $0, depth
	je 1f
	incl nested
1:	incl depth
2:	cmpl $0, resend
	je 3f
	decl resend
	LAPIC_ON
	SELF_NMI
	nop
	nop
	jmp 2b
3:	cmpl $0, iret_early
	je 4f
	decl iret_early
	push $2
	push $KERNEL_CS
	push $4f
	iretl
4:	nop
	cmpl $0, iret_fault
	je 5f
	decl iret_fault
	push $2
	push $0xf8 /* no such segment */
	push $5f
	iretl
5:	lea -4(%ebp), %esp
	decl depth
	ret
on_gp32:
	mov n_nmis, %eax
	mov %eax, nmis_at_gp
	movl $5b, F32_EIP(%ebp)
	ret
on_interrupt32:
	shll $4, order
	orl $2, order
	LAPIC_ON
	LAPIC_SET LAPIC_EOI, 0
	ret
	.bss
	.balign 4
n_nmis:	.skip 4
nmis_at_gp: .skip 4
resend:	.skip 4
nested:	.skip 4
nested64: .skip 4
depth:	.skip 4
depth64: .skip 4
iret_early: .skip 4
iret_fault: .skip 4
nmi_ip:	.skip 4
nmi_sp:	.skip 4
order:	.skip 4
	.section .note.GNU-stack, "", @progbits
