/* A machine at CPL 3 with page tables of its own, and a VM for it, for the tests of vmm/kvm. */
#ifndef REPRISE_TESTS_KVM_GUEST_H
#define REPRISE_TESTS_KVM_GUEST_H

#include "vmm/kvm/runner.h"
#include "vmm/machine.h"

#define GUEST_RAM    (UINT64_C(64) << 20)
#define GUEST_LINEAR UINT64_C(0x400000) /* guest user memory: GUEST_PAGES from here */
#define GUEST_GPA    UINT64_C(0x800000) /* where they lie */
#define GUEST_PAGES  8192u

struct kvm_guest {
	struct machine *machine;
	struct cpu *cpu;
	uint8_t *runtime; /* the run-time area */
	struct kvm_runner runner;
};

/* Returns 0, or ends the program after a plan of skips when this host has no KVM for us. */
void guest_create(struct kvm_guest *guest);
void guest_destroy(struct kvm_guest *guest);

/* Entry n of the guest's tables for its user pages, as gpa; and setting it as the guest would. */
uint64_t guest_entry_gpa(unsigned page);
void guest_set_entry(struct kvm_guest *guest, unsigned page, uint64_t entry);

/* The 8 bytes at a guest address of its user pages. */
uint64_t guest_word(struct kvm_guest *guest, uint64_t linear);

/* A copy of a blob in the code cache; its linear address. */
uint64_t guest_place(struct kvm_guest *guest, const uint8_t *begin, const uint8_t *end);

/* Words of the run-time area's first page, which blobs take their arguments from. */
uint64_t *guest_arguments(struct kvm_guest *guest);

/* Begins at a blob and runs until it leaves; misses are filled. Returns the last exit. */
enum kvm_runner_exit guest_run(struct kvm_guest *guest, uint64_t entry);

#define GUEST_PLACE(guest, name) guest_place(guest, blob_##name, blob_##name##_end)
#define GUEST_BLOB(name)         extern const uint8_t blob_##name[], blob_##name##_end[]

#endif
