/*
 * Two processors: the second is started by INIT and SIPI (SDM 3A 8.4.4) and runs code that the first
 * changes; having waited on memory and executed CPUID it must see the new code (SDM 3A 8.1.3).
 */
#include "guest.h"
#include "lapic.h"

	.set START_PAGE, 0x10 /* LOW */

	.text
	.globl main
main:
	LAPIC_ON
	LAPIC_SET LAPIC_ICR, 0xc4500 /* INIT to all but self */
	mov $100000, %ecx
1:	pause
	loop 1b
	LAPIC_SET LAPIC_ICR, 0xc4600+START_PAGE
2:	pause
	cmpl $1, up
	jne 2b
	CHECK_MEM id, 1, "the second processor is up, its APIC id is 1"
	CHECK_MEM cs_seen, START_PAGE<<8, "SIPI starts it at its vector's page"
	CHECK_MEM cr0_seen, 0x60000010, "CR0 after INIT"
	/* Twenty changes: value n is for the second processor to run, count and answer. */
	mov $1, %ebx
3:	mov %bl, code + 1
	mov %ebx, go
4:	pause
	cmp %ebx, answered
	jne 4b
	mov result, %eax
	add %eax, total
	inc %ebx
	cmp $21, %ebx
	jne 3b
	CHECK_MEM total, 210, "each change is seen"
	/* An IPI to the other one, and a write it makes to our code. */
	movl $21, go
5:	pause
	cmpl $21, answered
	jne 5b
own:	mov $1, %al
	movzbl %al, %eax
	CHECK 0x55, "the other processor's write to this one's code"
	jmp finish

second:
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $second_stack_end, %esp
	mov $LAPIC, %edi
	LAPIC_GET LAPIC_ID
	shr $24, %eax
	mov %eax, id
	movl $1, up
	mov $1, %ebp
1:	pause
	cmp %ebp, go
	jne 1b
	cmp $21, %ebp
	je 2f
	push %ebp
	xor %eax, %eax
	cpuid
	pop %ebp
code:	mov $0, %al
	movzbl %al, %eax
	mov %eax, result
	mov %ebp, answered
	inc %ebp
	jmp 1b
2:	movb $0x55, own + 1
	mov %ebp, answered
3:	cli
	hlt
	jmp 3b

	.section .low, "ax"
	/* First in .low: a SIPI starts at offset 0 of the page. */
	.code16
	xor %eax, %eax
	mov %cs, %ax
	mov %ax, %ds
	mov %eax, cs_seen - LOW
	mov %cr0, %eax
	mov %eax, cr0_seen - LOW
	lgdtl gdt_pointer_low - LOW
	or $1, %eax
	and $0x9fffffff, %eax
	mov %eax, %cr0
	ljmpl $KERNEL_CS, $second
	.balign 4
cs_seen: .long 0
cr0_seen: .long 0
gdt_pointer_low:
	.word 255
	.long gdt
	.bss
	.balign 16
up:	.skip 4
id:	.skip 4
go:	.skip 4
answered: .skip 4
result:	.skip 4
total:	.skip 4
	.skip 2048
second_stack_end:
	.section .note.GNU-stack, "", @progbits
