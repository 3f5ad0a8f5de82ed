/*
 * Small loops of which translate_bench.c compares translated code with the host's own run. Each takes
 * a number of rounds in RDI and a buffer of 1 MiB in RSI, and is entered at its first byte. No
 * address stands in the code, so that it can be copied; it lies in as many pages there as here.
 */
	.macro KERNEL name
	.balign 4096
	.globl kernel_\name
kernel_\name:
	.endm
	.macro END name
	ret
	.globl kernel_\name\()_end
kernel_\name\()_end:
	.endm

	.text

/* Six instructions that depend on each other little. */
	KERNEL small
	xor %eax, %eax
	xor %edx, %edx
1:	add $3, %rax
	xor %rdi, %rdx
	add %rdx, %r8
	lea 5(%r9), %r9
	sub $1, %rdi
	jnz 1b
	END small

/* Multiplications and shifts. */
	KERNEL integer
	mov $1, %eax
1:	imul $1103515245, %rax, %rax
	add $12345, %rax
	mov %rax, %rdx
	shr $13, %rdx
	xor %rdx, %rax
	mov %rax, %rcx
	shl $7, %rcx
	xor %rcx, %rax
	test $1, %al
	jz 2f
	inc %r8
2:	dec %rdi
	jnz 1b
	END integer

/* 64-bit sums over the buffer. */
	KERNEL stream
1:	mov %rsi, %rdx
	mov $131072 / 4, %ecx
2:	add (%rdx), %rax
	add 8(%rdx), %r8
	add 16(%rdx), %r9
	add 24(%rdx), %r10
	add $32, %rdx
	dec %ecx
	jnz 2b
	dec %rdi
	jnz 1b
	END stream

/* One row of a 64 by 64 matrix product, doubles, SSE2. */
	KERNEL matmul
1:	xor %ecx, %ecx
2:	lea 32768(%rsi), %r8
	xorpd %xmm2, %xmm2
	mov $64, %edx
	mov %rsi, %r9
3:	movsd (%r9), %xmm0
	unpcklpd %xmm0, %xmm0
	movupd (%r8,%rcx), %xmm1
	mulpd %xmm0, %xmm1
	addpd %xmm1, %xmm2
	add $8, %r9
	add $512, %r8
	sub $1, %edx
	jnz 3b
	movupd %xmm2, 65536(%rsi,%rcx)
	add $16, %rcx
	cmp $512, %rcx
	jne 2b
	sub $1, %rdi
	jnz 1b
	END matmul

/* Calls inside the page. */
	KERNEL call
1:	mov %rdi, %rax
	call 2f
	add %rax, %r8
	dec %rdi
	jnz 1b
	ret
2:	push %rbp
	mov %rsp, %rbp
	lea 3(%rax,%rax), %rax
	pop %rbp
	END call

/* Calls of a function in another page, with a frame. */
	KERNEL callfar
1:	mov %rdi, %rax
	call 2f
	add %rax, %r8
	sub $1, %rdi
	jnz 1b
	ret
	.balign 4096
2:	push %rbx
	sub $32, %rsp
	mov %rax, 8(%rsp)
	mov 8(%rsp), %rbx
	lea 1(%rbx), %rax
	add $32, %rsp
	pop %rbx
	END callfar

/* Calls through pointers to four functions in turn. */
	KERNEL indirect
	lea 3f(%rip), %rax
	mov %rax, (%rsi)
	lea 4f(%rip), %rax
	mov %rax, 8(%rsi)
	lea 5f(%rip), %rax
	mov %rax, 16(%rsi)
	lea 6f(%rip), %rax
	mov %rax, 24(%rsi)
1:	mov %rdi, %rdx
	and $3, %edx
	call *(%rsi,%rdx,8)
	dec %rdi
	jnz 1b
	ret
3:	add $1, %r8
	ret
4:	add $2, %r8
	ret
5:	xor %rdi, %r8
	ret
6:	sub $3, %r8
	END indirect

/* What hurts most: R11 and a global variable in the loop. */
	KERNEL registers
	push %r11
	mov %rsi, %r11
1:	mov (%r11), %rax
	add $1, %rax
	mov %rax, (%r11)
	mov 8(%r11), %rcx
	add %rax, %rcx
	lea (%rcx,%rcx,2), %rdx
	mov %rdx, 8(%r11)
	add variable(%rip), %rdx
	cmp %rdx, %rax
	je 2f
	sub $1, %rdi
	jnz 1b
2:	pop %r11
	ret
	.balign 8
variable:
	.quad 0x123456789
	END registers

	.section .note.GNU-stack, "", @progbits
