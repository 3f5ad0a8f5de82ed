/* 32-bit and PAE paging; the rows are in paging.h. */
#include "paging.h"

	.section .rows, "a"
rows32:
	COMMON_ROWS "32-bit", DIR_A
	LARGE_ROWS "32-bit", 0, 0x200000
rows32_end:
rows_pae:
	COMMON_ROWS "PAE", DIR_A
	LARGE_ROWS "PAE", 0, 0x2000
	NX_ROWS "PAE", DIR_A
	ROW P|W|U, P|W|U, 0x00100000, OP_READ, C_NX, 9, "PAE: bits 62 to 52 are reserved"
rows_pae_end:

	.text
	.globl main
main:
	FILL_PAGES
	/* 0 to 4 MiB for the supervisor, 4 to 8 MiB for all. */
	xor %ecx, %ecx
1:	mov %ecx, %eax
	shl $12, %eax
	or $P|W, %eax
	mov %eax, pt0(,%ecx,4)
	add $0x400000, %eax
	or $U, %eax
	mov %eax, pt1(,%ecx,4)
	inc %ecx
	cmp $1024, %ecx
	jne 1b
	movl $pt0+(P|W), pd32
	movl $pt1+(P|W|U), pd32 + 4
	mov $pd32, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	RUN_ROWS rows32, rows32_end, pd32+4*256, pt_test, pt_test, 4, 0x40000000
	movl $pt_test+(P|W|U|PS), pd32 + 4 * 256
	movl $FRAME+7, pt_test
	mov %cr4, %eax
	and $~0x10, %eax
	mov %eax, %cr4
	TRY "mov 0x40000000, %eax"
	CHECK_MEM pt_test, FRAME+0x27, "32-bit: PS counts with CR4.PSE only"
	/* What a fault says of its address. */
	movl $0, pd32 + 4 * 256
	TRY "mov 0x40000ffe, %eax"
	CHECK_MEM caught_cr2, 0x40000ffe, "32-bit: CR2 is the first byte's address"
	movl $pt_test+7, pd32 + 4 * 256
	movl $FRAME+7, pt_test
	movl $0, pt_test + 4
	TRY "mov %eax, 0x40000ffe"
	CHECK_MEM caught_cr2, 0x40001000, "32-bit: CR2 is the second page's where that is missing"
	CHECK_FAULT PF, 2, "32-bit: a write across pages faults as a whole"
	movl $0x11223344, 0x40000ffc
	TRY "mov %eax, 0x40000ffe"
	CHECK_MEM 0x40000ffc, 0x11223344, "32-bit: and has written nothing"
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0

	/* PAE: 2 MiB pages, the last two for all. */
	movl $pd_pae+P, pdpt_pae
	movl $pd_test+P, pdpt_pae + 8
	xor %ecx, %ecx
2:	mov %ecx, %eax
	shl $21, %eax
	or $P|W|PS, %eax
	cmp $2, %ecx
	jb 3f
	or $U, %eax
3:	mov %eax, pd_pae(,%ecx,8)
	inc %ecx
	cmp $4, %ecx
	jne 2b
	mov $pdpt_pae, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x20, %eax
	mov %eax, %cr4
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	RUN_ROWS rows_pae, rows_pae_end, pd_test, pt_test, pt_test, 8, 0x40000000
	CHECK_MEM pdpt_pae+8, "pd_test+P", "PAE: the PDPTE has no A"
	/* SDM 3A 4.4.1: PDPTEs are registers, loaded by MOV to CR3, with #GP for reserved bits. */
	movl $pt_test+7, pd_test
	movl $FRAME+7, pt_test
	movl $0, pt_test + 4
	movl $0, pdpt_pae + 8
	TRY "mov 0x40000000, %al"
	CHECK_NO_FAULT "PAE: a PDPTE changed in memory does not count yet"
	mov %cr3, %eax
	mov %eax, %cr3
	TRY "mov 0x40000000, %al"
	CHECK_FAULT PF, 0, "PAE: but after MOV to CR3"
	movl $pd_test+P+2, pdpt_pae + 8
	mov %cr3, %eax
	TRY "mov %eax, %cr3"
	CHECK_FAULT GP, 0, "PAE: MOV to CR3 with a reserved bit in a PDPTE"
	movl $pd_test+2, pdpt_pae + 8
	mov %cr3, %eax
	TRY "mov %eax, %cr3"
	CHECK_NO_FAULT "PAE: not when it is not present"
	jmp finish

	SET_CONDITIONS

	.bss
	.balign 4096
pd32:	.skip 4096
pt0:	.skip 4096
pt1:	.skip 4096
pt_test: .skip 4096
pd_pae:	.skip 4096
pd_test: .skip 4096
pdpt_pae: .skip 32
row:	.skip 4
level3:	.skip 8
level4:	.skip 8
	.section .note.GNU-stack, "", @progbits
