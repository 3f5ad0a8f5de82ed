/*
 * What runs in KVM: an entry and an exit cost what interp needs for thousands of instructions, so
 * user code is entered there when it is going to run for long. Learnt for each address space from
 * what its slices cost. Nothing here can be observed by the guest.
 */
#ifndef REPRISE_VMM_KVM_POLICY_H
#define REPRISE_VMM_KVM_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/mmu/mmu.h"

/* Costs of a space's slices, the older ones counting less. */
struct kvm_policy_space {
	uint64_t cr3; /* whose they are */
	double ns, instructions;
	uint32_t skip;    /* samples that are not to be followed by an entry */
	uint32_t penalty; /* how many to skip when it does not pay again */
};

struct kvm_policy {
	bool forced;
	double exit_ns;           /* one entry and exit */
	double interp_ns;         /* an instruction of user code */
	uint64_t sample;          /* instructions that interp runs to see whether a slice is long */
	bool at_once[MMU_SPACES]; /* pays: no sample needed */
	struct kvm_policy_space space[MMU_SPACES];
};

/* forced: everything is entered. exit_ns: as measured on this host. */
void kvm_policy_init(struct kvm_policy *policy, bool forced, double exit_ns);

/* The space's number means the tables at cr3: if it meant others, what was learnt is forgotten. */
void kvm_policy_select(struct kvm_policy *policy, unsigned space, uint64_t cr3);

/* After a sample of user code without an exit from it: whether to enter now. */
bool kvm_policy_after_sample(struct kvm_policy *policy, unsigned space);

/* What a slice in KVM cost, all included. */
void kvm_policy_slice(struct kvm_policy *policy, unsigned space, uint64_t ns,
		      uint64_t instructions);

/* What interp needed for user code. */
void kvm_policy_interp(struct kvm_policy *policy, uint64_t ns, uint64_t instructions);

#endif
