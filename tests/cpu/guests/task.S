/* Hardware tasks by 32-bit TSS (SDM 3A chapter 7), and their absence in long mode (7.7). */
#include "guest.h"

	.set TASK, FREE_SEL
	.set TASK_GATE, FREE_SEL + 8
	.set LDT_SEL, FREE_SEL + 16
	.set NO_LDT_SEL, FREE_SEL + 24
	.set FAULT_TASK, FREE_SEL + 32
	.set LDT_DS, 4 /* its first descriptor */

	.set MOVED, 0xc00000 /* elsewhere in the task's address space */
	.set ELSEWHERE, 0x800000

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

	/* access: of LDT_SEL's descriptor. */
	.macro BAD_LDT selector, access, name
	movl $\selector, task_tss + T_LDT
	movb $\access, gdt + LDT_SEL + 5
	movl $space_entry, task_tss + T_EIP
	movl $0, ldt_seen
	lcall $TASK, $0
	CHECK_MEM error_seen, \selector, "\name: #TS of the selector"
	CHECK_MEM link_seen, TASK, "\name: in the new task"
	CHECK_MEM ip_seen, space_entry, "\name: before its first instruction"
	CHECK_MEM ldt_seen, LDT_SEL, "\name: the task begins when it is mended"
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
	movw $0, tss32
	call trap_bit
	call address_space
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

/* SDM 3A 7.2.1, 6.15 (#DB): T traps before the new task's first instruction. */
trap_bit:
	movb $0x89, gdt + TASK + 5
	SET_TASK task_tss, TASK, task_entry
	movw $1, task_tss + T_TRAP
	HOOK DB, on_trap
	movl $0xffff0ff0, %eax
	mov %eax, %db6
	lcall $TASK, $0
	UNHOOK DB
	CHECK_MEM n_traps, 1, "T: one #DB, none for the return to a TSS without it"
	CHECK_MEM trap_eip, task_entry, "T: before the new task's first instruction"
	CHECK_MEM trap_tr, TASK, "T: in the new task"
	CHECK_MEM trap_dr6, 0x8000, "T: DR6.BT, and no other"
	CHECK_MEM trap_rf, 0, "T: a trap's image, RF clear"
	CHECK_MEM task_seen, 0x5678, "T: the task runs on"
	/* A JMP back to a TSS with T is a trap there. */
	movl $task_jumped, task_tss + T_EIP
	movw $0, task_tss + T_LINK
	movl $2, task_tss + T_EFLAGS
	movw $0, task_tss + T_TRAP
	movw $1, tss32 + T_TRAP
	movl $0, n_traps
	HOOK DB, on_trap
	ljmp $TASK, $0
after_jump:
	UNHOOK DB
	movw $0, tss32 + T_TRAP
	CHECK_MEM n_traps, 1, "T: JMP back"
	CHECK_MEM trap_eip, after_jump, "T: behind the JMP that left"
	CHECK_MEM trap_tr, TSS_SEL, "T: the first task is the current one"
	ret

on_trap:
	incl n_traps
	mov %db6, %eax
	and $0xe00f, %eax
	mov %eax, trap_dr6
	mov $0xffff0ff0, %eax
	mov %eax, %db6
	mov F32_EIP(%ebp), %eax
	mov %eax, trap_eip
	mov F32_FLAGS(%ebp), %eax
	and $0x10000, %eax
	mov %eax, trap_rf
	str %eax
	movzwl %ax, %eax
	mov %eax, trap_tr
	ret

/* A task with page tables and an LDT of its own, both loaded before its segments. */
address_space:
	movb $0x89, gdt + TASK + 5
	SET_TASK task_tss, TASK, space_entry
	xor %ecx, %ecx
1:	mov %ecx, %eax
	shl $22, %eax
	or $0x87, %eax /* 4 MiB, identity */
	mov %eax, directory(,%ecx,4)
	mov %eax, task_directory(,%ecx,4)
	inc %ecx
	cmp $1024, %ecx
	jne 1b
	movl $ELSEWHERE + 0x87, task_directory + 4 * (MOVED >> 22)
	movl $0x11111111, MOVED
	movl $0x22222222, ELSEWHERE
	movl $directory, tss32 + T_CR3
	movl $task_directory, task_tss + T_CR3
	mov %cr4, %eax
	or $0x10, %eax
	mov %eax, %cr4
	mov $directory, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	/* The LDT's segment begins at MOVED. */
	mov $ldt, %eax
	mov %eax, %ecx
	shl $16, %ecx
	mov $7, %cx
	mov %ecx, gdt + LDT_SEL
	shr $16, %eax
	mov %eax, %ecx
	and $0xff, %ecx
	shl $16, %eax
	and $0xff000000, %eax
	or %ecx, %eax
	or $0x8200, %eax
	mov %eax, gdt + LDT_SEL + 4
	DESCRIPTOR NO_LDT_SEL, 0xffff, 0x9300
	movl $LDT_SEL, task_tss + T_LDT
	movl $LDT_DS, task_tss + T_GS
	movl $0, task_tss + T_LINK
	lcall $TASK, $0
	CHECK_MEM cr3_seen, task_directory, "a switch loads CR3"
	CHECK_MEM moved_seen, 0x22222222, "the task sees its own address space"
	CHECK_MEM ldt_seen, LDT_SEL, "a switch loads LDTR"
	CHECK_MEM gs_seen, 0x22222222, "GS of the task's LDT"
	mov %cr3, %eax
	CHECK directory, "IRET gives CR3 back"
	CHECK_MEM MOVED, 0x11111111, "and the address space"
	sldt %eax
	movzwl %ax, %eax
	CHECK 0, "and the LDTR"
	CHECK_MEM task_tss+T_LDT, LDT_SEL, "LDT and CR3 of a TSS are not written"
	CHECK_MEM task_tss+T_GS, LDT_DS, "GS is"
	movzbl ldt + 5, %eax
	CHECK 0x93, "the accessed bit in the LDT"
	/* A bad LDT: the new task has no segments yet, so #TS needs a task too (SDM 3A 6.15), which
	 * mends the first one and lets it begin. */
	SET_TASK fault_tss, FAULT_TASK, fault_entry
	movl $fault_stack_end, fault_tss + T_ESP
	movl $directory, fault_tss + T_CR3
	mov idt32 + 8 * TS, %esi
	mov idt32 + 8 * TS + 4, %edi
	movl $FAULT_TASK << 16, idt32 + 8 * TS
	movl $0x8500, idt32 + 8 * TS + 4
	BAD_LDT NO_LDT_SEL, 0x82, "an LDT selector of data"
	BAD_LDT LDT_SEL, 0x02, "an absent LDT"
	BAD_LDT TSS_SEL, 0x82, "an LDT selector of a TSS"
	BAD_LDT LDT_DS, 0x82, "an LDT selector of an LDT"
	BAD_LDT 0xf8, 0x82, "an empty descriptor"
	mov %esi, idt32 + 8 * TS
	mov %edi, idt32 + 8 * TS + 4
	/* A bad data segment: there is a stack. The fault leaves us in the task. */
	movl $0, task_tss + T_LDT
	movl $task_stack_end, task_tss + T_ESP
	movl $space_entry, task_tss + T_EIP
	movl $1f, catch_ip
	mov %esp, catch_sp
	movl $space_entry, try_ip
	ljmp $TASK, $0
	jmp 2f
1:	ljmp $TSS_SEL, $0
2:	CHECK_FAULT TS, LDT_DS, "GS of an LDT that is not there: #TS"
	CHECK_MEM task_tss+T_EIP, 2b, "in the new task, which a JMP leaves"
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0
	ret

fault_entry:
	pop %eax
	mov %eax, error_seen
	mov fault_tss + T_LINK, %eax
	mov %eax, link_seen
	mov task_tss + T_EIP, %eax
	mov %eax, ip_seen
	movb $0x82, gdt + LDT_SEL + 5
	movl $LDT_SEL, task_tss + T_LDT
	iretl
	jmp fault_entry

space_entry:
	mov %cr3, %eax
	mov %eax, cr3_seen
	mov MOVED, %eax
	mov %eax, moved_seen
	sldt %eax
	movzwl %ax, %eax
	mov %eax, ldt_seen
	mov %gs:0, %eax
	mov %eax, gs_seen
	iretl

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
	.balign 8
ldt:	.long (MOVED & 0xffff) << 16 | 0xfff, 0x00c09200 | ((MOVED >> 16) & 0xff)
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
n_traps: .skip 4
trap_eip: .skip 4
trap_tr: .skip 4
trap_dr6: .skip 4
trap_rf: .skip 4
cr3_seen: .skip 4
moved_seen: .skip 4
ldt_seen: .skip 4
gs_seen: .skip 4
error_seen: .skip 4
link_seen: .skip 4
ip_seen: .skip 4
	.balign 16
fault_tss: .skip 0x68
	.skip 2048
fault_stack_end:
	.balign 4096
directory: .skip 4096
task_directory: .skip 4096
	.balign 16
	.skip 2048
task_stack_end:
	.section .note.GNU-stack, "", @progbits
