/*
 * Debug registers (SDM 3B 17.2, 17.3) and the order of debug exceptions (SDM 3A table 6-2, 6.8.3).
 * Each #DB leaves a word: the return address as an offset from `start`, B0 to B3 from bit 8, BD, BS
 * and BT from bit 12, RF of the image at bit 16.
 */
#include "guest.h"
#include "lapic.h"

	.set VECTOR, 0x60
	.set B0, 0x100
	.set B1, 0x200
	.set BD, 0x1000
	.set BS, 0x2000
	.set RF, 0x10000

	/* DR7 fields of DR0 and DR1. */
	.set EXEC0, 0x2
	.set WRITE0_1, 0x10002
	.set WRITE0_4, 0xd0002
	.set RW0_4, 0xf0002
	.set IO0_1, 0x20002
	.set EXEC1, 0x8
	.set RW1_2, 0x700008

	.macro SET_DR n, value
	.if BITS == 64
	mov $\value, %rax
	mov %rax, %db\n
	.else
	mov $\value, %eax
	mov %eax, %db\n
	.endif
	.endm

	/* Runs insn between the labels; what came is in words, n_words. */
	.macro WATCH dr7, insn
	movl $0, n_words
	movl $0, words
	movl $0, words + 4
	movl $0, words + 8
	movl $.Lstart\@, start
	SET_DR 7, \dr7
.Lstart\@:
	\insn
	SET_DR 7, 0
	.endm
	.macro CHECK_WORDS n, first, second, name
	CHECK_MEM n_words, \n, "\name: how many"
	CHECK_MEM words, \first, "\name"
	.if \n > 1
	CHECK_MEM words + 4, \second, "\name: the second"
	.endif
	.endm
	.macro CHECK_WORD word, name
	CHECK_WORDS 1, \word, 0, "\name"
	.endm
	.macro CHECK_NONE name
	CHECK_MEM n_words, 0, "\name"
	.endm

	.text
	.globl main
main:
	HOOK DB, on_debug32
	SET_DR 0, 81f
	WATCH EXEC0, "nop; 81: nop; nop"
	CHECK_WORD B0+1, "protected: an instruction breakpoint is a fault, RF clear in its image"
	SET_DR 0, scratch+3
	mov $scratch, %ebx
	WATCH WRITE0_1, "mov %al, 3(%ebx); nop"
	CHECK_WORD B0+3, "protected: a write breakpoint is a trap"
	WATCH WRITE0_1, "mov 3(%ebx), %al; nop"
	CHECK_NONE "protected: a write breakpoint takes no reads"
	WATCH WRITE0_1, "mov %eax, (%ebx); nop"
	CHECK_WORD B0+2, "protected: a wider write that covers it"
	WATCH WRITE0_1, "mov %ax, 1(%ebx); mov %al, 4(%ebx); nop"
	CHECK_NONE "protected: neighbours"
	/* 17.2.5: the address's low bits are masked by the length. */
	WATCH RW0_4, "mov (%ebx), %al; nop"
	CHECK_WORD B0+2, "protected: a length of four counts from the aligned address"
	WATCH RW0_4, "push %eax; pop %eax; mov 4(%ebx), %eax; nop"
	CHECK_NONE "protected: beyond a length of four"
	SET_DR 1, scratch+4
	WATCH "RW0_4|RW1_2", "mov 2(%ebx), %eax; nop"
	CHECK_WORD B0+B1+3, "protected: an access that meets two"
	/* TF and a data breakpoint: one #DB with both bits. */
	WATCH WRITE0_1, "pushl $0x102; popfl; mov %al, 3(%ebx); nop"
	CHECK_WORD BS+B0+9, "protected: single-step and data breakpoint in one"
	/* Table 6-2: the trap of an instruction comes before the breakpoint on the next. */
	SET_DR 1, 81f
	WATCH "WRITE0_1|EXEC1", "mov %al, 3(%ebx); 81: nop"
	CHECK_WORDS 2, B0+3, B1+3, "protected: a data breakpoint, then the next instruction's"
	/* An instruction breakpoint comes before what the instruction itself would do. */
	HOOK UD, on_ud32
	SET_DR 0, 81f
	WATCH EXEC0, "nop; 81: ud2; nop"
	CHECK_WORD B0+1, "protected: an instruction breakpoint comes before #UD"
	CHECK_MEM flags_seen, 0x10000, "protected: RF is set in the image of #UD"
	SET_DR 0, scratch
	SET_DR 1, 0
	WATCH RW0_4, "mov %cs:(%ebx), %ecx; nop"
	CHECK_WORD B0+3, "protected: reads through CS count"
	/* SDM 3A 6.8.3: after MOV SS the data breakpoint waits for the next instruction's end. */
	movl $KERNEL_DS, scratch
	WATCH RW0_4, "mov (%ebx), %ss; nop; nop"
	CHECK_WORD B0+3, "protected: MOV SS holds its own data breakpoint for an instruction"
	/* … over a software interrupt too: the trap comes at its handler's first instruction. */
	movl $KERNEL_DS, scratch
	HOOK VECTOR, on_soft32
	WATCH RW0_4, "mov (%ebx), %ss; int $VECTOR; nop"
	mov n_words, %eax
	CHECK 1, "protected: MOV SS, INT n: one #DB"
	mov cs_ip_seen, %eax
	CHECK stubs32+VECTOR*16, "protected: MOV SS, INT n: at the handler's first instruction"
	/* … and is part of INT1's own #DB: one exception, B0 in DR6. */
	movl $KERNEL_DS, scratch
	WATCH RW0_4, "mov (%ebx), %ss; .byte 0xf1; nop"
	CHECK_WORD B0+3, "protected: MOV SS, INT1: one #DB"
	/* … and of the #DB by which general detect refuses the next instruction. */
	movl $KERNEL_DS, scratch
	WATCH "RW0_4|0x2000", "mov (%ebx), %ss; mov %db0, %eax; nop"
	CHECK_WORD B0+BD+RF+2, "protected: MOV SS, MOV DR with DR7.GD: one #DB"
	SET_DR 0, 81f
	WATCH EXEC0, "mov %ecx, %ecx; mov %ss, %eax; mov %eax, %ss; 81: nop; nop"
	CHECK_NONE "protected: MOV SS suppresses the next instruction's breakpoint"
	/* RF in the image that IRET loads holds the breakpoint off for one instruction. */
	SET_DR 0, 81f
	WATCH EXEC0, "pushl $0x10002; pushl $KERNEL_CS; pushl $81f; iretl; 81: nop; nop"
	CHECK_NONE "protected: RF by IRET holds an instruction breakpoint off"
	SET_DR 0, 81f
	WATCH EXEC0, "mov $2, %ecx; 80: nop; pushl $0x10002; pushl $KERNEL_CS; pushl $81f; iretl; 81: loop 80b; nop"
	CHECK_NONE "protected: by each IRET anew"
	SET_DR 0, 82f
	WATCH EXEC0, "pushl $0x10002; pushl $KERNEL_CS; pushl $81f; iretl; 81: nop; 82: nop"
	CHECK_MEM n_words, 1, "protected: RF ends with the instruction"
	/* REP: a trap after the iteration that met it, RF set in the image while more follow. */
	SET_DR 0, scratch+1
	mov $scratch, %edi
	mov $4, %ecx
	WATCH WRITE0_1, "rep stosb; nop"
	CHECK_WORD B0+RF+0, "protected: REP traps after the iteration, RF in the image (17.3.1.1)"
	mov ecx_seen, %eax
	CHECK 2, "protected: with two iterations left"
	mov $scratch, %edi
	mov $2, %ecx
	WATCH WRITE0_1, "rep stosb; nop"
	CHECK_WORD B0+2, "protected: after the last iteration RF is clear"
	/* General detect: a fault before any MOV DR, GD is cleared on delivery. */
	WATCH 0x2000, "mov %db0, %eax; nop"
	CHECK_WORD BD+RF+0, "protected: DR7.GD"
	CHECK_MEM dr7_seen, 0x400, "protected: DR7.GD is clear in the handler"
	/* I/O breakpoints need CR4.DE. */
	SET_DR 0, 0x80
	WATCH IO0_1, "out %al, $0x80; nop"
	CHECK_NONE "protected: no I/O breakpoint without CR4.DE"
	mov %cr4, %eax
	or $8, %eax
	mov %eax, %cr4
	WATCH IO0_1, "out %al, $0x80; nop"
	CHECK_WORD B0+2, "protected: an I/O breakpoint"
	WATCH IO0_1, "mov $0x7f, %edx; in %dx, %ax; nop"
	CHECK_WORD B0+7, "protected: an I/O breakpoint met by a wider access"
	UNHOOK UD
	TRY "mov %db4, %eax"
	CHECK_FAULT UD, 0, "protected: DR4 with CR4.DE"
	/* A debug trap comes before a pending interrupt (table 6-2), whose handler then runs first. */
	LAPIC_ON
	HOOK VECTOR, on_interrupt32
	SET_DR 0, scratch
	mov $scratch, %ebx
	movl $0, order
	SELF_IPI VECTOR
	WATCH RW0_4, "sti; mov %al, (%ebx); nop; cli"
	CHECK_MEM order, 0x12, "protected: the trap is delivered, then the interrupt"
	SET_DR 6, 0
	mov %db6, %eax
	CHECK 0xffff0ff0, "protected: DR6's fixed bits"
	SET_DR 7, 0xd800
	mov %db7, %eax
	CHECK 0x400, "protected: DR7's fixed bits"
	call enter_long
	MODE64
	HOOK DB, on_debug64
	SET_DR 0, 81f
	WATCH EXEC0, "nop; 81: nop; nop"
	CHECK_WORD B0+1, "64-bit: an instruction breakpoint is a fault, RF clear in its image"
	SET_DR 0, scratch+8
	mov $scratch, %ebx
	/* LEN 10b is eight bytes. */
	WATCH 0xb0002, "mov %al, 15(%rbx); mov 16(%rbx), %al; mov 7(%rbx), %al; nop"
	CHECK_WORD B0+3, "64-bit: a length of eight"
	movl $KERNEL_DS, scratch
	SET_DR 0, scratch
	WATCH RW0_4, "mov (%rbx), %ss; nop; nop"
	CHECK_WORD B0+3, "64-bit: MOV SS holds its own data breakpoint for an instruction"
	jmp finish64

on_debug64:
	mov F64_RIP(%rbp), %rax
	sub start, %eax
	mov F64_FLAGS(%rbp), %ecx
	and $0x10000, %ecx
	or %ecx, %eax
	mov %dr6, %rcx
	mov %ecx, %edx
	shl $8, %ecx
	and $0xf00, %ecx
	or %ecx, %eax
	shr $1, %edx
	and $0x7000, %edx
	or %edx, %eax
	mov n_words, %ecx
	mov %eax, words(,%rcx,4)
	incl n_words
	mov $0xffff0ff0, %ecx
	mov %rcx, %dr6
	orl $0x10000, F64_FLAGS(%rbp)
	ret
	MODE32
on_debug32:
	mov F32_EIP(%ebp), %eax
	mov %eax, cs_ip_seen
	sub start, %eax
	mov F32_FLAGS(%ebp), %ecx
	and $0x10000, %ecx
	or %ecx, %eax
	mov %db7, %ecx
	mov %ecx, dr7_seen
	mov %db6, %ecx
	mov %ecx, %edx
	shl $8, %ecx
	and $0xf00, %ecx
	or %ecx, %eax
	shr $1, %edx
	and $0x7000, %edx
	or %edx, %eax
	mov n_words, %ecx
	and $3, %ecx
	mov %eax, words(,%ecx,4)
	incl n_words
	shll $4, order
	orl $1, order
	mov 32(%ebp), %ecx
	mov %ecx, ecx_seen
	mov $0xffff0ff0, %ecx
	mov %ecx, %db6
	andl $~0x100, F32_FLAGS(%ebp)
	orl $0x10000, F32_FLAGS(%ebp)
	test $0xf00, %eax
	jz 1f
	test $0x1000, %eax
	jnz 1f
	/* A data breakpoint's image keeps RF as it is, for the test of what comes next. */
	cmpl $B0+3, %eax
	jne 1f
	andl $~0x10000, F32_FLAGS(%ebp)
1:	ret
on_ud32:
	mov F32_FLAGS(%ebp), %eax
	and $0x10000, %eax
	mov %eax, flags_seen
	addl $2, F32_EIP(%ebp)
	ret
on_soft32:
	ret
on_interrupt32:
	shll $4, order
	orl $2, order
	LAPIC_ON
	LAPIC_SET LAPIC_EOI, 0
	ret
	.bss
	.balign 16
scratch: .skip 32
words:	.skip 20
n_words: .skip 4
start:	.skip 4
order:	.skip 4
cs_ip_seen: .skip 4
ecx_seen: .skip 4
dr7_seen: .skip 4
flags_seen: .skip 4
	.section .note.GNU-stack, "", @progbits
