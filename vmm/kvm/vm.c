#include "vmm/kvm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/kvm/layout.h"

#define DEVICE "/dev/kvm"

/* More than any host has had so far. */
#define CPUID_ENTRIES 256

static int fail(struct kvm_vm_error *error, int code, const char *text)
{
	*error = (struct kvm_vm_error){.code = code};
	snprintf(error->text, sizeof(error->text), "%s", text);
	return code;
}

static int fail_errno(struct kvm_vm_error *error, const char *what)
{
	int code = -errno;

	*error = (struct kvm_vm_error){.code = code};
	snprintf(error->text, sizeof(error->text), "%s: %s", what, strerror(-code));
	return code;
}

/* ---- creation ---- */

static int open_device(struct kvm_vm_error *error)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == EACCES || errno == EPERM)
		return fail(error, -errno,
			    DEVICE
			    ": no permission; add the user to its group with: sudo usermod -aG kvm "
			    "$USER, and log in again");
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return fail(error, -errno, DEVICE ": this host offers no KVM");
	return fail_errno(error, DEVICE);
}

static int create_vm(int kvm, struct kvm_vm_error *error)
{
	int fd = ioctl(kvm, KVM_CREATE_VM, 0UL);

	if (fd >= 0)
		return fd;
	if (errno == EBUSY)
		return fail(error, -EBUSY, DEVICE ": busy: another hypervisor has the processor");
	return fail_errno(error, DEVICE ": no VM can be made");
}

static int check_capabilities(int kvm, struct kvm_vm_error *error)
{
	int sync = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);

	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return fail(error, -ENOTSUP, DEVICE ": not the API of version 12");
	if (sync <= 0 || !(sync & KVM_SYNC_X86_REGS) ||
	    ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) <= 0 ||
	    ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_EXT_CPUID) <= 0)
		return fail(error, -ENOTSUP, DEVICE ": this kernel's KVM is too old");
	return 0;
}

/* Everything the host's CPU has: what the guest may use is decided by translation. */
static int set_cpuid(struct kvm_vm *vm, int kvm, struct kvm_vm_error *error)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));
	int r = 0;

	if (!cpuid)
		return fail(error, -ENOMEM, "no memory for a VM");
	cpuid->nent = CPUID_ENTRIES;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0 ||
	    ioctl(vm->vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
		r = fail_errno(error, DEVICE ": CPUID");
	free(cpuid);
	return r;
}

static int create_vcpu(struct kvm_vm *vm, int kvm, struct kvm_vm_error *error)
{
	int bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *run;

	vm->vcpu_fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, 0UL);
	if (vm->vcpu_fd < 0)
		return fail_errno(error, DEVICE ": no vCPU can be made");
	if (bytes < (int)sizeof(*vm->run))
		return fail(error, -ENOTSUP, DEVICE ": this kernel's KVM is too old");
	run = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu_fd, 0);
	if (run == MAP_FAILED)
		return fail_errno(error, DEVICE ": mmap");
	vm->run = run;
	vm->run_bytes = (size_t)bytes;
	vm->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	return set_cpuid(vm, kvm, error);
}

static int create_parts(struct kvm_vm *vm, int kvm, struct kvm_vm_error *error)
{
	uint64_t own = KVM_OWN_PHYSICAL;
	int r = check_capabilities(kvm, error);

	if (r)
		return r;
	vm->vm_fd = create_vm(kvm, error);
	if (vm->vm_fd < 0)
		return vm->vm_fd;
	/* Needed on Intel processors before the first vCPU, refused nowhere that matters. */
	ioctl(vm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &own);
	ioctl(vm->vm_fd, KVM_SET_TSS_ADDR, own + 0x1000);
	return create_vcpu(vm, kvm, error);
}

int kvm_vm_init(struct kvm_vm *vm, struct kvm_vm_error *ret_error)
{
	int kvm = open_device(ret_error), r;

	*vm = (struct kvm_vm){.vm_fd = -1, .vcpu_fd = -1};
	if (kvm < 0)
		return kvm;
	r = create_parts(vm, kvm, ret_error);
	close(kvm);
	if (r)
		kvm_vm_finish(vm);
	return r;
}

void kvm_vm_finish(struct kvm_vm *vm)
{
	if (vm->run)
		munmap(vm->run, vm->run_bytes);
	if (vm->vcpu_fd >= 0)
		close(vm->vcpu_fd);
	if (vm->vm_fd >= 0)
		close(vm->vm_fd);
	*vm = (struct kvm_vm){.vm_fd = -1, .vcpu_fd = -1};
}

/* ---- memory ---- */

static int set_slot(const struct kvm_vm *vm, const struct kvm_userspace_memory_region *slot)
{
	return ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, slot) < 0 ? -errno : 0;
}

int kvm_vm_add_slot(struct kvm_vm *vm, uint64_t physical, void *host, uint64_t bytes)
{
	struct kvm_userspace_memory_region *slot = &vm->slots[vm->n_slots];
	int r;

	if (vm->n_slots == KVM_VM_MAX_SLOTS)
		return -ENOSPC;
	*slot = (struct kvm_userspace_memory_region){
		.slot = vm->n_slots,
		.guest_phys_addr = physical,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)host,
	};
	r = set_slot(vm, slot);
	return r ? r : (int)vm->n_slots++;
}

int kvm_vm_renew_slot(struct kvm_vm *vm, unsigned slot)
{
	struct kvm_userspace_memory_region none = vm->slots[slot];
	int r;

	none.memory_size = 0;
	r = set_slot(vm, &none);
	return r ? r : set_slot(vm, &vm->slots[slot]);
}

/* ---- registers ---- */

int kvm_vm_set_registers(struct kvm_vm *vm, const struct kvm_regs *regs,
			 const struct kvm_sregs *sregs)
{
	struct kvm_vcpu_events events = {0};

	if (ioctl(vm->vcpu_fd, KVM_SET_SREGS, sregs) < 0 ||
	    ioctl(vm->vcpu_fd, KVM_SET_REGS, regs) < 0 ||
	    ioctl(vm->vcpu_fd, KVM_SET_VCPU_EVENTS, &events) < 0)
		return -errno;
	return 0;
}

int kvm_vm_get_registers(struct kvm_vm *vm, struct kvm_regs *ret_regs, struct kvm_sregs *ret_sregs)
{
	if (ioctl(vm->vcpu_fd, KVM_GET_REGS, ret_regs) < 0 ||
	    ioctl(vm->vcpu_fd, KVM_GET_SREGS, ret_sregs) < 0)
		return -errno;
	return 0;
}

int kvm_vm_get_xsave(struct kvm_vm *vm, struct kvm_xsave *ret_xsave)
{
	return ioctl(vm->vcpu_fd, KVM_GET_XSAVE, ret_xsave) < 0 ? -errno : 0;
}

/* The kernel's set of signals is the first word of the C library's. */
#define KERNEL_SIGSET_BYTES 8

int kvm_vm_set_signal_mask(struct kvm_vm *vm, const sigset_t *blocked)
{
	_Alignas(struct kvm_signal_mask)
		uint8_t bytes[sizeof(struct kvm_signal_mask) + KERNEL_SIGSET_BYTES];
	struct kvm_signal_mask *mask = (struct kvm_signal_mask *)bytes;

	mask->len = KERNEL_SIGSET_BYTES;
	memcpy(mask->sigset, blocked, KERNEL_SIGSET_BYTES);
	return ioctl(vm->vcpu_fd, KVM_SET_SIGNAL_MASK, mask) < 0 ? -errno : 0;
}

int kvm_vm_run(struct kvm_vm *vm)
{
	return ioctl(vm->vcpu_fd, KVM_RUN, 0) < 0 ? -errno : 0;
}
