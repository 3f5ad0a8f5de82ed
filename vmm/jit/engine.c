/*
 * A run alternates between slices of translated code and interp: for an instruction that is not
 * translated or whose access needs more than a cached translation, for code that has not run often
 * yet, and for the last instructions before the limit.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/jit/code.h"
#include "vmm/jit/engine.h"
#include "vmm/jit/jit.h"

/* Instructions that interp runs where no translation can be made, or could be entered. */
#define ASIDE_STEP 64

/* Of code that cannot be translated at all, by its mode. */
#define FOREIGN_STEP 1024

/* Instructions in a block: what is put off for each takes room. */
#define MAX_INSNS 24

/* Of code; the books about it take two thirds of that, the tables of address spaces 66 MiB. */
#define CACHE_BYTES 0x4800000u

#define SIGNAL_STACK_BYTES 65536

/* How often a branch back is taken before it is taken for a loop's. */
#define LOOP_HEAT 24

/* What a loop may cost before it has proven its worth. */
#define LOOP_CREDIT 32

/* How often user code is seen running, so many instructions apart, before it is taken for code that
 * runs much. */
#define HOT_SAMPLES 3
#define HOT_INSNS   (1u << 20)

struct jit_options jit_options = {.cache_bytes = CACHE_BYTES,
				  .max_insns = MAX_INSNS,
				  .loop_heat = LOOP_HEAT,
				  .hot_samples = HOT_SAMPLES,
				  .hot_insns = HOT_INSNS};

static const struct extent_rules extent_rules = {
	.misses = 8,
	.asked = 8,
	.hits = 5,
	.period_max = 12,
	.failures = 4,
	.good_insns = 512,
};
static const struct extent_rules extent_rules_soon = {.misses = 1, .asked = 1};

/* ---- listening to the mmu ---- */

static void on_flush_low(void *ctx, unsigned space)
{
	jit_drop_low(ctx, space);
}

static void on_flush_space(void *ctx, unsigned space)
{
	jit_drop_space(ctx, space);
}

static void on_drop_page(void *ctx, unsigned space, uint64_t linear)
{
	jit_drop_page(ctx, space, linear);
}

static void on_protect(void *ctx, uint64_t gpa)
{
	struct jit_engine *jit = ctx;

	extents_protect(jit->extents, memory_page(jit->engine.machine->memory, gpa));
	jit->protected = true;
}

/* ---- what translated code asks for ---- */

static enum access_kind access_of(const struct jit_miss *miss)
{
	return miss->write ? ACCESS_WRITE : ACCESS_READ;
}

/* An entry for an access in a watched page, which is good for no other; NULL: it may be a hit. */
static const struct tlb_entry *find_beside(struct jit_engine *jit, const struct cpu *cpu,
					   uint64_t linear, const struct jit_miss *miss)
{
	if (!miss->bytes || !memory_is_watched(cpu->machine->memory))
		return NULL;
	uint8_t *host = mmu_beside_watches(cpu, linear, miss->bytes, access_of(miss));
	if (!host)
		return NULL;
	jit->beside = (struct tlb_entry){linear & PAGE_MASK, host - linear % PAGE_BYTES};
	return &jit->beside;
}

static const struct tlb_entry *find_filled(struct jit_engine *jit, struct cpu *cpu, uint64_t linear,
					   const struct jit_miss *miss)
{
	struct tlb_entry *entries = miss->write ? cpu->tlb->write : cpu->tlb->read;

	jit->protected = false;
	if (!mmu_fill_plain(cpu, linear, access_of(miss)) || jit->protected ||
	    linear % PAGE_BYTES + miss->bytes > PAGE_BYTES)
		return NULL;
	return tlb_slot(entries, linear);
}

/* Most misses in a loop are of pages that share a place. */
static const struct tlb_entry *recall(const struct jit_context *context, uint64_t linear,
				      const struct jit_miss *miss)
{
	uint64_t array = miss->write ? context->tlb_write : context->tlb_read;

	if (linear % PAGE_BYTES + miss->bytes > PAGE_BYTES)
		return NULL;
	return mmu_recall((struct tlb_entry *)(uintptr_t)array, linear);
}

static uint64_t fill(void *ctx, uint64_t linear)
{
	struct jit_engine *jit = ctx;
	struct cpu *cpu = machine_current(jit->engine.machine);
	struct jit_miss miss;

	memcpy(&miss, (const void *)(uintptr_t)(jit->context->slow - sizeof(miss)), sizeof(miss));
	jit->context->retry = miss.retry;
	const struct tlb_entry *entry = recall(jit->context, linear, &miss);
	if (entry)
		return (uint64_t)(uintptr_t)entry;
	mmu_select(cpu); /* AC may have changed */
	jit->selected = true;
	entry = find_beside(jit, cpu, linear, &miss);
	if (!entry)
		entry = find_filled(jit, cpu, linear, &miss);
	if (!entry && !jit->protected) /* the page is known now */
		entry = find_beside(jit, cpu, linear, &miss);
	return (uint64_t)(uintptr_t)entry;
}

static void ask(void *ctx, uint64_t linear)
{
	struct jit_engine *jit = ctx;
	struct cpu *cpu = machine_current(jit->engine.machine);
	uint64_t icount = translator_count(jit->translator), gpa;
	uint32_t number;

	memcpy(&number, (const void *)(uintptr_t)(jit->context->slow - sizeof(number)),
	       sizeof(number));
	if (extents_ask(jit->extents, cpu, number, linear, icount, &gpa))
		translator_rewrite(jit->translator, gpa);
}

/* ---- slices ---- */

static void enter(struct jit_engine *jit, struct cpu *cpu, uint64_t entry, uint64_t until)
{
	struct runtime_context *runtime = translator_context(jit->translator);
	struct jit_context *context = jit->context;

	translator_enter(jit->translator, cpu, entry, until);
	runtime->scratch[SCRATCH_FLAGS] = jit_pack_flags(runtime->rflags);
	context->gs_base = cpu->seg[SEG_GS].base;
	context->fx = (uint64_t)(uintptr_t)&cpu->fx;
	context->cpu = (uint64_t)(uintptr_t)cpu;
}

static void leave(struct jit_engine *jit, struct cpu *cpu)
{
	struct runtime_context *runtime = translator_context(jit->translator);

	runtime->rflags =
		jit_unpack_flags(runtime->scratch[SCRATCH_FLAGS]) | (cpu->rflags_rest & FLAG_DF);
	translator_leave(jit->translator, cpu);
}

/* On to a branch's target; which is not even fetched when the budget is used up, and not looked for
 * where no translation can begin. */
static bool goes_on(struct jit_engine *jit, struct cpu *cpu)
{
	const struct runtime_context *runtime = translator_context(jit->translator);

	if (runtime->exit != RUNTIME_EXIT_LINK)
		return false;
	cpu->rip = translator_target(jit->translator);
	return (int64_t)runtime->count < 0 && !jit_step_is_due(jit->stepper, cpu) &&
	       translator_continue(jit->translator, cpu);
}

/* Where translated code is entered; 0: interp or a single step is next. */
static uint64_t find(struct jit_engine *jit, struct cpu *cpu)
{
	uint64_t entry = translator_noted(jit->translator, cpu);

	if (entry || jit_step_is_due(jit->stepper, cpu))
		return entry;
	return translator_find(jit->translator, cpu);
}

/* Runs translated code until it leaves for good. Returns false when there is none at RIP;
 * *ret_exit: enum runtime_exit. */
static bool run_slice(struct jit_engine *jit, struct cpu *cpu, uint64_t until, uint64_t *ret_exit)
{
	struct machine *machine = jit->engine.machine;
	const struct runtime_context *runtime = translator_context(jit->translator);
	void (*code)(void) = (void (*)(void))(uintptr_t)translator_enter_address(jit->translator);
	uint64_t before = machine->icount, flags = cpu->rflags_rest;

	jit_select_table(jit, cpu);
	uint64_t entry = find(jit, cpu);
	if (!entry)
		return false;
	enter(jit, cpu, entry, until);
	jit->selected = false;
	do
		code();
	while (goes_on(jit, cpu));
	leave(jit, cpu);
	if (jit->selected || ((cpu->rflags_rest ^ flags) & FLAG_AC))
		mmu_select(cpu);
	*ret_exit = runtime->exit;
	if (runtime->exit == RUNTIME_EXIT_POLL && cpu->cpl == 3)
		translator_sample(jit->translator, (uint32_t)(cpu->cr3 >> PAGE_SHIFT));
	jit->in_jit.entries++;
	jit->in_jit.instructions += machine->icount - before;
	return true;
}

/* ---- runs ---- */

bool jit_window_is_open(const struct cpu *cpu, const struct run_control *control)
{
	return (control->interrupt_window && cpu_can_take_interrupt(cpu)) ||
	       (control->nmi_window && cpu_can_take_nmi(cpu));
}

/* Translated code does not change what windows depend on. */
static bool slice_is_possible(const struct jit_engine *jit, const struct cpu *cpu,
			      const struct run_control *control)
{
	const struct machine *machine = jit->engine.machine;

	return machine->icount < control->until_icount && !machine->crossing.n_answers &&
	       !jit_window_is_open(cpu, control) && translator_may_run(jit->translator, cpu) &&
	       !memory_watch_hit(machine->memory, NULL);
}

static enum engine_exit run_interp(struct jit_engine *jit, const struct run_control *control,
				   bool first, uint64_t steps)
{
	struct machine *machine = jit->engine.machine;
	struct run_control inner = *control;
	uint64_t before = machine->icount;

	inner.skip_breakpoint &= first;
	inner.skip_user &= first;
	if (inner.until_icount - before > steps)
		inner.until_icount = before + steps;
	enum engine_exit exit = jit->interp->ops->run(jit->interp, &inner);
	jit->in_interp.entries++;
	jit->in_interp.instructions += machine->icount - before;
	return exit;
}

/* A single instruction between slices. Returns how many steps are interp's instead: it looks for
 * a breakpoint there, and for watchpoints that were hit. */
static uint64_t step(struct jit_engine *jit, struct cpu *cpu, uint64_t until)
{
	const struct machine *machine = jit->engine.machine;
	uint64_t before = machine->icount;

	if (translator_has_breakpoint(jit->translator, cpu_linear_rip(cpu)))
		return 1;
	if (memory_is_watched(machine->memory))
		return jit_step_count(jit->stepper, cpu);
	uint64_t steps = jit_step(jit->stepper, cpu, until);
	jit->in_jit.instructions += machine->icount - before;
	return steps;
}

bool jit_is_others(const struct cpu *cpu, const struct run_control *control)
{
	return control->user_stop && cpu->cpl == 3 &&
	       control->user_stop[mmu_selected_space(cpu->machine->mmu)];
}

/* Nothing but an STI asks for attention. */
static bool step_is_possible(const struct cpu *cpu, const struct run_control *control)
{
	const struct machine *machine = cpu->machine;

	return cpu->shadow == SHADOW_STI && machine->icount < control->until_icount &&
	       !machine->crossing.n_answers && !jit_window_is_open(cpu, control) && cpu->cpl == 0 &&
	       cpu_code64(cpu) && cpu->activity == ACTIVITY_RUNNING && !cpu->pending_db &&
	       !(cpu->dr7 & 0xff) && !(cpu->rflags_rest & (FLAG_TF | FLAG_RF)) &&
	       !memory_is_watched(machine->memory);
}

void jit_drop_resume_flag(const struct jit_engine *jit, struct cpu *cpu,
			  const struct run_control *control)
{
	const struct machine *machine = cpu->machine;

	if (!(cpu->rflags_rest & FLAG_RF) || (cpu->rflags_rest & FLAG_TF) || (cpu->dr7 & 0xff) ||
	    cpu->pending_db || memory_watch_hit(machine->memory, NULL) ||
	    cpu->activity != ACTIVITY_RUNNING || machine->icount >= control->until_icount ||
	    machine->crossing.n_answers || jit_window_is_open(cpu, control) ||
	    translator_has_breakpoint(jit->translator, cpu_linear_rip(cpu)))
		return;
	cpu->rflags_rest &= ~(uint64_t)FLAG_RF;
	cpu_update_mode(cpu);
}

/* How many instructions interp is to run after a slice. */
static uint64_t steps_after(uint64_t exit)
{
	switch (exit) {
	case RUNTIME_EXIT_POLL: /* less than a block is left */
		return UINT64_MAX;
	case RUNTIME_EXIT_LINK: /* to code that is not translated */
		return ASIDE_STEP;
	case RUNTIME_EXIT_HERE:
		return 0;
	default:
		return 1;
	}
}

/* How many instructions interp is to run where translated code may not. */
static uint64_t steps_untranslated(const struct cpu *cpu)
{
	if (cpu->shadow != SHADOW_NONE || cpu->pending_db)
		return 1;
	return cpu->attention ? ASIDE_STEP : FOREIGN_STEP;
}

/* Signals find a stack of their own: one that the thread has already, which is who made it's to
 * give back, or ours. */
static void give_signal_stack(void)
{
	static _Thread_local bool given;
	static _Thread_local uint8_t bytes[SIGNAL_STACK_BYTES];
	const stack_t stack = {.ss_sp = bytes, .ss_size = sizeof(bytes)};
	stack_t present;

	if (given)
		return;
	given = !sigaltstack(NULL, &present) &&
		(!(present.ss_flags & SS_DISABLE) || !sigaltstack(&stack, NULL));
}

/* A slice, a single instruction, or nothing. Returns how many steps are interp's next. */
static uint64_t advance(struct jit_engine *jit, struct cpu *cpu, const struct run_control *control)
{
	const struct machine *machine = jit->engine.machine;
	uint64_t steps = steps_untranslated(cpu), until = control->until_icount, exit;

	if (slice_is_possible(jit, cpu, control)) {
		steps = 1;
		if (!jit_is_others(cpu, control))
			steps = run_slice(jit, cpu, until, &exit) ? steps_after(exit) : ASIDE_STEP;
		if (steps == ASIDE_STEP && jit_step_is_due(jit->stepper, cpu))
			steps = 1;
	} else if (!step_is_possible(cpu, control)) {
		return steps;
	}
	return steps == 1 && machine->icount < until ? step(jit, cpu, until) : steps;
}

static enum engine_exit jit_run(struct engine *engine, const struct run_control *control)
{
	struct jit_engine *jit = (struct jit_engine *)engine;
	struct machine *machine = engine->machine;
	struct cpu *cpu = machine_current(machine);
	uint64_t first = machine->icount;
	bool single = control->skip_breakpoint;

	give_signal_stack();
	jit->control = control;
	jit->context->window = FLAG_VIF | FLAG_VIP | (control->interrupt_window ? FLAG_IF : 0);
	cpu_update_mode(cpu); /* another vCPU may have run in between */
	for (;;) {
		bool start = machine->icount == first;
		uint64_t steps = 1;
		/* Interp stops there. */
		bool stop = jit_is_others(cpu, control) && !(start && control->skip_user);
		if (!stop)
			jit_drop_resume_flag(jit, cpu, control);
		if (!single && !stop)
			steps = advance(jit, cpu, control);
		single = false;
		if (!steps)
			continue;
		enum engine_exit end = run_interp(jit, control, machine->icount == first, steps);
		if (end != ENGINE_LIMIT || machine->icount >= control->until_icount)
			return end;
	}
}

/* ---- the other functions ---- */

static void jit_flush(struct engine *engine)
{
	struct jit_engine *jit = (struct jit_engine *)engine;

	jit->interp->ops->flush(jit->interp);
	translator_flush(jit->translator);
}

static int jit_set_breakpoints(struct engine *engine, const uint64_t *linear, unsigned n)
{
	struct jit_engine *jit = (struct jit_engine *)engine;
	int r = translator_set_breakpoints(jit->translator, linear, n);

	return r ? r : jit->interp->ops->set_breakpoints(jit->interp, linear, n);
}

static unsigned jit_uses(const struct engine *engine, struct engine_use ret_uses[ENGINE_MAX_USES])
{
	const struct jit_engine *jit = (const struct jit_engine *)engine;

	ret_uses[0] = jit->in_jit;
	ret_uses[1] = jit->in_interp;
	return 2;
}

/* ---- life ---- */

/* Areas lie from RUNTIME_BASE downwards. */
static void *area_address(unsigned n)
{
	return (void *)(uintptr_t)(RUNTIME_BASE - n * RUNTIME_LINEAR_BYTES);
}

static int reserve_area(struct jit_engine *jit)
{
	for (unsigned i = 0; i < JIT_MAX; i++) {
		void *want = area_address(i);
		if (mmap(want, RUNTIME_LINEAR_BYTES, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
			 0) == want) {
			jit->area = want;
			return 0;
		}
	}
	return -EEXIST;
}

/* The contexts and the code, where translated code finds them. Code is written through the
 * translator's own mapping only. */
static int map_area(struct jit_engine *jit)
{
	static const struct {
		uint32_t offset, bytes;
		int protection;
	} parts[] = {
		{0, JIT_CONTEXT_OFFSET + PAGE_BYTES, PROT_READ | PROT_WRITE},
		{RUNTIME_CODE, RUNTIME_CODE_BYTES, PROT_READ | PROT_EXEC},
	};

	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		void *want = jit->area + parts[i].offset;
		if (mmap(want, parts[i].bytes, parts[i].protection, MAP_SHARED | MAP_FIXED,
			 translator_runtime_fd(jit->translator), parts[i].offset) != want)
			return -errno;
	}
	return 0;
}

static void jit_destroy(struct engine *engine)
{
	struct jit_engine *jit = (struct jit_engine *)engine;

	mmu_remove_listener(engine->machine->mmu, jit);
	if (jit->area)
		munmap(jit->area, RUNTIME_LINEAR_BYTES);
	translator_destroy(jit->translator);
	extents_destroy(jit->extents);
	jit_stepper_destroy(jit->stepper);
	engine_destroy(jit->interp);
	free(jit);
}

static int create_parts(struct jit_engine *jit, struct machine *machine)
{
	struct translator_config config = {
		.machine = machine,
		.writer = &jit_writer,
		.kernel = true,
		.flag = PAGE_JITTED,
		.cache_bytes = jit_options.cache_bytes,
		.ahead = 1,
		.max_insns = jit_options.max_insns,
		.distrust_host = jit_options.distrust_host,
		.loop_heat = jit_options.loop_heat,
		.hot_samples = jit_options.hot_samples,
		.hot_insns = jit_options.hot_insns,
	};
	const struct mmu_listener listener = {.flush_space = on_flush_space,
					      .flush_low = on_flush_low,
					      .drop_page = on_drop_page,
					      .protect = on_protect,
					      .ctx = jit};
	int r = engine_create(&interp_engine_ops, machine, &jit->interp);

	jit->stepper = jit_stepper_create();
	if (!r && !jit->stepper)
		r = -ENOMEM;
	if (!r)
		r = extents_create(jit_options.extents_soon ? &extent_rules_soon : &extent_rules,
				   &jit->extents);
	config.extents = jit->extents;
	if (!r)
		r = reserve_area(jit);
	config.base = (uint32_t)(uintptr_t)jit->area;
	if (!r)
		r = translator_create(&config, &jit->translator);
	if (!r)
		r = map_area(jit);
	if (r)
		return r;
	jit->context =
		(struct jit_context *)(translator_runtime(jit->translator) + JIT_CONTEXT_OFFSET);
	jit->context->engine = (uint64_t)(uintptr_t)jit;
	jit->context->fill = (uint64_t)(uintptr_t)fill;
	jit->context->ask = (uint64_t)(uintptr_t)ask;
	jit->context->transfer = (uint64_t)(uintptr_t)jit_transfer;
	memset(jit->context->heat, jit_options.loop_heat, sizeof(jit->context->heat));
	memset(jit->context->credit, LOOP_CREDIT, sizeof(jit->context->credit));
	return mmu_add_listener(machine->mmu, &listener);
}

static int jit_create(struct machine *machine, struct engine **ret_engine)
{
	struct jit_engine *jit = calloc(1, sizeof(*jit));

	if (!jit)
		return -ENOMEM;
	jit->engine = (struct engine){.ops = &jit_engine_ops, .machine = machine};
	jit->in_jit.name = "jit";
	jit->in_interp.name = "interp";
	int r = create_parts(jit, machine);
	if (r) {
		jit_destroy(&jit->engine);
		return r;
	}
	*ret_engine = &jit->engine;
	return 0;
}

const struct engine_ops jit_engine_ops = {
	.name = "jit",
	.create = jit_create,
	.destroy = jit_destroy,
	.run = jit_run,
	.flush = jit_flush,
	.set_breakpoints = jit_set_breakpoints,
	.uses = jit_uses,
};

static int jit_or_interp_create(struct machine *machine, struct engine **ret_engine)
{
	if (!jit_create(machine, ret_engine))
		return 0;
	return engine_create(&interp_engine_ops, machine, ret_engine);
}

/* The engine that is made has functions of its own. */
const struct engine_ops jit_or_interp_engine_ops = {
	.name = "auto",
	.create = jit_or_interp_create,
};
