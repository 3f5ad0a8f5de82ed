/*
 * Entering and leaving the VM. Translated code runs at CPL 3 from one exit to the next; whatever
 * has to be executed at CPL 0 (another root, entries that became narrower) is put in front of the
 * entry.
 */
#ifndef REPRISE_VMM_KVM_RUNNER_H
#define REPRISE_VMM_KVM_RUNNER_H

#include "vmm/kvm/system_area.h"
#include "vmm/kvm/tables.h"
#include "vmm/kvm/vm.h"
#include "vmm/translate/runtime.h"

enum kvm_runner_exit {
	KVM_RUNNER_LEFT,        /* translated code has left by itself */
	KVM_RUNNER_FAULT,       /* an exception at CPL 3: runner->fault */
	KVM_RUNNER_INTERRUPTED, /* a signal came: runs on when called again */
	KVM_RUNNER_UNEXPECTED,  /* runner->unexpected says what; kvm_runner_recover() */
};

struct kvm_runner_fault {
	uint8_t vector;
	uint32_t error;
	uint64_t address; /* #PF: CR2, biased */
	struct runtime_registers registers;
};

enum kvm_runner_place {
	KVM_PLACE_NOWHERE, /* registers must be set before it can run */
	KVM_PLACE_LEFT,    /* at CPL 3 behind the OUT of leave */
	KVM_PLACE_FAULT,   /* at CPL 0 in the exception stub */
	KVM_PLACE_INSIDE,  /* interrupted anywhere */
};

/* For tests: what the next run is to end with instead of what happens. */
enum kvm_runner_injection {
	KVM_INJECT_NOTHING,
	KVM_INJECT_EXPLAINED,   /* an internal error at the first exception of translated code */
	KVM_INJECT_UNEXPLAINED, /* a shutdown, with no instruction to be made out */
	KVM_INJECT_ENDLESS,     /* translated code that does not leave by itself; the engine's */
};

struct kvm_runner {
	struct kvm_vm vm;
	struct kvm_system_area area;
	struct kvm_tables *tables;
	enum kvm_runner_place place;
	uint64_t loaded_root;
	struct kvm_runner_fault fault;
	char unexpected[96];
	enum kvm_runner_injection inject;
	uint64_t n_runs; /* KVM_RUN */
};

/* Makes the VM for a machine. runtime: the run-time area. Returns 0 or a negative errno with
 * *ret_error set. */
int kvm_runner_init(struct kvm_runner *runner, struct machine *machine, void *runtime,
		    struct kvm_vm_error *ret_error);
void kvm_runner_finish(struct kvm_runner *runner);

/*
 * Sets where the next run begins, with which x87 and SSE state. In between, runs go on where the
 * last ended.
 */
void kvm_runner_enter(struct kvm_runner *runner, uint64_t entry, const struct fx_state *fx);

/* Runs in an address space of the guest until an exit. */
enum kvm_runner_exit kvm_runner_run(struct kvm_runner *runner, unsigned space);

/* The x87 and SSE state where the last run ended. Returns 0 or a negative errno: -EINVAL when it is
 * none that a processor could be in. */
int kvm_runner_fx(struct kvm_runner *runner, struct fx_state *fx);

/*
 * After KVM_RUNNER_UNEXPECTED: the registers that KVM has, if it was at CPL 3. Returns false if
 * not. The next run must begin with kvm_runner_enter().
 */
bool kvm_runner_recover(struct kvm_runner *runner, struct runtime_registers *ret_registers);

#endif
