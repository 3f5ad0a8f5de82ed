/*
 * The reprise command on a host whose KVM fails, as the environment variable KVM_FAILS says:
 *
 *	busy    no VM can be made: another hypervisor has the processor
 *	start   no memory for a VM's slots
 *	lost    the VM shuts down, with no instruction to be made out
 *
 * Linked with --wrap=kvm_engine_ops and --wrap=ioctl.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/reprise.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/runner.h"

/* The linker's names. NOLINTBEGIN(bugprone-reserved-identifier) */
extern const struct engine_ops __real_kvm_engine_ops, __wrap_kvm_engine_ops;
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static bool fails(const char *how)
{
	const char *wanted = getenv("KVM_FAILS");

	return wanted && !strcmp(wanted, how);
}

static int create(struct machine *machine, struct engine **ret_engine)
{
	int r = __real_kvm_engine_ops.create(machine, ret_engine);

	if (!r && fails("lost"))
		kvm_engine_inject(*ret_engine, KVM_INJECT_UNEXPLAINED);
	return r;
}

/* The engine that is made has functions of its own. */
const struct engine_ops __wrap_kvm_engine_ops = {.name = "kvm", .create = create};

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	va_start(list, request);
	void *argument = va_arg(list, void *);
	va_end(list);
	if (request == KVM_CREATE_VM && fails("busy")) {
		errno = EBUSY;
		return -1;
	}
	if (request == KVM_SET_USER_MEMORY_REGION && fails("start")) {
		errno = ENOMEM;
		return -1;
	}
	return __real_ioctl(fd, request, argument);
}
/* NOLINTEND(bugprone-reserved-identifier) */

int main(int argc, char **argv)
{
	return reprise_main(argc, argv);
}
