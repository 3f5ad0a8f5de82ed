/* Hardware tasks by 32-bit TSS (SDM 3A chapter 7), and their absence in long mode (7.7). */
#include "guest.h"

	.set TASK, FREE_SEL
	.set TASK_GATE, FREE_SEL + 8

	/* Fields of a 32-bit TSS. */
	.set T_LINK, 0
	.set T_CR3, 28
	.set T_EIP, 32
	.set T_EFLAGS, 36
	.set T_EAX, 40
	.set T_ESP, 56
	.set T_ES, 72
	.set T_CS, 76
	.set T_SS, 80
	.set T_DS, 84
	.set T_FS, 88
	.set T_GS, 92
	.set T_LDT, 96
	.set T_TRAP, 100

	.macro SET_TASK tss, selector, entry
	movl $\entry, \tss + T_EIP
	movl $2, \tss + T_EFLAGS
	movl $task_stack_end, \tss + T_ESP
	movl $KERNEL_DS, \tss + T_ES
	movl $KERNEL_CS, \tss + T_CS
	movl $KERNEL_DS, \tss + T_SS
	movl $KERNEL_DS, \tss + T_DS
	movl $KERNEL_DS, \tss + T_FS
	movl $KERNEL_DS, \tss + T_GS
	mov $\tss, %eax
	movw $0x67, gdt + \selector
	mov %ax, gdt + \selector + 2
	shr $16, %eax
	mov %al, gdt + \selector + 4
	movb $0x89, gdt + \selector + 5
	movb $0, gdt + \selector + 6
	mov %ah, gdt + \selector + 7
	.endm

	.text
	.globl main
main:
	SET_TASK task_tss, TASK, task_entry
	DESCRIPTOR TASK_GATE, "TASK<<16", 0x8500
	mov $0x1234, %ebx
	clts
	lcall $TASK, $0
	CHECK_MEM task_seen, 0x5678, "CALL of a TSS runs the task"
	mov %ebx, %eax
	CHECK 0x1234, "IRET gives the caller's registers back"
	CHECK_MEM tr_seen, TASK, "TR is the task's"
	CHECK_MEM nt_seen, 0x4000, "NT is set in the called task"
	CHECK_MEM ts_seen, 8, "CR0.TS is set by the switch"
	CHECK_MEM task_tss+T_LINK, TSS_SEL, "the back link"
	CHECK_MEM busy_seen, 0x8b8b, "both TSSs are busy meanwhile"
	mov gdt + TASK + 5, %al
	movzbl %al, %eax
	CHECK 0x89, "IRET frees the task"
	CHECK_MEM task_tss+T_EIP, task_again, "and saves where it was"
	str %ax
	movzwl %ax, %eax
	CHECK TSS_SEL, "TR is the caller's again"
	/* Through a task gate; the task goes on where it left. */
	lcall $TASK_GATE, $0
	CHECK_MEM task_seen, 0x9abc, "a task gate; the task goes on behind its IRET"
	/* JMP: no link, no NT, the old TSS is free. */
	movl $task_jumped, task_tss + T_EIP
	movw $0, task_tss + T_LINK
	ljmp $TASK, $0
	CHECK_MEM nt_seen, 0, "JMP to a TSS: NT is clear"
	CHECK_MEM task_tss+T_LINK, 0, "JMP: no back link"
	CHECK_MEM busy_seen, 0x898b, "JMP: the old TSS is free, the new one busy"
	/* Faults before the switch. */
	movw $0x66, gdt + TASK
	TRY "lcall $TASK, $0"
	CHECK_FAULT TS, TASK, "a limit below 67h: #TS"
	movw $0x67, gdt + TASK
	movb $0x09, gdt + TASK + 5
	TRY "lcall $TASK, $0"
	CHECK_FAULT NP, TASK, "an absent TSS: #NP"
	movb $0x8b, gdt + TASK + 5
	TRY "lcall $TASK, $0"
	CHECK_FAULT GP, TASK, "a busy TSS: #GP"
	TRY "lcall $TSS_SEL, $0"
	CHECK_FAULT GP, TSS_SEL, "a task is not reentrant: #GP"
	TRY "ltr tss_selector"
	CHECK_FAULT GP, TSS_SEL, "LTR of a busy TSS: #GP"
	movb $0x89, gdt + TASK + 5
	TRY_USER "lcall $TASK, $0"
	CHECK_FAULT GP, TASK, "a TSS of DPL 0 from CPL 3: #GP"
	/* IRET with NT and a link that is not busy. */
	movw $TASK, tss32
	TRY_AT 71f, "pushl $0x4002; popfl; 71: iretl"
	CHECK_FAULT TS, TASK, "IRET with NT to a TSS that is not busy: #TS"
	/* Faults in the new task's context (7.3): the return address is the new task's. */
	movl $task_entry, task_tss + T_EIP
	movl $0xf8, task_tss + T_DS
	movl $1f, catch_ip
	mov %esp, catch_sp
	movl $task_entry, try_ip
	ljmp $TASK, $0
1:	CHECK_FAULT TS, 0xf8, "a bad DS: #TS before the new task's first instruction"
	str %ax
	movzwl %ax, %eax
	CHECK TASK, "which is then the current one"
	call enter_long
	MODE64
	/* 7.7: task switches do not exist in IA-32e mode. */
	movb $0x89, gdt + TASK + 5
	TRY "lcall *far_task"
	CHECK_FAULT GP, TASK, "64-bit: a far CALL to a TSS: #GP"
	TRY_AT 71f, "pushq $0x4002; popfq; 71: iretq"
	CHECK_FAULT GP, 0, "64-bit: IRET with NT: #GP(0)"
	jmp finish64
	MODE32

task_entry:
	call look
	movl $0x5678, task_seen
	iretl
task_again:
	call look
	movl $0x9abc, task_seen
	iretl
task_jumped:
	call look
	ljmp $TSS_SEL, $0

look:
	str %eax
	movzwl %ax, %eax
	mov %eax, tr_seen
	pushfl
	pop %eax
	and $0x4000, %eax
	mov %eax, nt_seen
	mov %cr0, %eax
	and $8, %eax
	mov %eax, ts_seen
	movzbl gdt + TASK + 5, %eax
	mov gdt + TSS_SEL + 5, %ah
	mov %eax, busy_seen
	ret

	.data
tss_selector: .word TSS_SEL
far_task: .long 0
	.word TASK

	.bss
	.balign 16
task_tss: .skip 0x68
task_seen: .skip 4
tr_seen: .skip 4
nt_seen: .skip 4
ts_seen: .skip 4
busy_seen: .skip 4
	.balign 16
	.skip 2048
task_stack_end:
	.section .note.GNU-stack, "", @progbits
