/*
 * A KVM VM with one vCPU: descriptors, capabilities, memory slots, running. It knows nothing of
 * guests; system_area.h says what the vCPU runs.
 */
#ifndef REPRISE_VMM_KVM_VM_H
#define REPRISE_VMM_KVM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>
#include <signal.h>

#define KVM_VM_MAX_SLOTS 72

/* Why there is no VM, for one line of output. */
struct kvm_vm_error {
	int code;       /* negative errno */
	char text[200]; /* what and what to try */
};

struct kvm_vm {
	int vm_fd, vcpu_fd;
	struct kvm_run
		*run; /* shared with KVM; the registers of the last exit are in run->s.regs */
	size_t run_bytes;
	struct kvm_userspace_memory_region slots[KVM_VM_MAX_SLOTS];
	unsigned n_slots;
};

/* Makes an empty VM. Returns 0 or a negative errno with *ret_error set. */
int kvm_vm_init(struct kvm_vm *vm, struct kvm_vm_error *ret_error);
void kvm_vm_finish(struct kvm_vm *vm);

/*
 * Adds a slot: bytes of the host's memory at host appear at physical. Returns the slot's number or
 * a negative errno. The memory must outlive the VM.
 */
int kvm_vm_add_slot(struct kvm_vm *vm, uint64_t physical, void *host, uint64_t bytes);

/* Deletes the slot and adds it again: KVM drops whatever it derived from its bytes. Returns 0 or a
 * negative errno. */
int kvm_vm_renew_slot(struct kvm_vm *vm, unsigned slot);

/* Sets or gets all registers, pending exceptions cleared. Return 0 or a negative errno. */
int kvm_vm_set_registers(struct kvm_vm *vm, const struct kvm_regs *regs,
			 const struct kvm_sregs *sregs);
int kvm_vm_get_registers(struct kvm_vm *vm, struct kvm_regs *ret_regs, struct kvm_sregs *ret_sregs);

/* The x87 and SSE state: ret_xsave begins with an FXSAVE image. (KVM_GET_FPU leaves MXCSR out.)
 * Returns 0 or a negative errno. */
int kvm_vm_get_xsave(struct kvm_vm *vm, struct kvm_xsave *ret_xsave);

/* Which signals are blocked while KVM_RUN runs. Returns 0 or a negative errno. */
int kvm_vm_set_signal_mask(struct kvm_vm *vm, const sigset_t *blocked);

/*
 * Runs until the next exit. Returns 0 with vm->run->exit_reason set, -EINTR when a signal came
 * first, or another negative errno.
 */
int kvm_vm_run(struct kvm_vm *vm);

#endif
