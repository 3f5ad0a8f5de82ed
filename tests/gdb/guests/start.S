/* Multiboot entry in 32-bit mode; on to 64-bit mode with the first 16 MiB mapped one to one. */
	.cfi_sections .debug_frame
	.set MAGIC, 0x1badb002
	.section .multiboot, "a"
	.balign 4
	.long MAGIC, 0, -MAGIC

	.text
	.code32
	.globl _start
_start:
	mov $0x620, %eax /* CR4: PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $tables, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx /* EFER.LME */
	rdmsr
	or $0x100, %eax
	wrmsr
	lgdt gdt_pointer
	mov $0x80000033, %eax /* CR0: PG, NE, ET, MP, PE */
	mov %eax, %cr0
	ljmp $0x08, $start64

	.code64
	.type start64, @function
start64:
	.cfi_startproc
	.cfi_undefined rip
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $stack_end, %rsp
	xor %ebp, %ebp
	fninit
	call guest_main
	mov $0x2000 | 5 << 10, %eax /* ACPI: SLP_EN, SLP_TYP 5 in PM1 control */
	mov $0x604, %dx
	out %ax, %dx
1:	cli
	hlt
	jmp 1b
	.cfi_endproc
	.size start64, . - start64

	.data
	.balign 4096
tables:
	.quad directory_pointers + 3
	.fill 511, 8, 0
directory_pointers:
	.quad directory + 3
	.fill 511, 8, 0
directory:
	.set page, 0
	.rept 8
	.quad page + 0x83
	.set page, page + 0x200000
	.endr
	.fill 504, 8, 0
gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word 23
	.long gdt

	.bss
	.balign 16
	.skip 16384
stack_end:
	.section .note.GNU-stack, "", @progbits
