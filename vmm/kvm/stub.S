/*
 * The code that runs inside the VM and is not translated: copied into its pages by system_area.c,
 * to the addresses of layout.h. It holds no relocation but jumps inside itself.
 */
#include "vmm/kvm/layout.h"

	.section .rodata
	.code64

/*
 * At KVM_USER_CODE, CPL 3. Translated code jumps to leave with the guest's registers stored away;
 * the flags are dead there. The OUT is an exit to the host, which goes on behind it.
 */
	.globl kvm_user_code, kvm_user_code_bytes, kvm_user_resume_offset, kvm_user_probe_offset
	.hidden kvm_user_code, kvm_user_code_bytes, kvm_user_resume_offset, kvm_user_probe_offset
kvm_user_code:
	fxsave64 KVM_USER_FX
	out %al, $KVM_PORT_LEAVE
kvm_user_resume:
	cmpl $0, KVM_USER_SERVICE
	je 1f
	int3
1:	fxrstor64 KVM_USER_FX
	jmp *KVM_USER_ENTER
kvm_user_probe: /* reads a byte of each of some pages, to see what that costs */
	mov KVM_USER_PROBE, %rdi
	mov KVM_USER_PROBE + 8, %rcx
2:	movb (%rdi), %al
	add $0x1000, %rdi
	dec %rcx
	jnz 2b
	jmp kvm_user_code
kvm_user_code_end:
kvm_user_code_bytes:
	.long kvm_user_code_end - kvm_user_code
kvm_user_resume_offset:
	.long kvm_user_resume - kvm_user_code
kvm_user_probe_offset:
	.long kvm_user_probe - kvm_user_code

/*
 * At KVM_STUB, CPL 0: KVM_STUB_BYTES for each exception vector. The host finds the frame at the
 * stack's top: error code (0 where there is none), then what the processor pushed. For a page fault
 * CR2 lies below RAX below the error code. The host either changes the frame or leaves it alone;
 * then the code goes on behind the OUT. One vector is the service: it runs what the host wrote into
 * KVM_REQUEST, which ends with IRETQ; no register needs keeping.
 */
	.globl kvm_stub, kvm_stub_bytes
	.hidden kvm_stub, kvm_stub_bytes
	.balign KVM_STUB_BYTES
kvm_stub:
	.set vector, 0
	.rept KVM_N_EXCEPTIONS
	.balign KVM_STUB_BYTES
	.if vector == 14
	push %rax
	mov %cr2, %rax
	push %rax
	out %al, $vector
	pop %rax
	pop %rax
	.elseif vector == KVM_VECTOR_SERVICE
	mov $KVM_REQUEST, %eax
	jmp *%rax
	.elseif vector == 8 || (vector >= 10 && vector <= 13) || vector == 17
	out %al, $vector
	.else
	push $0
	out %al, $vector
	.endif
	add $8, %rsp
	iretq
	.set vector, vector + 1
	.endr
kvm_stub_end:
kvm_stub_bytes:
	.long kvm_stub_end - kvm_stub

	.section .note.GNU-stack, "", @progbits
