/*
 * The kvm engine: guest user code translated and run at CPL 3 of a VM; everything else by a jit
 * engine that it contains, or an interp engine where jit cannot be made (docs/kvm.md).
 */
#ifndef REPRISE_VMM_KVM_KVM_H
#define REPRISE_VMM_KVM_KVM_H

#include "vmm/engine.h"
#include "vmm/kvm/vm.h"

/* All user code in KVM. Creation fails where there is none. */
extern const struct engine_ops kvm_engine_ops;

/* User code in KVM where it pays, which is measured; jit_or_interp_engine_ops where there is none.
 */
extern const struct engine_ops auto_engine_ops;

/* For tests: all user code in KVM, from its first visit on, whatever exits cost here. */
extern const struct engine_ops kvm_small_engine_ops;

/* How kvm_small_engine_ops that are created from here on translate; at first in short blocks that
 * all poll, so that it stops close to any count, with interp for the rest. */
struct kvm_small_options {
	uint32_t max_insns;   /* as in struct translator_config; 0: polls as kvm_engine_ops too */
	uint32_t cache_bytes; /* likewise; 0: as kvm_engine_ops */
	bool distrust_host;   /* likewise */
	bool jit;             /* for the rest */
};
extern struct kvm_small_options kvm_small_options;

/* Whether this process can make a VM. Returns 0, or a negative errno with *ret_error saying why not
 * and what to try. */
int kvm_engine_check(struct kvm_vm_error *ret_error);

enum kvm_runner_injection;

/* For tests: the kvm engine's next unexpected exit is made up (runner.h). */
void kvm_engine_inject(struct engine *engine, enum kvm_runner_injection injection);

#endif
