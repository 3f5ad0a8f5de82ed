/* The reference engine: runs blocks until a limit or an exit. */
#include <errno.h>
#include <stdlib.h>

#include "vmm/cpu/interp/handler.h"
#include "vmm/cpu/system/system.h"
#include "vmm/cpu/vector/vector.h"

struct interp {
	struct engine engine;
	struct block_cache *cache;
};

static int interp_create(struct machine *machine, struct engine **ret_engine)
{
	struct interp *interp = calloc(1, sizeof(*interp));

	if (!interp)
		return -ENOMEM;
	int r = block_cache_create(machine, &interp->cache);
	if (r) {
		free(interp);
		return r;
	}
	interp->engine.ops = &interp_engine_ops;
	interp->engine.machine = machine;
	*ret_engine = &interp->engine;
	return 0;
}

static void interp_destroy(struct engine *engine)
{
	struct interp *interp = (struct interp *)engine;

	block_cache_destroy(interp->cache);
	free(interp);
}

static void interp_flush(struct engine *engine)
{
	struct interp *interp = (struct interp *)engine;

	mmu_flush(engine->machine->mmu);
	block_cache_flush(interp->cache);
	for (uint32_t i = 0; i < engine->machine->config.n_vcpus; i++)
		cpu_update_mode(&engine->machine->vcpu[i]);
}

enum run_result {
	RUN_RETIRED,  /* everything up to the new rip */
	RUN_FAULTED,  /* the last step delivered an exception */
	RUN_CROSSING, /* the instruction at rip waits for its crossing's answer */
};

/* Runs one block and makes rip and icount exact again. Faults are delivered here. */
static enum run_result run_block(struct cpu *cpu, const struct block *block)
{
	struct machine *machine = cpu->machine;

	cpu->gpr[GPR_BLOCK] = cpu->rip;
	cpu->block_icount = machine->icount;
	const struct uop *uop = block->uops[0].fn(cpu, block->uops);
	uint64_t icount = cpu->block_icount;

	if (__builtin_expect(cpu->stop == CPU_STOP_NONE, 1)) {
		machine->icount = icount + block->n_insns;
		return RUN_RETIRED;
	}
	enum cpu_stop stop = cpu->stop;
	cpu->link = LINK_NONE;
	machine->icount = icount + uop->n;
	if (stop == CPU_STOP_FAULT) {
		exception_deliver(cpu);
		cpu->stop = CPU_STOP_NONE;
		return RUN_FAULTED;
	}
	cpu->stop = CPU_STOP_NONE;
	if (stop == CPU_STOP_CROSSING)
		return RUN_CROSSING;
	if (stop == CPU_STOP_RESYNC) {
		cpu->rip = cpu->next_rip;
		machine->icount++;
	}
	return RUN_RETIRED;
}

/* A fault met while fetching is that of the instruction at rip. */
static void fetch_fault(struct cpu *cpu)
{
	cpu->link = LINK_NONE;
	exception_deliver(cpu);
	cpu->stop = CPU_STOP_NONE;
}

static exec_fn *exec_of(const struct block *block)
{
	const struct insn *insn = block->uops[0].insn;
	return insn ? insn_row(insn->mnemonic)->exec : NULL;
}

/* Instructions that enter a handler with TF clear are not followed by a single-step trap. */
static bool suppresses_trap(exec_fn *exec)
{
	return exec == exec_int || exec == exec_int1 || exec == exec_int3 || exec == exec_into ||
	       exec == exec_syscall;
}

/*
 * After an instruction retired: what outlives exactly one instruction ends, a single-step trap
 * becomes pending (SDM 3B 17.3.1.4).
 */
static void finish_step(struct cpu *cpu, const struct block *block, uint8_t shadow, bool tf,
			bool rf)
{
	if (shadow != SHADOW_NONE && cpu->shadow == shadow)
		cpu->shadow = SHADOW_NONE;
	if (rf && exec_of(block) != exec_iret)
		cpu->rflags_rest &= ~(uint64_t)FLAG_RF;
	if (tf && !suppresses_trap(exec_of(block)))
		cpu->pending_db |= DR6_BS;
	cpu_update_mode(cpu);
}

/* Carries the machine by one step, looking at everything. Returns false when it waits for a
 * crossing. */
static bool run_step(struct interp *interp, struct cpu *cpu)
{
	uint8_t shadow = cpu->shadow;
	bool tf = cpu->rflags_rest & FLAG_TF, rf = cpu->rflags_rest & FLAG_RF;
	uint64_t linear = cpu_code64(cpu) ? cpu->rip : (uint32_t)(cpu->seg[SEG_CS].base + cpu->rip);

	if (cpu->pending_db && shadow != SHADOW_SS) {
		debug_raise_pending(cpu);
		fetch_fault(cpu);
		return true;
	}
	if (!rf && (cpu->dr7 & DR7_ENABLES) && debug_code_match(cpu, linear)) {
		fetch_fault(cpu);
		return true;
	}
	uint64_t before = cpu->machine->icount, limit = cpu->until_icount;
	const struct block *block = block_find(interp->cache, cpu, true);
	if (!block) {
		fetch_fault(cpu);
		return true;
	}
	cpu->stop = CPU_STOP_NONE;
	cpu->until_icount = before + 1; /* of a REP, one iteration */
	enum run_result result = run_block(cpu, block);
	cpu->until_icount = limit;
	cpu->link = LINK_NONE;
	if (result == RUN_RETIRED && cpu->machine->icount != before)
		finish_step(cpu, block, shadow, tf, rf);
	return result != RUN_CROSSING;
}

static bool window_open(const struct cpu *cpu, const struct run_control *control)
{
	return (control->interrupt_window && cpu_can_take_interrupt(cpu)) ||
	       (control->nmi_window && cpu_can_take_nmi(cpu));
}

/* The block to run next: the one that the last block links to, or the one found at rip. */
static struct block *next_block(struct interp *interp, struct cpu *cpu, struct block *last,
				uint64_t generation)
{
	uint8_t link = cpu->link;

	cpu->link = LINK_NONE;
	if (link && last->links[link] && last->links[link]->valid)
		return last->links[link];
	struct block *block = block_find(interp->cache, cpu, false);
	if (link && block && !block->second_gpa &&
	    generation == block_cache_generation(interp->cache) && last->valid)
		last->links[link] = block;
	return block;
}

/* Runs whole blocks while nothing asks for attention; the hot loop. Returns false for a crossing.
 */
static bool run_blocks(struct interp *interp, struct cpu *cpu, const struct run_control *control)
{
	struct machine *machine = cpu->machine;
	bool watch = control->interrupt_window || control->nmi_window;
	uint64_t generation = block_cache_generation(interp->cache);
	struct block *block = NULL;

	cpu->link = LINK_NONE;
	while (!cpu->attention) {
		if (UNLIKELY(watch) && window_open(cpu, control))
			return true;
		block = next_block(interp, cpu, block, generation);
		generation = block_cache_generation(interp->cache);
		if (UNLIKELY(!block)) {
			fetch_fault(cpu);
			if (machine->icount >= control->until_icount)
				return true;
			continue;
		}
		if (machine->icount + block->n_insns > control->until_icount)
			return true;
		cpu->stop = CPU_STOP_NONE;
		if (UNLIKELY(run_block(cpu, block) == RUN_CROSSING))
			return false;
		if (machine->icount >= control->until_icount)
			return true;
	}
	return true;
}

static enum engine_exit run_inner(struct interp *interp, struct cpu *cpu,
				  const struct run_control *control)
{
	struct machine *machine = cpu->machine;

	if (machine->icount < control->until_icount && machine->crossing.n_answers) {
		bool done = run_step(interp, cpu);
		if (!done)
			return ENGINE_CROSSING;
		machine->crossing.n_answers = 0;
		return ENGINE_RETIRED;
	}
	while (machine->icount < control->until_icount) {
		if (cpu->activity != ACTIVITY_RUNNING)
			return ENGINE_HALTED;
		if (window_open(cpu, control))
			return ENGINE_WINDOW;
		uint64_t before = machine->icount;
		if (!cpu->attention && !run_blocks(interp, cpu, control))
			return ENGINE_CROSSING;
		if (machine->icount != before || machine->icount >= control->until_icount)
			continue;
		if (!run_step(interp, cpu))
			return ENGINE_CROSSING;
	}
	return cpu->activity != ACTIVITY_RUNNING ? ENGINE_HALTED : ENGINE_LIMIT;
}

static enum engine_exit interp_run(struct engine *engine, const struct run_control *control)
{
	struct interp *interp = (struct interp *)engine;
	struct cpu *cpu = machine_current(engine->machine);

	cpu->stop = CPU_STOP_NONE;
	cpu->until_icount = control->until_icount;
	cpu_update_mode(cpu); /* another vCPU may have run in between */
	vector_enter(cpu);
	enum engine_exit exit = run_inner(interp, cpu, control);
	vector_leave(cpu);
	return exit;
}

const struct engine_ops interp_engine_ops = {
	.name = "interp",
	.create = interp_create,
	.destroy = interp_destroy,
	.run = interp_run,
	.flush = interp_flush,
};
