/*
 * void native_state_run(void): loads native_state (struct native_state of native_state.h) into the
 * processor, RSP included, and jumps to native_state.code, which jumps to native_state_back; saves
 * it back.
 */
	.set FX, 0
	.set GPR, 512
	.set RFLAGS, 640
	.set CODE, 648
	.set STACK, 656

	.text
	.p2align 4
	.globl native_state_run
	.type native_state_run, @function
native_state_run:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	fxrstor64 native_state+FX(%rip)
	pushq native_state+RFLAGS(%rip)
	popfq
	mov %rsp, native_state+STACK(%rip)
	mov native_state+GPR+8*0(%rip), %rax
	mov native_state+GPR+8*1(%rip), %rcx
	mov native_state+GPR+8*2(%rip), %rdx
	mov native_state+GPR+8*3(%rip), %rbx
	mov native_state+GPR+8*4(%rip), %rsp
	mov native_state+GPR+8*5(%rip), %rbp
	mov native_state+GPR+8*6(%rip), %rsi
	mov native_state+GPR+8*7(%rip), %rdi
	mov native_state+GPR+8*8(%rip), %r8
	mov native_state+GPR+8*9(%rip), %r9
	mov native_state+GPR+8*10(%rip), %r10
	mov native_state+GPR+8*11(%rip), %r11
	mov native_state+GPR+8*12(%rip), %r12
	mov native_state+GPR+8*13(%rip), %r13
	mov native_state+GPR+8*14(%rip), %r14
	mov native_state+GPR+8*15(%rip), %r15
	jmp *native_state+CODE(%rip)

	.globl native_state_back
native_state_back:
	mov %rax, native_state+GPR+8*0(%rip)
	mov %rcx, native_state+GPR+8*1(%rip)
	mov %rdx, native_state+GPR+8*2(%rip)
	mov %rbx, native_state+GPR+8*3(%rip)
	mov %rsp, native_state+GPR+8*4(%rip)
	mov %rbp, native_state+GPR+8*5(%rip)
	mov %rsi, native_state+GPR+8*6(%rip)
	mov %rdi, native_state+GPR+8*7(%rip)
	mov %r8, native_state+GPR+8*8(%rip)
	mov %r9, native_state+GPR+8*9(%rip)
	mov %r10, native_state+GPR+8*10(%rip)
	mov %r11, native_state+GPR+8*11(%rip)
	mov %r12, native_state+GPR+8*12(%rip)
	mov %r13, native_state+GPR+8*13(%rip)
	mov %r14, native_state+GPR+8*14(%rip)
	mov %r15, native_state+GPR+8*15(%rip)
	mov native_state+STACK(%rip), %rsp
	pushfq
	popq native_state+RFLAGS(%rip)
	fxsave64 native_state+FX(%rip)
	fninit
	push $0x1f80
	ldmxcsr (%rsp)
	pop %rax
	cld
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
	.size native_state_run, . - native_state_run

	.section .note.GNU-stack, "", @progbits
