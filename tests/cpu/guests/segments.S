/*
 * Descriptors of all 32 types (SDM 3A 3.4.5.1, 3.5), in protected and 64-bit mode: what LAR, LSL, VERR
 * and VERW say of them (SDM 2), and what loads of DS, SS, CS, LDTR and TR make of them, with error
 * codes (SDM 3A 5.5 to 5.8, 6.15). A type's number here is its bit in every mask: S, then the four
 * bits of the type, so that segments are the upper half.
 */
#include "guest.h"

	.set SEL, FREE_SEL
	.set PRESENT, 0x8000
	.set DPL3, 0x6000
	.set GRANULAR, 0x800000
	.set CODE32, 0x400000
	.set CODE64, 0x200000

	.set ALL, 0xffffffff
	/* Of which a far JMP is no gate or task switch. */
	.set NO_GATES, 0xffffedcd

	.macro NAMED want, name
	.if BITS == 64
	CHECK \want, "64-bit: \name"
	.else
	CHECK \want, "protected: \name"
	.endif
	.endm
	.macro MASK where, want, name
	mov \where, %eax
	NAMED \want, "\name"
	.endm

	/* The type in EBX becomes SEL's. */
	.macro SET_TYPE attributes
	mov %ebx, %eax
	shl $8, %eax
	or $\attributes, %eax
	mov %eax, gdt + SEL + 4
	movl $0xffff, gdt + SEL
	movl $0, gdt + SEL + 8
	movl $0, gdt + SEL + 12
	.endm

	.macro CLEAR_MASKS
	xor %eax, %eax
	mov %eax, is_lar
	mov %eax, is_lsl
	mov %eax, is_verr
	mov %eax, is_verw
	mov %eax, is_loaded
	mov %eax, is_gp
	mov %eax, is_np
	mov %eax, is_ss
	mov %eax, bad
	.endm

	/* LAR, LSL, VERR and VERW of every type. */
	.macro QUERY_ALL attributes, selector
	CLEAR_MASKS
	xor %ebx, %ebx
.Ltype\@:
	SET_TYPE \attributes
	mov $\selector, %ecx
	lar %ecx, %edx
	jnz .Llsl\@
	btsl %ebx, is_lar
	cmp %eax, %edx
	je .Llsl\@
	incl bad
.Llsl\@:
	lsl %ecx, %edx
	jnz .Lverr\@
	btsl %ebx, is_lsl
	cmp $0x0fffffff, %edx
	je .Lverr\@
	incl bad
.Lverr\@:
	verr %cx
	jnz .Lverw\@
	btsl %ebx, is_verr
.Lverw\@:
	verw %cx
	jnz .Lnext\@
	btsl %ebx, is_verw
.Lnext\@:
	inc %ebx
	cmp $32, %ebx
	jne .Ltype\@
	.endm

	/* insn loads ECX; and gives back what it changed. */
	.macro LOAD_ALL attributes, selector, types, insn
	CLEAR_MASKS
	xor %ebx, %ebx
.Ltype\@:
	mov $\types, %eax
	bt %ebx, %eax
	jnc .Lnext\@
	SET_TYPE \attributes
	mov $\selector, %ecx
	TRY "\insn"
	.if BITS == 64
	call classify64
	.else
	call classify32
	.endif
.Lnext\@:
	inc %ebx
	cmp $32, %ebx
	jne .Ltype\@
	.endm

	/* The outcome of the type in EBX. */
	.macro CLASSIFY
	mov caught_code, %eax
	cmp $NO_FAULT, %eax
	jne 1f
	btsl %ebx, is_loaded
	ret
1:	cmp $FAULT(GP,SEL), %eax
	jne 2f
	btsl %ebx, is_gp
	ret
2:	cmp $FAULT(NP,SEL), %eax
	jne 3f
	btsl %ebx, is_np
	ret
3:	cmp $FAULT(SS,SEL), %eax
	jne 4f
	btsl %ebx, is_ss
	ret
4:	incl bad
	ret
	.endm

	/* Each type loads, or its fault is one of these. */
	.macro OUTCOMES loaded, gp, np, ss, name
	MASK is_loaded, \loaded, "\name: those that load"
	MASK is_gp, \gp, "\name: #GP of the selector"
	MASK is_np, \np, "\name: #NP of the selector"
	MASK is_ss, \ss, "\name: #SS of the selector"
	MASK bad, 0, "\name: and nothing else"
	.endm

	/* lar, lsl: what system descriptors they know. */
	.macro QUERIES lar, lsl
	QUERY_ALL GRANULAR|PRESENT, SEL
	MASK is_lar, 0xffff0000|\lar, "LAR of each type"
	MASK is_lsl, 0xffff0000|\lsl, "LSL of each type"
	MASK is_verr, 0xccff0000, "VERR of each type: data and readable code"
	MASK is_verw, 0x00cc0000, "VERW of each type: writable data"
	MASK bad, 0, "LAR and LSL: the values"
	/* Presence is not looked at. */
	QUERY_ALL GRANULAR, SEL
	MASK is_lar, 0xffff0000|\lar, "LAR of absent ones"
	MASK is_verw, 0x00cc0000, "VERW of absent ones"
	/* RPL 3 and DPL 0: conforming code alone. */
	QUERY_ALL GRANULAR|PRESENT, SEL+3
	MASK is_lar, 0xf0000000, "LAR with RPL above DPL"
	MASK is_lsl, 0xf0000000, "LSL with RPL above DPL"
	MASK is_verr, 0xc0000000, "VERR with RPL above DPL"
	MASK is_verw, 0, "VERW with RPL above DPL"
	QUERY_ALL GRANULAR|PRESENT|DPL3, SEL+3
	MASK is_lar, 0xffff0000|\lar, "LAR with RPL as DPL"
	.endm

	.macro LOADS code, ltr
	LOAD_ALL GRANULAR|PRESENT, SEL, ALL, "mov %ecx, %ds; mov %cs:kernel_ds, %ds"
	OUTCOMES 0xccff0000, 0x3300ffff, 0, 0, "DS"
	LOAD_ALL GRANULAR, SEL, ALL, "mov %ecx, %es; mov %cs:kernel_ds, %es"
	OUTCOMES 0, 0x3300ffff, 0xccff0000, 0, "ES, absent"
	LOAD_ALL GRANULAR|PRESENT, SEL+3, ALL, "mov %ecx, %ds; mov %cs:kernel_ds, %ds"
	OUTCOMES 0xc0000000, 0x3fffffff, 0, 0, "DS, RPL above DPL"
	LOAD_ALL GRANULAR|PRESENT|DPL3, SEL+3, ALL, "mov %ecx, %fs"
	OUTCOMES 0xccff0000, 0x3300ffff, 0, 0, "FS, RPL as DPL"
	LOAD_ALL GRANULAR|PRESENT, SEL, ALL, "mov %ecx, %ss; mov %cs:kernel_ds, %ss"
	OUTCOMES 0x00cc0000, 0xff33ffff, 0, 0, "SS"
	LOAD_ALL GRANULAR, SEL, ALL, "mov %ecx, %ss; mov %cs:kernel_ds, %ss"
	OUTCOMES 0, 0xff33ffff, 0, 0x00cc0000, "SS, absent"
	LOAD_ALL GRANULAR|PRESENT, SEL+3, ALL, "mov %ecx, %ss; mov %cs:kernel_ds, %ss"
	OUTCOMES 0, ALL, 0, 0, "SS, RPL not CPL"
	LOAD_ALL GRANULAR|PRESENT|DPL3, SEL, ALL, "mov %ecx, %ss; mov %cs:kernel_ds, %ss"
	OUTCOMES 0, ALL, 0, 0, "SS, DPL not CPL"
	LOAD_ALL \code|GRANULAR|PRESENT, SEL, NO_GATES, \
		"ljmp *far_to\code; .pushsection .data; far_to\code: .long 73f; .word SEL; .popsection; 73: ljmp *far_from\code; .pushsection .data; far_from\code: .long 74f; .word THIS_CS; .popsection; 74:"
	OUTCOMES 0xff000000, 0x00ffedcd, 0, 0, "far JMP"
	LOAD_ALL \code|GRANULAR, SEL, NO_GATES, "ljmp *far_to\code"
	OUTCOMES 0, 0x00ffedcd, 0xff000000, 0, "far JMP, absent"
	/* To less privilege conforming code does not lead either. */
	LOAD_ALL \code|GRANULAR|PRESENT|DPL3, SEL, NO_GATES, "ljmp *far_to\code"
	OUTCOMES 0, NO_GATES, 0, 0, "far JMP, DPL 3 at CPL 0"
	LOAD_ALL PRESENT, SEL, ALL, "lldt %cx"
	OUTCOMES 0x00000004, 0xfffffffb, 0, 0, "LLDT"
	LOAD_ALL 0, SEL, ALL, "lldt %cx"
	OUTCOMES 0, 0xfffffffb, 0x00000004, 0, "LLDT, absent"
	xor %eax, %eax
	lldt %ax
	LOAD_ALL PRESENT, SEL, ALL, "ltr %cx"
	OUTCOMES \ltr, ALL&~\ltr, 0, 0, "LTR"
	LOAD_ALL 0, SEL, ALL, "ltr %cx"
	OUTCOMES 0, ALL&~\ltr, \ltr, 0, "LTR, absent"
	movb $0x89, gdt + TSS_SEL + 5
	mov $TSS_SEL, %eax
	ltr %ax
	/* A load sets the accessed bit, LTR the busy bit. */
	mov $0x12, %ebx
	SET_TYPE GRANULAR|PRESENT
	mov $SEL, %ecx
	mov %ecx, %es
	mov kernel_ds, %es
	movzbl gdt + SEL + 5, %eax
	NAMED 0x93, "a load sets the accessed bit"
	movzbl gdt + TSS_SEL + 5, %eax
	NAMED 0x8b, "LTR sets the busy bit"
	/* Null and beyond the limit. */
	TRY_AT 71f, "xor %ecx, %ecx; 71: mov %ecx, %fs"
	CHECK_NO_FAULT "FS: a null selector"
	TRY_AT 71f, "mov $0x100, %ecx; 71: mov %ecx, %fs"
	CHECK_FAULT GP, 0x100, "FS beyond the GDT: #GP of the selector"
	TRY_AT 71f, "mov $0x104, %ecx; 71: mov %ecx, %fs"
	CHECK_FAULT GP, 0x104, "FS of no LDT: #GP of the selector"
	TRY_AT 71f, "mov $0x102, %ecx; 71: mov %ecx, %ss"
	CHECK_FAULT GP, 0x100, "SS beyond the GDT: #GP without the RPL"
	TRY_AT 71f, "xor %ecx, %ecx; 71: ltr %cx"
	CHECK_FAULT GP, 0, "LTR of a null selector: #GP(0)"
	.endm

	.text
	.globl main
main:
	/* Types of system descriptors: 1, 2, 3, 4, 5, 9, B, C and 1, 2, 3, 9, B. */
	.set THIS_CS, KERNEL_CS
	QUERIES 0x1a3e, 0x0a0e
	LOADS CODE32, 0x0202
	TRY_AT 71f, "xor %ecx, %ecx; 71: mov %ecx, %ss"
	CHECK_FAULT GP, 0, "protected: SS of a null selector: #GP(0)"
	call enter_long
	MODE64
	.set THIS_CS, KERNEL_CS64
	/* 2, 9, B, C and 2, 9, B. */
	QUERIES 0x1a04, 0x0a04
	LOADS CODE64, 0x0200
	TRY_AT 71f, "xor %ecx, %ecx; 71: mov %ecx, %ss"
	CHECK_NO_FAULT "64-bit: SS of a null selector at CPL 0"
	TRY_AT 71f, "mov $3, %ecx; 71: mov %ecx, %ss"
	CHECK_FAULT GP, 0, "64-bit: SS of a null selector with RPL 3: #GP(0)"
	jmp finish64

classify64:
	CLASSIFY
	MODE32
classify32:
	CLASSIFY

	.bss
	.balign 4
is_lar:	.skip 4
is_lsl:	.skip 4
is_verr: .skip 4
is_verw: .skip 4
is_loaded: .skip 4
is_gp:	.skip 4
is_np:	.skip 4
is_ss:	.skip 4
bad:	.skip 4
	.section .note.GNU-stack, "", @progbits
