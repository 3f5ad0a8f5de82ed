/* 4-level paging; the rows are in paging.h. */
#include "paging.h"

	.set TEST, 0x8000000000

	.section .rows, "a"
rows:
	COMMON_ROWS "long", "DIR_A|L3_A|L4_A"
	LARGE_ROWS "long", "L3_A|L4_A", 0x2000
	NX_ROWS "long", "DIR_A|L3_A|L4_A"
	ROW P|W|U, P|W|U, 0x7ff00000, OP_READ, C_NX, "OK_|LEAF_A|DIR_A|L3_A|L4_A", "long: bits 62 to 52 are ignored"
rows_end:

	.text
	.globl main
main:
	FILL_PAGES
	call enter_long
	MODE64
	/* The supervisor's pages, but for 6 to 8 MiB. */
	andl $~U, pd
	andl $~U, pd + 8
	andl $~U, pd + 16
	movl $level3+(P|W|U), pml4 + 8
	movl $pd_test+(P|W|U), level3
	RUN_ROWS rows, rows_end, pd_test, pt_test, pt_test, 8, TEST
	/* 1 GiB pages. */
	mov $TEST+0x900000, %rbx
	movl $P|W|U|PS, level3
	mov %cr3, %rax
	mov %rax, %cr3
	TRY "movb $1, (%rbx)"
	CHECK_NO_FAULT "long: a page of 1 GiB"
	CHECK_MEM level3, "P|W|U|PS|A|D", "long: a write sets its A and D"
	movl $P|W|U|PS|0x2000, level3
	mov %cr3, %rax
	mov %rax, %cr3
	TRY "mov (%rbx), %al"
	CHECK_FAULT PF, 9, "long: a page of 1 GiB, reserved bit"
	movl $pd_test+(P|W|U), level3
	orl $PS, pml4 + 8
	mov %cr3, %rax
	mov %rax, %cr3
	TRY "mov (%rbx), %al"
	CHECK_FAULT PF, 9, "long: PS is reserved in a PML4E"
	andl $~PS, pml4 + 8
	/* SDM 1 3.3.7.1: addresses that are not canonical. */
	mov $0x800000000000, %rbx
	TRY "mov (%rbx), %al"
	CHECK_FAULT GP, 0, "long: a read that is not canonical"
	TRY "mov -1(%rbx), %ax"
	CHECK_FAULT GP, 0, "long: a read that ends beyond the canonical half"
	mov %rbx, %rbp
	TRY "mov (%rbp), %al"
	CHECK_FAULT SS, 0, "long: through RBP it is #SS"
	TRY "jmp *%rbx"
	CHECK_FAULT GP, 0, "long: a jump there faults at the jump"
	mov $-2, %rbx
	TRY "mov (%rbx), %eax"
	mov caught_code, %eax
	CHECK FAULT(PF,0), "long: across the top of the address space"
	mov caught_cr2, %eax
	CHECK 0xfffffffe, "long: its CR2"
	/* SDM 3A 4.1.1: what CR0, CR4, EFER and CR3 refuse in long mode. */
	mov %cr4, %rax
	and $~0x20, %rax
	TRY "mov %rax, %cr4"
	CHECK_FAULT GP, 0, "long: clearing CR4.PAE"
	mov %cr0, %rax
	and $0x7fffffff, %eax
	TRY "mov %rax, %cr0"
	CHECK_FAULT GP, 0, "long: clearing CR0.PG in 64-bit code"
	mov $0xc0000080, %ecx
	rdmsr
	and $~0x100, %eax
	TRY "wrmsr"
	CHECK_FAULT GP, 0, "long: clearing EFER.LME with paging on"
	mov $1, %rax
	shl $52, %rax
	mov %cr3, %rcx
	or %rcx, %rax
	TRY "mov %rax, %cr3"
	CHECK_FAULT GP, 0, "long: a reserved bit of CR3"
	jmp finish64

	SET_CONDITIONS

	.bss
	.balign 4096
level3:	.skip 4096
pd_test: .skip 4096
pt_test: .skip 4096
row:	.skip 4
	.set level4, pml4 + 8
	.section .note.GNU-stack, "", @progbits
