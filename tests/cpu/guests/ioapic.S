/*
 * The I/O APIC (82093AA): edge and level triggering with the first serial port's line at pin 4, whose
 * level the guest controls: with the transmitter empty, enabling its interrupt (IER bit 1) raises the
 * line, reading IIR or disabling lowers it (16550).
 */
#include "guest.h"
#include "lapic.h"

	.set IOAPIC, 0xfec00000
	.set PIN, 0x10 + 2 * 4
	.set VECTOR, 0x60
	.set LEVEL, 0x8000
	.set MASKED, 0x10000
	.set REMOTE_IRR, 0x4000
	.set LOGICAL, 0x800

	.macro IO_SET reg, value
	movl $\reg, IOAPIC
	movl $\value, IOAPIC + 0x10
	.endm
	.macro IO_GET reg
	movl $\reg, IOAPIC
	movl IOAPIC + 0x10, %eax
	.endm
	.macro LINE level
	mov $0x3f9, %edx
	mov $2 * \level, %al
	out %al, %dx
	.endm
	.macro WINDOW
	sti
	.rept 8
	nop
	.endr
	cli
	.endm

	.text
	.globl main
main:
	mov $0x3fc, %edx /* OUT2 lets the line through */
	mov $0x0b, %al
	out %al, %dx
	LAPIC_ON
	HOOK VECTOR, on_interrupt
	/* The version register: 24 entries. */
	IO_GET 1
	and $0xff0000, %eax
	CHECK 0x170000, "24 entries"
	IO_SET PIN, MASKED
	IO_GET PIN
	CHECK MASKED, "an entry reads back"
	/* Edge. */
	IO_SET PIN+1, 0
	IO_SET PIN, VECTOR
	movl $0, n_interrupts
	LINE 1
	WINDOW
	CHECK_MEM n_interrupts, 1, "edge: an interrupt for the rise"
	WINDOW
	CHECK_MEM n_interrupts, 1, "edge: no other while the line stays"
	IO_GET PIN
	and $REMOTE_IRR, %eax
	CHECK 0, "edge: no remote IRR"
	LINE 0
	LINE 1
	WINDOW
	CHECK_MEM n_interrupts, 2, "edge: the next rise"
	/* TMR says how it came (SDM 3A 10.8.4). */
	CHECK_MEM tmr_seen, 0, "edge: TMR is clear"
	/* Masked edges are lost. */
	LINE 0
	IO_SET PIN, MASKED+VECTOR
	LINE 1
	IO_SET PIN, VECTOR
	WINDOW
	CHECK_MEM n_interrupts, 2, "edge: one that comes while masked is lost"
	/* Level: the line is up. */
	LINE 0
	IO_SET PIN, LEVEL+MASKED+VECTOR
	LINE 1
	movl $0, n_interrupts
	WINDOW
	CHECK_MEM n_interrupts, 0, "level: masked"
	movl $3, lower_at
	IO_SET PIN, LEVEL+VECTOR
	WINDOW
	CHECK_MEM n_interrupts, 3, "level: comes when unmasked, and again after EOI while the line is up"
	CHECK_MEM tmr_seen, 1, "level: TMR is set"
	CHECK_MEM irr_seen, REMOTE_IRR, "level: remote IRR is set in the handler"
	IO_GET PIN
	and $REMOTE_IRR, %eax
	CHECK 0, "level: and clear after EOI"
	/* A line that falls before the interrupt is taken: the request stays in the local APIC. */
	movl $0, n_interrupts
	movl $1, lower_at
	LINE 1
	LINE 0
	WINDOW
	CHECK_MEM n_interrupts, 1, "level: a request once accepted stays"
	/* Remote IRR ends when the pin is made edge-triggered. */
	movl $0, n_interrupts
	LINE 1
	IO_SET PIN, MASKED+VECTOR
	IO_GET PIN
	and $REMOTE_IRR, %eax
	CHECK 0, "a change to edge clears remote IRR"
	LINE 0
	WINDOW
	/* Active low: the line's low level is what counts. */
	movl $0, n_interrupts
	IO_SET PIN, 0x2000+MASKED+VECTOR
	LINE 1
	IO_SET PIN, 0x2000+VECTOR
	WINDOW
	CHECK_MEM n_interrupts, 0, "active low, edge: nothing for a rise"
	LINE 0
	WINDOW
	CHECK_MEM n_interrupts, 1, "active low, edge: the fall"
	/* Destinations. */
	movl $0, n_interrupts
	LAPIC_SET LAPIC_LDR, 0x02000000
	IO_SET PIN+1, 0x06000000
	IO_SET PIN, LOGICAL+VECTOR
	LINE 1
	WINDOW
	CHECK_MEM n_interrupts, 1, "a logical destination"
	LINE 0
	IO_SET PIN+1, 0x05000000
	LINE 1
	WINDOW
	CHECK_MEM n_interrupts, 1, "not this one's"
	LINE 0
	IO_SET PIN+1, 0x06000000
	IO_SET PIN, LOGICAL+0x100+VECTOR
	LINE 1
	WINDOW
	CHECK_MEM n_interrupts, 2, "lowest priority"
	LINE 0
	/* NMI delivery. */
	HOOK NMI, on_interrupt
	IO_SET PIN+1, 0
	IO_SET PIN, 0x400
	movl $0, n_interrupts
	LINE 1
	nop
	nop
	CHECK_MEM n_interrupts, 1, "NMI delivery, with IF clear"
	LINE 0
	IO_SET PIN, MASKED
	jmp finish

on_interrupt:
	incl n_interrupts
	LAPIC_ON
	LAPIC_GET LAPIC_TMR+0x30
	and $1, %eax
	mov %eax, tmr_seen
	IO_GET PIN
	and $REMOTE_IRR, %eax
	mov %eax, irr_seen
	mov n_interrupts, %eax
	cmp lower_at, %eax
	jne 1f
	LINE 0
1:	LAPIC_SET LAPIC_EOI, 0
	ret
	.bss
	.balign 4
n_interrupts: .skip 4
tmr_seen: .skip 4
irr_seen: .skip 4
lower_at: .skip 4
	.section .note.GNU-stack, "", @progbits
