/* A fault while #DF is delivered shuts the processor down (SDM 3A 6.15, interrupt 8): here after the
 * report, whose "done" is the last that is heard. */
#include "guest.h"

	.text
	.globl main
main:
	movl $shut_down, after_report
	andb $0x7f, idt32 + 8 * GP + 5
	mov $0xf8, %ecx
	TRY "mov %ecx, %ds"
	CHECK_FAULT DF, 0, "protected: up to #DF all is well"
	ret
shut_down:
	andb $0x7f, idt32 + 8 * DF + 5
	mov $0xf8, %ecx
	mov %ecx, %ds
	mov $text, %esi
	mov $0x3f8, %edx
1:	lodsb
	out %al, %dx
	test %al, %al
	jnz 1b
	jmp power_off
text:	.asciz "not ok protected: survived\n"
	.section .note.GNU-stack, "", @progbits
