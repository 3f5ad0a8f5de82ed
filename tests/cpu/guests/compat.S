/*
 * Compatibility mode (SDM 3A 2.2.3.2), at CPL 0 and 3: single-stepping, interrupt shadows, external
 * interrupts, repeated string instructions that are interrupted and that fault, code that writes code,
 * HLT. Exceptions and interrupts go through the 64-bit IDT (SDM 3A 6.14).
 */
#include "guest.h"
#include "lapic.h"
#include "modify.h"
#include "shadow.h"
#include "step.h"

	.set VECTOR, 0x60
	.set TIMER, 0x61
	.set N, 0x20000
	.set BUFFER, 0x800000

	/* ds: of this CPL. */
	.macro STEPS who, ds
	mov $\ds, %ecx
	STEP 0x0102, "\who: a trap after each instruction", "nop; nop"
	CHECK_MEM dr6_seen, 0xffff4ff0, "\who: DR6.BS"
	CHECK_MEM flags_seen, 0x100, "\who: the image of a trap has TF and not RF"
	STEP 0x0304, "\who: no trap after MOV SS", "mov %ecx, %ss; nop; nop"
	STEP 0x010304, "\who: no trap after POP SS", "push %ecx; pop %ss; nop; nop"
	STEP 0x03, "\who: an instruction that faults is not followed by a trap", "ud2; nop"
	STEP 0x010607, "\who: a trap after the POPF that clears TF, none after it", \
		"pushf; andb $0xfe, 1(%esp); popf; nop"
	mov $scratch, %esi
	mov $3, %ecx
	STEP 0x00000203, "\who: a trap after each iteration of a REP", "rep lodsb; nop"
	.endm

	.macro SHADOWS who, ds
	mov $LAPIC, %edi
	mov $\ds, %ecx
	SHADOW 71b, "\who: STI holds off for one instruction", "sti; nop; 71:"
	SHADOW 0, "\who: STI, CLI: no window", "sti; cli; nop; nop"
	SHADOW 71b, "\who: a second STI casts no shadow", "sti; sti; 71: nop; nop"
	SHADOW 71b, "\who: LSS casts no shadow", "sti; lss ss_esp, %esp; 71: nop; nop"
	SHADOW_SS "mov %ecx, %ss", "\who: MOV SS holds off for one instruction"
	SHADOW_SS "push %ecx; pop %ss", "\who: POP SS holds off for one instruction"
	SHADOW 71b, "\who: STI over a REP: after its first iteration", \
		"mov %edi, %ebx; mov $scratch, %edi; mov $3, %ecx; sti; 71: rep stosb; mov %ebx, %edi"
	CHECK_MEM seen_ecx, 2, "\who: one iteration is what STI holds off for"
	.endm

	/* page: of 2 MiB, absent until its fault. */
	.macro REPS who, page
	mov $LAPIC, %edi
	LAPIC_SET LAPIC_DIVIDE, 0xb
	LAPIC_SET LAPIC_LVT_TIMER, 0x20000+TIMER
	LAPIC_SET LAPIC_INITIAL, 200
	movl $0, n_inside
	movl $71f, rep_ip
	mov $BUFFER, %edi
	mov $N, %ecx
	mov $0x5a, %al
	sti
71:	rep stosb
	cli
	mov %edi, %eax
	CHECK BUFFER+N, "\who: REP STOSB runs to its end"
	cmpl $2, n_inside
	seta %al
	movzbl %al, %eax
	CHECK 1, "\who: it was interrupted on the way"
	CHECK_MEM bad_sum, 0, "\who: ECX and EDI agree each time"
	CHECK_MEM rf_missing, 0, "\who: RF is set in the images"
	mov $BUFFER, %edi
	mov $N, %ecx
	mov $0x5a, %al
	repe scasb
	mov %ecx, %eax
	CHECK 0, "\who: every byte was written"
	mov $LAPIC, %edi
	LAPIC_SET LAPIC_LVT_TIMER, 0x10000
	sti
	nop
	nop
	cli
	movl $\page, missing
	movl $0, pd + 8 * \page
	mov $(\page << 21) - 5, %edi
	mov $16, %ecx
	mov $0x78, %al
	rep stosb
	mov %edi, %eax
	CHECK (\page<<21)+11, "\who: resumed after a page fault"
	CHECK_MEM fault_ecx, 11, "\who: ECX at the fault"
	CHECK_MEM fault_edi, \page<<21, "\who: EDI at the fault"
	mov (\page << 21) + 7, %eax
	CHECK 0x78787878, "\who: to the end"
	.endm

	.macro EXTERNAL who, cs, ds
	mov $LAPIC, %edi
	HOOK VECTOR, on_external
	SELF_IPI VECTOR
	xor %eax, %eax
	nop
	mov %eax, seen_cs
	sti
	nop
71:	cli
	HOOK VECTOR, on_interrupt64
	CHECK_MEM seen_ip, 71b, "\who: an external interrupt: RIP"
	CHECK_MEM seen_cs, \cs, "\who: an external interrupt: CS"
	CHECK_MEM seen_ss, \ds, "\who: an external interrupt: SS"
	mov seen_flags, %eax
	and $0x200, %eax
	CHECK 0x200, "\who: an external interrupt: IF in its image"
	.endm

	.macro ALL who, cs, ds, page
	STEPS "\who", \ds
	SHADOWS "\who", \ds
	EXTERNAL "\who", \cs, \ds
	REPS "\who", \page
	MODIFY "\who"
	.endm

	.text
	.globl main
main:
	call enter_long
	MODE64
	LAPIC_ON
	HOOK DB, on_debug64
	HOOK UD, on_ud64
	HOOK PF, on_page_fault
	HOOK VECTOR, on_interrupt64
	HOOK TIMER, on_timer
	pushq $KERNEL_CS
	pushq $compat0
	lretq
	MODE32
compat0:
	mov $KERNEL_DS, %eax
	mov %eax, %ss
	mov %eax, %ds
	mov %eax, %es
	ALL "compatibility, CPL 0", KERNEL_CS, KERNEL_DS, 5
	STEP 0x01, "compatibility, CPL 0: HLT under TF does not halt", "hlt"
	mov $LAPIC, %edi
	SHADOW 71b, "compatibility, CPL 0: STI, HLT: woken at once, after HLT", "sti; hlt; 71: nop; nop"
	movl $0, seen_ip
	LAPIC_SET LAPIC_LVT_TIMER, VECTOR
	LAPIC_SET LAPIC_INITIAL, 2000
	sti
	hlt
71:	cli
	CHECK_MEM seen_ip, 71b, "compatibility, CPL 0: HLT waits for the timer"
	ljmp $KERNEL_CS64, $1f
	MODE64
1:	movl $0x3002, user_flags /* IOPL 3: CLI and STI */
	movl $USER_DS, ss_esp + 4
	ARM 0, after_user
	ENTER_USER USER_CS, compat3
	MODE32
compat3:
	ALL "compatibility, CPL 3", USER_CS, USER_DS, 6
	int $USER_EXIT
	MODE64
after_user:
	movl $0, catch_ip
	jmp finish64

	SHADOW_HANDLER64
	STEP_HANDLER64
	MODE64
on_ud64:
	addq $2, F64_RIP(%rbp)
	ret

on_external:
	mov F64_CS(%rbp), %eax
	mov %eax, seen_cs
	mov F64_SS(%rbp), %eax
	mov %eax, seen_ss
	mov F64_FLAGS(%rbp), %eax
	mov %eax, seen_flags
	jmp on_interrupt64

on_timer:
	mov F64_RIP(%rbp), %eax
	cmp rep_ip, %eax
	jne 1f
	cmpl $N, 8(%rbp)
	je 1f
	incl n_inside
	mov 48(%rbp), %eax /* EDI */
	add 8(%rbp), %eax
	sub $BUFFER+N, %eax
	or %eax, bad_sum
	testl $0x10000, F64_FLAGS(%rbp)
	jnz 1f
	incl rf_missing
1:	LAPIC_ON
	LAPIC_SET LAPIC_EOI, 0
	ret

on_page_fault:
	mov 8(%rbp), %eax
	mov %eax, fault_ecx
	mov 48(%rbp), %eax
	mov %eax, fault_edi
	mov missing, %ecx
	mov %ecx, %eax
	shl $21, %eax
	or $0x87, %eax
	mov %eax, pd(,%rcx,8)
	mov %cr2, %rax
	invlpg (%rax)
	ret

	.data
	.balign 8
	SHADOW_DATA
	.bss
	.balign 8
	STEP_DATA
	MODIFY_DATA
seen_cs: .skip 4
seen_ss: .skip 4
seen_flags: .skip 4
rep_ip:	.skip 4
n_inside: .skip 4
bad_sum: .skip 4
rf_missing: .skip 4
fault_ecx: .skip 4
fault_edi: .skip 4
missing: .skip 4
scratch: .skip 16
	.section .note.GNU-stack, "", @progbits
