/*
 * The local APIC's timer in each mode (SDM 3A 10.5.4) and the PIT's channel 2 (Intel 8254, modes 0, 2
 * and 3), whose gate and output are at port 61h. Times are compared with the TSC, which CPUID leaf
 * 15h relates to the crystal that counts for the APIC timer.
 */
#include "guest.h"
#include "lapic.h"

	.set VECTOR, 0x60

	/* Waits until n_interrupts is at least n, or for a long time. */
	.macro WAIT n
	mov $4000000, %ecx
	sti
1:	cmpl $\n, n_interrupts
	jae 2f
	pause
	loop 1b
2:	cli
	.endm
	.macro PASS loops
	mov $\loops, %ecx
	sti
1:	pause
	loop 1b
	cli
	.endm
	.macro PIT_COUNT
	mov $0x80, %al /* latch channel 2 */
	out %al, $0x43
	in $0x42, %al
	mov %al, %bl
	in $0x42, %al
	mov %al, %bh
	movzwl %bx, %eax
	.endm
	.macro PIT_SET control, count
	mov $\control, %al
	out %al, $0x43
	mov $(\count)&255, %al
	out %al, $0x42
	mov $(\count)>>8, %al
	out %al, $0x42
	.endm

	.macro SQUARE count
	PIT_SET 0xb6, \count
	call sample
	.endm

	.text
	.globl main
main:
	LAPIC_ON
	HOOK VECTOR, on_timer
	LAPIC_SET LAPIC_DIVIDE, 0xb
	/* One-shot. */
	LAPIC_SET LAPIC_LVT_TIMER, VECTOR
	movl $0, n_interrupts
	LAPIC_SET LAPIC_INITIAL, 1000
	WAIT 1
	PASS 100000
	CHECK_MEM n_interrupts, 1, "one-shot: one interrupt"
	LAPIC_GET LAPIC_CURRENT
	CHECK 0, "one-shot: the count stays 0"
	/* Counts down, at the divided rate. */
	LAPIC_SET LAPIC_LVT_TIMER, 0x10000+VECTOR
	LAPIC_SET LAPIC_INITIAL, 0x7fffffff
	LAPIC_GET LAPIC_CURRENT
	mov %eax, %ebx
	PASS 20000
	LAPIC_GET LAPIC_CURRENT
	sub %eax, %ebx
	mov %ebx, first_count
	LAPIC_SET LAPIC_DIVIDE, 0x1 /* by 4 */
	LAPIC_GET LAPIC_CURRENT
	mov %eax, %ebx
	PASS 20000
	LAPIC_GET LAPIC_CURRENT
	sub %eax, %ebx
	mov first_count, %eax
	xor %edx, %edx
	div %ebx
	inc %eax
	shr $2, %eax
	CHECK 1, "the divide register: a quarter as fast, within rounding"
	/* Masked: it counts and does not interrupt. */
	LAPIC_SET LAPIC_DIVIDE, 0xb
	movl $0, n_interrupts
	LAPIC_SET LAPIC_INITIAL, 1000
	PASS 100000
	CHECK_MEM n_interrupts, 0, "masked: no interrupt"
	LAPIC_SET LAPIC_LVT_TIMER, VECTOR
	PASS 100000
	CHECK_MEM n_interrupts, 0, "unmasking later does not bring it"
	/* Initial count 0 stops it. */
	LAPIC_SET LAPIC_INITIAL, 20000
	LAPIC_SET LAPIC_INITIAL, 0
	PASS 100000
	CHECK_MEM n_interrupts, 0, "an initial count of 0 stops it"
	/* Periodic. */
	LAPIC_SET LAPIC_LVT_TIMER, 0x20000+VECTOR
	LAPIC_SET LAPIC_INITIAL, 5000
	WAIT 5
	LAPIC_SET LAPIC_LVT_TIMER, 0x30000+VECTOR
	mov n_interrupts, %eax
	CHECK 5, "periodic: interrupts go on"
	/* From the third on, TSC differences are the period. */
	mov last_tsc, %eax
	sub first_tsc, %eax
	mov $4, %ecx
	xor %edx, %edx
	div %ecx
	mov %eax, period
	LAPIC_SET LAPIC_INITIAL, 0
	/* The crystal's period in TSC ticks, by leaf 15h: TSC = crystal * EBX / EAX. */
	mov $0x15, %eax
	cpuid
	mov %eax, %ecx
	mov $5000, %eax
	mul %ebx
	div %ecx
	mov $LAPIC, %edi
	/* Within a sixteenth. */
	mov period, %ecx
	sub %eax, %ecx
	jns 1f
	neg %ecx
1:	shr $4, %eax
	cmp %eax, %ecx
	setb %al
	movzbl %al, %eax
	CHECK 1, "periodic: the period is what CPUID leaf 15h makes of the count"
	/* TSC deadline. */
	LAPIC_SET LAPIC_LVT_TIMER, 0x40000+VECTOR
	mfence
	movl $0, n_interrupts
	LAPIC_SET LAPIC_INITIAL, 1000
	LAPIC_GET LAPIC_INITIAL
	CHECK 0, "TSC deadline: the initial count is not to be written"
	rdtsc
	add $50000, %eax
	adc $0, %edx
	mov %eax, deadline
	mov $0x6e0, %ecx
	wrmsr
	rdmsr
	cmp deadline, %eax
	sete %al
	movzbl %al, %eax
	CHECK 1, "TSC deadline: reads back while armed"
	WAIT 1
	CHECK_MEM n_interrupts, 1, "TSC deadline: one interrupt"
	mov last_tsc, %eax
	sub deadline, %eax
	shr $31, %eax
	CHECK 0, "TSC deadline: not before its time"
	mov $0x6e0, %ecx
	rdmsr
	CHECK 0, "TSC deadline: reads 0 when it has fired"
	mov $1, %eax
	xor %edx, %edx
	wrmsr
	movl $0, n_interrupts
	sti
	nop
	nop
	cli
	CHECK_MEM n_interrupts, 1, "TSC deadline: one that is past fires at once"
	rdtsc
	add $50000, %eax
	adc $0, %edx
	mov $0x6e0, %ecx
	wrmsr
	xor %eax, %eax
	xor %edx, %edx
	wrmsr
	movl $0, n_interrupts
	PASS 100000
	CHECK_MEM n_interrupts, 0, "TSC deadline: 0 disarms"
	rdtsc
	add $50000, %eax
	adc $0, %edx
	mov $0x6e0, %ecx
	wrmsr
	LAPIC_SET LAPIC_LVT_TIMER, VECTOR
	PASS 100000
	CHECK_MEM n_interrupts, 0, "a change of mode disarms (10.5.4.1)"
	/* The PIT's channel 2. */
	in $0x61, %al
	and $0xfc, %al
	or $1, %al
	out %al, $0x61
	PIT_SET 0xb0, 200
	in $0x61, %al
	and $0x20, %eax
	CHECK 0, "PIT mode 0: OUT is low from the control word on"
	PASS 300000
	in $0x61, %al
	and $0x20, %eax
	CHECK 0x20, "PIT mode 0: and high when the count is out"
	PIT_COUNT
	cmp $0x8000, %eax
	seta %al
	movzbl %al, %eax
	CHECK 1, "PIT mode 0: the count goes on below 0"
	PIT_SET 0xb4, 1000
	in $0x61, %al
	and $0x20, %eax
	CHECK 0x20, "PIT mode 2: OUT is high"
	PIT_COUNT
	mov %eax, first_count
	PASS 5000
	PIT_COUNT
	cmp first_count, %eax
	setne %al
	movzbl %al, %eax
	CHECK 1, "PIT mode 2: it counts"
	/* Gate low stops it. */
	in $0x61, %al
	and $0xfe, %al
	out %al, $0x61
	PIT_COUNT
	mov %eax, first_count
	PASS 5000
	PIT_COUNT
	sub first_count, %eax
	CHECK 0, "PIT mode 2: the gate stops the count"
	/* Mode 3, with an odd count too; gate high again. */
	in $0x61, %al
	or $1, %al
	out %al, $0x61
	SQUARE 100
	mov n_high, %eax
	cmp $400, %eax
	setae %cl
	cmp $600, %eax
	setbe %al
	and %cl, %al
	movzbl %al, %eax
	CHECK 1, "PIT mode 3: OUT is high half of the time"
	mov n_edges, %eax
	cmp $4, %eax
	setae %al
	movzbl %al, %eax
	CHECK 1, "PIT mode 3: again and again"
	CHECK_MEM odd_seen, 0, "PIT mode 3: counts by two"
	CHECK_MEM highest, 100, "PIT mode 3: from the count"
	SQUARE 101
	CHECK_MEM odd_seen, 0, "PIT mode 3, an odd count: counts by two (8254)"
	CHECK_MEM highest, 100, "PIT mode 3, an odd count: from one less"
	/* Gate low: OUT is high at once, and the count stops. */
	in $0x61, %al
	and $0xfe, %al
	out %al, $0x61
	PIT_COUNT
	mov %eax, first_count
	call sample
	CHECK_MEM n_high, 1000, "PIT mode 3: OUT is high while the gate is low"
	PIT_COUNT
	sub first_count, %eax
	CHECK 0, "PIT mode 3: the gate stops the count"
	/* 00 in both bits of access latches; the status by the read-back command. */
	mov $0xe8, %al
	out %al, $0x43
	in $0x42, %al
	movzbl %al, %eax
	CHECK 0xb6, "PIT: read back: OUT, both bytes, mode 3"
	jmp finish

/* Looks at channel 2 a thousand times: how often OUT was high, how often it had
 * changed, whether a count was odd, the highest count. */
sample:
	movl $0, n_high
	movl $0, n_edges
	movl $0, odd_seen
	movl $0, highest
	movl $1, was_high
	mov $1000, %esi
1:	mov $500, %ecx
2:	dec %ecx
	jnz 2b
	in $0x61, %al
	shr $5, %al
	and $1, %eax
	add %eax, n_high
	cmp was_high, %eax
	je 3f
	incl n_edges
	mov %eax, was_high
3:	PIT_COUNT
	mov %eax, %ecx
	and $1, %ecx
	or %ecx, odd_seen
	cmp highest, %eax
	jbe 4f
	mov %eax, highest
4:	dec %esi
	jnz 1b
	ret

on_timer:
	cmpl $0, n_interrupts
	rdtsc
	jne 1f
	mov %eax, first_tsc
1:	mov %eax, last_tsc
	incl n_interrupts
	mov $LAPIC, %edi
	LAPIC_SET LAPIC_EOI, 0
	ret
	.bss
	.balign 4
n_interrupts: .skip 4
first_tsc: .skip 4
last_tsc: .skip 4
first_count: .skip 4
period:	.skip 4
deadline: .skip 4
n_high:	.skip 4
n_edges: .skip 4
odd_seen: .skip 4
highest: .skip 4
was_high: .skip 4
	.section .note.GNU-stack, "", @progbits
