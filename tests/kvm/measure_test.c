/*
 * When auto measures what KVM costs: not when the engine is made, nor for code that does not stay
 * in user mode; and what becomes of a KVM that fails at that. Linked with --wrap=ioctl, which
 * counts how often the VM is entered.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>

#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/kvm/kvm.h"

static struct {
	unsigned entries, allowed; /* those behind that number fail */
} vm;

/* The linker's names. NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	va_start(list, request);
	void *argument = va_arg(list, void *);
	va_end(list);
	if (request == KVM_RUN && ++vm.entries > vm.allowed) {
		errno = EINVAL;
		return -1;
	}
	return __real_ioctl(fd, request, argument);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* Less than the first sample in all; and many samples. */
#define SHORT 20000u
#define LONG  3000000u

static const uint8_t stays[] = {
	0x48, 0x01, 0xc8, /* add rax, rcx */
	0x48, 0xff, 0xc1, /* inc rcx */
	0xeb, 0xf8,       /* jmp to the add */
};

/* A system call in each round. */
static const uint8_t calls[] = {
	0x48, 0x01, 0xd8, /* add rax, rbx */
	0x0f, 0x05,       /* syscall */
	0xeb, 0xf9,       /* jmp to the add */
};

struct run {
	unsigned entries; /* of the VM, in all */
	uint64_t unexpected, digest;
};

static struct run run(const struct engine_ops *engine, const uint8_t *code, uint32_t n,
		      unsigned allowed, uint64_t until)
{
	struct engine_use uses[ENGINE_MAX_USES] = {{0}};
	struct rig rig;

	vm.entries = 0;
	vm.allowed = allowed;
	rig_engine = engine;
	rig_create(&rig, RIG_USER64);
	rig_load(&rig, RIG_CODE, code, n);
	rig_run(&rig, until, false);
	if (rig.engine->ops->uses)
		rig.engine->ops->uses(rig.engine, uses);
	const struct run made = {vm.entries, uses[0].unexpected, rig_digest(&rig)};
	rig_destroy(&rig);
	return made;
}

#define RUN(engine, code, allowed, until) run(engine, code, sizeof(code), allowed, until)

static void test_when(void)
{
	struct run brief = RUN(&auto_engine_ops, stays, UINT32_MAX, SHORT);
	struct run calling = RUN(&auto_engine_ops, calls, UINT32_MAX, LONG);
	struct run staying = RUN(&auto_engine_ops, stays, UINT32_MAX, LONG);

	tap_ok(brief.entries == 1, "a short run enters the VM once, to try it (%u)", brief.entries);
	tap_ok(calling.entries == 1, "system calls all the time: likewise (%u)", calling.entries);
	tap_ok(staying.entries > 10, "where user code stays it is measured (%u)", staying.entries);
	tap_ok(!staying.unexpected && !brief.unexpected, "as it should");
}

static void test_failing(void)
{
	struct run right = RUN(&interp_engine_ops, stays, 0, LONG);
	struct run failing = RUN(&auto_engine_ops, stays, 5, LONG);

	tap_ok(failing.unexpected == 1, "a KVM that fails at that is told of (%llu)",
	       (unsigned long long)failing.unexpected);
	tap_ok(failing.entries == 6, "it is not asked again (%u)", failing.entries);
	tap_ok(failing.digest == right.digest, "and the run goes on without it");
}

/* Where nothing works from the start there is another engine. */
static void test_broken(void)
{
	struct run right = RUN(&interp_engine_ops, stays, 0, SHORT);
	struct rig rig;

	vm.entries = vm.allowed = 0;
	rig_engine = &auto_engine_ops;
	rig_create(&rig, RIG_USER64);
	rig_load(&rig, RIG_CODE, stays, sizeof(stays));
	tap_ok(rig.engine->instead == -ENOTSUP, "a VM that cannot be entered: another engine (%d)",
	       rig.engine->instead);
	rig_run(&rig, SHORT, false);
	tap_ok(rig_digest(&rig) == right.digest, "which runs the same");
	rig_destroy(&rig);
}

int main(void)
{
	struct kvm_vm_error error;

	if (kvm_engine_check(&error)) {
		tap_skip("%s", error.text);
		return tap_done();
	}
	test_when();
	test_failing();
	test_broken();
	return tap_done();
}
