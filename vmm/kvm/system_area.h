/*
 * The VM's own pages (layout.h): code for leaving and resuming, the exception stub with IDT, GDT
 * and TSS, static page tables for the lower half, and how the vCPU starts in them.
 */
#ifndef REPRISE_VMM_KVM_SYSTEM_AREA_H
#define REPRISE_VMM_KVM_SYSTEM_AREA_H

#include "vmm/kvm/layout.h"
#include "vmm/kvm/vm.h"
#include "vmm/mmu/mmu.h"

struct kvm_system_config {
	void *runtime; /* the run-time area, RUNTIME_FILE_BYTES of it */
	void *tables;  /* the pool of page-table pages */
	uint64_t tables_bytes;
};

struct kvm_system_area {
	uint8_t *host; /* the system pages and static tables; KVM_SYSTEM_LINEAR is host[0] */
	uint64_t bytes;
	unsigned tables_slot;
	/* Physical addresses of the tables that entry 0 of a root points to, by address space. */
	uint64_t low_table[MMU_SPACES];
};

/* An exception as the stub left it at the stack's top. */
struct kvm_frame {
	uint64_t error, rip, cs, rflags, rsp, ss;
};

/* Returns 0 or a negative errno. The host's memory in config must outlive the VM. */
int kvm_system_init(struct kvm_system_area *area, struct kvm_vm *vm,
		    const struct kvm_system_config *config);
void kvm_system_finish(struct kvm_system_area *area);

/* Host address of a place in the system pages. */
static inline void *kvm_system_at(const struct kvm_system_area *area, uint64_t linear)
{
	return area->host + (linear - KVM_SYSTEM_LINEAR);
}

/* The frame of the exception that was the last exit. The host may change it. */
struct kvm_frame *kvm_system_frame(const struct kvm_system_area *area);

/* CR2 of the page fault that was the last exit, and the RAX that its stub put aside. */
uint64_t kvm_system_fault_address(const struct kvm_system_area *area);
uint64_t kvm_system_fault_rax(const struct kvm_system_area *area);

/* Linear address of resume. */
uint64_t kvm_system_resume(void);

/* Where to enter code that reads n pages from a guest address on, then leaves. */
uint64_t kvm_system_probe(const struct kvm_system_area *area, uint64_t linear, unsigned n);

/* The vCPU at resume, CPL 3, with this root of page tables. */
int kvm_system_start(const struct kvm_system_area *area, struct kvm_vm *vm, uint64_t root);

/* Linear address behind the OUT with which the stub of an exception leaves. */
uint64_t kvm_system_behind_out(const struct kvm_system_area *area, uint8_t vector);

/* Whether resume calls the service, which runs KVM_REQUEST at CPL 0. Not while the vCPU is in the
 * exception stub. */
void kvm_system_call_service(const struct kvm_system_area *area, bool call);

/* Makes the frame of an exception one that returns to resume. */
void kvm_system_return_to_resume(const struct kvm_system_area *area);

#endif
