/*
 * Code written by hand in the VM: entering and leaving, faults and what they tell, fills,
 * narrowing, guest addresses that must fault.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "tests/kvm/guest.h"
#include "tests/tap.h"
#include "vmm/kvm/layout.h"
#include "vmm/mmu/walk.h"

GUEST_BLOB(nothing);
GUEST_BLOB(load);
GUEST_BLOB(store);
GUEST_BLOB(sweep);
GUEST_BLOB(sum);
GUEST_BLOB(push);
GUEST_BLOB(stos);
GUEST_BLOB(jump);
GUEST_BLOB(vector);
GUEST_BLOB(divide);
GUEST_BLOB(invalid);
GUEST_BLOB(x87);
GUEST_BLOB(spin);

#define PAGE_LINEAR(n) (GUEST_LINEAR + (n) * (uint64_t)PAGE_BYTES)
#define PAGE_GPA(n)    (GUEST_GPA + (n) * (uint64_t)PAGE_BYTES)

static const struct kvm_tables_statistics *statistics(struct kvm_guest *guest)
{
	return kvm_tables_statistics(guest->runner.tables);
}

static bool left(struct kvm_guest *guest, uint64_t entry)
{
	return guest_run(guest, entry) == KVM_RUNNER_LEFT;
}

static bool faulted(struct kvm_guest *guest, uint64_t entry, uint8_t vector)
{
	enum kvm_runner_exit exit = guest_run(guest, entry);

	if (exit == KVM_RUNNER_FAULT && guest->runner.fault.vector == vector)
		return true;
	tap_note("exit %d, vector %u, error 0x%x, address 0x%llx: %s", exit,
		 guest->runner.fault.vector, guest->runner.fault.error,
		 (unsigned long long)guest->runner.fault.address, guest->runner.unexpected);
	return false;
}

static bool load_is(struct kvm_guest *guest, unsigned page, uint64_t value)
{
	uint64_t *arguments = guest_arguments(guest), entry = GUEST_PLACE(guest, load);

	arguments[0] = PAGE_LINEAR(page);
	arguments[2] = ~value;
	return left(guest, entry) && arguments[2] == value;
}

static bool store_leaves(struct kvm_guest *guest, unsigned page, uint64_t value)
{
	uint64_t *arguments = guest_arguments(guest), entry = GUEST_PLACE(guest, store);

	arguments[0] = PAGE_LINEAR(page);
	arguments[1] = value;
	return left(guest, entry);
}

static void write_word(struct kvm_guest *guest, unsigned page, uint64_t value)
{
	memory_write(guest->machine->memory, PAGE_GPA(page), &value, sizeof(value));
}

static void test_access(struct kvm_guest *guest)
{
	for (unsigned i = 0; i < 600; i++)
		write_word(guest, i, 1000 + i);
	tap_ok(load_is(guest, 0, 1000), "guest memory is read");
	uint64_t fills = statistics(guest)->fills;
	tap_ok(load_is(guest, 511, 1511) && statistics(guest)->fills == fills,
	       "a miss fills what its table maps");
	tap_ok(load_is(guest, 512, 1512) && statistics(guest)->fills == fills + 1,
	       "the next table is filled by itself");
	tap_ok(store_leaves(guest, 3, 42) && guest_word(guest, PAGE_LINEAR(3)) == 42,
	       "guest memory is written");
	memory_digest(guest->machine->memory);
	uint64_t clean = memory_digest(guest->machine->memory);
	tap_ok(store_leaves(guest, 3, 43) && memory_digest(guest->machine->memory) != clean,
	       "a write after a digest is seen by the next");
	clean = memory_digest(guest->machine->memory);
	tap_ok(store_leaves(guest, 700, 43) && memory_digest(guest->machine->memory) != clean,
	       "so is one to a page never written before");
}

static void test_sweep(struct kvm_guest *guest)
{
	uint64_t *arguments = guest_arguments(guest), entry = GUEST_PLACE(guest, sweep);
	uint64_t fills = statistics(guest)->fills;
	bool ok;

	for (unsigned i = 0; i < GUEST_PAGES; i++)
		write_word(guest, i, i);
	memory_digest(guest->machine->memory);
	arguments[0] = GUEST_LINEAR;
	arguments[1] = GUEST_PAGES;
	ok = left(guest, entry);
	for (unsigned i = 0; i < GUEST_PAGES; i++)
		ok &= guest_word(guest, PAGE_LINEAR(i)) == i + 1;
	tap_ok(ok, "every page of 32 MiB is written");
	tap_ok(statistics(guest)->fills - fills <= GUEST_PAGES / 512 * 8,
	       "with few exits: %llu fills",
	       (unsigned long long)(statistics(guest)->fills - fills));
}

/* What a fault tells, and that the run goes on as if nothing had been. */
static void test_fault_state(struct kvm_guest *guest)
{
	uint64_t *arguments = guest_arguments(guest), entry = GUEST_PLACE(guest, store);
	const struct kvm_runner_fault *fault = &guest->runner.fault;

	guest_set_entry(guest, 9, 0);
	arguments[0] = PAGE_LINEAR(9) + 16;
	arguments[1] = 0x7777;
	tap_ok(faulted(guest, entry, VECTOR_PF) &&
		       fault->address - KVM_GUEST_BIAS == PAGE_LINEAR(9) + 16 &&
		       (fault->error & (PF_WRITE | PF_USER)) == (PF_WRITE | PF_USER),
	       "a page that the guest does not map faults, at its address");
	tap_ok(fault->registers.gpr[RAX] == 0x7777 && fault->registers.gpr[RCX] == 0x1111 &&
		       fault->registers.gpr[RDX] == 0x2222 && fault->registers.gpr[RSI] == 0x3333 &&
		       fault->registers.gpr[RDI] == 0x4444 && fault->registers.gpr[R8] == 0x5555 &&
		       fault->registers.gpr[R14] == 0xaaaa &&
		       fault->registers.gpr[RBX] == PAGE_LINEAR(9) + 16,
	       "with the registers as they were");
	tap_ok(fault->registers.rip > entry && fault->registers.rip < entry + 80,
	       "and the instruction's address");
	guest_set_entry(guest, 9, PAGE_GPA(9) | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D);
	tap_ok(left(guest, entry) && guest_word(guest, PAGE_LINEAR(9) + 16) == 0x7777,
	       "once it is mapped it is written");
}

/* The guest's tables change: what the VM had must go. */
static void test_narrowing(struct kvm_guest *guest)
{
	const uint64_t bits = PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;
	uint64_t *arguments = guest_arguments(guest), entry;

	write_word(guest, 20, 20);
	write_word(guest, 21, 21);
	tap_ok(load_is(guest, 20, 20) && store_leaves(guest, 20, 20), "a page is in use");
	guest_set_entry(guest, 20, PAGE_GPA(21) | bits);
	tap_ok(load_is(guest, 20, 21), "its entry names another page: that one is read");
	guest_set_entry(guest, 20, PAGE_GPA(20) | (bits & ~(uint64_t)PTE_W));
	tap_ok(load_is(guest, 20, 20), "read-only: it is read");
	entry = GUEST_PLACE(guest, store);
	arguments[0] = PAGE_LINEAR(20);
	tap_ok(faulted(guest, entry, VECTOR_PF), "and a write faults");
	guest_set_entry(guest, 20, PAGE_GPA(20) | (bits & ~(uint64_t)PTE_D));
	tap_ok(faulted(guest, entry, VECTOR_PF), "a write that sets the dirty bit is not made");
	guest_set_entry(guest, 20, PAGE_GPA(20) | (bits & ~(uint64_t)PTE_A));
	entry = GUEST_PLACE(guest, load);
	tap_ok(faulted(guest, entry, VECTOR_PF), "nor is a read that sets the accessed bit");
	guest_set_entry(guest, 20, PAGE_GPA(20) | (bits & ~(uint64_t)PTE_U));
	tap_ok(faulted(guest, entry, VECTOR_PF), "a page of the supervisor's faults");
	guest_set_entry(guest, 20, PAGE_GPA(20) | bits);
	tap_ok(load_is(guest, 20, 20) && store_leaves(guest, 20, 99), "all is as before");
	memory_protect(guest->machine->memory, PAGE_GPA(20), PAGE_CODE);
	entry = GUEST_PLACE(guest, store);
	arguments[0] = PAGE_LINEAR(20);
	tap_ok(faulted(guest, entry, VECTOR_PF), "a page with code is not written");
	memory_unprotect(guest->machine->memory, PAGE_GPA(20), PAGE_CODE);
	tap_ok(store_leaves(guest, 20, 98), "until it has none");
}

static void test_many_narrowings(struct kvm_guest *guest)
{
	uint64_t *arguments = guest_arguments(guest), entry, roots;
	unsigned wrong = 0;

	arguments[0] = GUEST_LINEAR;
	arguments[1] = 1024;
	entry = GUEST_PLACE(guest, sweep);
	left(guest, entry);
	roots = statistics(guest)->new_roots;
	for (unsigned i = 0; i < 1024; i++)
		memory_protect(guest->machine->memory, PAGE_GPA(i), PAGE_CODE);
	entry = GUEST_PLACE(guest, store);
	for (unsigned i = 0; i < 1024; i += 33) {
		arguments[0] = PAGE_LINEAR(i);
		wrong += !faulted(guest, entry, VECTOR_PF);
	}
	tap_ok(!wrong && statistics(guest)->new_roots > roots,
	       "1,024 pages become read-only by new tables");
	for (unsigned i = 0; i < 1024; i++)
		memory_unprotect(guest->machine->memory, PAGE_GPA(i), PAGE_CODE);
}

/* Takes pages from the pool as many new spaces would. */
static void use_up(struct kvm_guest *guest, unsigned pages)
{
	struct kvm_runner *runner = &guest->runner;

	while (pages--) {
		bool renew;
		mmu_flush(guest->machine->mmu);
		cpu_update_mode(guest->cpu);
		kvm_tables_root(runner->tables, mmu_selected_space(guest->machine->mmu), &renew);
		if (renew) {
			kvm_vm_renew_slot(&runner->vm, runner->area.tables_slot);
			runner->loaded_root = 0;
		}
	}
}

/* The pool of tables is used up again and again. */
static void test_renewal(struct kvm_guest *guest)
{
	uint64_t *arguments = guest_arguments(guest), entry = GUEST_PLACE(guest, sum);
	uint64_t renewals = statistics(guest)->renewals;
	unsigned wrong = 0;

	for (unsigned i = 0; i < GUEST_PAGES; i++)
		write_word(guest, i, i);
	for (unsigned round = 0; round < 12; round++) {
		use_up(guest, KVM_TABLES_PAGES / 5);
		arguments[0] = GUEST_LINEAR;
		arguments[1] = 1 + (round & 3) * 512;
		wrong += !left(guest, entry) ||
			 arguments[2] != arguments[1] * (arguments[1] - 1) / 2;
	}
	tap_ok(!wrong && statistics(guest)->renewals >= renewals + 2,
	       "the pool of tables is used up and begun anew, %llu times",
	       (unsigned long long)(statistics(guest)->renewals - renewals));
}

/* ---- address spaces ---- */

/* Spaces that map the first user page each to another; one more than are kept. */
#define SPACES       (MMU_SPACES + 1)
#define SPACE_GPA(n) (UINT64_C(0x100000) + (n)*UINT64_C(4) * PAGE_BYTES)

static void store_entry(struct kvm_guest *guest, uint64_t table, uint64_t linear, unsigned level,
			uint64_t to)
{
	uint64_t index = linear >> (PAGE_SHIFT + 9 * (level - 1)) & 511;
	uint64_t entry = to | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;

	memory_write(guest->machine->memory, table + 8 * index, &entry, sizeof(entry));
}

static void make_space(struct kvm_guest *guest, unsigned space)
{
	uint64_t table = SPACE_GPA(space);

	for (unsigned level = 4; level > 1; level--, table += PAGE_BYTES)
		store_entry(guest, table, GUEST_LINEAR, level, table + PAGE_BYTES);
	store_entry(guest, table, GUEST_LINEAR, 1, PAGE_GPA(space));
	write_word(guest, space, 7000 + space);
}

static void load_cr3(struct kvm_guest *guest, uint64_t cr3)
{
	guest->cpu->cr3 = cr3;
	cpu_update_mode(guest->cpu);
	mmu_select(guest->cpu);
}

/* How many fills it takes to read the first page of spaces, one after the other; UINT64_MAX when it
 * was not each one's own. */
static uint64_t fills_of(struct kvm_guest *guest, unsigned first, unsigned n)
{
	uint64_t fills = statistics(guest)->fills;

	for (unsigned space = first; space < first + n; space++) {
		load_cr3(guest, SPACE_GPA(space));
		if (!load_is(guest, 0, 7000 + space))
			return UINT64_MAX;
	}
	return statistics(guest)->fills - fills;
}

/* Going back to a space that was entered before takes no fill, as long as it is among those that
 * are kept: those used last. */
static void test_spaces(struct kvm_guest *guest)
{
	uint64_t cr3 = guest->cpu->cr3, roots;
	unsigned filled = 0;

	mmu_flush(guest->machine->mmu);
	for (unsigned space = 0; space < SPACES; space++)
		make_space(guest, space);
	tap_ok(fills_of(guest, 0, MMU_SPACES) == MMU_SPACES, "%u spaces: each is filled once",
	       MMU_SPACES);
	roots = statistics(guest)->new_roots;
	for (unsigned round = 0; round < 3; round++)
		filled += fills_of(guest, 0, MMU_SPACES) != 0;
	tap_ok(!filled && statistics(guest)->new_roots == roots,
	       "back in each, three times over: nothing is filled");
	tap_ok(fills_of(guest, MMU_SPACES, 1) == 1, "one more is filled");
	tap_ok(fills_of(guest, 1, MMU_SPACES) == 0, "the others are as before");
	tap_ok(fills_of(guest, 0, 1) == 1, "but for the oldest, which is filled again");
	tap_ok(fills_of(guest, 2, MMU_SPACES - 1) == 0 && fills_of(guest, 1, 1) == 1,
	       "in place of what is the oldest then");
	load_cr3(guest, cr3);
}

/* A request for CPL 0 while the VM stands in the exception stub. */
static void test_request_in_stub(struct kvm_guest *guest)
{
	uint64_t *arguments = guest_arguments(guest), entry = GUEST_PLACE(guest, sweep);
	struct kvm_runner *runner = &guest->runner;
	unsigned faults = 0;
	enum kvm_runner_exit exit;
	bool ok = true;

	for (unsigned i = 0; i < 1024; i++)
		write_word(guest, i, 5);
	mmu_flush(guest->machine->mmu);
	cpu_update_mode(guest->cpu);
	arguments[0] = GUEST_LINEAR;
	arguments[1] = 1024;
	kvm_runner_enter(runner, entry, &guest->cpu->fx);
	while ((exit = kvm_runner_run(runner, mmu_selected_space(guest->machine->mmu))) ==
		       KVM_RUNNER_FAULT &&
	       kvm_tables_fill(runner->tables, guest->cpu, runner->fault.address - KVM_GUEST_BIAS,
			       runner->fault.error & PF_WRITE)) {
		if (++faults % 3 == 1) { /* one page of those just filled */
			memory_protect(guest->machine->memory, PAGE_GPA(faults), PAGE_CODE);
			memory_unprotect(guest->machine->memory, PAGE_GPA(faults), PAGE_CODE);
		} else if (faults % 3 == 2) { /* new tables */
			mmu_flush(guest->machine->mmu);
			cpu_update_mode(guest->cpu);
		}
	}
	for (unsigned i = 0; i < 1024; i++)
		ok &= guest_word(guest, PAGE_LINEAR(i)) == 6;
	if (exit == KVM_RUNNER_UNEXPECTED)
		tap_note("%s at 0x%llx, error 0x%x, address 0x%llx", runner->unexpected,
			 (unsigned long long)runner->fault.registers.rip, runner->fault.error,
			 (unsigned long long)runner->fault.address);
	tap_ok(exit == KVM_RUNNER_LEFT && ok && faults > 3,
	       "tables change while the VM stands in its stub");
}

/* ---- addresses that must not reach anything ---- */

struct address {
	const char *name;
	uint64_t linear;
};

static const struct address addresses[] = {
	{"-1", UINT64_MAX},
	{"-8", -UINT64_C(8)},
	{"ERR_PTR(-4095)", -UINT64_C(4095)},
	{"the vsyscall page", UINT64_C(0xffffffffff600000)},
	{"kernel text", UINT64_C(0xffffffff81000000)},
	{"the direct map", UINT64_C(0xffff888000000000)},
	{"the first kernel address", UINT64_C(0xffff800000000000)},
	{"bytes of text", UINT64_C(0x4141414141414141)},
	{"the first non-canonical address", UINT64_C(1) << 47},
	{"a non-canonical address", UINT64_C(0x0000dead00000000)},
	{"the last non-canonical address", UINT64_C(0xffff7fffffffffff)},
	{"2^47 and the VM's stub", (UINT64_C(1) << 47) + KVM_STUB},
	{"2^46 and the VM's stub", (UINT64_C(1) << 46) + KVM_STUB},
	{"2^46 and the VM's tables", (UINT64_C(1) << 46) + KVM_TABLES_LINEAR},
};

static void test_address(struct kvm_guest *guest, const struct address *address)
{
	uint64_t *arguments = guest_arguments(guest);
	bool canonical = address_is_canonical(address->linear + KVM_GUEST_BIAS);
	uint8_t vector = canonical ? VECTOR_PF : VECTOR_GP;
	uint8_t stack_vector = canonical ? VECTOR_PF : VECTOR_SS;

	arguments[0] = address->linear;
	tap_ok(faulted(guest, GUEST_PLACE(guest, load), vector), "load from %s", address->name);
	tap_ok(faulted(guest, GUEST_PLACE(guest, store), vector), "store to %s", address->name);
	tap_ok(faulted(guest, GUEST_PLACE(guest, stos), vector), "STOSB to %s", address->name);
	tap_ok(faulted(guest, GUEST_PLACE(guest, jump), vector), "jump to %s", address->name);
	arguments[0] = address->linear + 8;
	tap_ok(faulted(guest, GUEST_PLACE(guest, push), stack_vector), "push to %s", address->name);
}

/* What code at CPL 3 reads, and is told by, but must not change. */
static const struct address unwritable[] = {
	{"the context's second page", RUNTIME_BASE + RUNTIME_INPUT},
	{"its end", RUNTIME_BASE + RUNTIME_CONTEXT - 8},
	{"the window", RUNTIME_BASE + RUNTIME_SPACE},
	{"the window's end", RUNTIME_BASE + RUNTIME_CODE - 8},
	{"the code", RUNTIME_BASE + RUNTIME_CODE},
	{"the code's end", RUNTIME_BASE + RUNTIME_CODE + KVM_CODE_BYTES - 8},
	{"leave and resume", KVM_USER_CODE},
	{"what they read", KVM_USER_INPUT},
};

/* Where no code at CPL 3 has anything to find. */
static const struct address absent[] = {
	{"what lies behind the context", RUNTIME_BASE + RUNTIME_CONTEXT},
	{"what lies in front of the window", RUNTIME_BASE + RUNTIME_SPACE - 8},
	{"what lies behind the code", RUNTIME_BASE + RUNTIME_CODE + KVM_CODE_BYTES},
	{"the requests", KVM_REQUEST},
};

static bool load_is_possible(struct kvm_guest *guest, uint64_t linear)
{
	guest_arguments(guest)[0] = linear - KVM_GUEST_BIAS;
	return left(guest, GUEST_PLACE(guest, load));
}

static bool store_faults(struct kvm_guest *guest, uint64_t linear)
{
	guest_arguments(guest)[0] = linear - KVM_GUEST_BIAS;
	return faulted(guest, GUEST_PLACE(guest, store), VECTOR_PF) &&
	       guest->runner.fault.address == linear;
}

static void test_ours(struct kvm_guest *guest)
{
	for (unsigned i = 0; i < sizeof(unwritable) / sizeof(unwritable[0]); i++)
		tap_ok(load_is_possible(guest, unwritable[i].linear) &&
			       store_faults(guest, unwritable[i].linear),
		       "a store faults, a load does not: %s", unwritable[i].name);
	for (unsigned i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		guest_arguments(guest)[0] = absent[i].linear - KVM_GUEST_BIAS;
		tap_ok(faulted(guest, GUEST_PLACE(guest, load), VECTOR_PF) &&
			       store_faults(guest, absent[i].linear),
		       "neither a load nor a store reaches it: %s", absent[i].name);
	}
}

/* ---- state ---- */

/* The image that the host reads lies where a guest can store. */
static void test_mxcsr(struct kvm_guest *guest)
{
	struct fx_state fx, before, *image = kvm_system_at(&guest->runner.area, KVM_USER_FX);
	static const uint32_t no_mxcsr[] = {0x10000, 0x11f80, 0x80001f80, UINT32_MAX};
	unsigned refused = 0;

	left(guest, GUEST_PLACE(guest, nothing));
	before = fx = guest->cpu->fx;
	for (unsigned i = 0; i < 4; i++) {
		image->mxcsr = no_mxcsr[i];
		refused += kvm_runner_fx(&guest->runner, &fx) == -EINVAL;
	}
	tap_ok(refused == 4 && !memcmp(&fx, &before, sizeof(fx)),
	       "an MXCSR that no processor can have is not taken");
	image->mxcsr = 0xffff;
	tap_ok(!kvm_runner_fx(&guest->runner, &fx) && fx.mxcsr == 0xffff, "any other is");
}

static void test_vector(struct kvm_guest *guest)
{
	uint64_t *arguments = guest_arguments(guest);
	struct fx_state *fx = &guest->cpu->fx;
	double values[2] = {1.5, 2.25}, sum;

	fx->mxcsr = 0x1f80;
	memcpy(fx->xmm[0], &values[0], 8);
	memcpy(fx->xmm[1], &values[1], 8);
	arguments[0] = UINT64_C(0x7fff12345678) + KVM_GUEST_BIAS;
	tap_ok(left(guest, GUEST_PLACE(guest, vector)) && arguments[2] == arguments[0],
	       "the FS base is set and read at CPL 3");
	kvm_runner_fx(&guest->runner, fx);
	memcpy(&sum, fx->xmm[0], 8);
	tap_ok(sum == 3.75, "SSE registers go in and out");
	fx->mxcsr = 0x1f00; /* invalid operation is unmasked */
	uint64_t nan = UINT64_C(0x7ff0000000000001);
	memcpy(fx->xmm[0], &nan, 8);
	tap_ok(faulted(guest, GUEST_PLACE(guest, vector), VECTOR_XM),
	       "an unmasked SIMD exception faults");
	kvm_runner_fx(&guest->runner, fx);
	tap_ok(!memcmp(fx->xmm[0], &nan, 8) && !memcmp(fx->xmm[1], &values[1], 8),
	       "the registers at a fault are to be had");
	fx->mxcsr = 0x1f80;
	fx->fcw = 0x37b; /* division by zero is unmasked */
	fx->ftw = 0;
	tap_ok(faulted(guest, GUEST_PLACE(guest, x87), VECTOR_MF), "so does an x87 exception");
	fx->fcw = 0x37f;
	fx->fsw = 0;
}

static void test_exceptions(struct kvm_guest *guest)
{
	uint64_t entry = GUEST_PLACE(guest, divide);

	tap_ok(faulted(guest, entry, VECTOR_DE), "a division by zero");
	entry = GUEST_PLACE(guest, invalid);
	tap_ok(faulted(guest, entry, VECTOR_UD) && guest->runner.fault.registers.rip == entry,
	       "an invalid opcode");
	tap_ok(left(guest, GUEST_PLACE(guest, nothing)), "after a fault another entry");
}

/* ---- signals ---- */

static void on_alarm(int signal)
{
	(void)signal;
}

static void test_interrupted(struct kvm_guest *guest)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval timer = {.it_value.tv_usec = 20000};
	uint64_t *arguments = guest_arguments(guest);
	unsigned space = mmu_selected_space(guest->machine->mmu);

	sigaction(SIGALRM, &action, NULL);
	arguments[0] = 0;
	kvm_runner_enter(&guest->runner, GUEST_PLACE(guest, spin), &guest->cpu->fx);
	setitimer(ITIMER_REAL, &timer, NULL);
	enum kvm_runner_exit exit;
	while ((exit = kvm_runner_run(&guest->runner, space)) == KVM_RUNNER_INTERRUPTED)
		arguments[0] = 1;
	tap_ok(exit == KVM_RUNNER_LEFT && arguments[0] == 1,
	       "a signal interrupts the VM, which goes on");
}

int main(void)
{
	struct kvm_guest guest;

	guest_create(&guest);
	test_access(&guest);
	test_sweep(&guest);
	test_fault_state(&guest);
	test_narrowing(&guest);
	test_many_narrowings(&guest);
	test_spaces(&guest);
	test_request_in_stub(&guest);
	test_renewal(&guest);
	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		test_address(&guest, &addresses[i]);
	test_ours(&guest);
	test_mxcsr(&guest);
	test_vector(&guest);
	test_exceptions(&guest);
	test_interrupted(&guest);
	guest_destroy(&guest);
	return tap_done();
}
