/*
 * Single-stepping, shared by the guests that do it: the handler notes where each trap came, as the
 * offset from the first instruction, two digits each, the last one lowest, and what DR6 said; past
 * the end it clears TF.
 */
#ifndef REPRISE_TESTS_CPU_GUESTS_STEP_H
#define REPRISE_TESTS_CPU_GUESTS_STEP_H

	/* Steps through insn. want: the return addresses of the traps. */
	.macro STEP want, name, insn
	movl $0, trace
	movl $0, dr6_seen
	movl $.Lstart\@, start
	movl $.Lend\@, end
	pushf
	.if BITS == 64
	orq $0x100, (%rsp)
	.else
	orl $0x100, (%esp)
	.endif
	popf
.Lstart\@:
	\insn
.Lend\@:
	nop
	CHECK_MEM trace, \want, "\name"
	.endm

	/* on_debug64, a hook, and note_trap. Begins in 64-bit code, ends in 32-bit code. */
	.macro STEP_HANDLER64
on_debug64:
	mov %dr6, %rax
	mov %eax, dr6_seen
	mov $0xffff0ff0, %eax
	mov %rax, %dr6
	mov F64_RIP(%rbp), %rax
	mov F64_FLAGS(%rbp), %edx
	call note_trap
	jne 1f
	andl $~0x100, F64_FLAGS(%rbp)
1:	ret
	MODE32
/* EAX address, EDX flags: notes the trap; ZF set at the end. The same in both modes. */
note_trap:
	and $0x10300, %edx
	mov %edx, %ecx
	mov $flags_seen, %ebx
	.byte 0x89, 0x0b /* mov %ecx, (%ebx) or (%rbx) */
	mov $start, %ebx
	.byte 0x89, 0xc6 /* mov %eax, %esi */
	.byte 0x2b, 0x03 /* sub (%ebx), %eax */
	mov $trace, %ebx
	.byte 0x8b, 0x0b /* mov (%ebx), %ecx */
	shl $8, %ecx
	movzbl %al, %eax
	or %eax, %ecx
	.byte 0x89, 0x0b
	mov $end, %ebx
	.byte 0x3b, 0x33 /* cmp (%ebx), %esi */
	ret
	.endm

	.macro STEP_DATA
trace:	.skip 4
start:	.skip 4
end:	.skip 4
dr6_seen: .skip 4
flags_seen: .skip 4
	.endm

#endif
