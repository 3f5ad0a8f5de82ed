/*
 * A Linux guest as it is where the machine stands: kernel memory, and which task each vCPU is at.
 *
 * Nothing that lies in guest memory is trusted: what is not there reads as nothing, and whatever is
 * followed from one to the next is followed only so far.
 */
#ifndef REPRISE_GDBSTUB_LINUX_GUEST_H
#define REPRISE_GDBSTUB_LINUX_GUEST_H

#include "gdbstub/linux/kernel.h"
#include "gdbstub/linux/layout.h"
#include "gdbstub/text.h"

struct linux_guest {
	const struct machine *machine;
	const struct kernel *kernel;
	struct linux_layout at;
	uint64_t per_cpu_offsets;       /* address of the array */
	uint64_t current_task;          /* per-CPU: of the pointer to the current task */
	uint64_t fpu_owner;             /* per-CPU: whose state the FPU holds */
	uint64_t vmemmap;               /* address of where struct page 0 is told; 0: not known */
	uint64_t vdso;                  /* of vdso_image_64; 0: not known */
	uint64_t entry_text, entry_end; /* where the kernel is entered and left */
};

/*
 * The kernel must outlive the guest. Returns 0, -ENOMEM, or -ENOTSUP with a line in
 * error: the kernel does not say of itself what is needed.
 */
int linux_guest_create(const struct machine *machine, const struct kernel *kernel,
		       struct linux_guest **ret_guest, struct reply *error);
void linux_guest_destroy(struct linux_guest *guest);

/* Kernel memory at a linear address. Returns false when not all of it is mapped to RAM. */
bool linux_read(const struct linux_guest *guest, uint64_t address, void *buffer, size_t n);
/* 0 when it cannot be read. */
uint64_t linux_read_u64(const struct linux_guest *guest, uint64_t address);
uint32_t linux_read_u32(const struct linux_guest *guest, uint64_t address);
/* A zero-terminated string, cut to fit. */
bool linux_read_string(const struct linux_guest *guest, uint64_t address, char *ret, size_t n);

/* The address of the task that a vCPU is at, in the kernel or not; 0: none is known. */
uint64_t linux_current_task(const struct linux_guest *guest, uint32_t vcpu);
/* The task whose state the vCPU's FPU holds when it is the current one; 0: none. */
uint64_t linux_fpu_owner(const struct linux_guest *guest, uint32_t vcpu);

#endif
