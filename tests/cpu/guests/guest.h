/*
 * What the fidelity guests share. A guest is a multiboot program: start.S enters flat 32-bit
 * protected mode, interrupts off, and calls `main`; main may call enter_long, and jumps to finish
 * (in whatever of the two modes it is). Checks are records: CHECK stores what was seen into the
 * record that it makes, and finish prints all records, those not reached too, so that a guest that
 * goes astray reports what it did not do.
 *
 * TRY runs instructions of which one may fault; what came of it is caught_code: vector << 16 |
 * error code, 0xff0000 when nothing came, with bit 31 set when the return address that was pushed
 * is not that of the instruction.
 */
#ifndef REPRISE_TESTS_CPU_GUESTS_GUEST_H
#define REPRISE_TESTS_CPU_GUESTS_GUEST_H

	.set LOW, 0x10000 /* base of the real-mode segment */

/* Assembler symbols, for the instructions that are given as strings see no macros of cpp. */
/* Selectors. */
	.set KERNEL_CS, 0x08
	.set KERNEL_DS, 0x10
	.set USER_CS, 0x1b
	.set USER_DS, 0x23
	.set USER_CS64, 0x2b /* SYSRET wants these three in this order */
	.set KERNEL_CS64, 0x30 /* and SYSCALL data behind it */
	.set CS16, 0x40
	.set TSS_SEL, 0x48 /* two descriptors in long mode */
	.set DS16, 0x58
	.set FREE_SEL, 0x60 /* up to 0xf8: a guest's own */

	.set USER_EXIT, 0x40
	.set USER_TRIES, 4

	.set NO_FAULT, 0xff0000
/* No spaces: those separate arguments of assembler macros. */
#define FAULT(vector, error) ((vector)<<16|(error))

	.set DE, 0
	.set DB, 1
	.set NMI, 2
	.set BP, 3
	.set OF, 4
	.set UD, 6
	.set NM, 7
	.set DF, 8
	.set TS, 10
	.set NP, 11
	.set SS, 12
	.set GP, 13
	.set PF, 14
	.set AC, 17

/* A frame of the common handlers, from EBP or RBP. */
	.set F32_VECTOR, 40
	.set F32_ERROR, 44
	.set F32_EIP, 48
	.set F32_CS, 52
	.set F32_FLAGS, 56
	.set F32_ESP, 60
	.set F32_SS, 64
	.set F32_ES, 68
	.set F64_VECTOR, 120
	.set F64_ERROR, 128
	.set F64_RIP, 136
	.set F64_CS, 144
	.set F64_FLAGS, 152
	.set F64_RSP, 160
	.set F64_SS, 168

	.macro MODE32
	.code32
	.set BITS, 32
	.set USER_SEL, USER_CS
	.endm
	.macro MODE64
	.code64
	.set BITS, 64
	.set USER_SEL, USER_CS64
	.endm
	MODE32

	/* In long mode: CR4.OSFXSR, without which no code is translated. */
	.macro ENABLE_SSE
	mov %cr4, %rax
	or $0x200, %rax
	mov %rax, %cr4
	.endm

	/* A record: its name and what is wanted. */
	.macro RECORD label, lo, hi, name
	.pushsection .names, "a"
.Lname\@:
	.asciz "\name"
	.popsection
	.pushsection .checks, "aw"
	.balign 8
\label:
	.long .Lname\@, 0, 0, 0, \lo, \hi
	.popsection
	.endm

	/* EAX must be want. Changes no register and no flag. */
	.macro CHECK want, name
	RECORD .Lcheck\@, "\want", 0, "\name"
	movl %eax, .Lcheck\@ + 8
	movl $1, .Lcheck\@ + 4
	.endm

	/* RAX, in 64-bit code; want is given in halves, for addresses have no 64-bit relocation. */
	.macro CHECK64 hi, lo, name
	RECORD .Lcheck\@, "\lo", "\hi", "\name"
	movq %rax, .Lcheck\@ + 8
	movl $1, .Lcheck\@ + 4
	.endm

	/* In 16-bit code with DS at LOW. */
	.macro CHECK16 want, name
	RECORD .Lcheck\@, "\want", 0, "\name"
	movl %eax, .Lcheck\@ + 8 - LOW
	movl $1, .Lcheck\@ + 4 - LOW
	.endm

	/* A value in memory. */
	.macro CHECK_MEM where, want, name
	movl \where, %eax
	CHECK "\want", "\name"
	.endm

	/* What the last TRY came to. */
	.macro CHECK_FAULT vector, error, name
	CHECK_MEM caught_code, "(\vector)<<16|(\error)", "\name"
	.endm
	.macro CHECK_NO_FAULT name
	CHECK_MEM caught_code, NO_FAULT, "\name"
	.endm

	/* Begins a TRY: a fault at try_ip is expected, after it the guest goes on at after. */
	.macro ARM at, after
	movl $\after, catch_ip
	movl %esp, catch_sp
	movl $\at, try_ip
	movl $NO_FAULT, caught_code
	.endm

	/* At CPL 0. insn is one or more instructions; the first is the one that may fault. */
	.macro TRY insn
	ARM .Lat\@, .Lafter\@
.Lat\@:
	\insn
.Lafter\@:
	movl $0, catch_ip
	.endm

	/* The same with a label of insn's own for the instruction that may fault. */
	.macro TRY_AT at, insn
	ARM \at, .Lafter\@
	\insn
.Lafter\@:
	movl $0, catch_ip
	.endm

	/* Goes to CPL 3 at ip with the flags in user_flags. */
	.macro ENTER_USER cs, ip
	mov user_ds, %ds
	mov user_ds, %es
	.if BITS == 64
	pushq $USER_DS
	pushq $user_stack_end
	pushq user_flags
	pushq $\cs
	pushq $\ip
	iretq
	.else
	pushl $USER_DS
	pushl $user_stack_end
	pushl user_flags
	pushl $\cs
	pushl $\ip
	iretl
	.endif
	.endm

	/* At CPL 3, in this code's mode. Registers are kept, but for RSP. 64-bit code runs USER_TRIES
	 * times, for an engine may leave to the interpreter what runs once, and what a translation
	 * would begin with and cannot. */
	.macro TRY_USER insn
	TRY_USER_AT .Lat\@, ".Lat\@: \insn"
	.endm

	.macro TRY_USER_AT at, insn
	.if BITS == 64
	movl $USER_TRIES, tries
	.endif
.Lagain\@:
	ARM \at, .Lafter\@
	ENTER_USER USER_SEL, .Lenter\@
.Lenter\@:
	.if BITS == 64
	nop
	nop
	.endif
	\insn
	int $USER_EXIT
.Lafter\@:
	.if BITS == 64
	decl tries
	jnz .Lagain\@
	.endif
	movl $0, catch_ip
	.endm

	/* From 64-bit code: at CPL 3 in compatibility mode. */
	.macro TRY_COMPAT insn
	ARM .Lat\@, .Lafter\@
	ENTER_USER USER_CS, .Lat\@
	.code32
.Lat\@:
	\insn
	int $USER_EXIT
	.code64
.Lafter\@:
	movl $0, catch_ip
	.endm

	/* Sets the function that handles a vector: it is called with EBP or RBP at the frame, may
	 * change every register, and returns to where the frame says. */
	.macro HOOK vector, function
	movl $\function, hooks + 4 * (\vector)
	.endm
	.macro UNHOOK vector
	movl $0, hooks + 4 * (\vector)
	.endm

	/* One descriptor, as in the GDT. */
	.macro DESCRIPTOR selector, lo, hi
	movl $\lo, gdt + (\selector)
	movl $\hi, gdt + (\selector) + 4
	.endm

#endif
