/*
 * Instructions that CPL 3 may not run (SDM 3A 5.9; SDM 2 per instruction), from protected, 64-bit
 * and compatibility mode, and what I/O privilege and the I/O bitmap let through (SDM 1 19.5).
 */
#include "guest.h"

	/* In this mode's CPL 3. */
	.macro DENIED mode, insn, name
	.if \mode == 1
	TRY_COMPAT "\insn"
	.else
	TRY_USER "\insn"
	.endif
	.if \mode == 2
	CHECK_FAULT GP, 0, "64-bit: \name"
	.elseif \mode == 1
	CHECK_FAULT GP, 0, "compatibility: \name"
	.else
	CHECK_FAULT GP, 0, "protected: \name"
	.endif
	.endm

	.macro DENIED_ALL mode
	DENIED \mode, "hlt", "HLT"
	DENIED \mode, "clts", "CLTS"
	DENIED \mode, "lmsw %ax", "LMSW"
	DENIED \mode, "lgdt gdt_pointer", "LGDT"
	DENIED \mode, "lidt idt32_pointer", "LIDT"
	DENIED \mode, "lldt %ax", "LLDT"
	DENIED \mode, "ltr %ax", "LTR"
	DENIED \mode, "invd", "INVD"
	DENIED \mode, "wbinvd", "WBINVD"
	DENIED \mode, "invlpg gdt", "INVLPG"
	DENIED \mode, "rdmsr", "RDMSR"
	DENIED \mode, "wrmsr", "WRMSR"
	DENIED \mode, "xsetbv", "XSETBV"
	DENIED \mode, "cli", "CLI with IOPL 0"
	DENIED \mode, "sti", "STI with IOPL 0"
	DENIED \mode, "in $0x80, %al", "IN beyond the bitmap"
	DENIED \mode, "out %al, $0x80", "OUT beyond the bitmap"
	DENIED \mode, "insb", "INS beyond the bitmap"
	DENIED \mode, "outsb", "OUTS beyond the bitmap"
	DENIED \mode, "rdtsc", "RDTSC with CR4.TSD"
	DENIED \mode, "sgdt scratch", "SGDT with UMIP"
	DENIED \mode, "sidt scratch", "SIDT with UMIP"
	DENIED \mode, "sldt %ax", "SLDT with UMIP"
	DENIED \mode, "str %ax", "STR with UMIP"
	DENIED \mode, "smsw %ax", "SMSW with UMIP"
	DENIED \mode, ".byte 0x0f, 0x35", "SYSEXIT"
	.endm

	/* TSD, DE, PAE as they are, OSFXSR, UMIP, OSXSAVE. */
	.macro SET_CR4
	.if BITS == 64
	mov %cr4, %rax
	or $0x40a0c, %rax
	mov %rax, %cr4
	.else
	mov %cr4, %eax
	or $0x40a0c, %eax
	mov %eax, %cr4
	.endif
	.endm

	/* At CPL 0. */
	.macro ALLOWED mode, insn, name
	TRY "\insn"
	.if \mode == 2
	CHECK_NO_FAULT "64-bit, CPL 0: \name"
	.else
	CHECK_NO_FAULT "protected, CPL 0: \name"
	.endif
	.endm

	.macro ALLOWED_ALL mode
	ALLOWED \mode, "invd", "INVD"
	ALLOWED \mode, "wbinvd", "WBINVD"
	ALLOWED \mode, "invlpg gdt", "INVLPG"
	.endm

	.text
	.globl main
main:
	SET_CR4
	ALLOWED_ALL 0
	mov $0x80, %edx
	DENIED_ALL 0
	DENIED 0, "mov %cr0, %eax", "MOV from CR0"
	DENIED 0, "mov %eax, %cr0", "MOV to CR0"
	DENIED 0, "mov %cr2, %eax", "MOV from CR2"
	DENIED 0, "mov %eax, %cr3", "MOV to CR3"
	DENIED 0, "mov %cr4, %eax", "MOV from CR4"
	DENIED 0, "mov %db0, %eax", "MOV from DR0"
	DENIED 0, "mov %eax, %db7", "MOV to DR7"
	TRY_USER "int $0x41"
	CHECK_FAULT GP, 0x41*8+2, "protected: INT n through a gate of DPL 0"
	TRY_USER "ljmp $KERNEL_CS, $main"
	CHECK_FAULT GP, KERNEL_CS, "protected: far JMP to CPL 0"
	TRY_USER_AT 1f, "mov $KERNEL_DS, %eax; 1: mov %eax, %ds"
	CHECK_FAULT GP, KERNEL_DS, "protected: DS of DPL 0"
	/* A return to more privilege (SDM 2, IRET). */
	TRY_USER_AT 1f, "pushl $2; pushl $KERNEL_CS; pushl $main; 1: iretl"
	CHECK_FAULT GP, KERNEL_CS, "protected: IRET to CPL 0"
	TRY_USER_AT 1f, "pushl $KERNEL_CS; pushl $main; 1: lretl"
	CHECK_FAULT GP, KERNEL_CS, "protected: far RET to CPL 0"

	call bitmap32
	call flags32
	call enter_long
	MODE64
	SET_CR4
	ALLOWED_ALL 2
	mov $0x80, %edx
	DENIED_ALL 2
	DENIED 2, "mov %cr0, %rax", "MOV from CR0"
	DENIED 2, "mov %rax, %cr8", "MOV to CR8"
	DENIED 2, "mov %cr8, %rax", "MOV from CR8"
	DENIED 2, "mov %rax, %cr3", "MOV to CR3"
	DENIED 2, "mov %db7, %rax", "MOV from DR7"
	DENIED 2, "swapgs", "SWAPGS"
	DENIED 2, "sysretq", "SYSRET"
	TRY_USER "int $0x41"
	CHECK_FAULT GP, 0x41*8+2, "64-bit: INT n through a gate of DPL 0"
	TRY_USER_AT 1f, "pushq $0; pushq $0; pushq $2; pushq $KERNEL_CS64; pushq $main; 1: iretq"
	CHECK_FAULT GP, KERNEL_CS64, "64-bit: IRETQ to CPL 0"
	TRY_USER "rdgsbase %rax"
	CHECK_FAULT UD, 0, "64-bit: RDGSBASE without CR4.FSGSBASE"
	mov $0x80, %edx
	DENIED_ALL 1
	DENIED 1, "mov %cr0, %eax", "MOV from CR0"
	TRY_COMPAT "int $0x41"
	CHECK_FAULT GP, 0x41*8+2, "compatibility: INT n through a gate of DPL 0"
	TRY_COMPAT ".byte 0x0f, 0x01, 0xf8"
	CHECK_FAULT UD, 0, "compatibility: SWAPGS does not exist"
	TRY_COMPAT "syscall"
	CHECK_FAULT UD, 0, "compatibility: SYSCALL is #UD (Intel)"
	/* SDM 3A 7.7: long mode uses the 64-bit TSS's bitmap by the same rules. */
	movl $0xfffffffe, tss64 + 0x68 + 16
	movw $0x68 + 31, gdt + TSS_SEL
	movw $0x89, gdt + TSS_SEL + 5
	mov $TSS_SEL, %eax
	ltr %ax
	TRY_USER "in $0x80, %al"
	CHECK_NO_FAULT "64-bit: IN with its bit clear"
	TRY_USER "in $0x81, %al"
	CHECK_FAULT GP, 0, "64-bit: IN with its bit set"
	TRY_COMPAT "in $0x80, %al"
	CHECK_NO_FAULT "compatibility: IN with its bit clear"
	jmp finish64

	MODE32
/* The bitmap's bits; an access of n bytes needs n clear bits; two bytes are read always. */
bitmap32:
	movw $0x68 + 8192, gdt + TSS_SEL /* the limit covers every port and the byte behind */
	movw $0x89, gdt + TSS_SEL + 5
	mov $TSS_SEL, %eax
	ltr %ax
	mov $tss32 + 0x68, %edi
	mov $0xff, %al
	mov $8193, %ecx
	rep stosb
	movb $0xf0, tss32 + 0x68 + 0x10 /* ports 0x80 to 0x83 */
	TRY_USER "in $0x80, %al"
	CHECK_NO_FAULT "bitmap: IN with its bit clear"
	TRY_USER "in $0x84, %al"
	CHECK_FAULT GP, 0, "bitmap: IN with its bit set"
	TRY_USER "in $0x80, %eax"
	CHECK_NO_FAULT "bitmap: four bytes, four bits clear"
	TRY_USER "in $0x81, %eax"
	CHECK_FAULT GP, 0, "bitmap: four bytes, the last bit set"
	TRY_USER "in $0x7f, %ax"
	CHECK_FAULT GP, 0, "bitmap: two bytes, the first bit set"
	movb $0, tss32 + 0x68 + 8191
	mov $0xffff, %edx
	TRY_USER "in %dx, %al"
	CHECK_NO_FAULT "bitmap: the last port"
	movb $0, tss32 + 0x68 + 0x1f
	mov $0xff, %edx
	TRY_USER "in %dx, %ax"
	CHECK_FAULT GP, 0, "bitmap: two bytes across the bitmap's byte"
	movw $0x68 + 8191, gdt + TSS_SEL
	movw $0x89, gdt + TSS_SEL + 5
	mov $TSS_SEL, %eax
	ltr %ax
	mov $0xffff, %edx
	TRY_USER "in %dx, %al"
	CHECK_FAULT GP, 0, "bitmap: the byte behind lies beyond the limit"
	movl $0x3002, user_flags
	TRY_USER "in $0x84, %al"
	CHECK_NO_FAULT "IOPL 3: IN whatever the bitmap says"
	TRY_USER "cli"
	CHECK_NO_FAULT "IOPL 3: CLI"
	movl $2, user_flags
	ret

/* POPF and IRET at CPL 3 leave IF and IOPL as they are, silently (SDM 2, POPF, IRET). */
flags32:
	movl $0x1002, user_flags
	TRY_USER "pushl $0x3302; popfl; pushfl; popl %eax"
	/* TF is set by that POPF: the trap comes after PUSHF. */
	mov caught_code, %eax
	and $0x00ffffff, %eax
	CHECK FAULT(DB,0), "POPF at CPL 3 sets TF"
	mov caught_flags, %eax
	and $0x3300, %eax
	CHECK 0x1100, "POPF at CPL 3 with IOPL 1 sets neither IF nor IOPL"
	movl $0x3202, user_flags
	TRY_USER "pushl $0x2; popfl"
	mov caught_flags, %eax
	and $0x3200, %eax
	CHECK 0x3000, "POPF at CPL 3 with IOPL 3 clears IF and keeps IOPL"
	movl $0x1002, user_flags
	TRY_USER_AT 1f, "pushl $0x247302; pushl $USER_CS; pushl $1f; iretl; 1: nop"
	mov caught_flags, %eax
	and $0x247200, %eax
	CHECK 0x245000, "IRET at CPL 3 loads AC, ID and NT, not IF or IOPL"
	movl $2, user_flags
	ret

	.bss
	.balign 16
scratch: .skip 16
	.section .note.GNU-stack, "", @progbits
