/* Code that writes code, of 32-bit modes, shared by the guests that run it. */
#ifndef REPRISE_TESTS_CPU_GUESTS_MODIFY_H
#define REPRISE_TESTS_CPU_GUESTS_MODIFY_H

	.macro MODIFY mode
	movb $2, 1f + 1
1:	mov $1, %al
	movzbl %al, %eax
	CHECK 2, "\mode: the very next instruction"
	/* A loop whose body changes each time. */
	mov $5, %ecx
	xor %ebx, %ebx
2:	mov %cl, 3f + 2
3:	add $0, %ebx
	loop 2b
	mov %ebx, %eax
	CHECK 15, "\mode: in a loop"
	/* REP MOVSB over the code right behind it, longer than what it replaces. */
	mov $4f, %esi
	mov $5f, %edi
	mov $6, %ecx
	rep movsb
5:	mov $1, %eax
	nop
	jmp 6f
4:	mov $7, %eax
	nop
6:	CHECK 7, "\mode: REP MOVSB over what follows it"
	/* REP STOSB over itself: what is left of it after the first iterations is another instruction.
	 * AAh is STOSB: REP STOSB becomes REP + 90h = PAUSE at once. */
	mov $7f+1, %edi
	mov $3, %ecx
	mov $0x90, %al
7:	rep stosb
	nop
	nop
	nop
	mov %ecx, %eax
	CHECK 2, "\mode: REP STOSB over its own opcode stops after an iteration"
	/* An instruction that writes its own bytes has been fetched already. */
	mov $0x90909090, %eax
8:	mov %eax, 8b
	CHECK 0x90909090, "\mode: an instruction over itself"
	mov 8b, %eax
	CHECK 0x90909090, "\mode: and it was written"
	/* A PUSH that writes the next instruction. */
	mov %esp, saved
	mov $9f + 4, %esp
	push $0x909003b0 /* mov $3, %al */
9:	mov $1, %al
	nop
	nop
	mov saved, %esp
	movzbl %al, %eax
	CHECK 3, "\mode: written by PUSH"
	.endm

	.macro MODIFY_DATA
saved:	.skip 4
	.endm

#endif
