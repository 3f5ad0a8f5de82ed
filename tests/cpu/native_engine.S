/*
 * void native_engine_enter(uint64_t code, uint64_t gs_base): runs translated code with
 * native_engine_fx in the FPU, until it jumps to native_engine_leave. A signal handler gets there by
 * changing RIP. FS is the guest's meanwhile.
 */
	.bss
	.balign 64
	.globl native_engine_fx
native_engine_fx:
	.skip 512
host_rsp:
	.quad 0
host_fs:
	.quad 0
host_mxcsr:
	.long 0
host_fcw:
	.word 0

	.text
	.p2align 4
	.globl native_engine_enter
	.type native_engine_enter, @function
native_engine_enter:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, host_rsp(%rip)
	rdfsbase %rax
	mov %rax, host_fs(%rip)
	stmxcsr host_mxcsr(%rip)
	fnstcw host_fcw(%rip)
	wrgsbase %rsi
	fxrstor64 native_engine_fx(%rip)
	jmp *%rdi

	.globl native_engine_leave
	.type native_engine_leave, @function
native_engine_leave:
	mov host_rsp(%rip), %rsp
	mov host_fs(%rip), %rax
	wrfsbase %rax
	cld
	fxsave64 native_engine_fx(%rip)
	fninit
	ldmxcsr host_mxcsr(%rip)
	fldcw host_fcw(%rip)
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

/* The handler proper, bool native_engine_on_fault(int, siginfo_t *, void *), needs the host's FS; true:
 * on with translated code. */
	.globl native_engine_signal
	.type native_engine_signal, @function
native_engine_signal:
	mov host_fs(%rip), %rax
	wrfsbase %rax
	sub $8, %rsp
	call native_engine_on_fault@PLT
	add $8, %rsp
	test %al, %al
	jz 1f
	mov native_engine_guest_fs(%rip), %rax
	wrfsbase %rax
1:	ret

	.section .note.GNU-stack, "", @progbits
