/*
 * Which of several faults an instruction raises (SDM 3A table 6-2 and the instructions' pages in SDM
 * 2), and alignment checks (6.15, interrupt 17).
 */
#include "guest.h"

	.set MISSING, 0x40000000 /* not mapped in the long-mode part */

	.text
	.globl main
main:
	/* Encodings before privileges. */
	TRY_USER ".byte 0xf0, 0xf4"
	CHECK_FAULT UD, 0, "LOCK HLT at CPL 3: #UD, not #GP"
	TRY_USER ".byte 0xf0; mov %eax, (%eax)"
	CHECK_FAULT UD, 0, "LOCK MOV: #UD"
	TRY ".byte 0xf0; add %eax, %eax"
	CHECK_FAULT UD, 0, "LOCK with a register destination: #UD"
	TRY ".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90"
	CHECK_FAULT GP, 0, "sixteen bytes: #GP"
	TRY ".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90"
	CHECK_NO_FAULT "fifteen bytes"
	TRY ".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x0f, 0x0b"
	CHECK_FAULT GP, 0, "too long and undefined: #GP"
	/* Availability of the FPU and SSE. */
	mov %cr0, %eax
	or $8, %eax
	mov %eax, %cr0
	TRY "fld1"
	CHECK_FAULT NM, 0, "x87 with CR0.TS: #NM"
	TRY "movaps (%eax), %xmm0"
	CHECK_FAULT UD, 0, "SSE without CR4.OSFXSR: #UD before #NM"
	mov %cr4, %eax
	or $0x600, %eax
	mov %eax, %cr4
	mov $1, %eax
	TRY "movaps 1(%eax), %xmm0"
	CHECK_FAULT NM, 0, "SSE with CR0.TS: #NM before its alignment's #GP"
	mov %cr0, %eax
	or $4, %eax
	mov %eax, %cr0
	TRY "movaps (%eax), %xmm0"
	CHECK_FAULT UD, 0, "SSE with CR0.EM: #UD before #NM"
	TRY "fld1"
	CHECK_FAULT NM, 0, "x87 with CR0.EM: #NM"
	mov %cr0, %eax
	and $~0xe, %eax
	mov %eax, %cr0
	TRY "fwait"
	CHECK_NO_FAULT "WAIT"
	mov %cr0, %eax
	or $0xa, %eax
	mov %eax, %cr0
	TRY "fwait"
	CHECK_FAULT NM, 0, "WAIT with CR0.MP and TS: #NM"
	mov %cr0, %eax
	and $~0xe, %eax
	mov %eax, %cr0
	/* Segments before pages before alignment: a small segment at FREE_SEL. */
	DESCRIPTOR FREE_SEL, 0x000000ff, 0x0040f300
	mov $FREE_SEL|3, %ecx
	mov %ecx, %gs
	TRY "mov %gs:0xfd, %eax"
	CHECK_FAULT GP, 0, "beyond a limit: #GP"
	TRY "mov %gs:0xfc, %eax"
	CHECK_NO_FAULT "the last bytes within"
	DESCRIPTOR FREE_SEL, 0x000000ff, 0x0040f700 /* expand-down */
	mov %ecx, %gs
	TRY "mov %gs:0xff, %al"
	CHECK_FAULT GP, 0, "expand-down: at the limit: #GP"
	TRY "mov %gs:0x100, %al"
	CHECK_NO_FAULT "expand-down: above the limit"
	DESCRIPTOR FREE_SEL, 0x0000ffff, 0x00cff100 /* read-only */
	mov %ecx, %gs
	TRY "mov %al, %gs:0x100"
	CHECK_FAULT GP, 0, "a write to a read-only segment: #GP"
	TRY "mov %al, %cs:0x100"
	CHECK_FAULT GP, 0, "a write through CS: #GP"
	xor %eax, %eax
	mov %eax, %gs
	TRY "mov %gs:0x100, %al"
	CHECK_FAULT GP, 0, "through a null segment: #GP"
	/* Alignment: CPL 3, CR0.AM and AC. */
	mov %cr0, %eax
	or $0x40000, %eax
	mov %eax, %cr0
	movl $0x40002, user_flags
	TRY_USER "mov scratch+1, %eax"
	CHECK_FAULT AC, 0, "a dword at an odd address: #AC(0)"
	TRY_USER "mov scratch+2, %ax"
	CHECK_NO_FAULT "a word at an even one"
	TRY_USER "mov scratch+1, %al"
	CHECK_NO_FAULT "a byte anywhere"
	TRY_USER "mov scratch+2, %eax"
	CHECK_FAULT AC, 0, "a dword at an address that is even only"
	TRY_USER "movups scratch+4, %xmm0"
	CHECK_NO_FAULT "16 bytes by MOVUPS at a dword's address"
	TRY_USER "fldl scratch+4"
	CHECK_FAULT AC, 0, "an x87 double at a dword's address"
	TRY_USER "movaps scratch+4, %xmm0"
	CHECK_FAULT GP, 0, "MOVAPS: #GP, not #AC"
	TRY_USER_AT 1f, "sub $1, %esp; 1: push %eax"
	CHECK_FAULT AC, 0, "a PUSH"
	TRY "mov scratch+1, %eax"
	CHECK_NO_FAULT "not at CPL 0"
	movl $2, user_flags
	TRY_USER "mov scratch+1, %eax"
	CHECK_NO_FAULT "not with AC clear"
	mov %cr0, %eax
	and $~0x40000, %eax
	mov %eax, %cr0
	movl $0x40002, user_flags
	TRY_USER "mov scratch+1, %eax"
	CHECK_NO_FAULT "not with CR0.AM clear"
	movl $2, user_flags
	/* BOUND and INTO. */
	mov $5, %eax
	TRY "bound %eax, bounds"
	CHECK_FAULT 5, 0, "BOUND: #BR is a fault"
	TRY "ljmp *bounds_absent"
	CHECK_FAULT GP, 0xf8, "a far JMP to no segment"

	call enter_long
	MODE64
	movl $0, pdpt + 8 /* 1 to 2 GiB */
	mov %cr3, %rax
	mov %rax, %cr3
	mov $MISSING, %ebx
	xor %ecx, %ecx
	TRY "divl (%rbx)"
	CHECK_FAULT PF, 0, "64-bit: DIV of a missing page: #PF"
	TRY "movaps 1(%rbx), %xmm0"
	CHECK_FAULT GP, 0, "64-bit: MOVAPS, not aligned and missing: #GP"
	TRY "cmpxchg16b 8(%rbx)"
	CHECK_FAULT GP, 0, "64-bit: CMPXCHG16B, not aligned and missing: #GP"
	TRY "cmpxchg16b (%rbx)"
	CHECK_FAULT PF, 2, "64-bit: CMPXCHG16B of a missing page is a write"
	TRY "jmp *%rbx"
	mov caught_code, %eax
	and $0x7fffffff, %eax
	CHECK FAULT(PF,0x10), "64-bit: a fetch from a missing page: #PF with I/D (NXE)"
	mov caught_ip, %eax
	CHECK MISSING, "64-bit: at the target"
	TRY "xchg %eax, (%rbx)"
	CHECK_FAULT PF, 2, "64-bit: XCHG of a missing page is a write"
	TRY "addl $0, (%rbx)"
	CHECK_FAULT PF, 2, "64-bit: ADD to a missing page is a write"
	TRY "test %eax, (%rbx)"
	CHECK_FAULT PF, 0, "64-bit: TEST is a read"
	TRY "prefetchw (%rbx)"
	CHECK_NO_FAULT "64-bit: PREFETCHW never faults"
	TRY "prefetcht0 (%rbx)"
	CHECK_NO_FAULT "64-bit: nor PREFETCHT0"
	TRY "invlpg (%rbx)"
	CHECK_NO_FAULT "64-bit: nor INVLPG"
	TRY "clflush (%rbx)"
	CHECK_FAULT PF, 0, "64-bit: CLFLUSH reads"
	TRY ".byte 0x0f, 0x1f, 0x03"
	CHECK_NO_FAULT "64-bit: a NOP with an operand does not read it"
	TRY "cmovc (%rbx), %eax"
	CHECK_FAULT PF, 0, "64-bit: CMOV reads though its condition is false"
	/* Not canonical before missing; both are #PF's elders. */
	mov $0x8000000000000000, %rdx
	mov %rdx, %rsi
	mov %rbx, %rdi
	TRY "movsb"
	CHECK_FAULT GP, 0, "64-bit: MOVS from an address that is not canonical to a missing page: #GP"
	mov $1, %ecx
	TRY_USER_AT 1f, "mov %rbx, %rsp; 1: push (%rdx)"
	CHECK_FAULT GP, 0, "64-bit: PUSH of what is not canonical"
	TRY_USER_AT 1f, "mov %rdx, %rsp; 1: push %rax"
	CHECK_FAULT SS, 0, "64-bit: PUSH onto what is not canonical: #SS"
	TRY_USER_AT 1f, "mov %rdx, %rsp; 1: call main"
	CHECK_FAULT SS, 0, "64-bit: CALL with such a stack: #SS"
	TRY_USER_AT 1f, "push %rdx; 1: ret"
	CHECK_FAULT GP, 0, "64-bit: RET to what is not canonical: #GP at the RET"
	/* Removed in 64-bit mode. */
	.macro REMOVED bytes, name
	TRY ".byte \bytes"
	CHECK_FAULT UD, 0, "64-bit: \name is #UD"
	.endm
	REMOVED 0x06, "PUSH ES"
	REMOVED 0x27, "DAA"
	REMOVED 0x37, "AAA"
	REMOVED 0x60, "PUSHA"
	REMOVED 0x61, "POPA"
	REMOVED 0xce, "INTO"
	REMOVED 0xd4, "AAM"
	REMOVED 0x9a, "far CALL with an immediate"
	REMOVED 0xea, "far JMP with an immediate"
	REMOVED 0x82, "opcode 82h"
	jmp finish64

	.data
	.balign 8
bounds:	.long 0, 4
bounds_absent: .long 0
	.word 0xf8
	.bss
	.balign 16
scratch: .skip 32
	.section .note.GNU-stack, "", @progbits
