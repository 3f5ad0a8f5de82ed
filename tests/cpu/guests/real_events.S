/*
 * Real mode (SDM 3A 20.1.4): single-stepping, interrupt shadows, external interrupts, repeated string
 * instructions that are interrupted, code that writes code, HLT. The code runs at LOW with CS = DS =
 * ES = SS; FS has a limit of 4 GiB, for the local APIC.
 */
#include "guest.h"
#include "lapic.h"

	.set VECTOR, 0x60
	.set TIMER, 0x61
	.set INT_VECTOR, 0x50
	.set N, 0xf000
	.set BUFFER_SEGMENT, 0x8000

	/* Steps through insn. want: the offsets of the return addresses of the traps. */
	.macro STEP16 want, name, insn
	movl $0, trace - LOW
	movl $0, dr6_seen - LOW
	movw $.Lstart\@ - LOW, start - LOW
	movw $.Lend\@ - LOW, end - LOW
	pushfw
	mov %sp, %bp
	orw $0x100, (%bp)
	popfw
.Lstart\@:
	\insn
.Lend\@:
	nop
	movl trace - LOW, %eax
	CHECK16 \want, "\name"
	.endm

	.macro APIC16 reg, value
	movl $\value, %fs:\reg(%edi)
	.endm
	.macro SELF_IPI16
	APIC16 LAPIC_ICR, 0x44000+VECTOR
	.endm

	/* Runs insn with the interrupt waiting; at: the label where it must be taken, or LOW: nowhere. */
	.macro SHADOW16 at, name, insn
	movl $0, seen_ip - LOW
	SELF_IPI16
	mov %sp, ss_sp - LOW
	\insn
	cli
	mov seen_ip - LOW, %eax
	CHECK16 \at-LOW, "\name"
	sti
	nop
	nop
	cli
	.endm

	.macro SHADOW16_SS insn, name
	movl $0, seen_ip - LOW
	sti
	nop
	\insn
	SELF_IPI16
71:	nop
	nop
	cli
	mov seen_ip - LOW, %eax
	CHECK16 71b-LOW, "\name"
	.endm

	.macro VECTOR16 vector, handler
	movw $\handler - LOW, 4 * (\vector)
	movw $LOW >> 4, 4 * (\vector) + 2
	.endm

	.text
	.globl main
main:
	LAPIC_ON
	VECTOR16 DB, on_debug
	VECTOR16 UD, on_ud
	VECTOR16 INT_VECTOR, on_int
	VECTOR16 VECTOR, on_interrupt
	VECTOR16 TIMER, on_timer
	lidt ivt_pointer
	ljmp $CS16, $1f - LOW
	.section .low, "ax"
	.code16
1:	mov $DS16, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $KERNEL_DS, %ax
	mov %ax, %fs
	mov %cr0, %eax
	and $~1, %eax
	mov %eax, %cr0
	ljmpw $LOW >> 4, $2f - LOW
2:	mov $LOW >> 4, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $0xfff0, %esp
	mov $LAPIC, %edi

	mov $LOW >> 4, %cx
	STEP16 0x0102, "real: a trap after each instruction", "nop; nop"
	movl dr6_seen - LOW, %eax
	CHECK16 0xffff4ff0, "real: DR6.BS"
	movzwl flags_seen - LOW, %eax
	and $0x300, %eax
	CHECK16 0x100, "real: the image of a trap has TF"
	movzwl flags_inside - LOW, %eax
	and $0x300, %eax
	CHECK16 0, "real: the handler runs without TF and IF"
	STEP16 0x0304, "real: no trap after MOV SS", "mov %cx, %ss; nop; nop"
	STEP16 0x010304, "real: no trap after POP SS", "push %cx; pop %ss; nop; nop"
	STEP16 0x03, "real: INT n, IRET: the next trap after the instruction returned to", \
		"int $INT_VECTOR; nop"
	STEP16 0x03, "real: an instruction that faults is not followed by a trap", "ud2; nop"
	STEP16 0x01030809, "real: a trap after the POPF that clears TF, none after it", \
		"pushfw; mov %sp, %bp; andw $0xfeff, (%bp); popfw; nop"
	mov $scratch - LOW, %si
	mov $3, %cx
	STEP16 0x00000203, "real: a trap after each iteration of a REP", "rep lodsb; nop"
	STEP16 0x01, "real: HLT under TF does not halt", "hlt"

	mov $LOW >> 4, %cx
	SHADOW16 71b, "real: STI holds off for one instruction", "sti; nop; 71:"
	SHADOW16 LOW, "real: STI, CLI: no window", "sti; cli; nop; nop"
	SHADOW16 71b, "real: a second STI casts no shadow", "sti; sti; 71: nop; nop"
	SHADOW16 71b, "real: POPF casts no shadow", "pushw $0x202; popfw; 71: nop; nop"
	SHADOW16 71b, "real: IRET casts no shadow", \
		"pushw $0x202; pushw $LOW >> 4; pushw $71f - LOW; iretw; 71: nop; nop"
	SHADOW16 71b, "real: LSS casts no shadow", "sti; lss ss_sp - LOW, %sp; 71: nop; nop"
	SHADOW16_SS "mov %cx, %ss", "real: MOV SS holds off for one instruction"
	SHADOW16_SS "push %cx; pop %ss", "real: POP SS holds off for one instruction"
	SHADOW16 71b, "real: STI over a REP: after its first iteration", \
		"mov %edi, %ebx; mov $scratch - LOW, %di; mov $3, %cx; sti; 71: rep stosb; mov %ebx, %edi"
	movzwl seen_cx - LOW, %eax
	CHECK16 2, "real: one iteration is what STI holds off for"
	SHADOW16 71b, "real: STI, HLT: woken at once, after HLT", "sti; hlt; 71: nop; nop"
	movzwl seen_cs - LOW, %eax
	CHECK16 LOW>>4, "real: an external interrupt: CS in its image"
	movzwl seen_flags - LOW, %eax
	and $0x200, %eax
	CHECK16 0x200, "real: an external interrupt: IF in its image"
	movl $0, seen_ip - LOW
	APIC16 LAPIC_DIVIDE, 0xb
	APIC16 LAPIC_LVT_TIMER, VECTOR
	APIC16 LAPIC_INITIAL, 2000
	sti
	hlt
71:	cli
	mov seen_ip - LOW, %eax
	CHECK16 71b-LOW, "real: HLT waits for the timer"

	/* A REP that is interrupted. */
	APIC16 LAPIC_LVT_TIMER, 0x20000+TIMER
	APIC16 LAPIC_INITIAL, 200
	movw $71f - LOW, rep_ip - LOW
	mov $BUFFER_SEGMENT, %ax
	mov %ax, %es
	xor %di, %di
	mov $N, %cx
	mov $0x5a, %al
	sti
71:	rep stosb
	cli
	movzwl %di, %eax
	CHECK16 N, "real: REP STOSB runs to its end"
	cmpl $2, n_inside - LOW
	seta %al
	movzbl %al, %eax
	CHECK16 1, "real: it was interrupted on the way"
	movzwl bad_sum - LOW, %eax
	CHECK16 0, "real: CX and DI agree each time"
	xor %di, %di
	mov $N, %cx
	mov $0x5a, %al
	repe scasb
	movzwl %cx, %eax
	CHECK16 0, "real: every byte was written"
	mov $LAPIC, %edi
	APIC16 LAPIC_LVT_TIMER, 0x10000
	sti
	nop
	nop
	cli
	/* One that leaves its segment: the iterations before stand. */
	mov $0xfffe, %di
	mov $2, %cx
	mov $0x1234, %ax
	rep stosb
	movzwl %di, %eax
	CHECK16 0, "real: DI wraps"

	/* Code that writes code. */
	mov $LOW >> 4, %ax
	mov %ax, %es
	movb $2, 1f + 1 - LOW
1:	mov $1, %al
	movzbl %al, %eax
	CHECK16 2, "real: the very next instruction"
	mov $5, %cx
	xor %bx, %bx
2:	mov %cl, 3f + 2 - LOW
3:	add $0, %bx
	loop 2b
	movzwl %bx, %eax
	CHECK16 15, "real: in a loop"
	mov $4f - LOW, %si
	mov $5f - LOW, %di
	mov $7, %cx
	rep movsb
5:	mov $1, %eax
	nop
	jmp 6f
4:	mov $7, %eax
	nop
6:	CHECK16 7, "real: REP MOVSB over what follows it"
	mov $7f + 1 - LOW, %di
	mov $3, %cx
	mov $0x90, %al
7:	rep stosb /* PAUSE after an iteration */
	nop
	nop
	nop
	movzwl %cx, %eax
	CHECK16 2, "real: REP STOSB over its own opcode stops after an iteration"
	mov %sp, %dx
	mov $9f + 2 - LOW, %sp
	pushw $0x03b0 /* mov $3, %al */
9:	mov $1, %al
	mov %dx, %sp
	movzbl %al, %eax
	CHECK16 3, "real: written by PUSH"
	/* Through another segment. */
	mov $(LOW >> 4) - 1, %ax
	mov %ax, %es
	movb $5, %es:8f + 1 + 16 - LOW
8:	mov $1, %al
	movzbl %al, %eax
	CHECK16 5, "real: through another segment"
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $KERNEL_CS, $back

	/* Handlers: IP at 2(%bp), CS, FLAGS. */
on_debug:
	push %bp
	mov %sp, %bp
	push %eax
	pushfw
	pop flags_inside - LOW
	mov 6(%bp), %ax
	mov %ax, flags_seen - LOW
	mov %db6, %eax
	mov %eax, dr6_seen - LOW
	mov $0xffff0ff0, %eax
	mov %eax, %db6
	mov 2(%bp), %ax
	sub start - LOW, %ax
	shll $8, trace - LOW
	or %al, trace - LOW
	mov 2(%bp), %ax
	cmp end - LOW, %ax
	jne 1f
	andw $0xfeff, 6(%bp)
1:	pop %eax
	pop %bp
	iretw
on_ud:
	push %bp
	mov %sp, %bp
	addw $2, 2(%bp)
	pop %bp
on_int:
	iretw
on_interrupt:
	push %bp
	mov %sp, %bp
	push %eax
	push %edi
	movzwl 2(%bp), %eax
	mov %eax, seen_ip - LOW
	mov 4(%bp), %ax
	mov %ax, seen_cs - LOW
	mov 6(%bp), %ax
	mov %ax, seen_flags - LOW
	mov %cx, seen_cx - LOW
end_of_interrupt:
	mov $LAPIC, %edi
	APIC16 LAPIC_EOI, 0
	pop %edi
	pop %eax
	pop %bp
	iretw
on_timer:
	push %bp
	mov %sp, %bp
	push %eax
	push %edi
	mov 2(%bp), %ax
	cmp rep_ip - LOW, %ax
	jne end_of_interrupt
	cmp $N, %cx
	je end_of_interrupt
	incl n_inside - LOW
	mov %cx, %ax
	add %di, %ax
	sub $N, %ax
	or %ax, bad_sum - LOW
	jmp end_of_interrupt

	.balign 4
trace:	.long 0
dr6_seen: .long 0
start:	.word 0
end:	.word 0
flags_seen: .word 0
flags_inside: .word 0
seen_ip: .long 0
seen_cs: .word 0
seen_flags: .word 0
seen_cx: .word 0
ss_sp:	.word 0, LOW >> 4
rep_ip:	.word 0
bad_sum: .word 0
	.balign 4
n_inside: .long 0
scratch: .skip 16

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
