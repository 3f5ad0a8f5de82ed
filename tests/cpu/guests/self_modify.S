/* Code that writes code (SDM 3A 11.6): the next instruction on the same processor sees it, by whatever
 * linear address it is written. */
#include "guest.h"
#include "modify.h"

	.text
	.globl main
main:
	MODIFY "protected"
	/* Across a page's end: the second half alone is written. */
	movl $0x000000b8, page_end - 1 /* mov $imm32, %eax; the immediate lies in the next page */
	movl $0x00000000, page_end
	movb $0xc3, page_end + 4
	call page_end - 1
	movl $0x11223344, page_end
	call page_end - 1
	CHECK 0x11223344, "protected: an instruction across pages"
	call enter_long
	MODE64
	/* A second mapping of the first 2 MiB at 4 GiB + 0. */
	movl $pdpt2+7, pml4 + 8
	movl $pd+7, pdpt2
	mov $0x8000000000, %rbx
	movb $2, 1f+1
	lea 1f+1, %eax
	movb $5, (%rbx,%rax)
1:	mov $1, %al
	movzbl %al, %eax
	CHECK 5, "64-bit: through another linear address"
	/* Executed through the second mapping, written through the first. */
	lea 2f, %eax
	add %rbx, %rax
	jmp *%rax
2:	movb $6, 3f+1
3:	mov $1, %al
	lea 4f, %ecx
	jmp *%rcx
4:	movzbl %al, %eax
	CHECK 6, "64-bit: run at one address, written at another"
	/* The page is mapped anew under the same address. */
	movl $0xc307b0, page_a /* mov $7, %al; ret */
	movl $0xc308b0, page_b
	movl $pd2+7, pdpt2 + 8
	movl $pt2+7, pd2
	movl $page_a+7, pt2
	mov $0x8040000000, %rbx
	call *%rbx
	push %rax
	movl $page_b+7, pt2
	invlpg (%rbx)
	call *%rbx
	pop %rcx
	shl $8, %ecx
	mov %cl, %al
	movzbl %al, %eax
	movzbl %ch, %ecx
	shl $8, %ecx
	call *%rbx
	movzbl %al, %eax
	or %ecx, %eax
	CHECK 0x708, "64-bit: mapped anew"
	/* LOCK XADD and CMPXCHG8B write code as MOV does. */
	mov $0x0900, %eax
	lock xadd %ax, 5f
5:	mov $0, %al
	movzbl %al, %eax
	CHECK 9, "64-bit: written by XADD"
	jmp finish64

	.data
	.balign 4096
	.skip 4096
page_end: .skip 4096
page_a:	.skip 4096
page_b:	.skip 4096
	.bss
	.balign 4096
pdpt2:	.skip 4096
pd2:	.skip 4096
pt2:	.skip 4096
	MODIFY_DATA
	.section .note.GNU-stack, "", @progbits
