/*
 * Virtual-8086 mode (SDM 3A chapter 20), entered by IRET from protected mode with EFLAGS.VM. The
 * code runs at LOW with CS = DS = SS = LOW >> 4.
 */
#include "guest.h"

	/* Runs the 16-bit code at the label with the flags; an exception or INT USER_EXIT ends it. */
	.macro TRY_V86 flags, at, label
	ARM "\at-LOW", .Lafter\@
	pushl $LOW >> 4 /* GS, FS, DS, ES, SS, ESP, EFLAGS, CS, EIP */
	pushl $LOW >> 4
	pushl $LOW >> 4
	pushl $LOW >> 4
	pushl $LOW >> 4
	pushl $0xfff0
	pushl $0x20002|\flags
	pushl $LOW >> 4
	pushl $\label - LOW
	iretl
.Lafter\@:
	movl $0, catch_ip
	.endm

	.text
	.globl main
main:
	mov $1, %eax /* INT USER_EXIT needs IOPL 3 and DPL 3 */
	TRY_V86 0x3000, v_plain, v_plain
	CHECK_NO_FAULT "IOPL 3: INT n goes through the IDT"
	CHECK_MEM caught_cs, LOW>>4, "the image's CS"
	mov caught_flags, %eax
	and $0x23000, %eax
	CHECK 0x23000, "the image has VM and IOPL"
	CHECK_MEM seen, 0x12345678, "32-bit operands, real-mode segments"
	mov caught_sp, %ebp
	mov F32_ESP(%ebp), %eax
	CHECK 0xfff0, "the frame's ESP"
	mov F32_ES(%ebp), %eax
	CHECK LOW>>4, "the frame's ES"
	mov (%ebp), %eax
	CHECK 0, "ES is null in the handler"
	TRY_V86 0, v_int, v_int
	CHECK_FAULT GP, 0, "IOPL 0: INT n"
	TRY_V86 0, v_pushf, v_pushf
	CHECK_FAULT GP, 0, "IOPL 0: PUSHF"
	TRY_V86 0, v_popf, v_popf
	CHECK_FAULT GP, 0, "IOPL 0: POPF"
	TRY_V86 0, v_cli, v_cli
	CHECK_FAULT GP, 0, "IOPL 0: CLI"
	TRY_V86 0, v_sti, v_sti
	CHECK_FAULT GP, 0, "IOPL 0: STI"
	TRY_V86 0, v_iret, v_iret
	CHECK_FAULT GP, 0, "IOPL 0: IRET"
	TRY_V86 0x3000, v_hlt, v_hlt
	CHECK_FAULT GP, 0, "HLT whatever IOPL"
	TRY_V86 0x3000, v_cr, v_cr
	CHECK_FAULT GP, 0, "MOV from CR0"
	TRY_V86 0x3000, v_lldt, v_lldt
	CHECK_FAULT UD, 0, "LLDT does not exist"
	TRY_V86 0x3000, v_arpl, v_arpl
	CHECK_FAULT UD, 0, "ARPL does not exist"
	TRY_V86 0x3000, v_verr, v_verr
	CHECK_FAULT UD, 0, "VERR does not exist"
	TRY_V86 0x3000, v_sysenter_, v_sysenter_
	CHECK_FAULT GP, 0, "RDMSR"
	TRY_V86 0, v_int3, v_int3
	mov caught_code, %eax
	and $0x7fffffff, %eax
	CHECK FAULT(BP,0), "INT3 whatever IOPL"
	TRY_V86 0x3000, v_in, v_in
	CHECK_FAULT GP, 0, "IN goes by the bitmap though IOPL is 3"
	TRY_V86 0, v_limit, v_limit
	CHECK_FAULT GP, 0, "beyond 64 KiB"
	TRY_V86 0, v_stack, v_stack
	CHECK_FAULT SS, 0, "beyond 64 KiB of the stack"
	TRY_V86 0x3000, v_flags_end, v_flags
	CHECK_NO_FAULT "IOPL 3: POPF"
	mov caught_flags, %eax
	and $0x23200, %eax
	CHECK 0x23200, "IOPL 3: POPF sets IF and keeps IOPL and VM"
	/* CR4.VME is not there: setting it is #GP, as CPUID says. */
	mov %cr4, %eax
	or $1, %eax
	TRY "mov %eax, %cr4"
	CHECK_FAULT GP, 0, "CR4.VME is refused"
	/* A handler of DPL other than 0 (20.3). */
	movw $USER_CS, idt32 + 8 * UD + 2
	TRY_V86 0x3000, v_arpl, v_arpl
	CHECK_FAULT GP, USER_CS&~3|1, "a handler of DPL 3: #GP of its selector, EXT"
	movw $KERNEL_CS, idt32 + 8 * UD + 2
	call enter_long
	MODE64
	/* SDM 2, IRET: VM in the image does nothing in IA-32e mode. */
	TRY_AT 71f, "pushq $0; pushq $stack_end-2048; pushq $0x20002; pushq $KERNEL_CS64; pushq $70f; iretq; 70: pushfq; pop %rax; 71: ud2"
	mov caught_eax, %eax
	and $0x20000, %eax
	CHECK 0, "64-bit: IRETQ does not load VM"
	jmp finish64

	.section .low, "ax"
	.code16
	.balign 16
seen:	.long 0
v_plain: movl $0x12345678, seen - LOW
	int $USER_EXIT
v_int:	int $USER_EXIT
v_pushf: pushfw
v_popf:	popfw
v_cli:	cli
v_sti:	sti
v_iret:	iretw
v_hlt:	hlt
v_cr:	mov %cr0, %eax
v_lldt:	lldt %ax
v_arpl:	arpl %ax, %ax
v_verr:	verr %ax
v_sysenter_: rdmsr
v_int3:	int3
v_in:	in $0x80, %al
v_limit: addr32 mov %ds:0xffff, %ax
v_stack: addr32 mov %ss:0x10000, %al
v_flags: pushw $0x0202
	popfw
v_flags_end:
	int $USER_EXIT
	.section .note.GNU-stack, "", @progbits
