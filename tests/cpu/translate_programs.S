/*
 * Guest programs of translate_test.c: user code, loaded at RIG_CODE, that never ends. RBX points into
 * the data, RSP to the stack (interp_guest.h). No address stands in them but relative ones.
 */
	.macro PROGRAM name
	.balign 4096
	.globl program_\name
program_\name:
	.endm
	.macro END name
	.globl program_\name\()_end
program_\name\()_end:
	.endm

	.text

/* Something of everything, in blocks of all sizes. */
	PROGRAM mix
	mov $1, %r11d
1:	push %rbp
	mov %rsp, %rbp
	sub $64, %rsp
	and $-16, %rsp
	imul $1103515245, %r11, %r11
	add $12345, %r11
	mov %r11, -8(%rbp)
	mov %r11, %rdx
	shr $13, %rdx
	xor %rdx, %r11
	lea 8(%rsp), %r8
	mov %rsp, %r9
	cmp %rsp, %rbp
	adc $0, %r10d
	push %r11
	push 2f(%rip)
	pop (%rbx)
	pop %r12
	add %r11, 2f(%rip)
	mov %r11d, %ecx
	and $7, %ecx
	shl %cl, %rdx
	call 3f
	lea 3f(%rip), %r11
	call *%r11
	mov $5, %ecx
4:	add %rcx, 8(%rbx)
	dec %ecx
	jnz 4b
	mov $3, %ecx
5:	paddq (%rbx), %xmm1
	movdqu %xmm1, 16(%rbx)
	loop 5b
	fildll (%rbx)
	fld1
	faddp
	fistpll 32(%rbx)
	mov %rbx, %rsi
	lea 64(%rbx), %rdi
	mov %r11d, %ecx
	and $15, %ecx
	rep movsq
	mov $9, %ecx
	lea 256(%rbx), %rdi
	rep stosb
	movsb
	rdtscp
	add %rcx, 40(%rbx)
	rdtsc
	xor %rax, 40(%rbx)
	add %rdx, 40(%rbx)
	bsf %rdx, %rax
	mov 8(%rbx), %eax
	or $1, %eax
	xor %edx, %edx
	mov $17, %ecx
	div %ecx
	mov %rdx, 48(%rbx)
	lahf
	mov %ah, 56(%rbx)
	mov 40(%rbx), %rcx
	jrcxz 6f
	xchg %r11, 48(%rbx)
	lock xadd %r11, (%rbx)
	popcnt %r11, %rax
	leave
	jmp 1b
6:	leave
	jmp 1b
3:	mov %rax, %r13
	sub $8, %rsp
	inc %r13
	add $8, %rsp
	ret $0
	.balign 8
2:	.quad 0x123456789abcdef
	END mix

/* Changes its own next instruction, its own block's start, another block, and data beside code. */
	PROGRAM self
1:	incb 2f+1(%rip)
2:	mov $1, %eax
	add %eax, (%rbx)
	incb 4f+3(%rip)
	call 4f
	incl 5f(%rip)
	incb 1b+5(%rip)
	decb 1b+5(%rip)
	mov $20, %ecx
3:	incl 6f(%rip)
	dec %ecx
	jnz 3b
	jmp 1b
4:	add $0, %r8
	ret
	.balign 4
5:	.long 0
	.balign 1024
6:	.long 0
	END self

/* Six functions whose addresses have the same low 16 bits, called in turn; copies of one that
 * translate_test.c puts there. RBX holds their table. */
	PROGRAM collide
1:	mov %r8, %rdx
	inc %r8
	cmp $6, %r8
	jb 2f
	xor %r8d, %r8d
2:	call *0x100(%rbx,%rdx,8)
	jmp 1b
	END collide

	PROGRAM function
	lea 0(%rip), %rax
	add %rax, (%rbx)
	ret
	END function

/* Undefined flags and the stack pointer's, seen by faults and by PUSHF. The
 * handlers go on behind the loads that fault, at program_flags_after. */
	PROGRAM flags
1:	add $0x1234567, %r10
	imul %r10, %r10
	mov 0x209000, %rax /* RIG_ALIAS_ABSENT */
11:
	imul $77, %r10, %rcx
	pushfq
	pop %rax
	sub $24, %rsp
	mov 0x209000, %rax /* RIG_ALIAS_ABSENT */
12:
	add $24, %rsp
	pushfq
	pop %rax
	mov %r10, %rax
	xor %edx, %edx
	mov $13, %ecx
	div %rcx
	mov 0x209000, %rax /* RIG_ALIAS_ABSENT */
13:
	bsf %r10, %rcx
	mov 0x209000, %rax /* RIG_ALIAS_ABSENT */
14:
	shl $3, %r10
	mov 0x209000, %rax /* RIG_ALIAS_ABSENT */
15:
	mul %r10
	mov 0x209000, %rax /* RIG_ALIAS_ABSENT */
16:
	jmp 1b
	END flags

	.globl program_flags_after, program_flags_after_end
program_flags_after:
	.long 11b - program_flags
	.long 12b - program_flags
	.long 13b - program_flags
	.long 14b - program_flags
	.long 15b - program_flags
	.long 16b - program_flags
program_flags_after_end:

	.section .note.GNU-stack, "", @progbits
