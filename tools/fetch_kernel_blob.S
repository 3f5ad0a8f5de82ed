/* tools/fetch-kernel.sh as a string of the tool. FETCH_FILE is its path, from the build. */
	.section .rodata
	.globl	fetch_kernel_script
	.hidden	fetch_kernel_script
fetch_kernel_script:
	.incbin	FETCH_FILE
	.byte	0
	.section .note.GNU-stack, "", @progbits
