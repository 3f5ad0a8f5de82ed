/* What entering the VM and filling its tables costs on this host. */
#ifndef REPRISE_VMM_KVM_MEASURE_H
#define REPRISE_VMM_KVM_MEASURE_H

#include "vmm/kvm/policy.h"
#include "vmm/kvm/runner.h"

/* Processor time of this thread: other work of the host says nothing about the engines. */
uint64_t kvm_thread_ns(void);

/*
 * Measures, before the guest runs. fx: any valid x87 and SSE state. Returns 0, or -ENOTSUP when the
 * VM does not do what it is told.
 */
int kvm_measure(struct kvm_runner *runner, const struct fx_state *fx,
		struct kvm_policy_costs *ret_costs);

#endif
