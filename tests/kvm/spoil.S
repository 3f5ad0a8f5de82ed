/*
 * User code that stores all over what the kvm engine has at addresses of users and must have
 * writable: the first page of the context, and the image of x87 and SSE state (docs/kvm.md). Built
 * three times: with COUNT it spoils the count alone, while that lies there; with THEN_FAULT it also
 * faults at once; without, it spoils all but the count. It does the same elsewhere for long enough
 * to be in the VM by then. See tests/cpu/guests.
 */
#include "tests/cpu/guests/guest.h"
#include "vmm/kvm/layout.h"

	.set BIAS, 0x400000000000
	.set CONTEXT, BIAS + 0x60000000
	.set CONTEXT_COUNT, CONTEXT + 8 * 17
	.set IMAGE, BIAS + KVM_USER_FX

	/* A word, from RSI in the last of so many rounds. The use of R11 has the count wait in the
	 * context; a load from RBX follows. */
	.macro SPOIL_COUNT rounds, from
	TRY_USER_AT .Lat, "movabs $CONTEXT_COUNT, %rsi; mov $own, %edi; mov %edi, %ebx; movabs $\from, %rdx; movabs $0x4141414141414141, %rax; mov $\rounds, %ecx; 1: cmp $1, %ecx; cmove %rsi, %rdi; cmove %rdx, %rbx; mov %r11, %rbp; .Lat: mov %rax, (%rdi); mov (%rbx), %ebp; dec %ecx; jnz 1b"
	.endm

	/* A page but for one word, in the last but one of some rounds. */
	.macro SPOIL address, value
	TRY_USER_AT .Lat\@, "mov $own, %edi; movabs $\address, %rbp; movabs $CONTEXT_COUNT, %rsi; movabs $\value, %rax; mov $200, %edx; 1: mov $512, %ecx; 2: cmp %rsi, %rdi; je 3f; .Lat\@: mov %rax, (%rdi); 3: add $8, %rdi; mov %r11, %rbx; dec %ecx; jnz 2b; mov $own, %edi; cmp $3, %edx; cmove %rbp, %rdi; dec %edx; jnz 1b"
	.endm

	.text
	.globl main
main:
	call enter_long
	MODE64
	ENABLE_SSE
	mov $1, %r11d
#if defined(COUNT)
	SPOIL_COUNT 200000, own
#elif defined(THEN_FAULT)
	SPOIL_COUNT 200000, 0xffffffffffffff00
#else
	SPOIL CONTEXT, 0x4141414141414141
	SPOIL CONTEXT, 0xffffffffffffffff
	SPOIL CONTEXT, 0x0000000060400000
	SPOIL IMAGE, 0xffffffffffffffff
	SPOIL IMAGE, 0x4141414141414141
#endif
	jmp finish64

	.bss
	.balign 4096
own:
	.skip 4096

	.section .note.GNU-stack, "", @progbits
