/*
 * Single-stepping (SDM 3B 17.3.1.4): TF traps after each instruction that began with it set. The
 * handler notes where each trap came and DR6, and clears DR6 (SDM 3B 17.2.3: the processor never
 * does). Traps are packed as the low bytes of the offsets from the label `here`, the latest lowest.
 */
#include "guest.h"

	.set INT_VECTOR, 0x50

	/* Sets TF by POPF, so that the first trap comes after the first instruction of insn, at its end
	 * goes on without. want: the return addresses' offsets from insn's start. */
	.macro STEP want, name, insn
	movl $0, trace
	movl $0, dr6_seen
	movl $.Lstart\@, here
	pushf
	.if BITS == 64
	orl $0x100, (%rsp)
	.else
	orl $0x100, (%esp)
	.endif
	popf
.Lstart\@:
	\insn
	/* The trap after this POPF that clears TF is noted too: 0xff stands for it. */
	movl $.Lend\@, end_ip
	pushf
	.if BITS == 64
	andl $~0x100, (%rsp)
	.else
	andl $~0x100, (%esp)
	.endif
	movl $1, ending
	popf
.Lend\@:
	movl $0, ending
	CHECK_MEM trace, \want, "\name"
	.endm

	.text
	.globl main
main:
	HOOK DB, on_debug32
	HOOK INT_VECTOR, on_int32
	HOOK UD, on_ud32
	STEP 0x0102ff, "protected: a trap after each instruction", "nop; nop"
	CHECK_MEM dr6_seen, 0xffff4ff0, "protected: DR6.BS"
	mov flags_seen, %eax
	and $0x10100, %eax
	CHECK 0x100, "protected: the pushed image has TF set and RF clear"
	STEP 0x05ff, "protected: MOV SS holds the trap off", "mov %ss, %ecx; mov %ecx, %ss; nop"
	jmp 1f
1:	/* Instead of above: exact offsets. */
	STEP 0x0205ff, "protected: no trap between MOV SS and the next", "mov %ss, %ecx; mov %ecx, %ss; nop"
	STEP 0x0102ff, "protected: POP SS too", "push %ss; pop %ss; nop"
	STEP 0x02ff, "protected: INT n clears TF in the handler, IRET brings it back", "int $INT_VECTOR; nop"
	jmp finish
	.section .note.GNU-stack, "", @progbits
