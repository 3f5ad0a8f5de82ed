/*
 * User code that uses addresses which are not its own: the kernel's half, non-canonical ones, and some
 * of users that are not mapped, as data, string operand, stack and jump target (SDM 1 3.3.7.1; SDM 3A 4.7, 6.15). Engines that run user
 * code by other means than the interpreter must fault just so.
 */
#include "guest.h"

	/* PF: not present, by a user. */
	.set READ, (PF)<<16|4
	.set WRITE, (PF)<<16|6
	.set ELSEWHERE, 0x80000000 /* the return address is the target's */

	.macro LOADS address, hi, lo, read, name
	TRY_USER_AT 1f, "movabs $\address, %rax; 1: movb (%rax), %bl"
	CHECK_MEM caught_code, "\read", "load from \name"
	.if \read == READ
	mov %cr2, %rax
	CHECK64 \hi, \lo, "CR2 of a load from \name"
	.endif
	TRY_USER_AT 1f, "movabs $\address, %rsi; mov $scratch, %edi; 1: movsb"
	CHECK_MEM caught_code, "\read", "MOVSB from \name"
	TRY_USER_AT 1f, "movabs $\address, %rsi; 1: cmpsb"
	CHECK_MEM caught_code, "\read", "CMPSB at \name"
	.endm

	.macro STORES address, write, stack, name
	TRY_USER_AT 1f, "movabs $\address, %rax; 1: movb $1, (%rax)"
	CHECK_MEM caught_code, "\write", "store to \name"
	TRY_USER_AT 1f, "movabs $\address - 0x10, %rax; mov $2, %ecx; 1: addb %bl, (%rax,%rcx,8)"
	CHECK_MEM caught_code, "\write", "addition at \name"
	TRY_USER_AT 1f, "movabs $\address, %rdi; mov $5, %ecx; 1: rep stosb"
	CHECK_MEM caught_code, "\write", "REP STOSB at \name"
	mov %rcx, %rax
	CHECK 5, "count left by REP STOSB at \name"
	TRY_USER_AT 1f, "movabs $\address + 8, %rsp; 1: push %rax"
	CHECK_MEM caught_code, "\stack", "PUSH at \name"
	TRY_USER_AT 1f, "movabs $\address + 8, %rsp; 1: call .Lnowhere"
	CHECK_MEM caught_code, "\stack", "CALL with the stack at \name"
	.endm

	.macro JUMPS address, jump, name
	TRY_USER_AT 1f, "movabs $\address, %rax; 1: jmp *%rax"
	CHECK_MEM caught_code, "\jump", "jump to \name"
	TRY_USER_AT 1f, "movabs $\address, %rax; push %rax; 1: ret"
	CHECK_MEM caught_code, "\jump", "return to \name"
	.endm

	.macro WILD address, hi, lo, read, write, stack, jump, name
	LOADS \address, \hi, \lo, \read, "\name"
	STORES \address, \write, \stack, "\name"
	JUMPS \address, \jump, "\name"
	.endm

	.macro KERNEL address, hi, lo, name
	WILD \address, \hi, \lo, READ, WRITE, WRITE, (READ|0x10|ELSEWHERE), "\name"
	.endm

	.macro NONSENSE address, name
	WILD \address, 0, 0, (GP)<<16, (GP)<<16, (SS)<<16, (GP)<<16, "\name"
	.endm

	/* Of a user and mapped by nobody; where engines may keep what is theirs. */
	.macro ABSENT lo, name
	WILD 0x4000\lo, 0x4000, 0x\lo, READ, WRITE, WRITE, (READ|0x10|ELSEWHERE), "\name"
	.endm

	/* Likewise; a load may not be seen to fault (docs/kvm.md). */
	.macro UNWRITABLE lo, name
	STORES 0x4000\lo, WRITE, WRITE, "\name"
	JUMPS 0x4000\lo, (READ|0x10|ELSEWHERE), "\name"
	.endm

	.text
	.globl main
main:
	call enter_long
	MODE64
	mov $scratch, %edi
	KERNEL 0xffffffffffffffff, 0xffffffff, 0xffffffff, "-1"
	KERNEL 0xfffffffffffffff8, 0xffffffff, 0xfffffff8, "-8"
	KERNEL 0xfffffffffffff001, 0xffffffff, 0xfffff001, "the last ERR_PTR"
	KERNEL 0xffffffffff600000, 0xffffffff, 0xff600000, "the vsyscall page"
	KERNEL 0xffffffff81000000, 0xffffffff, 0x81000000, "kernel text"
	KERNEL 0xffff888000001000, 0xffff8880, 0x00001000, "the direct map"
	KERNEL 0xffff800000000000, 0xffff8000, 0x00000000, "the first kernel address"
	NONSENSE 0x0000800000000000, "the first non-canonical address"
	NONSENSE 0x0000800070002000, "a non-canonical address"
	NONSENSE 0x00008000dead0000, "another non-canonical address"
	NONSENSE 0xffff7ffffffff000, "the last non-canonical page"
	NONSENSE 0x4141414141414141, "bytes of text"
	ABSENT 00000000, "2^46"
	ABSENT 60002000, "2^46 and the page behind the context"
	ABSENT 601ff000, "2^46 and the page in front of the window"
	ABSENT 61400000, "2^46 and what lies behind the code"
	ABSENT 67fff000, "2^46 and the end of the run-time area"
	ABSENT 6c000000, "2^46 and the VM's tables"
	ABSENT 70002000, "2^46 and the VM's stub"
	ABSENT 70005000, "2^46 and the VM's requests"
	ABSENT 70007000, "2^46 and the VM's stack"
	ABSENT 70008000, "2^46 and what lies behind that"
	UNWRITABLE 60001000, "2^46 and the context's second page"
	UNWRITABLE 60200000, "2^46 and the window"
	UNWRITABLE 603ff000, "2^46 and the window's end"
	UNWRITABLE 60400000, "2^46 and the code"
	UNWRITABLE 613ff000, "2^46 and the code's end"
	UNWRITABLE 70000000, "2^46 and the VM's own code"
	UNWRITABLE 70006000, "2^46 and what that reads"
	jmp finish64
.Lnowhere:
	ud2

	.data
	.balign 16
scratch:
	.quad 0, 0

	.section .note.GNU-stack, "", @progbits
