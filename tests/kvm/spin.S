/* User code that never ends, calls nothing and is interrupted by nothing. See tests/cpu/guests. */
#include "tests/cpu/guests/guest.h"

	.text
	.globl main
main:
	call enter_long
	MODE64
	ENABLE_SSE
	ENTER_USER USER_CS64, 1f
1:	inc %rax
	jmp 1b

	.section .note.GNU-stack, "", @progbits
