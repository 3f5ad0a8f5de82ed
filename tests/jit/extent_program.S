/*
 * Accesses anywhere in 16 pages from RSI on, and over their end; R10 leads to others and back. RDI:
 * a random number, R9: what it is multiplied by. Each block has accesses of its own, one or two.
 * Those of the last, every other time, are not aligned as they must be.
 */
	.section .rodata
	.macro block
	jmp 1f
1:
	.endm

	.globl extent_program, extent_program_end
extent_program:
	imul %r9, %rdi
	add $0x3039, %rdi
	mov %rdi, %rdx
	shr $47, %rdx
	and $0xffff, %edx
	block
	mov (%rsi,%rdx), %rax
	add %rax, %r8
	block
	mov %r8, 1(%rsi,%rdx)
	block
	movups 2(%rsi,%rdx), %xmm1
	movups %xmm1, 40(%rsi,%rdx)
	block
	add 3(%rsi,%rdx), %r8b
	adc %r8d, 20(%rsi,%rdx)
	block
	add 7(%rsi,%rdx), %r8d
	xor %r8d, 170(%rsi,%rdx)
	block
	push %rdx
	add (%rsp), %r8
	pop %rbx
	block
	xor %edx, (%rsi,%rbx)
	test $7, %dil
	jnz 2f
	xor %r10, %rsi
2:
	test $0x18, %dil
	jnz 2f
	syscall
2:
	and $-8, %rdx
	addps (%rsi,%rdx), %xmm2
	movaps %xmm2, (%rsi,%rdx)
	jmp extent_program
extent_program_end:

	.section .note.GNU-stack, "", @progbits
