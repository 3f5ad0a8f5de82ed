/*
 * Real mode (SDM 3A 20.1): exceptions through the vector table without error codes, limits of 64 KiB,
 * what privileged code can do there, and segments whose limits protected mode has raised. The code
 * runs at LOW with CS = DS = ES = SS.
 */
#include "guest.h"

	/* Runs insn; an exception ends it. vector16 and offset16 say which and where. */
	.macro TRY16 insn
	movw $.Lafter\@ - LOW, catch16 - LOW
	mov %sp, sp16 - LOW
	movl $0xff, vector16 - LOW
	movw $.Lat\@ - LOW, at16 - LOW
.Lat\@:
	\insn
.Lafter\@:
	.endm
	.macro CHECK_VECTOR vector, name
	movl vector16 - LOW, %eax
	CHECK16 \vector, "\name"
	.endm

	.text
	.globl main
main:
	/* The vector table. */
	xor %ecx, %ecx
1:	imul $6, %ecx, %eax
	add $stubs16 - LOW, %eax
	mov %ax, (,%ecx,4)
	movw $LOW >> 4, 2(,%ecx,4)
	inc %ecx
	cmp $256, %ecx
	jne 1b
	lidt ivt_pointer
	ljmp $CS16, $2f - LOW
	.section .low, "ax"
	.code16
2:	mov $DS16, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %ss
	mov %cr0, %eax
	and $~1, %eax
	mov %eax, %cr0
	ljmpw $LOW >> 4, $3f - LOW
3:	mov $LOW >> 4, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %ss
	mov $0xfff0, %esp

	TRY16 "ud2"
	CHECK_VECTOR UD, "real: #UD"
	movzwl frame16 - LOW + 2, %eax
	CHECK16 LOW>>4, "real: the image's CS"
	movzwl frame_sp - LOW, %eax
	CHECK16 0xffea, "real: three words, no error code"
	TRY16 "xor %cx, %cx; div %cx"
	andl $0xff, vector16 - LOW
	CHECK_VECTOR DE, "real: #DE"
	/* The handler runs without IF and TF; INT's image has them. */
	sti
	TRY16 "int $0x41"
	cli
	movl vector16 - LOW, %eax
	and $0xff, %eax
	CHECK16 0x41, "real: INT n"
	movzwl frame16 - LOW + 4, %eax
	and $0x200, %eax
	CHECK16 0x200, "real: IF in the image"
	movzwl flags16 - LOW, %eax
	and $0x300, %eax
	CHECK16 0, "real: IF and TF are clear in the handler"
	TRY16 "into"
	CHECK_VECTOR 0xff, "real: INTO without OF"
	/* Limits. */
	TRY16 "mov 0xffff, %ax"
	CHECK_VECTOR GP, "real: a word at FFFFh: #GP"
	TRY16 "addr32 mov %ds:0x10000, %al"
	CHECK_VECTOR GP, "real: beyond 64 KiB: #GP"
	mov $0xffff, %bp
	TRY16 "mov (%bp), %ax"
	CHECK_VECTOR SS, "real: through BP: #SS"
	TRY16 "addr32 movb $1, %cs:0xfffe"
	CHECK_VECTOR 0xff, "real: CS can be written through"
	/* What other modes have. */
	TRY16 "lldt %ax"
	CHECK_VECTOR UD, "real: LLDT does not exist"
	TRY16 "ltr %ax"
	CHECK_VECTOR UD, "real: LTR does not exist"
	TRY16 "verr %ax"
	CHECK_VECTOR UD, "real: VERR does not exist"
	TRY16 "arpl %ax, %ax"
	CHECK_VECTOR UD, "real: ARPL does not exist"
	TRY16 "sysenter"
	CHECK_VECTOR GP, "real: SYSENTER: #GP"
	TRY16 "lar %ax, %ax"
	CHECK_VECTOR UD, "real: LAR does not exist"
	TRY16 "smsw %ax"
	CHECK_VECTOR 0xff, "real: SMSW"
	TRY16 "mov %cr0, %eax; clts; sgdt gdt16 - LOW"
	CHECK_VECTOR 0xff, "real: privileged instructions run"
	/* Flags: all but VM can be set. */
	pushfw
	pushw $0x7002
	popfw
	pushfw
	pop %ax
	popfw
	movzwl %ax, %eax
	CHECK16 0x7002, "real: POPF sets IOPL and NT"
	/* 32-bit operands. */
	mov $0x12345678, %eax
	push %eax
	pop %ecx
	mov %ecx, %eax
	CHECK16 0x12345678, "real: 32-bit operands"
	/* PUSH SP pushes the old value (SDM 2, PUSH). */
	push %sp
	pop %ax
	movzwl %ax, %eax
	CHECK16 0xfff0, "real: PUSH SP"
	/* A20 is on: FFFF:0010 is 1 MiB. */
	mov $0xffff, %ax
	mov %ax, %fs
	mov %fs:0x10, %eax
	CHECK16 0x1badb002, "real: no wrap at 1 MiB"
	/* Single-step. */
	movw $step16 - LOW, %ax
	xor %cx, %cx
	mov %cx, %fs
	mov %fs:4, %bx
	mov %ax, %fs:4
	movl $0, steps - LOW
	pushfw
	mov %sp, %bp
	orw $0x100, (%bp)
	popfw
	nop
	nop
	pushfw
	mov %sp, %bp
	andw $0xfeff, (%bp)
	popfw
	mov %bx, %fs:4
	movl steps - LOW, %eax
	CHECK16 6, "real: a single-step trap after each instruction"
	/* A vector beyond the table's limit. */
	lidtl short_ivt - LOW
	TRY16 "int $0x50"
	CHECK_VECTOR GP, "real: INT n beyond the table: #GP at the INT"
	lidtl ivt16 - LOW
	/* Limits that protected mode has raised stay ("unreal" mode). */
	lgdtl gdt_pointer16 - LOW
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	jmp 4f
4:	mov $KERNEL_DS, %bx
	mov %bx, %fs
	and $~1, %al
	mov %eax, %cr0
	jmp 5f
5:	xor %bx, %bx
	mov %bx, %fs
	mov $0x100000, %ebx
	TRY16 "mov %fs:(%ebx), %eax"
	CHECK16 0x1badb002, "real: a raised limit outlives a load of the segment register"
	/* Back. */
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $KERNEL_CS, $back

	/* Six bytes each. */
	.balign 8
stubs16:
	.set vector, 0
	.rept 256
	.byte 0x68 /* PUSH imm16, whatever the value */
	.word vector
	.byte 0xe9
	.word common16 - . - 2
	.set vector, vector + 1
	.endr
common16:
	pushfw
	popw %cs:flags16 - LOW
	popw %cs:vector16 - LOW
	mov %sp, %cs:frame_sp - LOW
	popw %cs:frame16 - LOW
	popw %cs:frame16 - LOW + 2
	popw %cs:frame16 - LOW + 4
	mov $LOW >> 4, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov sp16 - LOW, %sp
	mov frame16 - LOW, %ax
	cmp at16 - LOW, %ax
	je 1f
	orl $0x8000, vector16 - LOW
1:	jmp *catch16 - LOW
step16:
	incl %cs:steps - LOW
	iretw
	.balign 4
catch16: .word 0
sp16:	.word 0
at16:	.word 0
frame_sp: .word 0
frame16: .word 0, 0, 0
flags16: .word 0
	.balign 4
vector16: .long 0
steps:	.long 0
gdt16:	.skip 8
short_ivt:
	.word 0x50 * 4 - 1
	.long 0
ivt16:	.word 0x3ff
	.long 0
gdt_pointer16:
	.word 255
	.long gdt

	.text
	MODE32
back:	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	lidt idt32_pointer
	jmp finish

ivt_pointer:
	.word 0x3ff
	.long 0
	.section .note.GNU-stack, "", @progbits
