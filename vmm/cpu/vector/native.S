/*
 * Tables of tiny functions, one for each host instruction that guest instructions run on; native.h
 * has their contract. Every entry has the same size, so that an opcode byte or an immediate byte is
 * the index. The instructions are given as bytes because the opcode is a loop counter; ModRM 0x06 is
 * "register 0, memory at (%rsi)". Entries whose opcode is no such instruction are never called.
 */
	.text

	.macro TABLE name
	.p2align 4
	.globl \name
	.hidden \name
	.type \name, @object
\name:
	.endm

/* 256 kernels `op (%rsi), %xmm0`, by opcode; bytes: what stands before the opcode. */
	.macro XMM_KERNELS bytes:vararg
	.set code, 0
	.rept 256
	.p2align 4
	movaps (%rdi), %xmm0
	.byte \bytes, code, 0x06
	movaps %xmm0, (%rdi)
	ret
	.set code, code + 1
	.endr
	.endm

/* The same on MMX registers. EMMS leaves the x87 registers free for the host's own code. */
	.macro MMX_KERNELS bytes:vararg
	.set code, 0
	.rept 256
	.p2align 4
	movq (%rdi), %mm0
	.byte \bytes, code, 0x06
	movq %mm0, (%rdi)
	emms
	ret
	.set code, code + 1
	.endr
	.endm

/* 256 kernels of one instruction, by immediate. */
	.macro XMM_IMMEDIATES bytes:vararg
	.set code, 0
	.rept 256
	.p2align 4
	movaps (%rdi), %xmm0
	.byte \bytes, 0x06, code
	movaps %xmm0, (%rdi)
	ret
	.set code, code + 1
	.endr
	.endm

	.macro MMX_IMMEDIATES bytes:vararg
	.set code, 0
	.rept 256
	.p2align 4
	movq (%rdi), %mm0
	.byte \bytes, 0x06, code
	movq %mm0, (%rdi)
	emms
	ret
	.set code, code + 1
	.endr
	.endm

/* PCMPxSTRx $code, (%rsi), %xmm0; the registers are set up by native_string_compare. */
	.macro STRING_IMMEDIATES opcode
	.set code, 0
	.rept 256
	.p2align 3
	.byte 0x66, 0x0f, 0x3a, \opcode, 0x06, code
	ret
	.set code, code + 1
	.endr
	.p2align 4
	.endm

TABLE native_xmm_0f
	XMM_KERNELS 0x0f
	XMM_KERNELS 0x66, 0x0f
	XMM_KERNELS 0xf3, 0x0f
	XMM_KERNELS 0xf2, 0x0f

TABLE native_xmm_0f38
	XMM_KERNELS 0x66, 0x0f, 0x38

TABLE native_mmx_0f
	MMX_KERNELS 0x0f

TABLE native_mmx_0f38
	MMX_KERNELS 0x0f, 0x38

/* In the order of enum native_immediate. */
TABLE native_immediate
	XMM_IMMEDIATES 0x66, 0x0f, 0x70
	XMM_IMMEDIATES 0xf3, 0x0f, 0x70
	XMM_IMMEDIATES 0xf2, 0x0f, 0x70
	XMM_IMMEDIATES 0x0f, 0xc2
	XMM_IMMEDIATES 0x66, 0x0f, 0xc2
	XMM_IMMEDIATES 0xf3, 0x0f, 0xc2
	XMM_IMMEDIATES 0xf2, 0x0f, 0xc2
	XMM_IMMEDIATES 0x0f, 0xc6
	XMM_IMMEDIATES 0x66, 0x0f, 0xc6
	XMM_IMMEDIATES 0x66, 0x0f, 0x3a, 0x08
	XMM_IMMEDIATES 0x66, 0x0f, 0x3a, 0x09
	XMM_IMMEDIATES 0x66, 0x0f, 0x3a, 0x0a
	XMM_IMMEDIATES 0x66, 0x0f, 0x3a, 0x0b
	XMM_IMMEDIATES 0x66, 0x0f, 0x3a, 0x0c
	XMM_IMMEDIATES 0x66, 0x0f, 0x3a, 0x0d
	XMM_IMMEDIATES 0x66, 0x0f, 0x3a, 0x0e
	XMM_IMMEDIATES 0x66, 0x0f, 0x3a, 0x0f
	XMM_IMMEDIATES 0x66, 0x0f, 0x3a, 0x42
	MMX_IMMEDIATES 0x0f, 0x70
	MMX_IMMEDIATES 0x0f, 0x3a, 0x0f

/* PCMPESTRM, PCMPESTRI, PCMPISTRM, PCMPISTRI: opcodes 60 to 63. */
TABLE native_string
	STRING_IMMEDIATES 0x60
	STRING_IMMEDIATES 0x61
	STRING_IMMEDIATES 0x62
	STRING_IMMEDIATES 0x63

/* x87 opcodes D8 to DF with ModRM C0 to FF. */
TABLE native_x87_register
	.set code, 0
	.rept 512
	.p2align 2
	.byte 0xd8 + (code >> 6), 0xc0 + (code & 63)
	ret
	.set code, code + 1
	.endr

/* x87 opcodes D8 to DF by ModRM.reg, memory operand at (%rdx). */
TABLE native_x87_memory
	.set code, 0
	.rept 64
	.p2align 2
	.byte 0xd8 + (code >> 3), ((code & 7) << 3) + 2
	ret
	.set code, code + 1
	.endr

	.macro FUNCTION name
	.p2align 4
	.globl \name
	.hidden \name
	.type \name, @function
\name:
	.endm

/*
 * unsigned native_x87_run(struct fx_state *image, const void *code, void *memory, unsigned flags)
 *
 * SAHF gives FCMOVcc its conditions; PUSHF takes FCOMI's. FXRSTOR loads MXCSR too: the image gets the
 * live value first. Nothing between FXRSTOR and FNINIT but the instruction itself is a waiting x87
 * instruction, so an exception that the guest unmasks stays pending in the image and never reaches
 * the host.
 */
FUNCTION native_x87_run
	push %rbx
	mov %rdi, %rbx
	stmxcsr 24(%rdi)
	fxrstor64 (%rdi)
	mov %ecx, %eax
	shl $8, %eax
	sahf
	call *%rsi
	pushfq
	pop %rax
	fxsave64 (%rbx)
	fninit
	pop %rbx
	ret
	.size native_x87_run, . - native_x87_run

/*
 * The three short ways of native.h. Each starts with the exceptions clear and under the guest's control
 * word, (%r8), and ends with an empty stack and the default one. The code reads its memory operand, if
 * any, at (%rdx).
 */
	.macro X87_ENTER
	fnclex
	cmpw $0x37f, (%r8)
	je 1f
	fldcw (%r8)
1:
	.endm

	.macro X87_LEAVE
	cmpw $0x37f, (%r8)
	je 2f
	fldcw default_fcw(%rip)
2:
	movzwl %ax, %eax
	ret
	.endm

/* unsigned native_x87_combine(st0, sti, memory, code, fcw) */
FUNCTION native_x87_combine
	X87_ENTER
	fldt (%rsi)
	fldt (%rdi)
	call *%rcx
	fnstsw %ax
	fstpt (%rdi)
	fstpt (%rsi)
	X87_LEAVE
	.size native_x87_combine, . - native_x87_combine

/* unsigned native_x87_load(st0, unused, memory, code, fcw) */
FUNCTION native_x87_load
	X87_ENTER
	call *%rcx
	fnstsw %ax
	fstpt (%rdi)
	X87_LEAVE
	.size native_x87_load, . - native_x87_load

/* unsigned native_x87_store(st0, unused, memory, code, fcw): the code pops */
FUNCTION native_x87_store
	X87_ENTER
	fldt (%rdi)
	call *%rcx
	fnstsw %ax
	X87_LEAVE
	.size native_x87_store, . - native_x87_store

	.section .rodata
	.p2align 1
default_fcw:
	.short 0x37f
	.text

/*
 * unsigned native_string_compare(const void *code, const void *source, struct native_string *operands)
 *
 * The code reads RAX, RDX, xmm0 and (%rsi), writes RCX or xmm0, and the flags.
 */
FUNCTION native_string_compare
	mov %rdi, %r8
	mov %rdx, %r9
	movaps (%r9), %xmm0
	movslq 32(%r9), %rax
	movslq 36(%r9), %rdx
	xor %ecx, %ecx
	call *%r8
	pushfq
	pop %rax
	movaps %xmm0, 16(%r9)
	mov %ecx, 40(%r9)
	ret
	.size native_string_compare, . - native_string_compare

	.section .note.GNU-stack, "", @progbits
