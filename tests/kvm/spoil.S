/*
 * User code that stores all over what the kvm engine has at addresses of users and must have
 * writable: the first page of the context and the image of x87 and SSE state. Built twice: COUNT
 * spoils the count alone, at a moment when it lies there. See tests/cpu/guests, docs/kvm.md.
 */
#include "tests/cpu/guests/guest.h"
#include "vmm/kvm/layout.h"

	.set BIAS, 0x400000000000
	.set CONTEXT, BIAS + 0x60000000
	.set CONTEXT_COUNT, CONTEXT + 8 * 17
	.set IMAGE, BIAS + KVM_USER_FX
	.set PAGE, 4096

	/* Each word of a page but one, a block each: from the first on, so that what is spoilt goes
	 * on being used. */
	.macro SPOIL address, but, value
	TRY_USER "movabs $\address, %rdi; movabs $\but, %rsi; movabs $\value, %rax; mov $512, %ecx; 1: cmp %rsi, %rdi; je 2f; mov %rax, (%rdi); 2: add $8, %rdi; mov %r11, %rbx; dec %ecx; jnz 1b"
	.endm

	.text
	.globl main
main:
	call enter_long
	MODE64
	mov %cr4, %rax /* OSFXSR: without SSE no code is translated */
	or $0x200, %rax
	mov %rax, %cr4
	mov $1, %r11d
#ifdef COUNT
	TRY_USER "movabs $CONTEXT_COUNT, %rdi; movabs $0x4141414141414141, %rax; mov %r11, %rbx; mov %rax, (%rdi)"
#else
	SPOIL CONTEXT, CONTEXT_COUNT, 0x4141414141414141
	SPOIL CONTEXT, CONTEXT_COUNT, 0xffffffffffffffff
	SPOIL CONTEXT, CONTEXT_COUNT, 0x0000000060400000
	SPOIL IMAGE, 0, 0xffffffffffffffff
	SPOIL IMAGE, 0, 0x4141414141414141
#endif
	jmp finish64

	.section .note.GNU-stack, "", @progbits
