/*
 * Local APIC: priorities, in-service and request registers, end of interrupt (SDM 3A 10.8), CR8
 * (10.8.6.1), x2APIC (10.12). Interrupts come by self IPI; each handler adds its vector to `order`.
 */
#include "guest.h"
#include "lapic.h"

	.macro WINDOW
	sti
	nop
	nop
	cli
	.endm

	.text
	.globl main
main:
	LAPIC_ON
	HOOK 0x41, on_41
	HOOK 0x51, on_51
	HOOK 0x61, on_61
	HOOK 0x62, on_62
	HOOK 0xff, on_ff
	/* Requests wait; the highest goes first. */
	movl $0, order
	SELF_IPI 0x41
	SELF_IPI 0x61
	SELF_IPI 0x51
	LAPIC_GET LAPIC_IRR+0x20
	CHECK 0x20002, "IRR holds 41h and 51h"
	LAPIC_GET LAPIC_IRR+0x30
	CHECK 2, "IRR holds 61h"
	sti
	nop
	nop
	nop
	nop
	cli
	CHECK_MEM order, 0x615141, "by priority"
	LAPIC_GET LAPIC_ISR+0x20
	CHECK 0, "nothing in service after the EOIs"
	/* The same vector twice in IRR is one. */
	movl $0, order
	SELF_IPI 0x41
	SELF_IPI 0x41
	WINDOW
	CHECK_MEM order, 0x41, "a request is one bit"
	/* TPR holds back its class and those below (10.8.3.1). */
	movl $0, order
	LAPIC_SET LAPIC_TPR, 0x50
	LAPIC_GET LAPIC_PPR
	CHECK 0x50, "PPR follows TPR"
	SELF_IPI 0x51
	SELF_IPI 0x41
	SELF_IPI 0x61
	WINDOW
	CHECK_MEM order, 0x61, "TPR holds back its own class and those below"
	LAPIC_SET LAPIC_TPR, 0x40
	WINDOW
	CHECK_MEM order, 0x6151, "a lower TPR lets the next through"
	LAPIC_SET LAPIC_TPR, 0
	WINDOW
	CHECK_MEM order, 0x615141, "TPR 0 lets all through"
	/* In service: the same class waits, a higher one nests. */
	movl $0, order
	movl $1, nest
	SELF_IPI 0x51
	WINDOW
	CHECK_MEM order, 0x516162, "a higher class interrupts a handler, its own class waits for EOI"
	CHECK_MEM ppr_seen, 0x50, "PPR is the class in service"
	CHECK_MEM isr_seen, 0x20000, "ISR holds the vector"
	/* Vectors below 16 are errors (10.5.3). */
	LAPIC_SET LAPIC_ESR, 0
	LAPIC_SET LAPIC_ICR, 0x44005
	LAPIC_SET LAPIC_ESR, 0
	LAPIC_GET LAPIC_ESR
	CHECK 0x20, "a self IPI with vector 5: send illegal vector"
	/* Logical destination, flat (10.6.2.2). */
	movl $0, order
	LAPIC_SET LAPIC_LDR, 0x04000000
	LAPIC_SET LAPIC_DFR, 0xffffffff
	LAPIC_SET LAPIC_ICR_HIGH, 0x06000000
	LAPIC_SET LAPIC_ICR, 0x4841
	WINDOW
	CHECK_MEM order, 0x41, "a logical destination that holds this one"
	movl $0, order
	LAPIC_SET LAPIC_ICR_HIGH, 0x02000000
	LAPIC_SET LAPIC_ICR, 0x4841
	WINDOW
	CHECK_MEM order, 0, "and one that does not"
	/* A software-disabled APIC keeps IPIs out but for NMI, INIT, SIPI (10.4.7.2); LVTs are masked. */
	LAPIC_SET LAPIC_LVT_TIMER, 0x41
	LAPIC_SET LAPIC_SVR, 0xff
	LAPIC_GET LAPIC_LVT_TIMER
	CHECK 0x10041, "disabling by software masks the LVT"
	LAPIC_SET LAPIC_LVT_TIMER, 0x41
	LAPIC_GET LAPIC_LVT_TIMER
	CHECK 0x10041, "which stays so"
	LAPIC_SET LAPIC_SVR, 0x1ff

	call enter_long
	MODE64
	mov $LAPIC, %edi
	HOOK 0x41, on_41_64
	HOOK 0x61, on_61_64
	movl $0, order
	mov $5, %eax
	mov %rax, %cr8
	LAPIC_GET LAPIC_TPR
	CHECK 0x50, "CR8 is TPR's upper half"
	SELF_IPI 0x41
	SELF_IPI 0x61
	WINDOW
	CHECK_MEM order, 0x61, "CR8 holds back"
	xor %eax, %eax
	mov %rax, %cr8
	WINDOW
	CHECK_MEM order, 0x6141, "CR8 0 lets through"
	LAPIC_SET LAPIC_TPR, 0x37
	mov %cr8, %rax
	CHECK 3, "CR8 reads TPR's class"
	mov $16, %eax
	TRY "mov %rax, %cr8"
	CHECK_FAULT GP, 0, "CR8 above 15"
	LAPIC_SET LAPIC_TPR, 0
	/* x2APIC. */
	mov $0x802, %ecx
	TRY "rdmsr"
	CHECK_FAULT GP, 0, "x2APIC's MSRs without x2APIC"
	mov $0x1b, %ecx
	rdmsr
	or $0x400, %eax
	TRY "wrmsr"
	CHECK_NO_FAULT "x2APIC on"
	movl $0, order
	mov $0x83f, %ecx
	mov $0x41, %eax
	xor %edx, %edx
	TRY "wrmsr"
	CHECK_NO_FAULT "x2APIC: SELF IPI"
	movl $1, x2
	WINDOW
	CHECK_MEM order, 0x41, "x2APIC: it comes"
	mov $0x802, %ecx
	rdmsr
	CHECK 0, "x2APIC: the id"
	mov $0x80e, %ecx
	TRY "rdmsr"
	CHECK_FAULT GP, 0, "x2APIC: DFR does not exist"
	mov $0x80b, %ecx
	mov $1, %eax
	TRY "wrmsr"
	CHECK_FAULT GP, 0, "x2APIC: EOI of a value other than 0"
	mov $0x808, %ecx
	mov $0x100, %eax
	TRY "wrmsr"
	CHECK_FAULT GP, 0, "x2APIC: a reserved bit of TPR"
	mov $0x828, %ecx
	mov $1, %eax
	TRY "wrmsr"
	CHECK_FAULT GP, 0, "x2APIC: ESR of a value other than 0"
	mov $0x832, %ecx
	mov $0x10041, %eax
	mov $1, %edx
	TRY "wrmsr"
	CHECK_FAULT GP, 0, "x2APIC: the upper half of an LVT"
	mov $0x832, %ecx
	mov $0x10041, %eax
	xor %edx, %edx
	TRY "wrmsr"
	CHECK_NO_FAULT "x2APIC: an LVT"
	mov $0x802, %ecx
	TRY "wrmsr"
	CHECK_FAULT GP, 0, "x2APIC: the id is read-only"
	mov $0x1b, %ecx
	rdmsr
	and $~0x400, %eax
	TRY "wrmsr"
	CHECK_FAULT GP, 0, "x2APIC cannot go back to xAPIC at once (10.12.5)"
	jmp finish64

	.macro TAKE64 vector
	shll $8, order
	orl $\vector, order
	cmpl $0, x2
	jne 1f
	mov $LAPIC, %edi
	LAPIC_SET LAPIC_EOI, 0
	ret
1:	mov $0x80b, %ecx
	xor %eax, %eax
	xor %edx, %edx
	wrmsr
	ret
	.endm
on_41_64:
	TAKE64 0x41
on_61_64:
	TAKE64 0x61

	MODE32
	.macro TAKE32 vector
	shll $8, order
	orl $\vector, order
	mov $LAPIC, %edi
	.endm
	.macro LEAVE32
	LAPIC_SET LAPIC_EOI, 0
	ret
	.endm
on_41:	TAKE32 0x41
	LEAVE32
on_51:	TAKE32 0x51
	cmpl $0, nest
	je 1f
	decl nest
	LAPIC_GET LAPIC_PPR
	mov %eax, ppr_seen
	LAPIC_GET LAPIC_ISR+0x20
	mov %eax, isr_seen
	SELF_IPI 0x61
	SELF_IPI 0x51
	sti
	nop
	nop
	cli
	mov order, %eax
	/* 61h has come, 51h has not. */
	LAPIC_SET LAPIC_EOI, 0
	cmp $0x5161, %eax
	jne 2f
	shll $8, order
	orl $0x62, order
	/* The second 51h is dropped from the picture. */
	movl $1, dropped
2:	ret
1:	cmpl $0, dropped
	je 3f
	movl $0, dropped
	shrl $8, order
3:	LEAVE32
on_61:	TAKE32 0x61
	LEAVE32
on_62:	TAKE32 0x62
	LEAVE32
on_ff:	TAKE32 0xff
	ret
	.bss
	.balign 4
order:	.skip 4
nest:	.skip 4
dropped: .skip 4
ppr_seen: .skip 4
isr_seen: .skip 4
x2:	.skip 4
	.section .note.GNU-stack, "", @progbits
