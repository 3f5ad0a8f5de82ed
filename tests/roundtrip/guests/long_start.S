/* Multiboot 1 entry of the guests in long mode, and where interrupts, exceptions and SYSCALL enter. */
#include "long.h"

#define PAGE_TABLE 0x003 /* present, writable; users see nothing of it */
#define PAGE_2M    0x083

	.set MAGIC, 0x1badb002
	.section .multiboot, "a"
	.balign 4
	.long MAGIC, 0, -MAGIC

	.text
	.code32
	.globl _start
_start:
	cli
	cld
	mov $stack_end, %esp
	/* The first GiB as it is, by 2 MiB pages. */
	movl $boot_pdpt + PAGE_TABLE, boot_pml4
	movl $kernel_pd + PAGE_TABLE, boot_pdpt
	mov $PAGE_2M, %eax
	xor %ecx, %ecx
1:	mov %eax, kernel_pd(, %ecx, 8)
	add $0x200000, %eax
	inc %ecx
	cmp $512, %ecx
	jne 1b
	mov $boot_pml4, %eax
	mov %eax, %cr3
	mov $0x620, %eax /* PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	xor %edx, %edx
	mov $0x901, %eax /* SCE, LME, NXE */
	wrmsr
	mov $0x80010011, %eax /* PG, WP, ET, PE */
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $KERNEL_CS, $1f
	.code64
1:	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $task_state, %eax
	mov %ax, gdt + TASK_STATE + 2
	shr $16, %eax
	mov %al, gdt + TASK_STATE + 4
	mov %ah, gdt + TASK_STATE + 7
	mov $TASK_STATE, %eax
	ltr %ax
	mov $0xc0000081, %ecx /* STAR */
	mov $SYSRET_BASE << 16 | KERNEL_CS, %edx
	xor %eax, %eax
	wrmsr
	mov $0xc0000082, %ecx /* LSTAR */
	xor %edx, %edx
	mov $enter_syscall, %eax
	wrmsr
	mov $0xc0000084, %ecx /* FMASK: IF, DF, TF */
	mov $0x700, %eax
	wrmsr
	call guest_main
	jmp guest_power_off

/* ---- traps ---- */

#define HAS_ERROR (1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17)

	.balign 16
	.globl trap_stubs
trap_stubs: /* 16 bytes each */
	.set vector, 0
	.rept N_VECTORS
	.balign 16
	.if vector >= 32 || !((HAS_ERROR >> (vector & 31)) & 1)
	pushq $0
	.endif
	pushq $vector
	jmp enter
	.set vector, vector + 1
	.endr

enter_syscall:
	mov %rsp, user_rsp
	mov kernel_stack, %rsp
	pushq $USER_DS
	pushq user_rsp
	push %r11
	pushq $USER_CS
	push %rcx
	pushq $0
	pushq $VECTOR_SYSCALL
enter:
	push %r15
	push %r14
	push %r13
	push %r12
	push %r11
	push %r10
	push %r9
	push %r8
	push %rdi
	push %rsi
	push %rbp
	push %rbx
	push %rdx
	push %rcx
	push %rax
	cld
	mov %rsp, %rdi
	call trap
	mov %rax, %rsp
	/* Goes on with the registers at RSP. */
	.globl resume
resume:
	pop %rax
	pop %rcx
	pop %rdx
	pop %rbx
	pop %rbp
	pop %rsi
	pop %rdi
	pop %r8
	pop %r9
	pop %r10
	pop %r11
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	cmpl $VECTOR_SYSCALL, (%rsp)
	je 1f
	add $16, %rsp
	iretq
1:	mov 16(%rsp), %rcx
	mov 32(%rsp), %r11
	mov 40(%rsp), %rsp
	sysretq

	.data
	.balign 8
gdt:
	.quad 0, 0, 0x00cf93000000ffff, 0
	.quad 0x00cff3000000ffff, 0x00affb000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff
	.quad 0x0000890000000067, 0
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
	.balign 8
	.globl task_state, kernel_stack
	.long 0
task_state:
	.long 0
kernel_stack: /* RSP0 */
	.quad 0
	.skip 0x66 - 12
	.word 0x68

	.bss
	.balign 4096
	.globl kernel_pd
kernel_pd:
	.skip 4096
boot_pml4:
	.skip 4096
boot_pdpt:
	.skip 4096
user_rsp:
	.skip 8
	.balign 16
	.skip 16384
stack_end:
	.section .note.GNU-stack, "", @progbits
