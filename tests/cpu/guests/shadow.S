/*
 * Interrupt shadows: nothing is taken for one instruction after STI that sets IF (SDM 2, STI) and
 * after a load of SS by MOV or POP (SDM 3A 6.8.3); LSS needs none. An interrupt waits in the local
 * APIC all the time; seen_ip says before which instruction it was taken.
 */
#include "guest.h"
#include "lapic.h"
#include "shadow.h"

	.set VECTOR, 0x60

	.text
	.globl main
main:
	LAPIC_ON
	HOOK VECTOR, on_interrupt32
	mov %ss, %ecx
	SHADOW 71b, "protected: STI holds off for one instruction", "sti; nop; 71:"
	SHADOW 0, "protected: STI, CLI: no window", "sti; cli; nop; nop"
	SHADOW 71b, "protected: a second STI casts no shadow", "sti; sti; 71: nop; nop"
	SHADOW 71b, "protected: STI, HLT: woken at once, after HLT", "sti; hlt; 71: nop; nop"
	SHADOW 71b, "protected: POPF casts no shadow", "pushl $0x202; popfl; 71: nop; nop"
	SHADOW 71b, "protected: IRET casts no shadow", \
		"pushl $0x202; pushl $KERNEL_CS; pushl $71f; iretl; 71: nop; nop"
	/* The store that sends the interrupt is the instruction under the shadow. */
	SHADOW_SS "mov %ecx, %ss", "protected: MOV SS holds off for one instruction"
	SHADOW_SS "push %ecx; pop %ss", "protected: POP SS holds off for one instruction"
	SHADOW 71b, "protected: LSS casts no shadow", "sti; lss ss_esp, %esp; 71: nop; nop"
	SHADOW 71b, "protected: STI over a REP: after its first iteration", \
		"mov %edi, %ebx; mov $scratch, %edi; mov $3, %ecx; sti; 71: rep stosb; mov %ebx, %edi"
	mov seen_ecx, %eax
	CHECK 2, "protected: one iteration is what STI holds off for"
	mov %ss, %ecx
	call enter_long
	MODE64
	LAPIC_ON
	HOOK VECTOR, on_interrupt64
	mov $KERNEL_DS, %ecx
	mov %ecx, %ss
	SHADOW 71b, "64-bit: STI holds off for one instruction", "sti; nop; 71:"
	SHADOW 0, "64-bit: STI, CLI: no window", "sti; cli; nop; nop"
	SHADOW 71b, "64-bit: STI, HLT: woken at once, after HLT", "sti; hlt; 71: nop; nop"
	SHADOW_SS "mov %ecx, %ss", "64-bit: MOV SS holds off for one instruction"
	SHADOW 71b, "64-bit: LSS casts no shadow", "sti; lss ss_esp, %esp; 71: nop; nop"
	SHADOW 71b, "64-bit: MOV CR8 casts no shadow", "sti; nop; 71: xor %ecx, %ecx; mov %rcx, %cr8; nop"
	/* A shadow ends with a fault: it is over in the handler and after (SDM 3A 6.8.3). */
	SHADOW 72b, "64-bit: a fault under the shadow, the interrupt after its handler", \
		"movl $skip, hooks + 4 * UD; sti; ud2; 72: nop; nop; movl $0, hooks + 4 * UD"
	jmp finish64

skip:	/* Over the UD2, interrupts as they were. */
	addq $2, F64_RIP(%rbp)
	ret

	SHADOW_HANDLER64

	MODE32
on_interrupt32:
	mov F32_EIP(%ebp), %eax
	mov %eax, seen_ip
	mov 32(%ebp), %eax /* ECX */
	mov %eax, seen_ecx
	LAPIC_ON
	LAPIC_SET LAPIC_EOI, 0
	ret

	.data
	.balign 8
	SHADOW_DATA
scratch: .long 0

	.section .note.GNU-stack, "", @progbits
