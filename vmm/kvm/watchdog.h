/*
 * The last resort against translated code that does not poll, which would be our bug: nothing else
 * ends KVM_RUN then. A timer of the thread's processor time sends it a signal that is blocked but
 * inside KVM_RUN. Two in one stretch of running mean that it hangs.
 */
#ifndef REPRISE_VMM_KVM_WATCHDOG_H
#define REPRISE_VMM_KVM_WATCHDOG_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "vmm/kvm/vm.h"

/* More processor time than any stretch of translated code takes. */
#define KVM_WATCHDOG_NS UINT64_C(60000000000)

struct kvm_watchdog {
	bool set;
	timer_t timer;
	uint64_t stretch; /* in which it rang last */
};

/*
 * Blocks the signal in the calling thread, which is to be the one that runs the VM, and sets the
 * timer. The watchdog must not move from here on. Returns 0 or a negative errno.
 */
int kvm_watchdog_init(struct kvm_watchdog *watchdog, struct kvm_vm *vm);
void kvm_watchdog_finish(struct kvm_watchdog *watchdog);

/* Changes how often it rings; 0 or a negative errno. */
int kvm_watchdog_set_period(struct kvm_watchdog *watchdog, uint64_t ns);

/* After KVM_RUN was interrupted in a stretch of running that has this number, not 0: whether it has
 * lasted for a whole period. */
bool kvm_watchdog_barks(struct kvm_watchdog *watchdog, uint64_t stretch);

#endif
