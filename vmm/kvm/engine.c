/*
 * The kvm engine. A run alternates between the engine that runs the rest, until user code is next,
 * and slices of translated user code in the VM; the last instructions before the limit are the
 * rest's again, so that the stop is exact.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/jit/jit.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/layout.h"
#include "vmm/kvm/measure.h"
#include "vmm/kvm/policy.h"
#include "vmm/kvm/runner.h"
#include "vmm/kvm/watchdog.h"
#include "vmm/mmu/walk.h"
#include "vmm/translate/translator.h"

/* Address spaces that KVM failed in; more are forgotten. */
#define BANNED_MAX 16

struct kvm_engine {
	struct engine engine;
	struct engine *rest; /* jit, or interp */
	struct translator *translator;
	struct kvm_runner runner;
	struct kvm_policy policy;
	struct kvm_watchdog watchdog;
	bool small;    /* for tests: kvm_small_engine_ops */
	bool endless;  /* for tests: no poll finds its budget used up */
	bool measured; /* what KVM costs here is known */
	bool useless;  /* KVM has not done what it was told */
	bool single;   /* the rest is to run the next instruction */
	bool sampled;  /* user code has just run for a whole sample */
	uint64_t cold; /* the rest is to run so many before user code is entered */
	struct {
		bool known, write;
		uint64_t cr3, linear;
	} faulted;                   /* the access that the rest was left to carry out last */
	uint64_t entered, stretch;   /* context's count at the last entry; instructions it made */
	uint64_t banned[BANNED_MAX]; /* CR3 */
	unsigned n_banned;
	struct engine_use in_kvm, in_rest;
	char failure[128];
};

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

/* The watchdog's period where a test lets it find something. */
#define ENDLESS_PERIOD_NS UINT64_C(200000000)

/* ---- slices ---- */

enum slice_end {
	SLICE_DONE,   /* cpu and count are exact */
	SLICE_SINGLE, /* likewise, and the rest is to run one instruction */
	SLICE_FAILED,
};

/* What translated code left cannot be: most likely the guest has stored there (docs/kvm.md). */
static enum slice_end take_spoilt(struct kvm_engine *kvm)
{
	kvm->in_kvm.unexpected++;
	snprintf(kvm->failure, sizeof(kvm->failure),
		 "translated code in KVM has left with a state that cannot be");
	return SLICE_FAILED;
}

static enum slice_end take_left(struct kvm_engine *kvm, struct cpu *cpu)
{
	uint64_t exit = translator_context(kvm->translator)->exit;

	if (kvm_runner_fx(&kvm->runner, &cpu->fx))
		return take_spoilt(kvm);
	translator_leave(kvm->translator, cpu);
	return exit == RUNTIME_EXIT_POLL || kvm->cold ? SLICE_DONE : SLICE_SINGLE;
}

/* The rest runs the instruction at which KVM stopped for what it says, and derives the guest's
 * fault if it is one. */
static enum slice_end take_fault(struct kvm_engine *kvm, struct cpu *cpu,
				 const struct runtime_registers *registers, const char *what)
{
	if (!translator_fault(kvm->translator, registers, cpu)) {
		snprintf(kvm->failure, sizeof(kvm->failure),
			 "%s at 0x%llx in KVM is not explained by any guest instruction", what,
			 (unsigned long long)registers->rip);
		return SLICE_FAILED;
	}
	if (kvm_runner_fx(&kvm->runner, &cpu->fx)) {
		snprintf(kvm->failure, sizeof(kvm->failure), "KVM does not give the x87 state");
		return SLICE_FAILED;
	}
	return SLICE_SINGLE;
}

static enum slice_end take_exception(struct kvm_engine *kvm, struct cpu *cpu)
{
	const struct kvm_runner_fault *fault = &kvm->runner.fault;
	char what[24];

	snprintf(what, sizeof(what), "exception %u", fault->vector);
	return take_fault(kvm, cpu, &fault->registers, what);
}

/* What the rest is going to change, most often by the guest's own page fault. */
static void remember_fault(struct kvm_engine *kvm, const struct cpu *cpu)
{
	const struct kvm_runner_fault *fault = &kvm->runner.fault;

	kvm->faulted.known = fault->vector == VECTOR_PF && !(fault->error & PF_FETCH);
	kvm->faulted.write = fault->error & PF_WRITE;
	kvm->faulted.cr3 = cpu->cr3;
	kvm->faulted.linear = fault->address - KVM_GUEST_BIAS;
}

/* The access comes again, and would be an exit for its page, if it is there now. */
static void fill_faulted(struct kvm_engine *kvm, struct cpu *cpu)
{
	if (kvm->faulted.known && kvm->faulted.cr3 == cpu->cr3)
		kvm_tables_fill(kvm->runner.tables, cpu, kvm->faulted.linear, kvm->faulted.write);
	kvm->faulted.known = false;
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

/* KVM did what it should not: if the guest's state is to be had, its space is left to the rest. */
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
	return take_fault(kvm, cpu, &registers, kvm->runner.unexpected);
}

/* Whether the rest is to run for a while first, since what comes next was translated just now. */
static bool is_cold(struct kvm_engine *kvm, const struct cpu *cpu, uint64_t blocks)
{
	if (translator_statistics(kvm->translator)->blocks == blocks || kvm->small)
		return false;
	kvm->cold =
		kvm_policy_cold(&kvm->policy, mmu_selected_space(cpu->machine->mmu), kvm->stretch);
	return kvm->cold;
}

/* After translated code has left: whether it can go on in the VM. */
static bool goes_on(struct kvm_engine *kvm, struct cpu *cpu)
{
	const struct runtime_context *context = translator_context(kvm->translator);
	uint64_t blocks = translator_statistics(kvm->translator)->blocks;

	kvm->stretch = context->count - kvm->entered;
	kvm->entered = context->count;
	return context->exit == RUNTIME_EXIT_LINK && translator_continue(kvm->translator, cpu) &&
	       !is_cold(kvm, cpu, blocks);
}

/* Runs the VM until it comes back. KVM_RUNNER_INTERRUPTED: it does not. */
static enum kvm_runner_exit run_vm(struct kvm_engine *kvm, unsigned space)
{
	enum kvm_runner_exit exit;

	kvm->in_kvm.entries++;
	do
		exit = kvm_runner_run(&kvm->runner, space);
	while (exit == KVM_RUNNER_INTERRUPTED &&
	       !kvm_watchdog_barks(&kvm->watchdog, kvm->in_kvm.entries));
	return exit;
}

/* Runs translated code from where it was entered to where cpu is exact again. */
static enum slice_end run_translated(struct kvm_engine *kvm, struct cpu *cpu)
{
	unsigned space = mmu_selected_space(cpu->machine->mmu);
	enum slice_end end;

	for (;;) {
		switch (run_vm(kvm, space)) {
		case KVM_RUNNER_LEFT:
			if (!translator_has_left(kvm->translator))
				return take_spoilt(kvm);
			if (!goes_on(kvm, cpu))
				return take_left(kvm, cpu);
			break;
		case KVM_RUNNER_FAULT:
			if (!fill(kvm, cpu)) {
				remember_fault(kvm, cpu);
				end = take_exception(kvm, cpu);
				kvm->in_kvm.unexpected += end == SLICE_FAILED;
				return end;
			}
			break;
		case KVM_RUNNER_INTERRUPTED:
			kvm->in_kvm.unexpected++;
			snprintf(kvm->failure, sizeof(kvm->failure),
				 "translated code in KVM does not come back");
			return SLICE_FAILED;
		case KVM_RUNNER_UNEXPECTED:
			return take_unexpected(kvm, cpu);
		}
	}
}

/* The longest slice: signals and whoever waits for a stop are heard after it. Far less than a
 * period of the watchdog. */
#define SLICE_MAX (UINT64_C(1) << 26)

/* Runs user code in the VM, up to a poll before until. Returns false when the engine has failed. */
static bool run_slice(struct kvm_engine *kvm, struct cpu *cpu, uint64_t until)
{
	struct machine *machine = kvm->engine.machine;
	unsigned space = mmu_selected_space(machine->mmu);
	uint64_t before = machine->icount, begin = kvm_thread_ns(), ns;
	const struct kvm_tables_statistics *tables = kvm_tables_statistics(kvm->runner.tables);
	uint64_t blocks = translator_statistics(kvm->translator)->blocks, entries = tables->entries;
	uint64_t entry;
	uint64_t budget;
	enum slice_end end = SLICE_SINGLE;

	if (until - before > SLICE_MAX)
		until = before + SLICE_MAX;
	translator_select_space(kvm->translator, space);
	entry = translator_find(kvm->translator, cpu);
	if (entry && is_cold(kvm, cpu, blocks)) {
		end = SLICE_DONE;
	} else if (entry) {
		budget = kvm->endless ? UINT64_MAX : until - translator_poll_bound(kvm->translator);
		fill_faulted(kvm, cpu);
		translator_enter(kvm->translator, cpu, entry, budget);
		kvm->entered = translator_context(kvm->translator)->count;
		kvm_runner_enter(&kvm->runner, translator_enter_address(kvm->translator), &cpu->fx);
		end = run_translated(kvm, cpu);
	}
	ns = kvm_thread_ns() - begin;
	kvm->in_kvm.ns += ns;
	kvm->in_kvm.instructions += machine->icount - before;
	kvm_policy_slice(&kvm->policy, space, ns, machine->icount - before,
			 translator_statistics(kvm->translator)->blocks != blocks ||
				 tables->entries != entries);
	kvm->single = end == SLICE_SINGLE;
	if (kvm->single)
		kvm->stretch = machine->icount - before;
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

/* Whether what is next is user code that could run in the VM until then. Where a watchpoint lies,
 * each access beside it would be an exit. */
static bool slice_is_possible(const struct kvm_engine *kvm, const struct cpu *cpu,
			      const struct run_control *control)
{
	const struct machine *machine = kvm->engine.machine;
	uint32_t bound = translator_poll_bound(kvm->translator);
	uint32_t least = kvm->small ? bound : 2 * bound;

	return cpu->cpl == 3 && machine->icount + least < control->until_icount &&
	       !control->interrupt_window && !control->nmi_window && !machine->crossing.n_answers &&
	       !kvm->single && !kvm->cold && translator_may_run(kvm->translator, cpu) &&
	       !kvm->useless && !is_banned(kvm, cpu) && !is_hidden(cpu) &&
	       !memory_is_watched(machine->memory);
}

static int measure(struct kvm_engine *kvm, const struct cpu *cpu)
{
	struct kvm_policy_costs costs;
	int r = kvm_measure(&kvm->runner, &cpu->fx, &costs);

	kvm->measured = true;
	if (!r)
		kvm_policy_set_costs(&kvm->policy, &costs);
	return r;
}

/* Measures when user code has run for a first sample: most of what is short never comes to that. */
static bool pays_after_sample(struct kvm_engine *kvm, const struct cpu *cpu, unsigned space)
{
	if (!kvm->measured && measure(kvm, cpu)) {
		kvm->in_kvm.unexpected++;
		kvm->useless = true;
		return false;
	}
	return kvm_policy_after_sample(&kvm->policy, space);
}

static bool slice_pays(struct kvm_engine *kvm, const struct cpu *cpu, uint64_t until)
{
	struct kvm_policy *policy = &kvm->policy;
	unsigned space = mmu_selected_space(cpu->machine->mmu);

	if (policy->forced)
		return true;
	if (cpu->machine->icount + kvm_policy_sample(policy, space) > until)
		return false;
	return policy->at_once[space] || (kvm->sampled && pays_after_sample(kvm, cpu, space));
}

/* What keeps user code from being translated for a moment, most often RF after a page fault, is
 * looked at again after so many instructions. */
#define ATTENTION_INSNS 64

/* And what does for longer: its mode, most often. */
#define FOREIGN_INSNS 16384

static void stop_after(struct run_control *control, uint64_t icount, uint64_t n)
{
	if (control->until_icount - icount > n)
		control->until_icount = icount + n;
}

static uint64_t look_again_after(const struct kvm_engine *kvm, const struct cpu *cpu)
{
	if (kvm->small)
		return 1;
	return cpu->attention ? ATTENTION_INSNS : FOREIGN_INSNS;
}

/* User code anywhere is to stop the rest. */
static const bool everywhere[MMU_SPACES] = {[0 ... MMU_SPACES - 1] = true};

/* What the rest runs before it looks for user code, if it begins in the kernel: in samples. To stop
 * costs microseconds, and there is nothing to sample in a kernel that goes on for long. */
#define KERNEL_SAMPLES 8

/* How far the rest is to run, and where user code stops it. Where nothing is forced it looks after
 * some samples at the latest: else user code would stay with it from a return of the kernel to the
 * next entry. */
static void limit_rest(const struct kvm_engine *kvm, const struct cpu *cpu, bool possible,
		       struct run_control *control)
{
	uint64_t icount = cpu->machine->icount;
	uint64_t sample = kvm_policy_sample(&kvm->policy, mmu_selected_space(cpu->machine->mmu));

	control->user_stop = cpu->cpl == 3 ? NULL : kvm->policy.at_once;
	if (kvm->single) { /* a system call's kernel too */
		control->user_stop = everywhere;
		control->skip_user = true;
	} else if (kvm->cold) {
		stop_after(control, icount, kvm->cold);
		return;
	} else if (possible) {
		stop_after(control, icount, sample);
		return;
	} else if (cpu->cpl == 3 && !translator_may_run(kvm->translator, cpu)) {
		stop_after(control, icount, look_again_after(kvm, cpu));
	}
	if (!kvm->policy.forced)
		stop_after(control, icount, cpu->cpl == 3 ? sample : KERNEL_SAMPLES * sample);
}

/* The rest's part: an instruction, a sample of user code, or until user code comes that is to run
 * in the VM. */
static enum engine_exit run_rest(struct kvm_engine *kvm, struct cpu *cpu,
				 const struct run_control *control, bool first, bool possible)
{
	struct machine *machine = kvm->engine.machine;
	struct run_control inner = *control;
	uint64_t before = machine->icount, begin = kvm_thread_ns(), ns;
	uint32_t entries = cpu->kernel_entries;
	/* An instruction that translated code left to the rest: what follows is still the slice's.
	 */
	bool user = possible || kvm->cold || (kvm->single && cpu->cpl == 3);

	inner.skip_breakpoint &= first;
	limit_rest(kvm, cpu, possible, &inner);
	kvm->single = false;
	kvm->cold = 0;
	enum engine_exit exit = kvm->rest->ops->run(kvm->rest, &inner);
	ns = kvm_thread_ns() - begin;
	kvm->in_rest.ns += ns;
	kvm->in_rest.entries++;
	kvm->in_rest.instructions += machine->icount - before;
	kvm->sampled = user && (exit == ENGINE_LIMIT || exit == ENGINE_USER) &&
		       cpu->kernel_entries == entries;
	if (kvm->sampled)
		kvm_policy_rest(&kvm->policy, mmu_selected_space(machine->mmu), ns,
				machine->icount - before);
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
	kvm->cold = 0;
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
			run_rest(kvm, cpu, control, machine->icount == first, possible);
		if (exit != ENGINE_USER &&
		    (exit != ENGINE_LIMIT || machine->icount >= control->until_icount))
			return exit;
	}
}

/* ---- the other functions ---- */

static void kvm_flush(struct engine *engine)
{
	struct kvm_engine *kvm = (struct kvm_engine *)engine;

	kvm->rest->ops->flush(kvm->rest);
	translator_flush(kvm->translator);
}

static int kvm_set_breakpoints(struct engine *engine, const uint64_t *linear, unsigned n)
{
	struct kvm_engine *kvm = (struct kvm_engine *)engine;
	int r = translator_set_breakpoints(kvm->translator, linear, n);

	return r ? r : kvm->rest->ops->set_breakpoints(kvm->rest, linear, n);
}

static unsigned kvm_uses(const struct engine *engine, struct engine_use ret_uses[ENGINE_MAX_USES])
{
	const struct kvm_engine *kvm = (const struct kvm_engine *)engine;

	unsigned n = 1;

	ret_uses[0] = kvm->in_kvm;
	if (kvm->rest->ops->uses)
		n += kvm->rest->ops->uses(kvm->rest, &ret_uses[1]);
	else
		ret_uses[n++] = kvm->in_rest;
	ret_uses[1].ns = kvm->in_rest.ns; /* of all its parts */
	return n;
}

static const char *kvm_failure(const struct engine *engine)
{
	return ((const struct kvm_engine *)engine)->failure;
}

void kvm_engine_inject(struct engine *engine, enum kvm_runner_injection injection)
{
	struct kvm_engine *kvm = (struct kvm_engine *)engine;

	kvm->endless = injection == KVM_INJECT_ENDLESS;
	if (kvm->endless)
		kvm_watchdog_set_period(&kvm->watchdog, ENDLESS_PERIOD_NS);
	else
		kvm->runner.inject = injection;
}

/* ---- life ---- */

static void kvm_destroy(struct engine *engine)
{
	struct kvm_engine *kvm = (struct kvm_engine *)engine;

	mmu_remove_listener(engine->machine->mmu, kvm);
	kvm_watchdog_finish(&kvm->watchdog);
	kvm_runner_finish(&kvm->runner);
	translator_destroy(kvm->translator);
	engine_destroy(kvm->rest);
	free(kvm);
}

struct kvm_small_options kvm_small_options = {.max_insns = 16};

/* Of the other engines. */
static const struct kvm_small_options no_options = {.jit = true};

/* Leaving for a branch that leads nowhere yet costs tens of microseconds here. */
#define AHEAD 8

static int create_parts(struct kvm_engine *kvm, struct machine *machine, bool forced)
{
	const struct kvm_small_options *small = kvm->small ? &kvm_small_options : &no_options;
	const struct translator_config config = {
		.machine = machine,
		.bias = KVM_GUEST_BIAS,
		.leave = RUNTIME_LEAVE_JUMP,
		.load_fs_base = true,
		.cache_bytes = small->cache_bytes ? small->cache_bytes : KVM_CODE_BYTES,
		.ahead = AHEAD,
		.max_insns = small->max_insns,
		.poll_often = small->max_insns,
		.distrust_host = small->distrust_host,
	};
	struct mmu_listener listener = {.flush_space = on_flush_space,
					.drop_page = on_drop_page,
					.protect = on_protect,
					.ctx = kvm};
	const struct cpu *cpu = machine_current(machine);
	struct kvm_vm_error error;
	kvm_policy_init(&kvm->policy, forced);
	int r = engine_create(small->jit ? &jit_or_interp_engine_ops : &interp_engine_ops, machine,
			      &kvm->rest);

	if (!r)
		r = translator_create(&config, &kvm->translator);
	if (!r)
		r = kvm_runner_init(&kvm->runner, machine, translator_runtime(kvm->translator),
				    &error);
	if (!r)
		r = kvm_watchdog_init(&kvm->watchdog, &kvm->runner.vm);
	if (!r)
		r = forced ? measure(kvm, cpu) : kvm_try(&kvm->runner, &cpu->fx);
	if (r)
		return r;
	translator_context(kvm->translator)->leave = KVM_USER_CODE;
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
	kvm->small = ops == &kvm_small_engine_ops;
	kvm->in_kvm.name = "kvm";
	kvm->in_rest.name = "interp"; /* jit counts itself */
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

static int kvm_small_create(struct machine *machine, struct engine **ret_engine)
{
	return create(machine, &kvm_small_engine_ops, true, ret_engine);
}

static int auto_create(struct machine *machine, struct engine **ret_engine)
{
	int error = create(machine, &auto_engine_ops, false, ret_engine), r;

	if (!error)
		return 0;
	r = engine_create(&jit_or_interp_engine_ops, machine, ret_engine);
	if (!r)
		(*ret_engine)->instead = error;
	return r;
}

int kvm_engine_check(struct kvm_vm_error *ret_error)
{
	struct kvm_vm vm;
	int r = kvm_vm_init(&vm, ret_error);

	if (!r)
		kvm_vm_finish(&vm);
	return r;
}

/* What engines that run code in KVM have in common. */
#define KVM_OPS                                                                                    \
	.destroy = kvm_destroy, .run = kvm_run, .flush = kvm_flush,                                \
	.set_breakpoints = kvm_set_breakpoints, .uses = kvm_uses, .failure = kvm_failure

const struct engine_ops kvm_engine_ops = {.name = "kvm", .create = kvm_create, KVM_OPS};

const struct engine_ops kvm_small_engine_ops = {.name = "kvm", .create = kvm_small_create, KVM_OPS};

const struct engine_ops auto_engine_ops = {.name = "auto", .create = auto_create, KVM_OPS};
