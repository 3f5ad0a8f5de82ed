/* A tight integer loop of known length: uint64_t work_registers_loop(uint64_t turns), 8 instructions
 * a turn, so that turns over time is a speed in instructions. */
	.text
	.globl work_registers_loop
	.type work_registers_loop, @function
work_registers_loop:
	mov $1, %eax
	movabs $6364136223846793005, %rdx
	mov %rdi, %rcx
1:	imul %rdx, %rax
	add %rcx, %rax
	mov %rax, %r8
	shr $7, %r8
	xor %r8, %rax
	lea 1(%rsi), %rsi
	sub $1, %rcx
	jnz 1b
	ret
	.size work_registers_loop, . - work_registers_loop
	.section .note.GNU-stack, "", @progbits
