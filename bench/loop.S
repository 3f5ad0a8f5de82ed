/* A tight integer loop of known length: ITERATIONS turns of 8 instructions, in registers. */
	.globl _start
_start:
	mov $ITERATIONS, %rcx
	mov $1, %eax
	movabs $6364136223846793005, %rdx
1:	imul %rdx, %rax
	add %rcx, %rax
	mov %rax, %rbx
	shr $7, %rbx
	xor %rbx, %rax
	lea 1(%rsi), %rsi
	sub $1, %rcx
	jnz 1b
	mov $60, %eax
	xor %edi, %edi
	syscall
