/*
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM 2), INT n and IRET between privilege levels, between
 * protected, 64-bit and compatibility mode (SDM 3A 6.12, 6.14, 5.8.7), and call gates (5.8.3).
 */
#include "guest.h"

	.set GATE, FREE_SEL

	.macro SET_MSR msr, hi, lo
	mov $\msr, %ecx
	mov $\lo, %eax
	mov $\hi, %edx
	wrmsr
	.endm

	.text
	.globl main
main:
	/* ---- protected mode ---- */
	/* INT USER_EXIT at CPL 3: the frame on the TSS's stack. */
	movl $0x202, user_flags
	TRY_USER "nop"
	mov caught_sp, %ebp
	mov F32_CS(%ebp), %eax
	CHECK USER_CS, "protected: from CPL 3: CS"
	mov F32_SS(%ebp), %eax
	CHECK USER_DS, "protected: SS"
	mov F32_ESP(%ebp), %eax
	CHECK user_stack_end, "protected: ESP"
	lea F32_SS+4(%ebp), %eax
	cmp tss32 + 4, %eax
	sete %al
	movzbl %al, %eax
	CHECK 1, "protected: on the TSS's stack"
	mov caught_flags, %eax
	and $0x200, %eax
	CHECK 0x200, "protected: IF in the image"
	/* A trap gate keeps IF; an interrupt gate clears it. */
	movb $0xef, idt32 + 8 * 0x50 + 5
	HOOK 0x50, note_flags32
	sti
	int $0x50
	cli
	mov flags_seen, %eax
	and $0x200, %eax
	CHECK 0x200, "protected: a trap gate keeps IF"
	movb $0xee, idt32 + 8 * 0x50 + 5
	sti
	int $0x50
	cli
	mov flags_seen, %eax
	and $0x200, %eax
	CHECK 0, "protected: an interrupt gate clears IF"
	/* Segments that CPL 3 may not use become null on the way out. */
	movl $2, user_flags
	mov $KERNEL_DS, %eax
	mov %eax, %gs
	TRY_USER "mov %gs, %eax"
	CHECK_MEM caught_eax, 0, "protected: IRET to CPL 3 drops a DPL 0 segment"
	/* SYSENTER with CS 0 is #GP. */
	SET_MSR 0x174, 0, 0
	TRY_USER "sysenter"
	CHECK_FAULT GP, 0, "protected: SYSENTER with IA32_SYSENTER_CS 0"
	/* A call gate with two parameters. */
	DESCRIPTOR GATE, "KERNEL_CS<<16", 0
	mov $gate_entry, %eax
	mov %ax, gdt + GATE
	shr $16, %eax
	mov %ax, gdt + GATE + 6
	movw $0xec02, gdt + GATE + 4
	TRY_USER "pushl $0x11; pushl $0x22; lcall $GATE|3, $0; mov %esp, %eax"
	CHECK_MEM parameters, 0x2211, "protected: a call gate copies its parameters"
	CHECK_MEM gate_cs, USER_CS, "protected: and pushes the caller's CS"
	CHECK_MEM caught_eax, user_stack_end, "protected: RET n releases them on both stacks"
	movw $0x8c02, gdt + GATE + 4
	TRY_USER "lcall $GATE|3, $0"
	CHECK_FAULT GP, GATE, "protected: a call gate of DPL 0 from CPL 3"
	movw $0x6c02, gdt + GATE + 4
	TRY_USER "lcall $GATE|3, $0"
	CHECK_FAULT NP, GATE, "protected: an absent call gate"

	call enter_long
	MODE64
	mov $0xc0000081, %ecx
	xor %eax, %eax
	mov $KERNEL_CS64|USER_CS<<16, %edx
	wrmsr
	SET_MSR 0xc0000082, 0, on_syscall
	SET_MSR 0xc0000084, 0, 0x47700
	movl $0x246, user_flags
	TRY_USER "mov $0x1111, %ecx; syscall; mov %ss, %eax"
	CHECK_MEM syscall_cs, KERNEL_CS64, "64-bit: SYSCALL: CS"
	CHECK_MEM syscall_ss, KERNEL_CS64+8, "64-bit: SYSCALL: SS behind it"
	CHECK_MEM syscall_flags, 0x46, "64-bit: SYSCALL: IA32_FMASK clears"
	CHECK_MEM syscall_r11, 0x246, "64-bit: SYSCALL: R11 has the flags"
	CHECK_MEM syscall_rsp, user_stack_end, "64-bit: SYSCALL keeps RSP"
	CHECK_MEM caught_eax, USER_DS, "64-bit: SYSRETQ: SS"
	CHECK_MEM caught_cs, USER_CS64, "64-bit: SYSRETQ: CS"
	mov caught_flags, %eax
	CHECK 0x246, "64-bit: SYSRETQ: flags from R11"
	/* SYSRET with a 32-bit operand goes to compatibility mode. */
	ARM 0, 71f
	mov $70f, %ecx
	mov $2, %r11d
	mov $user_stack_end, %esp
	sysretl
	.code32
70:	mov %cs, %eax
	int $USER_EXIT
	.code64
71:	movl $0, catch_ip
	CHECK_MEM caught_eax, USER_CS, "64-bit: SYSRETL: to compatibility mode"
	mov $0x800000000000, %rcx
	TRY "sysretq"
	CHECK_FAULT GP, 0, "64-bit: SYSRETQ to what is not canonical: #GP in the kernel (Intel)"
	SET_MSR 0xc0000082, 0, on_syscall
	mov $0xc0000082, %ecx
	xor %eax, %eax
	mov $0x8000, %edx
	TRY "wrmsr"
	CHECK_FAULT GP, 0, "64-bit: an LSTAR that is not canonical"
	/* SYSENTER and SYSEXIT: CS, +8, +16, +24, and for 64 bits +32, +40. */
	SET_MSR 0x174, 0, 0xc8
	SET_MSR 0x175, 0, stack_end-2048
	SET_MSR 0x176, 0, on_sysenter
	DESCRIPTOR 0xc8, 0x0000ffff, 0x00af9b00
	DESCRIPTOR 0xd0, 0x0000ffff, 0x00cf9300
	DESCRIPTOR 0xd8, 0x0000ffff, 0x00cffb00
	DESCRIPTOR 0xe0, 0x0000ffff, 0x00cff300
	DESCRIPTOR 0xe8, 0x0000ffff, 0x00affb00
	DESCRIPTOR 0xf0, 0x0000ffff, 0x00cff300
	movl $0x202, user_flags
	movl $0, wide
	TRY_COMPAT "mov $70f, %edx; mov %esp, %ecx; sysenter; ud2; 70: mov %cs, %eax"
	CHECK_MEM syscall_cs, 0xc8, "compatibility: SYSENTER: 64-bit CS"
	CHECK_MEM syscall_rsp, stack_end-2048, "compatibility: SYSENTER: RSP from its MSR"
	mov syscall_flags, %eax
	and $0x200, %eax
	CHECK 0, "compatibility: SYSENTER clears IF"
	CHECK_MEM caught_eax, 0xdb, "compatibility: SYSEXIT: CS + 16, RPL 3"
	CHECK_MEM caught_cs, 0xdb, "compatibility: and back"
	movl $1, wide
	TRY_USER "mov $70f, %edx; mov %rsp, %rcx; sysenter; ud2; 70: mov %cs, %eax"
	CHECK_MEM caught_eax, 0xeb, "64-bit: SYSEXITQ: CS + 32, RPL 3"
	/* INT n from compatibility mode: a 64-bit frame of five, aligned, SS null. */
	movl $2, user_flags
	movl $0, catch_ip
	HOOK USER_EXIT, note_frame64
	ARM 0, 72f
	ENTER_USER USER_CS, 71f
	.code32
71:	mov $user_stack_end - 20, %esp
	int $USER_EXIT
	movl $0, %eax
	ud2
	.code64
72:	movl $0, catch_ip
	UNHOOK USER_EXIT
	CHECK_MEM frame_cs, USER_CS, "compatibility: INT n: CS in the frame"
	CHECK_MEM frame_rsp, user_stack_end-20, "compatibility: RSP in the frame"
	CHECK_MEM frame_ss_now, 0, "compatibility: SS is null in the handler"
	CHECK_MEM caught_code, "0x80000000|UD<<16", "compatibility: IRETQ goes back to it"
	/* At the same privilege RSP is aligned to 16 and SS:RSP pushed all the same. */
	HOOK 0x50, note_frame64
	mov %rsp, %rbx
	lea -24(%rsp), %rsp
	and $~15, %rsp
	sub $8, %rsp
	mov %rsp, %rcx
	int $0x50
	mov %ecx, %eax
	sub frame_rsp, %eax
	CHECK 0, "64-bit: same privilege: RSP in the frame"
	mov frame_at, %eax
	and $15, %eax
	CHECK 8, "64-bit: same privilege: the frame is aligned"
	mov %rbx, %rsp
	/* IST, whatever the privilege. */
	movb $1, idt64 + 16 * 0x50 + 4
	int $0x50
	mov frame_at, %eax
	CHECK stack_end-12288-40, "64-bit: IST 1"
	/* A call gate in long mode: 16 bytes, to 64-bit code only. */
	mov $long_gate_entry, %eax
	mov %ax, gdt + GATE
	movw $KERNEL_CS64, gdt + GATE + 2
	movw $0xec00, gdt + GATE + 4
	shr $16, %eax
	mov %ax, gdt + GATE + 6
	movl $0, gdt + GATE + 8
	movl $0, gdt + GATE + 12
	TRY_USER "lcall *far_gate"
	CHECK_MEM gate_cs, USER_CS64, "64-bit: a call gate pushes the caller's CS"
	CHECK_MEM gate_ss, 0, "64-bit: and SS becomes null"
	movw $KERNEL_CS, gdt + GATE + 2
	TRY_USER "lcall *far_gate"
	CHECK_FAULT GP, KERNEL_CS, "64-bit: a call gate to 32-bit code: #GP"
	movw $KERNEL_CS64, gdt + GATE + 2
	movl $0x0800, gdt + GATE + 12
	TRY_USER "lcall *far_gate"
	CHECK_FAULT GP, GATE, "64-bit: a type in the upper half: #GP"
	jmp finish64

on_syscall:
	mov %ecx, syscall_ip
	mov %r11d, syscall_r11
	mov %esp, syscall_rsp
	mov %cs, %eax
	mov %eax, syscall_cs
	mov %ss, %eax
	mov %eax, syscall_ss
	mov $stack_end - 2048, %esp
	pushfq
	pop %rax
	mov %eax, syscall_flags
	mov syscall_rsp, %esp
	sysretq
on_sysenter:
	mov %esp, syscall_rsp
	pushfq
	pop %rax
	mov %eax, syscall_flags
	mov %cs, %eax
	mov %eax, syscall_cs
	cmpl $0, wide
	jne 1f
	sti
	.byte 0x0f, 0x35
1:	.byte 0x48, 0x0f, 0x35
note_frame64:
	mov F64_CS(%rbp), %eax
	mov %eax, frame_cs
	mov F64_RSP(%rbp), %eax
	mov %eax, frame_rsp
	mov %ss, %eax
	mov %eax, frame_ss_now
	lea F64_RIP(%rbp), %eax
	mov %eax, frame_at
	ret
long_gate_entry:
	mov 8(%rsp), %eax
	mov %eax, gate_cs
	mov %ss, %eax
	mov %eax, gate_ss
	lretq

	MODE32
note_flags32:
	pushfl
	popl flags_seen
	ret
gate_entry:
	movzbl 8(%esp), %eax
	shl $8, %eax
	mov 12(%esp), %al
	mov %eax, parameters
	mov 4(%esp), %eax
	mov %eax, gate_cs
	lretl $8

	.data
	.balign 8
far_gate: .long 0
	.word GATE|3
	.bss
	.balign 8
flags_seen: .skip 4
parameters: .skip 4
gate_cs: .skip 4
gate_ss: .skip 4
syscall_ip: .skip 4
syscall_cs: .skip 4
syscall_ss: .skip 4
syscall_rsp: .skip 4
syscall_r11: .skip 4
syscall_flags: .skip 4
frame_cs: .skip 4
frame_rsp: .skip 4
frame_ss_now: .skip 4
frame_at: .skip 4
wide:	.skip 4
	.section .note.GNU-stack, "", @progbits
