/*
 * The kvm engine. A run alternates between interp, which runs until user code is next, and slices
 * of translated user code in the VM; the last instructions before the limit are interp's again, so
 * that the stop is exact.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/kvm/kvm.h"
#include "vmm/kvm/layout.h"
#include "vmm/kvm/policy.h"
#include "vmm/kvm/runner.h"
#include "vmm/mmu/walk.h"
#include "vmm/translate/translator.h"

/* Entries that are measured at the start; an odd number. */
#define MEASUREMENTS 15

/* Address spaces that KVM failed in; more are forgotten. */
#define BANNED_MAX 16

struct kvm_engine {
	struct engine engine;
	struct engine *interp;
	struct translator *translator;
	struct kvm_runner runner;
	struct kvm_policy policy;
	bool single;                 /* interp is to run the next instruction */
	bool sampled;                /* user code has just run for a whole sample */
	uint64_t banned[BANNED_MAX]; /* CR3 */
	unsigned n_banned;
	struct engine_use in_kvm, in_interp;
	char failure[128];
};

/* Of this thread: other work of the host says nothing about the engines. */
static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ---- listening to the mmu ---- */

static void on_flush_space(void *ctx, unsigned space)
{
	translator_drop_space(((struct kvm_engine *)ctx)->translator, space);
}

static void on_drop_page(void *ctx, unsigned space, uint64_t linear)
{
	translator_drop_page(((struct kvm_engine *)ctx)->translator, space, linear);
}

static void on_protect(void *ctx, uint64_t gpa)
{
	(void)ctx;
	(void)gpa;
}

/* ---- slices ---- */

enum slice_end {
	SLICE_DONE,   /* cpu and count are exact */
	SLICE_SINGLE, /* likewise, and interp is to run one instruction */
	SLICE_FAILED,
};

static enum slice_end take_left(struct kvm_engine *kvm, struct cpu *cpu)
{
	uint64_t exit = translator_context(kvm->translator)->exit;

	kvm_runner_fx(&kvm->runner, &cpu->fx);
	translator_leave(kvm->translator, cpu);
	return exit == RUNTIME_EXIT_POLL ? SLICE_DONE : SLICE_SINGLE;
}

/* Interp runs the instruction that faulted, and derives the guest's fault if it is one. */
static enum slice_end take_fault(struct kvm_engine *kvm, struct cpu *cpu,
				 const struct runtime_registers *registers)
{
	if (!translator_fault(kvm->translator, registers, cpu)) {
		snprintf(kvm->failure, sizeof(kvm->failure),
			 "exception %u at 0x%llx in KVM is not explained by any guest instruction",
			 kvm->runner.fault.vector, (unsigned long long)registers->rip);
		return SLICE_FAILED;
	}
	if (kvm_runner_fx(&kvm->runner, &cpu->fx)) {
		snprintf(kvm->failure, sizeof(kvm->failure), "KVM does not give the x87 state");
		return SLICE_FAILED;
	}
	return SLICE_SINGLE;
}

/* A page that was only not there yet. */
static bool fill(struct kvm_engine *kvm, struct cpu *cpu)
{
	const struct kvm_runner_fault *fault = &kvm->runner.fault;
	const struct kvm_tables_statistics *statistics = kvm_tables_statistics(kvm->runner.tables);
	uint64_t entries = statistics->entries;

	if (fault->vector != VECTOR_PF || (fault->error & PF_FETCH))
		return false;
	return kvm_tables_fill(kvm->runner.tables, cpu, fault->address - KVM_GUEST_BIAS,
			       fault->error & PF_WRITE) &&
	       statistics->entries != entries;
}

static void ban(struct kvm_engine *kvm, const struct cpu *cpu)
{
	kvm->banned[kvm->n_banned++ % BANNED_MAX] = cpu->cr3;
}

static bool is_banned(const struct kvm_engine *kvm, const struct cpu *cpu)
{
	for (unsigned i = 0; i < kvm->n_banned && i < BANNED_MAX; i++)
		if (kvm->banned[i] == cpu->cr3)
			return true;
	return false;
}

/* KVM did what it should not: if the guest's state is to be had, its space is left to interp. */
static enum slice_end take_unexpected(struct kvm_engine *kvm, struct cpu *cpu)
{
	struct runtime_registers registers;

	kvm->in_kvm.unexpected++;
	if (!kvm_runner_recover(&kvm->runner, &registers)) {
		snprintf(kvm->failure, sizeof(kvm->failure), "KVM stopped: %s",
			 kvm->runner.unexpected);
		return SLICE_FAILED;
	}
	ban(kvm, cpu);
	return take_fault(kvm, cpu, &registers);
}

/* Runs translated code from where it was entered to where cpu is exact again. */
static enum slice_end run_translated(struct kvm_engine *kvm, struct cpu *cpu)
{
	unsigned space = mmu_selected_space(cpu->machine->mmu);

	for (;;) {
		kvm->in_kvm.entries++;
		switch (kvm_runner_run(&kvm->runner, space)) {
		case KVM_RUNNER_LEFT:
			if (translator_context(kvm->translator)->exit != RUNTIME_EXIT_LINK ||
			    !translator_continue(kvm->translator, cpu))
				return take_left(kvm, cpu);
			break;
		case KVM_RUNNER_FAULT:
			if (!fill(kvm, cpu))
				return take_fault(kvm, cpu, &kvm->runner.fault.registers);
			break;
		case KVM_RUNNER_INTERRUPTED:
			break; /* the budget bounds how long it goes on */
		case KVM_RUNNER_UNEXPECTED:
			return take_unexpected(kvm, cpu);
		}
	}
}

/* The longest slice: signals and whoever waits for a stop are heard after it. */
#define SLICE_MAX (UINT64_C(1) << 28)

/* Runs user code in the VM, up to a poll before until. Returns false when the engine has failed. */
static bool run_slice(struct kvm_engine *kvm, struct cpu *cpu, uint64_t until)
{
	struct machine *machine = kvm->engine.machine;
	unsigned space = mmu_selected_space(machine->mmu);
	uint64_t before = machine->icount, begin = now_ns(), ns;
	uint64_t entry;
	enum slice_end end = SLICE_SINGLE;

	if (until - before > SLICE_MAX)
		until = before + SLICE_MAX;
	translator_select_space(kvm->translator, space);
	entry = translator_find(kvm->translator, cpu);
	if (entry) {
		translator_enter(kvm->translator, cpu, entry,
				 until - translator_poll_bound(kvm->translator));
		kvm_runner_enter(&kvm->runner, translator_enter_address(kvm->translator), &cpu->fx);
		end = run_translated(kvm, cpu);
	}
	ns = now_ns() - begin;
	kvm->in_kvm.ns += ns;
	kvm->in_kvm.instructions += machine->icount - before;
	kvm_policy_slice(&kvm->policy, space, ns, machine->icount - before);
	kvm->single = end == SLICE_SINGLE;
	return end != SLICE_FAILED;
}

/* ---- runs ---- */

/* The guest maps what our own addresses would hide (layout.h). */
static bool is_hidden(const struct cpu *cpu)
{
	uint64_t table = cpu->cr3 & PAGE_MASK & ((UINT64_C(1) << GPA_BITS) - 1);
	const uint8_t *page = memory_page(cpu->machine->memory, table);
	uint64_t entry = 0;

	if (page)
		memcpy(&entry, page + KVM_TAKEN_FIRST / KVM_TAKEN_BYTES * sizeof(entry),
		       sizeof(entry));
	return entry & PTE_P;
}

/* Whether what is next is user code that could run in the VM until then. */
static bool slice_is_possible(const struct kvm_engine *kvm, const struct cpu *cpu,
			      const struct run_control *control)
{
	const struct machine *machine = kvm->engine.machine;

	return cpu->cpl == 3 && machine->icount + 2 * RUNTIME_POLL_BOUND < control->until_icount &&
	       !control->interrupt_window && !control->nmi_window && !machine->crossing.n_answers &&
	       !kvm->single && translator_may_run(kvm->translator, cpu) && !is_banned(kvm, cpu) &&
	       !is_hidden(cpu);
}

static bool slice_pays(struct kvm_engine *kvm, const struct cpu *cpu, uint64_t until)
{
	struct kvm_policy *policy = &kvm->policy;
	unsigned space = mmu_selected_space(cpu->machine->mmu);

	if (policy->forced)
		return true;
	if (cpu->machine->icount + policy->sample > until)
		return false;
	return policy->at_once[space] || (kvm->sampled && kvm_policy_after_sample(policy, space));
}

/* Interp stops after so many samples' instructions, lest user code that is not known yet stays with
 * it for the whole of a long run. */
#define LOOK_SAMPLES 8

/* Interp's part: an instruction, a sample of user code, or until user code comes that is to run in
 * the VM. */
static enum engine_exit run_interp(struct kvm_engine *kvm, struct cpu *cpu,
				   const struct run_control *control, bool first, bool possible)
{
	struct machine *machine = kvm->engine.machine;
	struct run_control inner = *control;
	uint64_t before = machine->icount, begin = now_ns(), ns;
	uint32_t entries = cpu->kernel_entries;
	bool sample = possible && !kvm->single;

	inner.skip_breakpoint &= first;
	if (kvm->single)
		inner.until_icount = before + 1;
	else if (sample && inner.until_icount - before > kvm->policy.sample)
		inner.until_icount = before + kvm->policy.sample;
	else
		inner.user_stop = cpu->cpl == 3 ? NULL : kvm->policy.at_once;
	if (!kvm->policy.forced && inner.until_icount - before > LOOK_SAMPLES * kvm->policy.sample)
		inner.until_icount = before + LOOK_SAMPLES * kvm->policy.sample;
	kvm->single = false;
	enum engine_exit exit = kvm->interp->ops->run(kvm->interp, &inner);
	ns = now_ns() - begin;
	kvm->in_interp.ns += ns;
	kvm->in_interp.entries++;
	kvm->in_interp.instructions += machine->icount - before;
	kvm->sampled = sample && exit == ENGINE_LIMIT && cpu->kernel_entries == entries;
	if (kvm->sampled)
		kvm_policy_interp(&kvm->policy, ns, machine->icount - before);
	return exit;
}

static enum engine_exit kvm_run(struct engine *engine, const struct run_control *control)
{
	struct kvm_engine *kvm = (struct kvm_engine *)engine;
	struct machine *machine = engine->machine;
	struct cpu *cpu = machine_current(machine);
	uint64_t first = machine->icount;

	if (engine->failed)
		return ENGINE_FAILED;
	kvm->single = kvm->sampled = false;
	for (;;) {
		cpu_update_mode(cpu);
		if (cpu->cpl == 3)
			kvm_policy_select(&kvm->policy, mmu_selected_space(machine->mmu), cpu->cr3);
		bool possible = slice_is_possible(kvm, cpu, control);
		if (possible && slice_pays(kvm, cpu, control->until_icount)) {
			kvm->sampled = false;
			if (!run_slice(kvm, cpu, control->until_icount)) {
				engine->failed = true;
				return ENGINE_FAILED;
			}
			continue;
		}
		enum engine_exit exit =
			run_interp(kvm, cpu, control, machine->icount == first, possible);
		if (exit != ENGINE_USER &&
		    (exit != ENGINE_LIMIT || machine->icount >= control->until_icount))
			return exit;
	}
}

/* ---- the other functions ---- */

static void kvm_flush(struct engine *engine)
{
	struct kvm_engine *kvm = (struct kvm_engine *)engine;

	kvm->interp->ops->flush(kvm->interp);
	translator_flush(kvm->translator);
}

static int kvm_set_breakpoints(struct engine *engine, const uint64_t *linear, unsigned n)
{
	struct kvm_engine *kvm = (struct kvm_engine *)engine;
	int r = translator_set_breakpoints(kvm->translator, linear, n);

	return r ? r : kvm->interp->ops->set_breakpoints(kvm->interp, linear, n);
}

static unsigned kvm_uses(const struct engine *engine, struct engine_use ret_uses[ENGINE_MAX_USES])
{
	const struct kvm_engine *kvm = (const struct kvm_engine *)engine;

	ret_uses[0] = kvm->in_kvm;
	ret_uses[1] = kvm->in_interp;
	return 2;
}

static const char *kvm_failure(const struct engine *engine)
{
	return ((const struct kvm_engine *)engine)->failure;
}

void kvm_engine_inject(struct engine *engine, enum kvm_runner_injection injection)
{
	((struct kvm_engine *)engine)->runner.inject = injection;
}

/* ---- life ---- */

static void kvm_destroy(struct engine *engine)
{
	struct kvm_engine *kvm = (struct kvm_engine *)engine;

	mmu_remove_listener(engine->machine->mmu, kvm);
	kvm_runner_finish(&kvm->runner);
	translator_destroy(kvm->translator);
	engine_destroy(kvm->interp);
	free(kvm);
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Enters code that leaves at once. Returns 0, or -ENOTSUP when it does not come back as it should.
 */
static int measure_exit(struct kvm_engine *kvm, double *ret_ns)
{
	struct cpu *cpu = machine_current(kvm->engine.machine);
	const unsigned median = MEASUREMENTS / 2;
	uint64_t times[MEASUREMENTS];

	for (unsigned i = 0; i < MEASUREMENTS; i++) {
		uint64_t begin = now_ns();
		kvm_runner_enter(&kvm->runner, KVM_USER_CODE, &cpu->fx);
		if (kvm_runner_run(&kvm->runner, 0) != KVM_RUNNER_LEFT)
			return -ENOTSUP;
		times[i] = now_ns() - begin;
	}
	qsort(times, MEASUREMENTS, sizeof(times[0]), compare_times);
	*ret_ns = (double)times[median];
	return 0;
}

static int create_parts(struct kvm_engine *kvm, struct machine *machine, bool forced)
{
	const struct translator_config config = {
		.machine = machine,
		.bias = KVM_GUEST_BIAS,
		.leave = RUNTIME_LEAVE_JUMP,
		.load_fs_base = true,
	};
	struct mmu_listener listener = {.flush_space = on_flush_space,
					.drop_page = on_drop_page,
					.protect = on_protect,
					.ctx = kvm};
	struct kvm_vm_error error;
	double exit_ns = 0;
	int r = engine_create(&interp_engine_ops, machine, &kvm->interp);

	if (!r)
		r = translator_create(&config, &kvm->translator);
	if (!r)
		r = kvm_runner_init(&kvm->runner, machine, translator_runtime(kvm->translator),
				    &error);
	if (!r)
		r = measure_exit(kvm, &exit_ns);
	if (r)
		return r;
	translator_context(kvm->translator)->leave = KVM_USER_CODE;
	kvm_policy_init(&kvm->policy, forced, exit_ns);
	return mmu_add_listener(machine->mmu, &listener);
}

static int create(struct machine *machine, const struct engine_ops *ops, bool forced,
		  struct engine **ret_engine)
{
	struct kvm_engine *kvm = calloc(1, sizeof(*kvm));
	int r;

	if (!kvm)
		return -ENOMEM;
	kvm->engine = (struct engine){.ops = ops, .machine = machine};
	kvm->in_kvm.name = "kvm";
	kvm->in_interp.name = "interp";
	kvm->runner.vm.vm_fd = kvm->runner.vm.vcpu_fd = -1;
	r = create_parts(kvm, machine, forced);
	if (r) {
		kvm_destroy(&kvm->engine);
		return r;
	}
	*ret_engine = &kvm->engine;
	return 0;
}

static int kvm_create(struct machine *machine, struct engine **ret_engine)
{
	return create(machine, &kvm_engine_ops, true, ret_engine);
}

static int auto_create(struct machine *machine, struct engine **ret_engine)
{
	if (!create(machine, &auto_engine_ops, false, ret_engine))
		return 0;
	return engine_create(&interp_engine_ops, machine, ret_engine);
}

int kvm_engine_check(struct kvm_vm_error *ret_error)
{
	struct kvm_vm vm;
	int r = kvm_vm_init(&vm, ret_error);

	if (!r)
		kvm_vm_finish(&vm);
	return r;
}

const struct engine_ops kvm_engine_ops = {
	.name = "kvm",
	.create = kvm_create,
	.destroy = kvm_destroy,
	.run = kvm_run,
	.flush = kvm_flush,
	.set_breakpoints = kvm_set_breakpoints,
	.uses = kvm_uses,
	.failure = kvm_failure,
};

const struct engine_ops auto_engine_ops = {
	.name = "auto",
	.create = auto_create,
	.destroy = kvm_destroy,
	.run = kvm_run,
	.flush = kvm_flush,
	.set_breakpoints = kvm_set_breakpoints,
	.uses = kvm_uses,
	.failure = kvm_failure,
};
