/*
 * Guest programs of loop_test.c, each with a loop that begins over and over again. They are loaded
 * at RIG_CODE, with data from RIG_DATA on, which they reach relative to RIP; absolute addresses
 * stand in them only where the name says so. The label 0 is a program's first byte, and nothing else.
 *
 * What becomes of a loop is in the table: loop_flags.h says what the words mean.
 */
#include "tests/jit/loop_flags.h"

	.macro PROGRAM name, flags
	.balign 16
	.pushsection .rodata.str, "a"
1:	.asciz "\name"
	.popsection
	.pushsection .data.rel.ro.programs, "aw"
	.quad 1b, program_\name, program_\name\()_end, \flags
	.popsection
program_\name:
0:
	.endm
/* The name again, for want of a macro that remembers it. What flags a loop leaves is kept, since no
 * stop comes right behind its rounds. With CLD the way from one beginning to the next is no loop. */
	.macro END name
	mov %rax, 0b+0x13f80(%rip)
	lahf
	seto %al
	mov %ax, 0b+0x13f88(%rip)
	mov 0b+0x13f80(%rip), %rax
	cld
	jmp 0b
program_\name\()_end:
	.endm

/* lea RIG_DATA + offset, reg; and where it is mapped too. */
	.macro DATA reg, offset
	lea 0b+0x10000+\offset(%rip), \reg
	.endm
	.macro ALIAS reg, offset
	lea 0b+0x1e4000+\offset(%rip), \reg
	.endm
/* A value of the test's choice. */
	.macro VALUE reg
	mov 0b+0x13f00(%rip), \reg
	.endm

	.section .data.rel.ro.programs, "aw"
	.balign 8
	.globl loop_programs
loop_programs:

	.text

/* ---- streams, from one page into the next, which is RIG_DATA's second ---- */

	.macro STREAM name, start, stride, rounds, insn
	PROGRAM \name, LOOPS+CROSSES
	VALUE %rdx
	DATA %rsi, \start
	mov $\rounds, %ecx
1:	\insn
	add $\stride, %rsi
	sub $1, %ecx
	jnz 1b
	END \name
	.endm
	.macro STREAMS stride, rounds
	STREAM up_load_\stride, 0x1000-\stride*\rounds, \stride, \rounds+4, "add (%rsi), %rax"
	STREAM up_change_\stride, 0x1000-\stride*\rounds, \stride, \rounds+4, "xor %rdx, (%rsi)"
	STREAM down_load_\stride, 0x2000+\stride*(\rounds-1), -\stride, \rounds+4, "add (%rsi), %rax"
	STREAM down_change_\stride, 0x2000+\stride*(\rounds-1), -\stride, \rounds+4, "xor %rdx, (%rsi)"
	.endm
	STREAMS 1, 8
	STREAMS 3, 8
	STREAMS 8, 8
	STREAMS 24, 8
	STREAMS 100, 8
	STREAMS 256, 8
	STREAMS 600, 6
	STREAMS 1023, 4
	STREAMS 1024, 4
/* Operands of other sizes, and two that are looked up as one. */
	STREAM up_bytes, 0x1000-8, 1, 14, "add %al, (%rsi)"
	STREAM up_words, 0x1000-9, 2, 14, "movzwl (%rsi), %eax"
	STREAM up_vectors, 0x1000-16*7, 16, 12, "movdqu (%rsi), %xmm0"
	STREAM down_vectors, 0x2000+24*7+5, -24, 12, "paddb %xmm1, %xmm0; movups %xmm0, (%rsi)"
	STREAM up_two, 0x1000-108-8*7, 8, 12, "mov (%rsi), %rax; xor %rdx, 100(%rsi)"
	STREAM down_two, 0x2000+8*7, -8, 12, "xor %rdx, (%rsi); mov 100(%rsi), %rax"
/* Two ranges, of which now the one and now the other ends first; the flags of the round before are
 * looked at. */
	PROGRAM two_ways, LOOPS+CROSSES
	VALUE %rdx
	DATA %rsi, 0x1000-8*7
	DATA %rdi, 0x2000+24*4
	mov $12, %ecx
1:	adc (%rsi), %rax
	seto %r8b
	xor %rdx, (%rdi)
	lea 8(%rsi), %rsi
	add $-24, %rdi
	sub $1, %ecx
	jnz 1b
	END two_ways
/* Flags at a fault: CF of the round before, kept by INC; the others by its own. */
	PROGRAM flags_at_fault, LOOPS+CROSSES
	VALUE %rdx
	DATA %rsi, 0x1000-8*7
	mov $12, %ecx
1:	lea 8(%rsi), %rsi
	inc %r8
	mov (%rsi), %rax
	inc %r9
	xor %rdx, -8(%rsi)
	sub $1, %ecx
	jz 2f
	add %rax, %r11
	jmp 1b
2:
	END flags_at_fault
/* Entries of a page table, where that is the next page, of a page that is read, too. */
	PROGRAM page_table, LOOPS+CROSSES
	mov $0x1000, %edx
	DATA %rsi, 0x1000-8*7
	ALIAS %rdi, 0x20
	mov $14, %ecx
1:	xor %edx, (%rsi)
	add (%rdi), %rax
	add %rax, %r8
	add $8, %rsi
	sub $1, %ecx
	jnz 1b
	END page_table
/* The entry of the page that is read stands still. */
	PROGRAM page_table_entry, ANYWAY
	mov $0x1000, %edx
	lea 0b-0x20000+RIG_ALIAS_PT_AT+8*4(%rip), %rsi
	ALIAS %rdi, 0
	mov $12, %ecx
1:	add (%rdi), %rax
	add $8, %rdi
	xor %edx, (%rsi)
	sub $1, %ecx
	jnz 1b
	END page_table_entry

/* More rounds than there are at once. */
	PROGRAM long, LOOPS
	DATA %rsi, 0x7f0
	mov $1100, %ecx
1:	movzbl (%rsi), %eax
	add %rax, %r8
	add $1, %rsi
	sub $1, %ecx
	jnz 1b
	END long

/* ---- addresses ---- */

/* Rounds of one or more instructions, that RSI, RDI and so on have been set for. */
	.macro ROUNDS name, flags, body
	PROGRAM \name, \flags
	VALUE %rdx
	DATA %rsi, 0x800
	DATA %rdi, 0x1400
	DATA %rbx, 0x2200
	xor %r8d, %r8d
	mov $12, %ecx
1:	\body
	sub $1, %ecx
	jnz 1b
	END \name
	.endm

	ROUNDS move_lea, LOOPS, "add (%rsi), %rax; lea 8(%rsi), %rsi"
	ROUNDS move_lea_down, LOOPS, "add (%rsi), %rax; lea -4(%rsi), %rsi"
	ROUNDS move_inc, LOOPS, "add %al, (%rsi); inc %rsi"
	ROUNDS move_dec, LOOPS, "add %al, (%rsi); dec %rsi"
	ROUNDS move_sub, LOOPS, "add (%rsi), %rax; sub $-128, %rsi"
	ROUNDS move_there_and_back, LOOPS, "add $8, %rsi; add (%rsi), %rax; sub $8, %rsi; add %rax, (%rsi)"
	ROUNDS move_in_between, LOOPS, "add (%rsi), %rax; add $8, %rsi; add (%rsi), %rax; add $24, %rsi; add %rax, -8(%rsi)"
	ROUNDS copied, LOOPS, "add (%rsi), %rax; mov %rsi, %r9; add $8, %rsi; add %rax, 4(%r9)"
	ROUNDS stands_still, LOOPS, "add (%rsi), %rax; add %rax, 8(%rsi)"
	ROUNDS copy, LOOPS, "mov (%rsi), %rax; mov %rax, (%rdi); add $8, %rsi; add $8, %rdi"
	ROUNDS copy_words, LOOPS, "movzwl (%rsi), %eax; mov %ax, (%rdi); add $2, %rsi; sub $2, %rdi"
	ROUNDS close_by, LOOPS, "mov (%rsi), %rax; add %rax, 60(%rsi); add %rax, 180(%rsi); add $8, %rsi"
	ROUNDS index, LOOPS, "add (%rsi,%r8), %rax; add $5, %r8"
	ROUNDS index_2, LOOPS, "add 8(%rsi,%r8,2), %rax; add %rax, 16(%rsi,%r8,2); add $4, %r8"
	ROUNDS index_4_down, LOOPS, "add -8(%rsi,%r8,4), %eax; add $-3, %r8"
	ROUNDS index_8, LOOPS, "add (%rsi,%r8,8), %rax; add %rax, 64(%rbx,%r8,8); add $1, %r8"
	ROUNDS index_in_between, LOOPS, "add (%rsi,%r8,8), %rax; add $2, %r8; add %rax, (%rsi,%r8,8)"
	ROUNDS index_stands_still, LOOPS, "add (%rsi,%r8,4), %rax; add %rax, 32(%rsi,%r8,4); add $16, %rsi"
	ROUNDS both_stand_still, LOOPS, "add (%rsi,%r8,4), %rax; add %rax, 32(%rsi,%r8,4)"
	ROUNDS itself_stands_still, LOOPS, "add 0x100(%rsi,%r8), %rax; add %rax, 0x100(%r8,%rsi)"
	ROUNDS base_copied, LOOPS, "mov %rsi, %r9; add (%r9,%r8,8), %rax; add $1, %r8"
	ROUNDS both_move, NEVER, "add (%rsi,%r8), %rax; add $8, %rsi; add $8, %r8"
	ROUNDS both_move_apart, LOOPS, "add (%rsi,%r8), %rax; add %rax, 8(%rsi,%r8); add $8, %rsi; sub $8, %r8"
	ROUNDS both_move_apart_2, LOOPS, "add (%rsi,%r8,2), %rax; add $-8, %rsi; add $4, %r8; add %rax, (%rsi,%r8,2)"
	ROUNDS far_stride, NEVER, "add (%rsi), %rax; add $1025, %rsi; and $-0x1001, %rsi"
	ROUNDS unknown, NEVER, "add (%rsi), %rax; add %r8, %rsi"
	ROUNDS chase, NEVER, "mov %rsi, (%rsi); mov (%rsi), %rsi; add (%rsi), %rax"
	ROUNDS register_of_last_round, NEVER, "add (%rdi), %rax; mov %rsi, %rdi; add $8, %rsi"
	ROUNDS rip, LOOPS, "mov 0b+0x10100(%rip), %rax; add %rcx, 0b+0x10108(%rip); add %rax, (%rsi); add $8, %rsi"
	ROUNDS rip_far_apart, LOOPS, "add %rcx, 0b+0x10ff8(%rip); add %rcx, 0b+0x11000(%rip); add %rcx, 0b+0x12ff8(%rip)"
	ROUNDS rip_lea, LOOPS, "lea 0b+0x10100(%rip), %r9; add %rcx, (%r9); add 8(%r9), %rax; mov %r9, 16(%r9)"
	ROUNDS rip_constant, LOOPS, "addl $0x12345678, 0b+0x10100(%rip); cmpb $7, 0b+0x10101(%rip)"
	ROUNDS absolute, LOOPS, "add %rcx, 0x33100; add 0x33108, %rax; add %rax, (%rsi); add $8, %rsi"
	ROUNDS absolute_and_rip, LOOPS, "add %rcx, 0x33100; add 0b+0x10100(%rip), %rax; add %rax, 0b+0x10104(%rip)"
	ROUNDS absolute_low, LOOPS, "add %rcx, 0x208; add 0x210, %rax"
	ROUNDS absolute_read, LOOPS, "add 0b+0x210(%rip), %rax; add 0x210, %rax"
	ROUNDS absolute_index, LOOPS, "add %rcx, 0x30100(,%r8,8); add 0x30400(%r8), %rax; add $3, %r8"
	ROUNDS absolute_index_stands_still, LOOPS, "add %rcx, 0x30100(,%r8,8)"
	ROUNDS alias, LOOPS, "mov (%rsi), %rax; add $0x1e4000-0x10000+8, %rsi; add %rax, (%rsi); sub $0x1e4000-0x10000, %rsi"
	ROUNDS eight_ranges, LOOPS, "add (%rsi), %rax; add 0x200(%rsi), %rax; add %rax, 0x400(%rsi); add (%rdi), %rax; add 0x200(%rdi), %rax; add %rax, 0x400(%rdi); add (%rbx), %rax; add %rax, 0x200(%rbx); add $8, %rsi; add $16, %rdi; sub $8, %rbx"
	ROUNDS nine_ranges, NEVER, "add (%rsi), %rax; add 0x200(%rsi), %rax; add %rax, 0x400(%rsi); add (%rdi), %rax; add 0x200(%rdi), %rax; add %rax, 0x400(%rdi); add (%rbx), %rax; add %rax, 0x200(%rbx); add 0x400(%rbx), %rax; add $8, %rsi"
/* The same page by two mappings: what is written by the one is read by the other at once. */
	PROGRAM two_mappings, LOOPS
	DATA %rsi, 0x1040
	ALIAS %rdi, 0x1048
	mov $12, %ecx
1:	mov (%rsi), %rax
	add %rcx, %rax
	mov %rax, (%rdi)
	add $8, %rsi
	add $8, %rdi
	sub $1, %ecx
	jnz 1b
	END two_mappings

	.macro STACK name, flags, body
	PROGRAM \name, \flags
	DATA %rsp, 0x800
	xor %r8d, %r8d
	xor %r10d, %r10d
	mov $12, %ecx
1:	\body
	sub $1, %ecx
	jnz 1b
	END \name
	.endm
	STACK rsp_moves, LOOPS, "add 8(%rsp), %rax; add %rax, (%rsp); add $8, %rsp"
	STACK rsp_moves_down, LOOPS, "add %rcx, (%rsp); lea -8(%rsp), %rsp"
	STACK rsp_stands_still, LOOPS, "add 8(%rsp), %rax; add %rax, 16(%rsp)"
	STACK rsp_and_index, LOOPS, "add (%rsp,%r8,8), %rax; add %rax, 32(%rsp,%r8,8); add $1, %r8"
	STACK rsp_moves_with_index, LOOPS, "add (%rsp,%r8,4), %rax; add %rax, 32(%rsp,%r8,4); add $8, %rsp"
	STACK rsp_moves_with_r11, LOOPS, "xor %r11d, %r11d; add %rcx, (%rsp); add %rsp, %rax; add $8, %rsp"
	STACK rsp_and_r10, LOOPS, "add (%rsp,%r10,8), %rax; add %rax, 16(%rsp,%r10,8); add $1, %r10"
	STACK rsp_copied, LOOPS, "mov %rsp, %rdi; add 8(%rdi), %rax; add %rax, (%rsp); add $16, %rsp"
	STACK rsp_pushed, NEVER, "push %rcx; pop %rax; add %rax, %r9"
	STACK rsp_called, NEVER, "call 2f; add %rax, %r9; jmp 3f; 2: ret; 3: nop"

/* ---- operands of 16 bytes ---- */

	.macro VECTORS name, flags, offset, body
	PROGRAM \name, \flags
	DATA %rsi, 0x800+\offset
	DATA %rdi, 0x1400
	mov $1, %eax
	mov $0, %edx
	mov $12, %ecx
1:	\body
	sub $1, %ecx
	jnz 1b
	END \name
	.endm
	VECTORS aligned, LOOPS, 0, "movdqa (%rsi), %xmm0; paddd 16(%rsi), %xmm0; movdqa %xmm0, (%rdi); add $16, %rsi; add $16, %rdi"
	VECTORS aligned_by_halves, NEVER, 0, "movdqa (%rsi), %xmm0; add $24, %rsi"
	VECTORS aligned_beside, NEVER, 0, "mov 8(%rsi), %rax; movdqa 16(%rsi), %xmm0; add $16, %rsi"
	VECTORS aligned_stands_still, LOOPS, 0, "paddq (%rsi), %xmm0; movaps %xmm0, (%rsi)"
	VECTORS unaligned, LOOPS, 3, "movdqu (%rsi), %xmm0; paddb %xmm1, %xmm0; movups %xmm0, 1(%rdi); movdqa %xmm0, %xmm1; add $16, %rsi; add $16, %rdi"
	VECTORS scalars, LOOPS, 4, "cvtsi2sdl (%rsi), %xmm0; addsd %xmm0, %xmm1; movsd %xmm1, (%rdi); add $4, %rsi; add $8, %rdi"
	VECTORS moves, LOOPS, 0, "movq (%rsi), %xmm2; pinsrw $3, 6(%rdi), %xmm2; pextrd $1, %xmm2, %eax; movd %xmm2, %r9d; pmovmskb %xmm2, %r10d; add $8, %rsi; add $8, %rdi"
	VECTORS compared, LOOPS, 0, "movd (%rsi), %xmm2; ucomiss %xmm2, %xmm3; setb %al; movaps %xmm2, %xmm3; add $4, %rsi"
	VECTORS cmpxchg16b_aligned, LOOPS, 0, "cmpxchg16b (%rsi); setz %r8b; add $16, %rsi"
	VECTORS cmpxchg16b_equal, LOOPS, 0, "mov (%rsi), %rax; mov 8(%rsi), %rdx; cmpxchg16b (%rsi); setz %r8b; add $16, %rsi"

/* Now and then the loop begins, by another way than its own, where it is not aligned. */
	.macro MISALIGNED name, insn
	PROGRAM misaligned_\name, LOOPS
	DATA %rsi, 0x800
	mov $12, %ecx
1:	\insn
	add $16, %rsi
	sub $1, %ecx
	jnz 1b
	add $1, %r8d
	test $3, %r8d
	jnz 2f
	mov $12, %ecx
	add $8, %rsi
	jmp 1b
2:
	END misaligned_\name
	.endm
	MISALIGNED read, "paddd (%rsi), %xmm0"
	MISALIGNED written, "movaps %xmm0, (%rsi)"
	MISALIGNED cmpxchg16b, "cmpxchg16b (%rsi)"

/* ---- flags ---- */

/* RCX is 12; and R8 one of 1 to 11, by and by. */
	.macro COUNTS
	add $1, %r8d
	cmp $12, %r8d
	jb 3f
	mov $1, %r8d
3:	mov $12, %ecx
	.endm
/* Each condition, on the flags of the round before, in front of what sets them, and behind. They are
 * those of 0x40 + by; in one of the rounds, of 0x40 + then. */
	.macro CONDITION cc, by, then
	PROGRAM top_j\cc, LOOPS
	DATA %rsi, 0x800
	COUNTS
	mov $\then, %r11d
	mov $0x40, %edx
	mov $\by, %eax
	add %dl, %al
1:	j\cc 2f
	mov (%rsi), %rdi
	lea 8(%rsi), %rsi
	lea -1(%rcx), %ecx
	cmp %r8d, %ecx
	mov $\by, %eax
	cmove %r11d, %eax
	add %dl, %al
	jmp 1b
2:	mov %rdi, %r9
	END top_j\cc
	PROGRAM bottom_j\cc, LOOPS
	DATA %rsi, 0x800
	COUNTS
	mov $\then, %r11d
	mov $0x40, %edx
1:	add %rcx, (%rsi)
	lea 8(%rsi), %rsi
	lea -1(%rcx), %ecx
	cmp %r8d, %ecx
	mov $\by, %eax
	cmove %r11d, %eax
	add %dl, %al
	j\cc 2f
	set\cc %r10b
	cmov\cc %r8, %r9
	jmp 1b
2:	mov %rsi, %r9
	END bottom_j\cc
	.endm
	CONDITION o, 0, 0x40
	CONDITION no, 0x40, 0
	CONDITION b, 0, 0xff
	CONDITION ae, 0xff, 0
	CONDITION z, 0, 0xc0
	CONDITION nz, 0xc0, 0
	CONDITION be, 0, 0xff
	CONDITION a, 0xff, 0
	CONDITION s, 0, 0x80
	CONDITION ns, 0x80, 0
	CONDITION p, 0, 1
	CONDITION np, 1, 0
	CONDITION l, 0, 0x80
	CONDITION ge, 0x80, 0
	CONDITION le, 0, 0x80
	CONDITION g, 0x80, 0

/* What flags are left by an instruction, in the round before and in this one; it is the last that
 * sets any, the last but one, or the first. */
	.macro FLAGS name, insn
	PROGRAM flags_\name, LOOPS
	DATA %rsi, 0x800
	DATA %rdi, 0x1800
	mov $8, %r9d
1:	lahf
	seto %al
	mov %ax, (%rdi)
	mov (%rsi), %rdx
	lea 8(%rsi), %rsi
	mov %esi, %ecx
	shr $3, %ecx
	\insn
	lahf
	seto %al
	mov %ax, 2(%rdi)
	lea 4(%rdi), %rdi
	sub $1, %r9d
	jz 2f
	add %rdx, %r8
	\insn
	jmp 1b
2:
	END flags_\name
	.endm
	FLAGS add, "add %rdx, %r8"
	FLAGS adc, "adc %rdx, %r8"
	FLAGS sbb, "sbb %edx, %r8d"
	FLAGS inc, "inc %edx"
	FLAGS dec, "dec %dx"
	FLAGS neg, "neg %rdx"
	FLAGS not, "not %rdx"
	FLAGS and, "and %r8, %rdx"
	FLAGS rol, "rol $3, %rdx"
	FLAGS ror, "ror %edx"
	FLAGS rol_cl, "rol %cl, %rdx"
	FLAGS ror_cl_r10, "ror %cl, %r10d"
	FLAGS rcl, "rcl $1, %rdx"
	FLAGS rcr, "rcr $9, %rdx"
	FLAGS rcl_cl, "rcl %cl, %r11"
	FLAGS shl, "shl $4, %rdx"
	FLAGS shr, "shr $0, %rdx"
	FLAGS sar, "sar $2, %dx"
	FLAGS shl_cl, "shl %cl, %rdx"
	FLAGS shr_cl_r15, "shr %cl, %r15b"
	FLAGS sar_cl, "sar %cl, %edx"
	FLAGS shld, "shld $5, %r8, %rdx"
	FLAGS shrd_cl, "shrd %cl, %r10, %r11"
	FLAGS rol_memory, "rolq $2, (%rsi)"
	FLAGS shl_cl_memory, "shlw %cl, 2(%rsi)"
	FLAGS rcr_memory, "rcrl $1, (%rsi)"
	FLAGS sar_memory, "sarb $3, (%rsi)"
	FLAGS imul, "imul %rdx, %r8"
	FLAGS imul_r10, "imul $77, %r11, %r10"
	FLAGS imul_memory, "imul (%rsi), %edx"
	FLAGS mul, "mul %rdx"
	FLAGS mul_r11, "mul %r11"
	FLAGS bsf, "bsf %rdx, %r8"
	FLAGS bsr_itself, "bsr %edx, %edx"
	FLAGS bsf_r10, "bsf %r8, %r10"
	FLAGS bt, "bt %rcx, %rdx"
	FLAGS btc_memory, "btcl $5, (%rsi)"
	FLAGS cmc, "cmc"
	FLAGS sahf, "sahf"
	FLAGS xadd, "xadd %rdx, (%rsi)"
	FLAGS cmpxchg, "cmpxchg %rdx, (%rsi)"
	FLAGS popcnt, "popcnt %rdx, %r8"
	FLAGS cmp_memory, "cmpb $7, (%rsi)"
	FLAGS test_r15, "test %r15, %rdx"
/* A chain of carries inside a round; one over INC and DEC; one that goes on in the next round. */
	PROGRAM carries, LOOPS
	DATA %rsi, 0x800
	DATA %rdi, 0x1800
	mov $12, %ecx
1:	mov (%rsi), %rax
	add %rax, (%rdi)
	inc %r8
	mov 8(%rsi), %rax
	adc %rax, 8(%rdi)
	dec %r9
	mov 16(%rsi), %rax
	adc %rax, 16(%rdi)
	adc $0, %r10
	sbb %r11, %r11
	add $24, %rsi
	add $24, %rdi
	sub $1, %ecx
	jnz 1b
	END carries
	PROGRAM carry_over_rounds, LOOPS
	DATA %rsi, 0x800
	mov $12, %ecx
1:	adc $0, %r8
	mov (%rsi), %rax
	lea 8(%rsi), %rsi
	add %rax, %r9
	dec %ecx
	jnz 1b
	END carry_over_rounds
/* Nothing in the round sets all flags. */
	PROGRAM carries_for_ever, NEVER
	DATA %rsi, 0x800
	mov $12, %ecx
	clc
1:	mov (%rsi), %rax
	adc %rax, 0x400(%rsi)
	lea 8(%rsi), %rsi
	dec %ecx
	jnz 1b
	END carries_for_ever

/* ---- registers ---- */

/* With few others: three that lie elsewhere, or one. */
	.macro DISPLACED a, b, c
	ROUNDS \a\()_data, LOOPS, "add (%rsi), %\a; xor %\a, 8(%rsi); add $8, %rsi"
	ROUNDS \a\()_data_8, LOOPS, "add (%rsi), %\a\()b; xor %\a\()b, 8(%rsi); mov %\a\()b, %\b\()b; add $1, %rsi"
	ROUNDS \a\()_data_32, LOOPS, "add (%rsi), %\a\()d; cmovc %\a\()d, %\b\()d; movzbl %\a\()b, %\c\()d; movswq %\a\()w, %\c; add $4, %rsi"
	ROUNDS \a\()_only, LOOPS, "add %rcx, %\a; bswap %\a; not %\a; xchg %\a, %r9; neg %\a"
	ROUNDS \a\()_lea, LOOPS, "lea 8(%\b,%\c,4), %\a; add %\a, %\b; lea (%\a,%\a), %\c; lea 0b(%rip), %\a; add %\a, %r9; lea (%\b\()d,%\c\()d), %\a"
	ROUNDS \a\()_and_memory, LOOPS, "add (%rsi), %\a; add %\b, 8(%rsi); add %\c, 16(%rsi); imul %\a, %\b; xadd %\b, %\c; add $8, %rsi"
	PROGRAM \a\()_base, LOOPS
	DATA %\a, 0x800
	mov $12, %ecx
1:	add (%\a), %rax
	add %\b, 8(%\a)
	mov %\a, %\c
	add $8, %\a
	sub $1, %ecx
	jnz 1b
	END \a\()_base
	PROGRAM \a\()_moves, LOOPS
	DATA %\a, 0x800
	DATA %\b, 0x1800
	xor %\c\()d, %\c\()d
	mov $12, %ecx
1:	mov (%\a,%\c,8), %rax
	add %rax, (%\b,%\c,2)
	add %\c, 8(%\a,%\c,8)
	add $1, %\c
	sub $1, %ecx
	jnz 1b
	END \a\()_moves
	PROGRAM \a\()_stands_still, LOOPS
	DATA %\b, 0x800
	DATA %rdi, 0x1800
	mov $4, %\a\()d
	xor %\c\()d, %\c\()d
	mov $12, %ecx
1:	mov (%\b,%\a,8), %rax
	add %\a, 8(%\b,%\a,8)
	add %rax, (%rdi,%\c)
	add $8, %\b
	sub $1, %ecx
	jnz 1b
	END \a\()_stands_still
	.endm
	DISPLACED r10, r11, r15
	DISPLACED r11, r15, r10
	DISPLACED r15, r10, r11

/* With many others: all are named but those that are left out. base: what goes through memory, with
 * one range, three, or more than there are registers for. */
	.macro MANY name, base, a, b, rest
	.irp ranges, 1, 2, 3, 4
	PROGRAM many_\name\()_\base\()_\ranges, LOOPS
	mov $12, %ecx
	DATA %\base, 0x800
1:	add (%\base), %rax
	.if \ranges > 1
	add %rcx, 0x200(%\base)
	.endif
	.if \ranges > 2
	add 0x400(%\base), %rax
	.endif
	.if \ranges > 3
	add %rax, 0b+0x12000(%rip)
	.endif
	add %\a, %\b
	xor %rax, %\a
	\rest
	add $8, %\base
	sub $1, %ecx
	jnz 1b
	END many_\name\()_\base\()_\ranges
	.endr
	.endm
	.macro MANIES base, a, b, other
	MANY all, \base, \a, \b, "add %rdx, %rbx; add %rbp, %rdi; add %r8, %r9; add %r12, %r13; add %r14, %\other"
	MANY all_but_1, \base, \a, \b, "add %rdx, %rbx; add %rbp, %rdi; add %r8, %r9; add %r12, %r13; add %rax, %\other"
	MANY all_but_2, \base, \a, \b, "add %rdx, %rbx; add %rbp, %rdi; add %r8, %r9; add %r12, %\other"
	MANY all_but_3, \base, \a, \b, "add %rdx, %rbx; add %rbp, %rdi; add %r8, %r9; add %rax, %\other"
	MANY few, \base, \a, \b, "add %rax, %\other"
	.endm
	MANIES rsi, r10, r11, r15
	MANIES r10, r11, r15, rsi
	MANIES r11, r15, r10, rsi
	MANIES r15, r10, r11, rsi
/* Two of the three, and one, where none is free. */
	.macro FULL base, insn
	PROGRAM full_\base, LOOPS
	mov $12, %ecx
	DATA %\base, 0x800
1:	add (%\base), %rax
	add %rax, 0x200(%\base)
	\insn
	add %rdx, %rbx
	add %rbp, %rdi
	add %r8, %r9
	add %r12, %r13
	add %rsi, %r14
	add $8, %\base
	sub $1, %ecx
	jnz 1b
	END full_\base
	.endm
	FULL rsp, "add %rdx, %rax"
	FULL r10, "add %rax, %r11"
	FULL r11, "add %rdx, %rax"
	FULL r15, "xor %r10, %rax"

/* Registers that are not named: none of them may be borrowed. */
	.macro UNNAMED name, insn
	PROGRAM unnamed_\name, LOOPS
	DATA %rsi, 0x800
	mov $-5, %rax
	mov $7, %ecx
	mov $3, %edx
	mov $12, %r8d
1:	\insn
	add (%rsi), %r10
	xor %r10, %r11
	sub %r11, %r15
	add $16, %rsi
	sub $1, %r8d
	jnz 1b
	END unnamed_\name
	.endm
	UNNAMED mul, "mul %r11"
	UNNAMED mul_memory, "mulq (%rsi)"
	UNNAMED mul_8, "mul %r10b"
	UNNAMED imul, "imul %r15d"
	UNNAMED cmpxchg, "cmpxchg %r11, (%rsi)"
	UNNAMED cmpxchg_register, "cmpxchg %r11d, %r9d"
	UNNAMED cmpxchg8b, "cmpxchg8b (%rsi)"
	UNNAMED cmpxchg16b, "cmpxchg16b (%rsi)"
	UNNAMED cbw, "cbtw"
	UNNAMED cwde, "cwtl"
	UNNAMED cdqe, "cltq"
	UNNAMED cwd, "cwtd"
	UNNAMED cdq, "cltd"
	UNNAMED cqo, "cqto"
	UNNAMED lahf, "lahf"
	UNNAMED sahf, "sahf; setc %r9b; sets %dil"
	UNNAMED shift, "shl %cl, %r10"
	UNNAMED double_shift, "shrd %cl, %r10, %r11"
	UNNAMED pcmpistri, "pcmpistri $0x0c, (%rsi), %xmm0; movdqu (%rsi), %xmm0"
	UNNAMED pcmpestri, "pcmpestri $0x0c, (%rsi), %xmm0; movdqu (%rsi), %xmm0"
	UNNAMED pcmpistrm, "pcmpistrm $0x48, (%rsi), %xmm1"
	UNNAMED pcmpestrm, "pcmpestrm $0x08, (%rsi), %xmm1"
	UNNAMED blendv, "pblendvb (%rsi), %xmm1"
	UNNAMED high, "add %ch, %ah; mov %bl, %dh"

/* ---- ways out ---- */

/* In each round, by and by: in front of what is counted, behind it, with the branch back a JMP, by
 * a branch to another page, and to the next instruction. */
	.macro LEAVING name, body
	PROGRAM leaving_\name, LOOPS
	DATA %rsi, 0x800
	COUNTS
	mov $-1, %r9d
	\body
	lea (%rdi,%rax), %rdi
	END leaving_\name
	.endm
	LEAVING before, "1: add (%rsi), %rax; cmp %r8d, %ecx; je 2f; add $8, %rsi; sub $1, %ecx; jnz 1b; sub %rax, %rdi; 2:"
	LEAVING behind, "1: add (%rsi), %rax; lea 8(%rsi), %rsi; lea -1(%rcx), %ecx; cmp %r8d, %ecx; jb 2f; mov %rsi, %r10; jmp 1b; 2:"
	LEAVING behind_a_condition, "1: add (%rsi), %rax; lea 8(%rsi), %rsi; lea -1(%rcx), %ecx; cmp %r8d, %ecx; jb 2f; mov %rsi, %r10; jne 1b; sub %rax, %rdi; 2:"
	LEAVING both, "1: add (%rsi), %rax; cmp %r8d, %ecx; je 2f; lea 8(%rsi), %rsi; sub $1, %ecx; jz 2f; mov %rcx, %r11; jmp 1b; 2:"
	LEAVING first, "1: cmp %r8d, %ecx; je 2f; add (%rsi), %rax; add $8, %rsi; sub $1, %ecx; jnz 1b; 2:"
	LEAVING twice, "1: cmp %r8d, %ecx; je 2f; jb 4f; add %rax, (%rsi); add $8, %rsi; sub $1, %ecx; jz 5f; js 2f; jmp 1b; 5: add %rcx, %rdi; 2: sub %rax, %rdi; 4:"
	LEAVING to_next, "1: cmp %r8d, %ecx; je 2f; 2: add (%rsi), %rax; add $8, %rsi; sub $1, %ecx; jnz 1b"
	LEAVING inside, "1: cmp %r8d, %ecx; jb 2f; add %rax, (%rsi); 2: add (%rsi), %rax; add $8, %rsi; sub $1, %ecx; jnz 1b"
	LEAVING far, "1: add (%rsi), %rax; cmp %r8d, %ecx; je 2f; add $8, %rsi; sub $1, %ecx; jnz 1b; jmp 4f; .skip 4096; 2: sub %rax, %rdi; 4:"
/* With flags that nothing looks at while the loop goes on. */
	LEAVING rol, "1: mov (%rsi), %rdx; cmp %r8d, %ecx; rol $3, %rdx; je 2f; add $8, %rsi; sub $1, %ecx; jnz 1b; 2:"
	LEAVING ror_cl, "1: mov (%rsi), %rdx; cmp %r8d, %ecx; ror %cl, %rdx; je 2f; add $8, %rsi; sub $1, %ecx; jnz 1b; 2:"
	LEAVING rcr_memory, "1: cmp %r8d, %ecx; rcrl $2, (%rsi); je 2f; add $8, %rsi; sub $1, %ecx; jnz 1b; 2:"
/* As many instructions as there can be in a round, and one more. */
	.macro MANY_INSNS n, flags
	PROGRAM insns_\n, \flags
	DATA %rsi, 0x800
	mov $12, %ecx
1:	add (%rsi), %rax
	lea 8(%rsi), %rsi
	.rept \n-4
	lea 3(%rax,%rdi), %rdi
	.endr
	sub $1, %ecx
	jnz 1b
	END insns_\n
	.endm
	MANY_INSNS 64, LOOPS
	MANY_INSNS 65, NEVER
/* Two branches back to one instruction; loops in loops. */
	LEAVING two_backs, "1: add (%rsi), %rax; add $8, %rsi; sub $1, %ecx; cmp %r8d, %ecx; ja 1b; add $8, %rsi; test %ecx, %ecx; jg 1b"
	LEAVING nested, "1: mov $12, %edx; 2: add (%rsi), %rax; xor %rax, 8(%rsi); add $8, %rsi; sub $1, %edx; jnz 2b; sub $1, %ecx; sub %r8d, %ecx; ja 1b"
	LEAVING nested_seldom, "1: add (%rsi), %rax; 2: sub $1, %r9d; test $7, %r9d; jz 2b; add %rax, 8(%rsi); add $8, %rsi; sub $1, %ecx; jnz 1b"
	LEAVING one_instruction, "1: sub $1, %ecx; jnz 1b"
	LEAVING no_memory, "1: imul %rcx, %rax; add %rax, %r10; cmp %r8d, %ecx; je 2f; rol $7, %r10; sub $1, %ecx; jnz 1b; 2:"

/* ---- what does not last ---- */

/* The loop is rewritten each time before it begins. */
	PROGRAM rewritten, LOOPS
	DATA %rsi, 0x800
	mov $12, %ecx
	addl $3, 2f+1(%rip)
	jmp 1f
	.skip 0x100 - (. - program_rewritten)
1:	mov (%rsi), %rdx
2:	add $0x1234567, %eax
	add $8, %rsi
	sub $1, %ecx
	jnz 1b
	END rewritten
/* Of two blocks, the first of which is rewritten from outside. */
	PROGRAM half_rewritten, LOOPS
	DATA %rsi, 0x800
	mov $12, %ecx
	jmp 1f
	.skip 0x100 - (. - program_half_rewritten)
1:	mov (%rsi), %rdx
	add $0x1234567, %eax
	cmp %r8d, %ecx
	je 2f
	add $8, %rsi
	sub $1, %ecx
	jnz 1b
2:
	END half_rewritten
/* Two rounds are not worth it. */
	PROGRAM two_rounds, ANYWAY
	DATA %rsi, 0x800
	mov $2, %ecx
1:	add (%rsi), %rax
	add $8, %rsi
	sub $1, %ecx
	jnz 1b
	END two_rounds

/* ---- what is no loop of this kind ---- */

	ROUNDS div, NEVER, "mov $77, %eax; mov $0, %edx; div %ecx; add %rax, %r9"
	ROUNDS idiv, NEVER, "mov $77, %eax; cltd; idiv %ecx; add %rdx, %r9"
	ROUNDS movs, NEVER, "movsb; add %rcx, %rax"
	ROUNDS stos, NEVER, "stosq; add %rcx, %rax"
	ROUNDS lods, NEVER, "lodsb; add %rcx, %rax"
	ROUNDS rep_stos, NEVER, "mov %ecx, %r9d; mov $3, %ecx; rep stosb; mov %r9d, %ecx"
	ROUNDS bit_string, NEVER, "bts %rcx, (%rsi); add $8, %rsi"
	ROUNDS bit_string_read, NEVER, "bt %rcx, (%rsi); adc $0, %rax"
	ROUNDS x87, NEVER, "fninit; fld1; fstp %st(0); add (%rsi), %rax; add $8, %rsi"
	ROUNDS mmx, NEVER, "movq (%rsi), %mm0; emms; add $8, %rsi"
	ROUNDS fs, NEVER, "add %fs:(%rsi), %rax; add $8, %rsi"
	ROUNDS gs, NEVER, "add %gs:8, %rax; add %rax, (%rsi); add $8, %rsi"
	ROUNDS cld, NEVER, "cld; add (%rsi), %rax; add $8, %rsi"
	ROUNDS clock, NEVER, "rdtsc; add %rax, (%rsi)"
	ROUNDS address_32, NEVER, "add 0x30100(%r8d), %rax; add $8, %r8"
	ROUNDS prefetch, LOOPS, "prefetcht0 (%rdi,%rax); nopl (%rax); pause; add (%rsi), %rax; add $8, %rsi"
	ROUNDS bit, LOOPS, "btsl $3, (%rsi); btr %rcx, %r9; add $8, %rsi"

	.section .data.rel.ro.programs, "aw"
	.globl loop_programs_end
loop_programs_end:

	.section .note.GNU-stack, "", @progbits
