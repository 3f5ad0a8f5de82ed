/* Guest programs of x87_test.c, loaded at RIG_CODE, with data from RIG_DATA (0x30000) on. Each begins
 * over and over again; a fault goes on at its beginning, too. */
	.macro PROGRAM name
	.globl x87_\name, x87_\name\()_end
	.balign 16
x87_\name:
0:
	.endm
	.macro END name
	jmp 0b
x87_\name\()_end:
	.endm

	.section .rodata

	/* Loads, stores, operations on memory and the stack, flags, and SSE in between. */
	PROGRAM numbers
	mov $20, %ecx
1:	movsd 0x30100, %xmm1
	addsd %xmm1, %xmm1
	jmp 3f
3:	fildl 0x30000
	fadds 0x30010
	fmull 0x30018
	fldpi
	fxch
	fsubp
	fcomi %st(0), %st
	fcmovnbe %st(0), %st
	setp 0x30038
	fsts 0x30020
	fstpl 0x30028
	movsd %xmm1, 0x30100
	lea 0x30000, %rax
	add (%rax), %edx
	fnstsw %ax
	add 8(%rax), %edx
	add %ax, 0x30000
	fnstcw 0x30030
	sub $1, %ecx
	jnz 1b
	END numbers

	PROGRAM mmx
	mov $20, %ecx
1:	movq 0x30040, %mm1
	paddd 0x30048, %mm1
	movd %ecx, %mm2
	pxor %mm2, %mm1
	movq2dq %mm1, %xmm3
	pmovmskb %mm1, %edx
	movd %mm1, %eax
	paddq %xmm3, %xmm4
	movq %mm1, 0x30048
	emms
	sub $1, %ecx
	jnz 1b
	END mmx

	/* Interrupts and system calls with numbers on the stack. */
	PROGRAM calls
	mov $10, %ebx
1:	fldl 0x30018
	addps %xmm0, %xmm0
	int $0x50
	fld1
	faddp
	int $0x50
	fstpl 0x30018
	sub $1, %ebx
	jnz 1b
	END calls

	/* #NM while TS is set, which is every other time. */
	PROGRAM absent
	mov %cr0, %rax
	xor $8, %eax
	mov %rax, %cr0
	fld1
	fstps 0x30020
	END absent

	/* A division by zero, first masked, then not: #MF at what comes next. */
	PROGRAM unmasked
	movw $0x37f, 0x30034
	fldcw 0x30034
	fld1
	fldz
	fdivrp
	fstps 0x30020
	fnclex
	movw $0x37b, 0x30034
	fldcw 0x30034
	fld1
	fldz
	fdivrp
	fstps 0x30024
	END unmasked

	/* A store to a page with translated code, and one to a page that is not there. */
	PROGRAM stores
	fld1
	fadd %st(0), %st
	fsts 0x20800
	flds 0x20800
	fstpl 0x20808
	fistpl 0x30020
	fld1
	fstpl 0x209000
	END stores

	.section .note.GNU-stack, "", @progbits
