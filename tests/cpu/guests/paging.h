/*
 * Paging, checked row by row (SDM 3A 4.6, 4.7, 4.8). One page at TEST is mapped through a table of
 * each level, with the flags of each row; the row's operation is made; what came is one word:
 *
 *   bits 0-7   the page fault's error code, or 0x80 for none, 0x40 for another exception
 *   bits 8-9   A and D of the entry that maps the page
 *   bits 10-11 A and D of the entry of level 2 (where that is not the same)
 *   bits 12-15 A of level 3 and of level 4 (where there are any)
 *
 * The frame holds INT USER_EXIT, so that fetching from it ends the try without a fault.
 */
#ifndef REPRISE_TESTS_CPU_GUESTS_PAGING_H
#define REPRISE_TESTS_CPU_GUESTS_PAGING_H

#include "guest.h"

	.set FRAME, 0x800000 /* fits a page of any size but 1 GiB */
	.set USER_PAGE, 0x7ff000 /* linear = physical, for the code of CPL 3 */

	.set P, 1
	.set W, 2
	.set U, 4
	.set A, 0x20
	.set D, 0x40
	.set PS, 0x80

	/* Operations. */
	.set OP_READ, 0
	.set OP_WRITE, 1
	.set OP_FETCH, 2
	.set OP_RMW, 3 /* CMPXCHG that fails */
	.set OP_USER, 4

	/* Conditions. */
	.set C_WP, 1
	.set C_SMEP, 2
	.set C_SMAP, 4
	.set C_AC, 8
	.set C_NX, 16   /* EFER.NXE */
	.set C_PSE, 32

	.set OK_, 0x80
	.set LEAF_A, 0x100
	.set LEAF_D, 0x200
	.set DIR_A, 0x400
	.set DIR_D, 0x800
	.set L3_A, 0x1000
	.set L4_A, 0x2000

	/* One row: flags of level 2 and of level 1 (0: level 2 maps a large page; the high half may be
	 * set too), operation, conditions, what is wanted. */
	.macro ROW level2, level1, level1_high, op, conditions, want, name
	RECORD .Lrow\@, "\want", 0, "\name"
	.pushsection .rows, "a"
	.long \level2, \level1, \level1_high, \op, \conditions, .Lrow\@, 0, 0
	.popsection
	.endm

	/* Rows for every mode; walked: what a walk that succeeds sets above the leaf, leaf bit not
	 * counted. */
	.macro COMMON_ROWS mode, walked
	ROW P|W|U, P|W|U, 0, OP_READ, 0, "OK_|LEAF_A|\walked", "\mode: a read sets A at every level"
	ROW P|W|U, P|W|U, 0, OP_WRITE, 0, "OK_|LEAF_A|LEAF_D|\walked", "\mode: a write sets D of the last entry only"
	ROW P|W|U, P|W|U, 0, OP_RMW, 0, "OK_|LEAF_A|LEAF_D|\walked", "\mode: CMPXCHG that fails sets D"
	ROW P|W|U, P|W|U, 0, OP_FETCH, 0, "OK_|LEAF_A|\walked", "\mode: a fetch sets A"
	ROW P|W|U, P|W|U, 0, OP_USER|OP_READ, 0, "OK_|LEAF_A|\walked", "\mode: user read"
	ROW P|W|U, P|W|U, 0, OP_USER|OP_WRITE, 0, "OK_|LEAF_A|LEAF_D|\walked", "\mode: user write"
	ROW P|W|U, P|W|U, 0, OP_USER|OP_FETCH, 0, "OK_|LEAF_A|\walked", "\mode: user fetch"
	ROW 0, P|W|U, 0, OP_READ, 0, 0, "\mode: read, directory not present"
	ROW P|W|U, W|U, 0, OP_READ, 0, 0, "\mode: read, page not present, A stays clear"
	ROW P|W|U, W|U, 0, OP_WRITE, 0, 2, "\mode: write, page not present"
	ROW P|W|U, W|U, 0, OP_FETCH, 0, 0, "\mode: fetch, page not present: I/D only with NX or SMEP"
	ROW P|W|U, W|U, 0, OP_FETCH, C_SMEP, 0x10, "\mode: fetch, page not present, SMEP: I/D"
	ROW P|W|U, W|U, 0, OP_USER|OP_READ, 0, 4, "\mode: user read, page not present"
	ROW P|W|U, W|U, 0, OP_USER|OP_WRITE, 0, 6, "\mode: user write, page not present"
	ROW P|W|U, P|W, 0, OP_USER|OP_READ, 0, 5, "\mode: user read, supervisor page, A stays clear"
	ROW P|W, P|W|U, 0, OP_USER|OP_READ, 0, 5, "\mode: user read, supervisor directory"
	ROW P|W, P|W|U, 0, OP_USER|OP_WRITE, 0, 7, "\mode: user write, supervisor directory"
	ROW P|W, P|W|U, 0, OP_USER|OP_FETCH, 0, 5, "\mode: user fetch, supervisor directory"
	ROW P|W|U, P|U, 0, OP_USER|OP_WRITE, 0, 7, "\mode: user write, read-only page, D stays clear"
	ROW P|U, P|W|U, 0, OP_USER|OP_WRITE, 0, 7, "\mode: user write, read-only directory"
	ROW P|W|U, P|U, 0, OP_USER|OP_RMW, 0, 7, "\mode: user CMPXCHG, read-only page, is a write"
	ROW P|W|U, P|U, 0, OP_USER|OP_READ, 0, "OK_|LEAF_A|\walked", "\mode: user read, read-only page"
	ROW P|W|U, P|U, 0, OP_WRITE, 0, "OK_|LEAF_A|LEAF_D|\walked", "\mode: supervisor write, read-only page, WP clear"
	ROW P|W|U, P|U, 0, OP_WRITE, C_WP, 3, "\mode: supervisor write, read-only page, WP"
	ROW P|U, P|W|U, 0, OP_WRITE, C_WP, 3, "\mode: supervisor write, read-only directory, WP"
	ROW P|W|U, P|W|U, 0, OP_FETCH, C_SMEP, 0x11, "\mode: SMEP: supervisor fetch of a user page"
	ROW P|W, P|W|U, 0, OP_FETCH, C_SMEP, "OK_|LEAF_A|\walked", "\mode: SMEP: a supervisor directory makes it a supervisor page"
	ROW P|W|U, P|W|U, 0, OP_USER|OP_FETCH, C_SMEP, "OK_|LEAF_A|\walked", "\mode: SMEP: user fetch"
	ROW P|W|U, P|W, 0, OP_USER|OP_FETCH, C_SMEP, 0x15, "\mode: SMEP: user fetch of a supervisor page has I/D"
	ROW P|W|U, P|W|U, 0, OP_READ, C_SMAP, 1, "\mode: SMAP: supervisor read of a user page"
	ROW P|W|U, P|W|U, 0, OP_WRITE, C_SMAP, 3, "\mode: SMAP: supervisor write of a user page"
	ROW P|W|U, P|W|U, 0, OP_READ, C_SMAP|C_AC, "OK_|LEAF_A|\walked", "\mode: SMAP: read with AC"
	ROW P|W|U, P|U, 0, OP_WRITE, C_SMAP|C_AC|C_WP, 3, "\mode: SMAP: AC does not lift WP"
	ROW P|W|U, P|W, 0, OP_READ, C_SMAP, "OK_|LEAF_A|\walked", "\mode: SMAP: read of a supervisor page"
	ROW P|W|U, P|W|U, 0, OP_FETCH, C_SMAP, "OK_|LEAF_A|\walked", "\mode: SMAP: fetches are not its concern"
	ROW P|W|U, P|W|U, 0, OP_USER|OP_WRITE, C_SMAP, "OK_|LEAF_A|LEAF_D|\walked", "\mode: SMAP: user write"
	.endm

	/* Large pages: LEAF bits are those of level 2. */
	.macro LARGE_ROWS mode, walked, reserved
	ROW P|W|U|PS, 0, 0, OP_READ, C_PSE, "OK_|LEAF_A|\walked", "\mode, large: a read sets A"
	ROW P|W|U|PS, 0, 0, OP_WRITE, C_PSE, "OK_|LEAF_A|LEAF_D|\walked", "\mode, large: a write sets D"
	ROW P|W|PS, 0, 0, OP_USER|OP_READ, C_PSE, 5, "\mode, large: user read of a supervisor page"
	ROW P|U|PS, 0, 0, OP_USER|OP_WRITE, C_PSE, 7, "\mode, large: user write of a read-only page"
	ROW P|U|PS, 0, 0, OP_WRITE, C_PSE|C_WP, 3, "\mode, large: supervisor write, WP"
	ROW P|W|U|PS, 0, 0, OP_FETCH, C_PSE|C_SMEP, 0x11, "\mode, large: SMEP"
	ROW P|W|U|PS, 0, 0, OP_READ, C_PSE|C_SMAP, 1, "\mode, large: SMAP"
	ROW "P|W|U|PS|\reserved", 0, 0, OP_READ, C_PSE, 9, "\mode, large: reserved bit"
	ROW "P|W|U|PS|\reserved", 0, 0, OP_USER|OP_WRITE, C_PSE, 0xf, "\mode, large: reserved bit, user write"
	ROW "W|U|PS|\reserved", 0, 0, OP_READ, C_PSE, 0, "\mode, large: not present, reserved bits do not count"
	ROW P|W|U|PS|0x1000, 0, 0, OP_READ, C_PSE, "OK_|LEAF_A|\walked", "\mode, large: bit 12 is PAT"
	.endm

	/* What formats of 8 bytes add. */
	.macro NX_ROWS mode, walked
	ROW P|W|U, P|W|U, 0x80000000, OP_FETCH, C_NX, 0x11, "\mode: NX: fetch"
	ROW P|W|U, P|W|U, 0x80000000, OP_USER|OP_FETCH, C_NX, 0x15, "\mode: NX: user fetch"
	ROW P|W|U, P|W|U, 0x80000000, OP_READ, C_NX, "OK_|LEAF_A|\walked", "\mode: NX: read"
	ROW P|W|U, P|W|U, 0x80000000, OP_READ, 0, 9, "\mode: bit 63 is reserved without NXE"
	ROW P|W|U, P|W|U, 0x80000000, OP_FETCH, 0, 9, "\mode: fetch, bit 63 reserved: no I/D"
	ROW P|W|U, P|W|U, 0x80000000, OP_USER|OP_WRITE, 0, 0xf, "\mode: user write, bit 63 reserved"
	ROW P|W|U, W|U, 0, OP_FETCH, C_NX, 0x10, "\mode: NXE: fetch, page not present: I/D"
	ROW P|W|U, P|W, 0, OP_USER|OP_FETCH, C_NX, 0x15, "\mode: NXE: user fetch of a supervisor page: I/D"
	ROW P|W|U, P|W|U, 0x80000, OP_READ, 0, 9, "\mode: an address bit beyond MAXPHYADDR is reserved"
	ROW P|W|U, W|U, 0x80000, OP_READ, 0, 0, "\mode: not present, reserved bits do not count"
	.endm

	/* Carries out the rows between first and last. l2, l1: the entries under test; table: the one
	 * that l2 names; size: bytes of an entry; test: the page's linear address. */
	.macro RUN_ROWS first, last, l2, l1, table, size, test
	movl $\first, row
.Lnext\@:
	mov row, %esi
	cmp $\last, %esi
	jae .Ldone\@
	mov (%esi), %eax
	mov $\table, %ecx
	test $PS, %eax
	jz 1f
	mov $FRAME, %ecx
1:	or %ecx, %eax
	mov %eax, \l2
	mov 4(%esi), %eax
	or $FRAME, %eax
	mov %eax, \l1
	.if \size == 8
	movl $0, \l2 + 4
	mov 8(%esi), %eax
	mov %eax, \l1 + 4
	.endif
	andl $~A, level3
	andl $~A, level4
	call set_conditions
	movl $NO_FAULT, caught_code
	movl $.Lback\@, catch_ip
	mov %esp, catch_sp
	mov 12(%esi), %edx
	mov %edx, %eax
	and $3, %eax
	shl $4, %eax
	.if BITS == 64
	movabs $\test, %rbx
	.else
	mov $\test, %ebx
	.endif
	test $OP_USER, %edx
	jnz 2f
	add $stubs, %eax
	testl $C_AC, 16(%esi)
	mov $1, %ecx
	jz 1f
	stac
1:	.if BITS == 64
	jmp *%rax
	.else
	jmp *%eax
	.endif
2:	add $USER_PAGE, %eax
	mov user_ds, %ds
	mov $1, %ecx
	.if BITS == 64
	pushq $USER_DS
	pushq $0
	pushq $2
	pushq $USER_CS64
	push %rax
	iretq
	.else
	pushl $USER_DS
	pushl $0
	pushl $2
	pushl $USER_CS
	push %eax
	iretl
	.endif
.Lback\@:
	mov row, %esi
	mov caught_code, %eax
	and $0x7fffffff, %eax
	mov %eax, %edx
	shr $16, %edx
	movzbl %al, %eax
	cmp $PF, %edx
	je 1f
	mov $OK_, %eax
	cmp $NO_FAULT>>16, %edx
	je 1f
	mov $0x40, %eax
1:	mov \l2, %ecx
	and $A|D, %ecx
	cmpl $0, 4(%esi)
	je 2f
	shl $10 - 5, %ecx
	or %ecx, %eax
	mov \l1, %ecx
	and $A|D, %ecx
2:	shl $8 - 5, %ecx
	or %ecx, %eax
	mov level3, %ecx
	and $A, %ecx
	shl $12 - 5, %ecx
	or %ecx, %eax
	mov level4, %ecx
	and $A, %ecx
	shl $13 - 5, %ecx
	or %ecx, %eax
	mov 20(%esi), %edi
	mov %eax, 8(%edi)
	movl $1, 4(%edi)
	addl $32, row
	jmp .Lnext\@
.Ldone\@:
	.endm

	/* The control bits that row ESI asks for, and the address space anew. */
	.macro SET_CONDITIONS
set_conditions:
	mov $0xc0000080, %ecx
	rdmsr
	and $~0x800, %eax
	mov 16(%esi), %ecx
	test $C_NX, %ecx
	jz 1f
	or $0x800, %eax
1:	mov $0xc0000080, %ecx
	wrmsr
	mov 16(%esi), %ecx
	.if BITS == 64
	mov %cr0, %rax
	.else
	mov %cr0, %eax
	.endif
	and $~0x10000, %eax
	test $C_WP, %ecx
	jz 1f
	or $0x10000, %eax
1:	.if BITS == 64
	mov %rax, %cr0
	mov %cr4, %rax
	.else
	mov %eax, %cr0
	mov %cr4, %eax
	.endif
	and $~0x300010, %eax
	test $C_SMEP, %ecx
	jz 1f
	or $0x100000, %eax
1:	test $C_SMAP, %ecx
	jz 1f
	or $0x200000, %eax
1:	test $C_PSE, %ecx
	jz 1f
	or $0x10, %eax
1:	.if BITS == 64
	mov %rax, %cr4
	mov %cr3, %rax
	mov %rax, %cr3
	.else
	mov %eax, %cr4
	mov %cr3, %eax
	mov %eax, %cr3
	.endif
	ret

	.balign 16
stubs:	.if BITS == 64
	mov 0x100(%rbx), %dl
	int $USER_EXIT
	.balign 16
	mov %cl, 0x100(%rbx)
	int $USER_EXIT
	.balign 16
	jmp *%rbx
	.balign 16
	cmpxchg %cl, 0x100(%rbx)
	.else
	mov 0x100(%ebx), %dl
	int $USER_EXIT
	.balign 16
	mov %cl, 0x100(%ebx)
	int $USER_EXIT
	.balign 16
	jmp *%ebx
	.balign 16
	cmpxchg %cl, 0x100(%ebx)
	.endif
	int $USER_EXIT
	.balign 16
stubs_end:
	.endm

	/* The frame's content and the code of CPL 3. */
	.macro FILL_PAGES
	movw $0x40cd, FRAME
	movb $1, FRAME + 0x100
	mov $stubs, %esi
	mov $USER_PAGE, %edi
	mov $stubs_end - stubs, %ecx
	rep movsb
	.endm

#endif
