/*
 * What runs in KVM: an entry and an exit cost what the rest needs for thousands of instructions, so
 * user code is entered there when it is going to run for long. Learnt for each address space from
 * what its slices cost. Nothing here can be observed by the guest.
 */
#ifndef REPRISE_VMM_KVM_POLICY_H
#define REPRISE_VMM_KVM_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/mmu/mmu.h"

/* Measured when they first matter. */
struct kvm_policy_costs {
	double exit_ns;  /* one entry and exit by itself */
	double fault_ns; /* one by a page fault */
	double page_ns;  /* the first touch of a page that was filled */
};

/* What is known of an address space. */
struct kvm_policy_space {
	uint64_t cr3;       /* whose it is */
	double gain_ns;     /* what its last slices saved against the rest */
	double rest_ns;     /* an instruction of its user code, there */
	double unproven_ns; /* spent in KVM since that was measured last */
	double trial_ns;    /* how much of that there may be */
	uint32_t skip;      /* samples that are not to be followed by an entry */
	uint32_t penalty;   /* how many times as many to skip when it does not pay again */
	bool learning;      /* something was translated or filled since it was left to the rest */
	bool newcomer;      /* has neither paid nor lost much */
	uint32_t lessons;   /* losses while learning */
	uint64_t cold;      /* instructions that the rest runs before code that is new is entered */
};

struct kvm_policy {
	bool forced;
	struct kvm_policy_costs costs;
	double rest_ns;           /* an instruction of user code, of all spaces */
	uint32_t wariness;        /* a new space runs so many times its first samples */
	bool at_once[MMU_SPACES]; /* pays: no sample needed */
	struct kvm_policy_space space[MMU_SPACES];
};

/*
 * forced: everything is entered. Its costs are those of a slow host until they are set: the rest's
 * samples are long then, and seldom interrupt it.
 */
void kvm_policy_init(struct kvm_policy *policy, bool forced);

/* Before any space has been entered. */
void kvm_policy_set_costs(struct kvm_policy *policy, const struct kvm_policy_costs *costs);

/* The space's number means the tables at cr3: if it meant others, what was learnt is forgotten. */
void kvm_policy_select(struct kvm_policy *policy, unsigned space, uint64_t cr3);

/* Instructions of the space that the rest runs to see whether a slice is long. */
uint64_t kvm_policy_sample(const struct kvm_policy *policy, unsigned space);

/* After a sample of user code without an exit from it: whether to enter now. */
bool kvm_policy_after_sample(struct kvm_policy *policy, unsigned space);

/* What a slice in KVM cost, all included. learning: something was translated or filled in it. */
void kvm_policy_slice(struct kvm_policy *policy, unsigned space, uint64_t ns, uint64_t instructions,
		      bool learning);

/*
 * Translated code has left after so many instructions for code that was not translated before. How
 * many the rest is to run before it is entered again, also where everything is entered: a program
 * that starts runs most of its code once, and would leave after a few instructions each time. At
 * most what it needs an exit's time for; 0 once entries run for long.
 */
uint64_t kvm_policy_cold(struct kvm_policy *policy, unsigned space, uint64_t instructions);

/* What the rest needed for a sample of the space's user code. */
void kvm_policy_rest(struct kvm_policy *policy, unsigned space, uint64_t ns, uint64_t instructions);

#endif
