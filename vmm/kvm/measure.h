/* What entering the VM and filling its tables costs on this host. */
#ifndef REPRISE_VMM_KVM_MEASURE_H
#define REPRISE_VMM_KVM_MEASURE_H

#include "vmm/kvm/policy.h"
#include "vmm/kvm/runner.h"

/* Processor time of this thread: other work of the host says nothing about the engines. */
uint64_t kvm_thread_ns(void);

/* Whether the VM does what it is told: 0, or -ENOTSUP. fx: any valid x87 and SSE state. */
int kvm_try(struct kvm_runner *runner, const struct fx_state *fx);

/* Measures, before anything of the guest has run in the VM. Takes milliseconds where an exit takes
 * tens of microseconds. Returns likewise. */
int kvm_measure(struct kvm_runner *runner, const struct fx_state *fx,
		struct kvm_policy_costs *ret_costs);

#endif
