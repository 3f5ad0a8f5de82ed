/*
 * Single-stepping (SDM 3B 17.3.1.4): TF traps after each instruction that began with it set. The
 * handler notes where each trap came, as the offset from the first instruction, two digits each, the
 * last one lowest, and what DR6 said; past the end it clears TF.
 */
#include "guest.h"
#include "step.h"

	.set INT_VECTOR, 0x50

	.text
	.globl main
main:
	HOOK DB, on_debug32
	HOOK UD, on_ud32
	HOOK INT_VECTOR, on_int32
	STEP 0x0102, "protected: a trap after each instruction", "nop; nop"
	CHECK_MEM dr6_seen, 0xffff4ff0, "protected: DR6.BS"
	CHECK_MEM flags_seen, 0x100, "protected: the pushed image has TF and not RF"
	CHECK_MEM flags_inside, 0, "protected: the handler runs without TF, RF and IF"
	mov $KERNEL_DS, %ecx
	/* SDM 3A 6.8.3: MOV SS and POP SS hold the trap off until after the next instruction. */
	STEP 0x0304, "protected: no trap after MOV SS", "mov %ecx, %ss; nop; nop"
	STEP 0x010304, "protected: no trap after POP SS", "push %ecx; pop %ss; nop; nop"
	/* SDM 2, INT n: TF is clear in the handler; IRET sets it and is not followed by a trap. */
	STEP 0x03, "protected: INT n, IRET: the next trap after the instruction returned to", \
		"int $INT_VECTOR; nop"
	CHECK_MEM flags_image, 0x100, "protected: the image of INT n has TF"
	STEP 0x03, "protected: an instruction that faults is not followed by a trap", "ud2; nop"
	CHECK_MEM flags_image, 0x10100, "protected: a fault's image has TF and RF"
	STEP 0x010607, "protected: a trap after the POPF that clears TF, none after it", \
		"pushf; andb $0xfe, 1(%esp); popf; nop"
	mov $scratch, %esi
	mov $3, %ecx
	STEP 0x00000203, "protected: a trap after each iteration of a REP", "rep lodsb; nop"
	STEP 0x01, "protected: HLT under TF does not halt", "hlt"
	/* Intel: INT1 passes as #DB without any bit of DR6 and without a trap of its own. */
	STEP 0x0102, "protected: INT1", "int1; nop"
	CHECK_MEM dr6_first, 0xffff0ff0, "protected: INT1 sets nothing in DR6"
	movl $0x102, user_flags
	movl $0, trace
	movl $user_code, start
	movl $user_code + 2, end
	TRY_USER_AT 0, "jmp user_code; .pushsection .text.user; user_code: nop; nop; int $USER_EXIT; .popsection"
	mov trace, %eax
	and $0xffff, %eax
	CHECK 0x0102, "protected: at CPL 3 by IRET"
	movl $2, user_flags
	call enter_long
	MODE64
	HOOK DB, on_debug64
	HOOK UD, on_ud64
	HOOK INT_VECTOR, on_int64
	STEP 0x0102, "64-bit: a trap after each instruction", "nop; nop"
	CHECK_MEM dr6_seen, 0xffff4ff0, "64-bit: DR6.BS"
	CHECK_MEM flags_seen, 0x100, "64-bit: the pushed image has TF and not RF"
	mov $KERNEL_DS, %ecx
	STEP 0x0304, "64-bit: no trap after MOV SS", "mov %ecx, %ss; nop; nop"
	STEP 0x03, "64-bit: INT n, IRET: the next trap after the instruction returned to", \
		"int $INT_VECTOR; nop"
	STEP 0x03, "64-bit: an instruction that faults is not followed by a trap", "ud2; nop"
	mov $scratch, %esi
	mov $3, %ecx
	STEP 0x00000203, "64-bit: a trap after each iteration of a REP", "rep lodsb; nop"
	/* SYSCALL and SYSRET are judged by the TF that they leave: Linux (entry_64.S) returns by
	 * IRET when TF is set because SYSRET would trap at once, at its target; a TF that IA32_FMASK
	 * clears makes no trap in the kernel. QEMU holds the same. */
	mov $0xc0000081, %ecx
	xor %eax, %eax
	mov $(KERNEL_CS64 | USER_CS << 16), %edx
	wrmsr
	inc %ecx
	mov $on_syscall, %eax
	xor %edx, %edx
	wrmsr
	mov $0xc0000084, %ecx
	mov $0x100, %eax
	wrmsr
	movl $0x102, user_flags
	movl $0, trace
	movl $user_code64, start
	movl $user_code64 + 5, end
	TRY_USER_AT 0, "jmp user_code64; .pushsection .text.user; user_code64: nop; syscall; nop; nop; int $USER_EXIT; .popsection"
	mov trace, %eax
	CHECK 0x01030405, "64-bit: SYSCALL masks TF: no trap in the kernel, one at SYSRET's target"
	mov r11_seen, %eax
	and $0x100, %eax
	CHECK 0x100, "64-bit: SYSCALL saves TF in R11"
	/* Without the mask TF stays set: the trap comes at the kernel's first instruction. */
	mov $0xc0000084, %ecx
	xor %eax, %eax
	xor %edx, %edx
	wrmsr
	movl $0x2, user_flags
	UNHOOK DB
	TRY_USER_AT on_syscall, "pushq $0x102; popfq; syscall"
	CHECK_FAULT DB, 0, "64-bit: SYSCALL that keeps TF traps at its target"
	jmp finish64

on_syscall:
	nop
	mov %r11d, r11_seen
	sysretq

	STEP_HANDLER64
on_debug32:
	mov %db6, %eax
	mov %eax, dr6_seen
	cmpl $0, trace
	jne 1f
	mov %eax, dr6_first
1:	mov $0xffff0ff0, %eax
	mov %eax, %db6
	pushfl
	pop %eax
	and $0x10300, %eax
	mov %eax, flags_inside
	mov F32_EIP(%ebp), %eax
	mov F32_FLAGS(%ebp), %edx
	call note_trap
	jne 2f
	andl $~0x100, F32_FLAGS(%ebp)
2:	ret

on_int32:
	mov F32_FLAGS(%ebp), %eax
	and $0x10300, %eax
	mov %eax, flags_image
	ret

on_ud32:
	addl $2, F32_EIP(%ebp)
	jmp on_int32

	MODE64
on_ud64:
	addq $2, F64_RIP(%rbp)
on_int64:
	ret

	.bss
	.balign 8
	STEP_DATA
dr6_first: .skip 4
flags_inside: .skip 4
flags_image: .skip 4
r11_seen: .skip 4
scratch: .skip 16
	.section .note.GNU-stack, "", @progbits
