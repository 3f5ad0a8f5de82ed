/*
 * Code for CPL 3 of the VM, written by hand: each blob ends with a jump to where the runner leaves.
 * Guest memory is reached through GS as translated code reaches it. Blobs are copied, so they jump to
 * absolute addresses only.
 */
#include "vmm/kvm/layout.h"

	.section .rodata
	.code64

	.macro leave_vm
	mov $KVM_USER_CODE, %r15d
	jmp *%r15
	.endm

	.macro blob name
	.globl blob_\name, blob_\name\()_end
blob_\name:
	.endm
	.macro end_blob name
blob_\name\()_end:
	.endm

/* The arguments lie in the run-time area's first page, where the context's GPRs are. */
#define ARG(n) (0x60000000 + 8 * (n))

blob nothing
	leave_vm
end_blob nothing

/* ARG(2) = the 8 bytes at guest ARG(0). */
blob load
	mov ARG(0), %rbx
	mov %gs:(%rbx), %rax
	mov %rax, ARG(2)
	leave_vm
end_blob load

/* The 8 bytes at guest ARG(0) = ARG(1); other registers hold what a test can recognise. */
blob store
	mov ARG(0), %rbx
	mov ARG(1), %rax
	mov $0x1111, %ecx
	mov $0x2222, %edx
	mov $0x3333, %esi
	mov $0x4444, %edi
	mov $0x5555, %r8d
	mov $0xaaaa, %r14d
	mov %rax, %gs:(%rbx)
	leave_vm
end_blob store

/* Adds 1 to the first word of ARG(1) pages from guest ARG(0) on. */
blob sweep
	mov ARG(0), %rbx
	mov ARG(1), %rcx
1:	incq %gs:(%rbx)
	add $4096, %rbx
	dec %rcx
	jnz 1b
	leave_vm
end_blob sweep

/* ARG(2) = the sum of the first words of ARG(1) pages. */
blob sum
	mov ARG(0), %rbx
	mov ARG(1), %rcx
	xor %eax, %eax
1:	add %gs:(%rbx), %rax
	add $4096, %rbx
	dec %rcx
	jnz 1b
	mov %rax, ARG(2)
	leave_vm
end_blob sum

/* Pushes at guest ARG(0), with the stack pointer biased. */
blob push
	mov ARG(0), %rsp
	movabs $0xffffc00000000000, %rax
	add %rax, %rsp
	push $7
	leave_vm
end_blob push

/* REP STOSB at guest ARG(0): 32 bytes, through RDI biased. */
blob stos
	mov ARG(0), %rdi
	movabs $0xffffc00000000000, %rax
	add %rax, %rdi
	mov $32, %ecx
	rep stosb
	leave_vm
end_blob stos

/* Jumps to guest ARG(0), biased. */
blob jump
	mov ARG(0), %rbx
	movabs $0xffffc00000000000, %rax
	add %rax, %rbx
	jmp *%rbx
end_blob jump

/* XMM0 += XMM1; FS base = ARG(0), read back to ARG(2). */
blob vector
	addpd %xmm1, %xmm0
	mov ARG(0), %rax
	wrfsbase %rax
	rdfsbase %rbx
	mov %rbx, ARG(2)
	leave_vm
end_blob vector

/* #DE. */
blob divide
	xor %edx, %edx
	mov $5, %eax
	xor %ecx, %ecx
	div %rcx
	leave_vm
end_blob divide

/* #UD. */
blob invalid
	ud2
	leave_vm
end_blob invalid

/* An x87 instruction that finds an unmasked exception pending. */
blob x87
	fld1
	fldz
	fdivrp
	fwait
	leave_vm
end_blob x87

/* Spins until ARG(0) is not 0. */
blob spin
1:	cmpq $0, ARG(0)
	je 1b
	leave_vm
end_blob spin

	.section .note.GNU-stack, "", @progbits
