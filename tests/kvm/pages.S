/* User code that adds to one fresh page after the other what it counts in an SSE register. See
 * tests/cpu/guests. */
#include "tests/cpu/guests/guest.h"

	.set PAGES, 40

	.text
	.globl main
main:
	call enter_long
	MODE64
	ENABLE_SSE
	TRY_USER_AT .Lat, "mov $own, %edi; mov $PAGES, %ecx; xor %eax, %eax; movq %rax, %xmm0; inc %eax; movq %rax, %xmm1; 1: paddq %xmm1, %xmm0; movq (%rdi), %xmm2; paddq %xmm0, %xmm2; .Lat: movq %xmm2, (%rdi); add $4096, %edi; dec %ecx; jnz 1b"
	jmp finish64

	.bss
	.balign 4096
own:
	.skip PAGES * 4096

	.section .note.GNU-stack, "", @progbits
