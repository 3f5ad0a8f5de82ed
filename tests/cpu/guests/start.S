/* Start, exceptions and report of the fidelity guests; see guest.h. */
#include "guest.h"

	.set STUB_BYTES, 16
	.set SETTLE, 1024

	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002, 0, -0x1badb002

	.text
	.globl _start
_start:
	cli
	cld
	mov $0xff, %al /* firmware may have left a timer running */
	out %al, $0x21
	out %al, $0xa1
	mov $stack_end, %esp
	mov $low_load, %esi
	mov $LOW, %edi
	mov $low_bytes, %ecx
	rep movsb
	lgdt gdt_pointer
	ljmp $KERNEL_CS, $1f
1:	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	movl $2, user_flags
	mov %esp, catch_sp
	call set_gates
	mov $tss32, %eax
	mov $0x67, %ecx
	call set_tss
	movl $stack_end - 8192, tss32 + 4
	movl $KERNEL_DS, tss32 + 8
	movw $0x68, tss32 + 0x66
	lidt idt32_pointer
	mov $TSS_SEL, %eax
	ltr %ax
	call main
	jmp finish

	/* Writes the descriptor of the TSS at EAX, limit ECX. */
set_tss:
	movl $0, gdt + TSS_SEL + 8
	movl $0, gdt + TSS_SEL + 12
	mov %ax, gdt + TSS_SEL + 2
	mov %cx, gdt + TSS_SEL
	shr $16, %eax
	mov %al, gdt + TSS_SEL + 4
	mov %ah, gdt + TSS_SEL + 7
	movw $0x89, gdt + TSS_SEL + 5
	ret

	/* Interrupt gates for every vector, in both formats; those of INT3, INTO and USER_EXIT can be
	 * reached from CPL 3. */
set_gates:
	xor %ecx, %ecx
1:	imul $STUB_BYTES, %ecx, %eax
	lea stubs32(%eax), %edx
	mov $0x8e00, %ebx
	cmp $BP, %ecx
	je 2f
	cmp $OF, %ecx
	je 2f
	cmp $USER_EXIT, %ecx
	jne 3f
2:	mov $0xee00, %ebx
3:	mov %dx, idt32(,%ecx,8)
	movw $KERNEL_CS, idt32 + 2(,%ecx,8)
	mov %ebx, idt32 + 4(,%ecx,8)
	shr $16, %edx
	mov %dx, idt32 + 6(,%ecx,8)
	lea stubs64(%eax), %edx
	mov %ecx, %eax
	shl $4, %eax
	mov %dx, idt64(%eax)
	movw $KERNEL_CS64, idt64 + 2(%eax)
	mov %ebx, idt64 + 4(%eax)
	shr $16, %edx
	mov %dx, idt64 + 6(%eax)
	inc %ecx
	cmp $256, %ecx
	jne 1b
	ret

/* ---- exceptions ---- */

#define HAS_ERROR (1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17)

	.balign 16
	.globl stubs32
stubs32:
	.set vector, 0
	.rept 256
	.balign STUB_BYTES
	.if vector >= 32 || !((HAS_ERROR >> (vector & 31)) & 1)
	pushl $0
	.endif
	pushl $vector
	jmp common32
	.set vector, vector + 1
	.endr

common32:
	pushal
	push %ds
	push %es
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	cld
	mov %esp, %ebp
	mov F32_VECTOR(%ebp), %ebx
	mov hooks(,%ebx,4), %eax
	test %eax, %eax
	jz catch32
	call *%eax
	mov %ebp, %esp
	pop %es
	pop %ds
	popal
	add $8, %esp
	iretl

	/* Notes what came and goes on where the TRY says. */
catch32:
	mov F32_ERROR(%ebp), %ecx
	mov F32_EIP(%ebp), %edx
	mov F32_CS(%ebp), %eax
	mov %eax, caught_cs
	mov F32_FLAGS(%ebp), %eax
	mov %eax, caught_flags
	mov %ebp, caught_sp
	mov 36(%ebp), %eax
	mov %eax, caught_eax
	call note
	mov %esi, go_on
	lea 8(%ebp), %esp
	popal
	mov catch_sp, %esp
	pushl $2
	popfl
	mov kernel_ds, %ds
	mov kernel_ds, %es
	mov kernel_ds, %ss
	jmp *go_on

	/* EBX vector, ECX error, EDX address; gives the address to go on at in ESI. Runs in both
	 * modes: every instruction means the same. */
note:
	mov %edx, caught_ip
	mov %cr2, %eax
	mov %eax, caught_cr2
	mov $NO_FAULT, %eax
	cmp $USER_EXIT, %ebx
	je 1f
	mov %ebx, %eax
	shl $16, %eax
	or %ecx, %eax
	cmp try_ip, %edx
	je 1f
	or $0x80000000, %eax
1:	mov %eax, caught_code
	mov catch_ip, %esi
	test %esi, %esi
	jnz 2f
	mov $1, %edi
	mov %edi, lost
	mov $finish, %esi
2:	xor %edi, %edi
	mov %edi, catch_ip
	ret

	MODE64
	.balign 16
stubs64:
	.set vector, 0
	.rept 256
	.balign STUB_BYTES
	.if vector >= 32 || !((HAS_ERROR >> (vector & 31)) & 1)
	pushq $0
	.endif
	pushq $vector
	jmp common64
	.set vector, vector + 1
	.endr

common64:
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
	mov %rsp, %rbp
	mov F64_VECTOR(%rbp), %ebx
	mov hooks(,%rbx,4), %eax
	test %eax, %eax
	jz catch64
	call *%rax
	mov %rbp, %rsp
	call pop_registers
	add $15 * 8, %rsp
	add $16, %rsp
	iretq

catch64:
	mov F64_ERROR(%rbp), %ecx
	mov F64_RIP(%rbp), %rdx
	mov F64_CS(%rbp), %eax
	mov %eax, caught_cs
	mov F64_FLAGS(%rbp), %eax
	mov %eax, caught_flags
	mov %ebp, caught_sp
	mov (%rbp), %eax
	mov %eax, caught_eax
	call note64
	mov %esi, go_on
	cmpl $finish, %esi
	je finish64
	mov %rbp, %rsp
	call pop_registers
	mov catch_sp, %esp
	pushq $2
	popfq
	mov null_ss, %ss
	jmp *go_on

	/* Those that common64 has pushed, from above the return address. */
pop_registers:
	mov %rsp, %rbp
	mov 8(%rbp), %rax
	mov 16(%rbp), %rcx
	mov 24(%rbp), %rdx
	mov 32(%rbp), %rbx
	mov 48(%rbp), %rsi
	mov 56(%rbp), %rdi
	mov 64(%rbp), %r8
	mov 72(%rbp), %r9
	mov 80(%rbp), %r10
	mov 88(%rbp), %r11
	mov 96(%rbp), %r12
	mov 104(%rbp), %r13
	mov 112(%rbp), %r14
	mov 120(%rbp), %r15
	mov 40(%rbp), %rbp
	ret

note64:
	mov %edx, caught_ip
	mov %cr2, %rax
	mov %rax, caught_cr2
	mov $NO_FAULT, %eax
	cmp $USER_EXIT, %ebx
	je 1f
	mov %ebx, %eax
	shl $16, %eax
	or %ecx, %eax
	mov try_ip, %ebx
	cmp %rbx, %rdx
	je 1f
	or $0x80000000, %eax
1:	mov %eax, caught_code
	mov catch_ip, %esi
	test %esi, %esi
	jnz 2f
	movl $1, lost
	mov $finish, %esi
2:	movl $0, catch_ip
	ret

/* ---- long mode ---- */

	/* Identity map of 4 GiB by 2 MiB pages, accessible to all; CR4.OSFXSR, without which the
	 * translator lets no user code run. Returns in 64-bit code, when engines have noticed: they
	 * leave much at a time to the interpreter where code is not 64-bit, less where a breakpoint
	 * is set, and all of that is over then. */
	MODE32
	.globl enter_long
enter_long:
	pop %edi
	movl $pdpt + 7, pml4
	xor %ecx, %ecx
1:	imul $4096, %ecx, %eax
	add $pd + 7, %eax
	mov %eax, pdpt(,%ecx,8)
	inc %ecx
	cmp $4, %ecx
	jne 1b
	xor %ecx, %ecx
2:	mov %ecx, %eax
	shl $21, %eax
	or $0x87, %eax
	mov %eax, pd(,%ecx,8)
	inc %ecx
	cmp $2048, %ecx
	jne 2b
	mov $pml4, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x220, %eax
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	rdmsr
	or $0x901, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	ljmp $KERNEL_CS64, $3f
	MODE64
3:	lidt idt64_pointer
	mov $tss64, %eax
	mov %ax, gdt + TSS_SEL + 2
	shr $16, %eax
	mov %al, gdt + TSS_SEL + 4
	mov %ah, gdt + TSS_SEL + 7
	movw $0x67, gdt + TSS_SEL
	movw $0x89, gdt + TSS_SEL + 5
	movl $stack_end - 8192, tss64 + 4
	movl $stack_end - 12288, tss64 + 0x24
	movl $stack_end - 16384, tss64 + 0x2c
	movw $0x68, tss64 + 0x66
	mov $TSS_SEL, %eax
	ltr %ax
	xor %eax, %eax
	mov %eax, %ss
	mov $0x401, %eax /* at address 0 */
	mov %rax, %db7
	mov $SETTLE, %ecx
4:	dec %ecx
	jnz 4b
	mov $0x400, %eax
	mov %rax, %db7
	jmp *%rdi

	/* Back to 32-bit protected mode without paging; called from 64-bit code, returns in 32-bit
	 * code. The stack is reset. */
	.globl leave_long
leave_long:
	pop %rdi
	pushq $KERNEL_CS
	pushq $1f
	lretq
	MODE32
1:	mov $KERNEL_DS, %eax
	mov %eax, %ss
	mov %eax, %ds
	mov %eax, %es
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0
	mov $0xc0000080, %ecx
	rdmsr
	and $~0x100, %eax
	wrmsr
	lidt idt32_pointer
	jmp *%edi

/* ---- the report ---- */

	.globl finish64
	MODE64
finish64:
	call leave_long
	MODE32
	.globl finish
finish:
	cli
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0
	mov $stack_end, %esp
	mov $text_plan, %esi
	call put_text
	mov $checks_end, %eax
	sub $checks, %eax
	xor %edx, %edx
	mov $24, %ecx
	div %ecx
	call put_hex
	call put_line_end
	mov $checks, %ebx
1:	cmp $checks_end, %ebx
	jae 2f
	call report
	add $24, %ebx
	jmp 1b
2:	cmpl $0, lost
	je 3f
	mov $text_lost, %esi
	call put_text
	mov caught_code, %eax
	call put_hex
	mov $text_at, %esi
	call put_text
	mov caught_ip, %eax
	call put_hex
	call put_line_end
3:	mov $text_done, %esi
	call put_text
	jmp *after_report

	.globl power_off
power_off:
	mov $0x604, %edx
	mov $0x3400, %eax
	out %ax, %dx
	mov $0x2000, %eax /* for QEMU's platform */
	out %ax, %dx
1:	cli
	hlt
	jmp 1b

	/* One line for the record at EBX. */
report:
	mov 8(%ebx), %eax
	mov 12(%ebx), %edx
	mov $text_not_ok, %esi
	cmpl $0, 4(%ebx)
	je 1f
	cmp 16(%ebx), %eax
	jne 1f
	cmp 20(%ebx), %edx
	jne 1f
	mov $text_ok, %esi
	call put_text
	mov (%ebx), %esi
	call put_text
	jmp put_line_end
1:	call put_text
	mov (%ebx), %esi
	call put_text
	mov $text_not_reached, %esi
	cmpl $0, 4(%ebx)
	je 2f
	mov $text_got, %esi
	call put_text
	mov 12(%ebx), %eax
	mov 8(%ebx), %edx
	call put_hex64
	mov $text_want, %esi
	call put_text
	mov 20(%ebx), %eax
	mov 16(%ebx), %edx
	call put_hex64
	jmp put_line_end
2:	call put_text
put_line_end:
	mov $'\n', %al
put_char:
	push %edx
	push %eax
	mov $0x3fd, %edx
1:	in %dx, %al
	test $0x20, %al
	jz 1b
	pop %eax
	mov $0x3f8, %edx
	out %al, %dx
	pop %edx
	ret

put_text:
	lodsb
	test %al, %al
	jz 1f
	call put_char
	jmp put_text
1:	ret

put_hex64:
	push %edx
	test %eax, %eax
	jz 1f
	call put_hex
1:	pop %eax
put_hex:
	push %ecx
	mov $8, %ecx
1:	rol $4, %eax
	push %eax
	and $15, %eax
	mov digits(%eax), %al
	call put_char
	pop %eax
	loop 1b
	pop %ecx
	ret

digits:	.ascii "0123456789abcdef"
text_plan: .asciz "plan "
text_ok: .asciz "ok "
text_not_ok: .asciz "not ok "
text_got: .asciz ": got "
text_want: .asciz " want "
text_not_reached: .asciz ": not reached"
text_lost: .asciz "lost: exception "
text_at: .asciz " at "
text_done: .asciz "done\n"

/* ---- data ---- */

	.data
	.balign 16
	.globl gdt, gdt_pointer, idt32_pointer, idt64_pointer, after_report
gdt:	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00cffb000000ffff
	.quad 0x00cff3000000ffff
	.quad 0x00affb000000ffff
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00009b010000ffff /* base LOW */
	.quad 0, 0
	.quad 0x000093010000ffff
	.skip 256 - 12 * 8
gdt_pointer:
	.word 255
	.long gdt, 0
idt32_pointer:
	.word 2047
	.long idt32
idt64_pointer:
	.word 4095
	.long idt64, 0
	.globl user_ds, kernel_ds
kernel_ds: .word KERNEL_DS
null_ss: .word 0
user_ds: .word USER_DS
	.balign 4
after_report: .long power_off

	.bss
	.balign 4096
	.globl pml4, pdpt, pd
pml4:	.skip 4096
pdpt:	.skip 4096
pd:	.skip 4 * 4096
	.globl idt32, idt64, tss32, tss64, hooks, user_flags, stack_end, user_stack_end
idt32:	.skip 2048
	.balign 16
idt64:	.skip 4096
tss32:	.skip 0x68 + 8192 + 1
	.balign 16
tss64:	.skip 0x68 + 8192 + 1
	.balign 16
hooks:	.skip 1024
user_flags: .skip 8
	.globl caught_code, caught_ip, caught_cs, caught_flags, caught_cr2, caught_sp, caught_eax
	.globl catch_ip, catch_sp, try_ip, tries, lost
caught_code: .skip 4
caught_ip: .skip 4
caught_cs: .skip 4
caught_flags: .skip 4
caught_sp: .skip 4
caught_eax: .skip 4
caught_cr2: .skip 8
catch_ip: .skip 4
catch_sp: .skip 4
try_ip:	.skip 4
tries:	.skip 4
lost:	.skip 4
go_on:	.skip 8
	.balign 4096
	.skip 32768
stack_end:
	.skip 4096
user_stack_end:
	.section .note.GNU-stack, "", @progbits
