/* Multiboot 1 entry of the test guests: flat 32-bit protected mode, interrupts off. */
	.set MAGIC, 0x1badb002
	.section .multiboot, "a"
	.balign 4
	.long MAGIC, 0, -MAGIC

	.text
	.globl _start
_start:
	mov $stack_end, %esp
	lgdt gdt_pointer
	ljmp $0x08, $1f
1:	mov $0x10, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	call guest_main
	jmp guest_power_off

	/* The second vCPU starts here: real mode, at a page below 640 KiB to which this is copied. */
	.globl ap_start, ap_end
	.code16
ap_start:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl 0x8000 + ap_gdt - ap_start
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $0x08, $ap_protected
	.balign 8
ap_gdt:
	.word 23
	.long gdt
ap_end:
	.code32
ap_protected:
	mov $0x10, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $ap_stack_end, %esp
	call guest_ap_main
2:	cli
	hlt
	jmp 2b

	.weak guest_ap_main
	.data
	.balign 8
gdt:
	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word 23
	.long gdt

	.bss
	.balign 16
	.skip 16384
stack_end:
	.skip 16384
ap_stack_end:
	.section .note.GNU-stack, "", @progbits
