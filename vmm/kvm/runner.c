#include "vmm/kvm/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/cpu/vector/mxcsr.h"

/* ---- what is executed at CPL 0 ---- */

struct emitter {
	uint8_t *at;
};

static void emit(struct emitter *emitter, const void *bytes, size_t n)
{
	memcpy(emitter->at, bytes, n);
	emitter->at += n;
}

static void emit_root(struct emitter *emitter, uint64_t root)
{
	uint32_t low = (uint32_t)root; /* below 4 GiB */

	emit(emitter, (const uint8_t[]){0xb8}, 1); /* mov $root, %eax */
	emit(emitter, &low, sizeof(low));
	emit(emitter, (const uint8_t[]){0x0f, 0x22, 0xd8}, 3); /* mov %rax, %cr3 */
}

/* The entry has its new value already: a store that changes nothing makes KVM look at it. */
static void emit_narrowing(struct emitter *emitter, const struct kvm_narrowing *narrowing)
{
	uint32_t entry = (uint32_t)narrowing->entry_linear; /* below 2 GiB */

	emit(emitter, (const uint8_t[]){0x80, 0x0c, 0x25}, 3); /* orb $0, entry */
	emit(emitter, &entry, sizeof(entry));
	emit(emitter, (const uint8_t[]){0, 0x48, 0xbf}, 3); /* mov $linear, %rdi */
	emit(emitter, &narrowing->linear, sizeof(narrowing->linear));
	emit(emitter, (const uint8_t[]){0x0f, 0x01, 0x3f}, 3); /* invlpg (%rdi) */
}

/* Goes back into the exception stub, or, with stub_rip 0, to CPL 3. */
static void emit_return(struct emitter *emitter, uint64_t stub_rip)
{
	uint32_t low = (uint32_t)stub_rip; /* below 2 GiB */

	if (!stub_rip) {
		emit(emitter, (const uint8_t[]){0x48, 0xcf}, 2); /* iretq */
		return;
	}
	emit(emitter, (const uint8_t[]){0x68}, 1); /* push $stub_rip */
	emit(emitter, &low, sizeof(low));
	emit(emitter, (const uint8_t[]){0xc3}, 1); /* ret */
}

/*
 * Writes the request. From CPL 3, resume calls it; in the exception stub it is gone to directly.
 */
static void write_request(struct kvm_runner *runner, bool new_root, uint64_t root,
			  const struct kvm_narrowing *narrowings, unsigned n)
{
	struct emitter emitter = {kvm_system_at(&runner->area, KVM_REQUEST)};
	bool in_stub = runner->place == KVM_PLACE_FAULT;

	emit(&emitter, (const uint8_t[]){0x50, 0x57}, 2); /* push %rax; push %rdi */
	if (new_root)
		emit_root(&emitter, root);
	for (unsigned i = 0; i < n; i++)
		emit_narrowing(&emitter, &narrowings[i]);
	emit(&emitter, (const uint8_t[]){0x5f, 0x58}, 2); /* pop %rdi; pop %rax */
	emit_return(&emitter,
		    in_stub ? kvm_system_behind_out(&runner->area, runner->fault.vector) : 0);
	if (in_stub) {
		runner->vm.run->s.regs.regs.rip = KVM_REQUEST;
		runner->vm.run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	} else {
		kvm_system_call_service(&runner->area, true);
	}
}

/* Brings what KVM walks up to date with the tables. Returns 0 or a negative errno. */
static int prepare_tables(struct kvm_runner *runner, unsigned space)
{
	struct kvm_narrowing narrowings[KVM_NARROWINGS_MAX];
	bool renew;
	uint64_t root = kvm_tables_root(runner->tables, space, &renew);
	unsigned n = kvm_tables_take_narrowings(runner->tables, space, narrowings);
	bool new_root = root != runner->loaded_root;

	kvm_system_call_service(&runner->area, false);
	if (renew) {
		int r = kvm_vm_renew_slot(&runner->vm, runner->area.tables_slot);
		if (r)
			return r;
		new_root = true;
	}
	runner->loaded_root = root;
	if (runner->place == KVM_PLACE_NOWHERE) {
		int r = kvm_system_start(&runner->area, &runner->vm, root);
		runner->place = KVM_PLACE_LEFT;
		new_root = false;
		if (r)
			return r;
	}
	if (new_root || n)
		write_request(runner, new_root, root, narrowings, n);
	return 0;
}

/* ---- exits ---- */

static enum kvm_runner_exit unexpected(struct kvm_runner *runner, const char *what, uint64_t detail)
{
	snprintf(runner->unexpected, sizeof(runner->unexpected), "%s %" PRIu64, what, detail);
	runner->place = KVM_PLACE_NOWHERE;
	return KVM_RUNNER_UNEXPECTED;
}

static void read_fault(struct kvm_runner *runner, uint8_t vector)
{
	const struct kvm_regs *regs = &runner->vm.run->s.regs.regs;
	const struct kvm_frame *frame = kvm_system_frame(&runner->area);
	const uint64_t gpr[16] = {regs->rax, regs->rcx, regs->rdx, regs->rbx, frame->rsp, regs->rbp,
				  regs->rsi, regs->rdi, regs->r8,  regs->r9,  regs->r10,  regs->r11,
				  regs->r12, regs->r13, regs->r14, regs->r15};
	struct kvm_runner_fault *fault = &runner->fault;

	*fault = (struct kvm_runner_fault){.vector = vector, .error = (uint32_t)frame->error};
	memcpy(fault->registers.gpr, gpr, sizeof(gpr));
	fault->registers.rip = frame->rip;
	fault->registers.rflags = frame->rflags;
	if (vector == VECTOR_PF) {
		fault->address = kvm_system_fault_address(&runner->area);
		fault->registers.gpr[RAX] = kvm_system_fault_rax(&runner->area);
	}
}

static enum kvm_runner_exit take_io(struct kvm_runner *runner)
{
	uint16_t port = runner->vm.run->io.port;

	if (port == KVM_PORT_LEAVE) {
		runner->place = KVM_PLACE_LEFT;
		return KVM_RUNNER_LEFT;
	}
	if (port >= KVM_N_EXCEPTIONS)
		return unexpected(runner, "output to port", port);
	runner->place = KVM_PLACE_FAULT;
	read_fault(runner, (uint8_t)port);
	if ((kvm_system_frame(&runner->area)->cs & 3) != 3)
		return unexpected(runner, "exception of the stub itself, vector", port);
	return KVM_RUNNER_FAULT;
}

static enum kvm_runner_exit take_exit(struct kvm_runner *runner)
{
	const struct kvm_run *run = runner->vm.run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return take_io(runner);
	case KVM_EXIT_INTERNAL_ERROR:
		return unexpected(runner, "internal error of KVM, suberror",
				  run->internal.suberror);
	case KVM_EXIT_SHUTDOWN:
		return unexpected(runner, "shutdown of the VM, exit", run->exit_reason);
	case KVM_EXIT_FAIL_ENTRY:
		return unexpected(runner, "the VM was refused entry, reason",
				  run->fail_entry.hardware_entry_failure_reason);
	default:
		return unexpected(runner, "unknown exit of KVM,", run->exit_reason);
	}
}

/* Turns a real exit into the injected one; see enum kvm_runner_injection. */
static bool take_injection(struct kvm_runner *runner, enum kvm_runner_exit *exit)
{
	if (runner->inject == KVM_INJECT_NOTHING ||
	    (runner->inject == KVM_INJECT_EXPLAINED && *exit != KVM_RUNNER_FAULT))
		return false;
	*exit = unexpected(runner, "injected by a test", runner->inject);
	return true;
}

enum kvm_runner_exit kvm_runner_run(struct kvm_runner *runner, unsigned space)
{
	enum kvm_runner_exit exit;
	int r = 0;

	if (runner->place != KVM_PLACE_INSIDE)
		r = prepare_tables(runner, space);
	if (!r) {
		r = kvm_vm_run(&runner->vm);
		runner->vm.run->kvm_dirty_regs = 0;
		runner->n_runs++;
	}
	if (r == -EINTR || r == -EAGAIN) {
		runner->place = KVM_PLACE_INSIDE;
		return KVM_RUNNER_INTERRUPTED;
	}
	exit = r ? unexpected(runner, "error of KVM,", (uint64_t)-r) : take_exit(runner);
	if (__builtin_expect(runner->inject, 0))
		take_injection(runner, &exit);
	return exit;
}

void kvm_runner_enter(struct kvm_runner *runner, uint64_t entry, const struct fx_state *fx)
{
	uint64_t *enter = kvm_system_at(&runner->area, KVM_USER_ENTER);

	*enter = entry;
	memcpy(kvm_system_at(&runner->area, KVM_USER_FX), fx, sizeof(*fx));
	if (runner->place == KVM_PLACE_FAULT)
		kvm_system_return_to_resume(&runner->area);
	else if (runner->place == KVM_PLACE_INSIDE)
		runner->place = KVM_PLACE_NOWHERE;
}

/* ---- state ---- */

/* FOP, FIP and FDP stay 0. What MXCSR cannot be would be loaded by others. */
static int take_fx(struct fx_state *fx, const struct fx_state *image)
{
	if (image->mxcsr & ~MXCSR_VALID)
		return -EINVAL;
	fx->fcw = image->fcw;
	fx->fsw = image->fsw;
	fx->ftw = image->ftw;
	fx->mxcsr = image->mxcsr;
	memcpy(fx->st, image->st, sizeof(fx->st));
	memcpy(fx->xmm, image->xmm, sizeof(fx->xmm));
	return 0;
}

int kvm_runner_fx(struct kvm_runner *runner, struct fx_state *fx)
{
	struct kvm_xsave xsave;
	struct fx_state image;
	int r;

	if (runner->place == KVM_PLACE_LEFT)
		return take_fx(fx, kvm_system_at(&runner->area, KVM_USER_FX));
	r = kvm_vm_get_xsave(&runner->vm, &xsave);
	if (r)
		return r;
	memcpy(&image, xsave.region, sizeof(image));
	return take_fx(fx, &image);
}

bool kvm_runner_recover(struct kvm_runner *runner, struct runtime_registers *ret_registers)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (runner->inject == KVM_INJECT_UNEXPLAINED)
		return false;
	if (runner->inject == KVM_INJECT_EXPLAINED) {
		*ret_registers = runner->fault.registers;
		return true;
	}
	if (kvm_vm_get_registers(&runner->vm, &regs, &sregs) || (sregs.cs.selector & 3) != 3)
		return false;
	*ret_registers = (struct runtime_registers){
		.gpr = {regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi,
			regs.rdi, regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13,
			regs.r14, regs.r15},
		.rip = regs.rip,
		.rflags = regs.rflags,
	};
	return true;
}

/* ---- life ---- */

static int add_guest_memory(struct kvm_runner *runner, const struct machine *machine)
{
	const struct machine_config *config = &machine->config;

	for (uint32_t i = 0; i < config->n_regions; i++) {
		const struct memory_region *region = &config->regions[i];
		uint8_t *host = memory_page(machine->memory, region->gpa);
		uint64_t number = memory_page_number(machine->memory, region->gpa);
		int r;

		if (!host)
			continue;
		r = kvm_vm_add_slot(&runner->vm, KVM_GUEST_PHYSICAL + (number << PAGE_SHIFT), host,
				    region->bytes);
		if (r < 0)
			return r;
	}
	return 0;
}

static int create_parts(struct kvm_runner *runner, struct machine *machine, void *runtime)
{
	int r = kvm_tables_create(machine, runner->area.low_table, &runner->tables);
	struct kvm_system_config config = {.runtime = runtime, .tables_bytes = KVM_TABLES_BYTES};

	if (r)
		return r;
	config.tables = kvm_tables_pool(runner->tables);
	r = kvm_system_init(&runner->area, &runner->vm, &config);
	return r ? r : add_guest_memory(runner, machine);
}

int kvm_runner_init(struct kvm_runner *runner, struct machine *machine, void *runtime,
		    struct kvm_vm_error *ret_error)
{
	int r;

	*runner = (struct kvm_runner){.vm = {.vm_fd = -1, .vcpu_fd = -1}};
	r = kvm_vm_init(&runner->vm, ret_error);
	if (r)
		return r;
	r = create_parts(runner, machine, runtime);
	if (r) {
		*ret_error = (struct kvm_vm_error){.code = r};
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "/dev/kvm: no VM for this guest: %s", strerror(-r));
		kvm_runner_finish(runner);
	}
	return r;
}

void kvm_runner_finish(struct kvm_runner *runner)
{
	kvm_vm_finish(&runner->vm);
	kvm_system_finish(&runner->area);
	kvm_tables_destroy(runner->tables);
	runner->tables = NULL;
}
