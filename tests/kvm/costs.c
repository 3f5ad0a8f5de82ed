/*
 * What entering, leaving, filling and narrowing cost on this host: the figures of docs/kvm.md.
 * Prints one line each, in microseconds; not a test.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/kvm/guest.h"
#include "vmm/kvm/layout.h"

GUEST_BLOB(nothing);
GUEST_BLOB(sweep);
GUEST_BLOB(sum);
GUEST_BLOB(divide);

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* other work of the host does not count */
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void say(const char *what, double us, unsigned n)
{
	printf("%-60s %9.2f us\n", what, us / n);
}

static void cost_of_exit(struct kvm_guest *guest)
{
	uint64_t entry = GUEST_PLACE(guest, nothing);
	double begin;

	guest_run(guest, entry);
	begin = now_us();
	for (unsigned i = 0; i < 2000; i++)
		guest_run(guest, entry);
	say("enter and leave", now_us() - begin, 2000);
	begin = now_us();
	for (unsigned i = 0; i < 2000; i++)
		kvm_runner_fx(&guest->runner, &guest->cpu->fx);
	say("x87 and SSE state where it was left", now_us() - begin, 2000);
	struct kvm_xsave xsave;
	begin = now_us();
	for (unsigned i = 0; i < 2000; i++)
		kvm_vm_get_xsave(&guest->runner.vm, &xsave);
	say("KVM_GET_XSAVE", now_us() - begin, 2000);
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	begin = now_us();
	for (unsigned i = 0; i < 2000; i++)
		kvm_vm_get_registers(&guest->runner.vm, &regs, &sregs);
	say("KVM_GET_REGS and KVM_GET_SREGS", now_us() - begin, 2000);
	guest->runner.vm.run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	begin = now_us();
	for (unsigned i = 0; i < 2000; i++)
		guest_run(guest, entry);
	say("enter and leave, SREGS synchronised too", now_us() - begin, 2000);
	guest->runner.vm.run->kvm_valid_regs = 0;
	begin = now_us();
	for (unsigned i = 0; i < 2000; i++)
		guest_run(guest, entry);
	say("enter and leave, nothing synchronised", now_us() - begin, 2000);
	guest->runner.vm.run->kvm_valid_regs = KVM_SYNC_X86_REGS;
}

static void cost_of_fault(struct kvm_guest *guest)
{
	uint64_t entry = GUEST_PLACE(guest, divide);
	double begin;

	begin = now_us();
	for (unsigned i = 0; i < 1000; i++)
		guest_run(guest, entry);
	say("enter, exception", now_us() - begin, 1000);
	GUEST_PLACE(guest, nothing);
	begin = now_us();
	for (unsigned i = 0; i < 200; i++) {
		guest->runner.place = KVM_PLACE_NOWHERE;
		guest_run(guest, entry);
	}
	say("set all registers, enter and leave", now_us() - begin, 200);
}

static void touch(struct kvm_guest *guest, const char *what, unsigned first, unsigned n, bool write)
{
	uint64_t *arguments = guest_arguments(guest);
	uint64_t entry = write ? GUEST_PLACE(guest, sweep) : GUEST_PLACE(guest, sum);
	const struct kvm_tables_statistics *statistics =
		kvm_tables_statistics(guest->runner.tables);
	uint64_t fills = statistics->fills;
	double begin = now_us();

	arguments[0] = GUEST_LINEAR + first * (uint64_t)PAGE_BYTES;
	arguments[1] = n;
	if (guest_run(guest, entry) != KVM_RUNNER_LEFT)
		printf("not left\n");
	begin = now_us() - begin;
	char text[120];
	snprintf(text, sizeof(text), "%s, %u pages, %u fills, a page", what, n,
		 (unsigned)(statistics->fills - fills));
	say(text, begin, n);
}

static void cost_of_pages(struct kvm_guest *guest)
{
	touch(guest, "read first", 0, 4096, false);
	touch(guest, "read again", 0, 4096, false);
	touch(guest, "written first", 0, 4096, true);
	touch(guest, "written again", 0, 4096, true);
	double begin = now_us();
	memory_digest(guest->machine->memory);
	say("digest, a page", now_us() - begin, 4096);
	touch(guest, "written after the digest", 0, 4096, true);
	memory_digest(guest->machine->memory);
	touch(guest, "written after the digest", 0, 4096, true);
	mmu_flush(guest->machine->mmu);
	cpu_update_mode(guest->cpu);
	touch(guest, "written after a flush", 0, 4096, true);
	kvm_tables_flush(guest->runner.tables);
	touch(guest, "written after a renewal", 0, 4096, true);
	kvm_tables_flush(guest->runner.tables);
	uint64_t entry = GUEST_PLACE(guest, nothing);
	begin = now_us();
	guest_run(guest, entry);
	say("enter and leave after a renewal", now_us() - begin, 1);
}

static void cost_of_narrowing(struct kvm_guest *guest, unsigned n)
{
	uint64_t entry = GUEST_PLACE(guest, nothing);
	double total = 0;
	char text[120];

	touch(guest, "written", 0, 4096, true);
	entry = GUEST_PLACE(guest, nothing);
	for (unsigned i = 0; i < 20; i++) {
		for (unsigned k = 0; k < n; k++)
			memory_protect(guest->machine->memory,
				       GUEST_GPA + (i * n + k) * (uint64_t)PAGE_BYTES, PAGE_CODE);
		double begin = now_us();
		guest_run(guest, entry);
		total += now_us() - begin;
	}
	snprintf(text, sizeof(text), "enter and leave with %u narrowings", n);
	say(text, total, 20);
}

int main(void)
{
	struct kvm_guest guest;

	guest_create(&guest);
	cost_of_exit(&guest);
	cost_of_fault(&guest);
	cost_of_pages(&guest);
	cost_of_narrowing(&guest, 1);
	cost_of_narrowing(&guest, 8);
	cost_of_narrowing(&guest, 24);
	guest_destroy(&guest);
	return 0;
}
