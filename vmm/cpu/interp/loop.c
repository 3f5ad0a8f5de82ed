/* The reference engine: runs blocks until a limit or an exit. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cpu/breakpoints.h"
#include "vmm/cpu/interp/handler.h"
#include "vmm/cpu/system/system.h"
#include "vmm/cpu/vector/vector.h"

struct interp {
	struct engine engine;
	struct block_cache *cache;
	struct breakpoints breakpoints;
	bool unfinished; /* an instruction that has set A or D bits is to run again */
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
	breakpoints_finish(&interp->breakpoints);
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

/* ---- breakpoints ---- */

static int interp_set_breakpoints(struct engine *engine, const uint64_t *linear, unsigned n)
{
	struct interp *interp = (struct interp *)engine;
	struct breakpoints next;
	int r = breakpoints_init(&next, linear, n);

	if (r)
		return r;
	breakpoints_finish(&interp->breakpoints);
	interp->breakpoints = next;
	block_cache_set_breakpoints(interp->cache, next.linear, n);
	return 0;
}

static bool at_breakpoint(const struct interp *interp, const struct cpu *cpu)
{
	uint64_t linear = cpu_linear_rip(cpu);

	return breakpoints_lie_in(&interp->breakpoints, linear, linear);
}

/* ---- blocks ---- */

enum run_result {
	RUN_RETIRED,  /* everything up to the new rip */
	RUN_FAULTED,  /* the last step delivered an exception */
	RUN_CROSSING, /* the instruction at rip waits for its crossing's answer */
};

/* Runs one block and makes rip and icount exact again. Faults are delivered here. */
static enum run_result run_block(struct interp *interp, struct cpu *cpu, const struct block *block)
{
	struct machine *machine = cpu->machine;

	cpu->gpr[GPR_BLOCK] = cpu->rip;
	cpu->block_icount = machine->icount;
	const struct uop *uop = block->uops[0].fn(cpu, block->uops);
	uint64_t icount = cpu->block_icount;

	interp->unfinished = false;
	if (__builtin_expect(cpu->stop == CPU_STOP_NONE, 1)) {
		machine->icount = icount + block->n_insns;
		return RUN_RETIRED;
	}
	enum cpu_stop stop = cpu->stop;
	cpu->link = LINK_NONE;
	machine->icount = icount + uop->n;
	if (stop != CPU_STOP_RESYNC)
		memory_forget_watched_reads(machine->memory);
	if (stop == CPU_STOP_FAULT) {
		exception_deliver(cpu);
		cpu->stop = CPU_STOP_NONE;
		return RUN_FAULTED;
	}
	cpu->stop = CPU_STOP_NONE;
	if (stop == CPU_STOP_CROSSING)
		return RUN_CROSSING;
	interp->unfinished = stop == CPU_STOP_RETRY;
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

/* IRET gives RF a value of its own. */
static bool is_iret(const struct insn *insn)
{
	return insn && insn_row(insn->mnemonic)->exec == exec_iret;
}

/* One iteration of a repeat was done and more follow. */
static bool is_repeating(const struct cpu *cpu, const struct insn *insn, uint64_t rip)
{
	return insn && (insn->prefixes & (PREFIX_REP | PREFIX_REPNE)) && cpu->rip == rip;
}

/* A software interrupt or SYSCALL that has cleared TF is not followed by a single-step trap. */
static bool step_is_trapped(const struct cpu *cpu, const struct insn *insn)
{
	return (cpu->rflags_rest & FLAG_TF) || !insn || !debug_step_suppressed(insn);
}

/*
 * After the instruction at rip retired: what outlives exactly one instruction ends, a single-step
 * trap becomes pending (SDM 3B 17.3.1.4).
 */
static void finish_step(struct cpu *cpu, const struct insn *insn, uint64_t rip, uint8_t shadow,
			bool tf, bool rf)
{
	if (shadow != SHADOW_NONE && cpu->shadow == shadow)
		cpu->shadow = SHADOW_NONE;
	if (rf && !is_iret(insn) && !is_repeating(cpu, insn, rip))
		cpu->rflags_rest &= ~(uint64_t)FLAG_RF;
	if (tf && step_is_trapped(cpu, insn))
		cpu->pending_db |= DR6_BS;
	cpu_update_mode(cpu);
}

/* Carries the machine by one step, looking at everything. Returns false when it waits for a
 * crossing. */
static bool run_step(struct interp *interp, struct cpu *cpu)
{
	uint8_t shadow = cpu->shadow;
	bool tf = cpu->rflags_rest & FLAG_TF, rf = cpu->rflags_rest & FLAG_RF;

	if (cpu->pending_db && shadow != SHADOW_SS) {
		debug_raise_pending(cpu);
		fetch_fault(cpu);
		return true;
	}
	/* A load of SS suppresses the next instruction's breakpoint (SDM 3A 6.8.3). */
	if (!rf && shadow != SHADOW_SS && (cpu->dr7 & DR7_ENABLES) &&
	    debug_code_match(cpu, cpu_linear_rip(cpu))) {
		fetch_fault(cpu);
		return true;
	}
	uint64_t before = cpu->machine->icount, limit = cpu->until_icount;
	uint64_t pending_db = cpu->pending_db, rip = cpu->rip;
	const struct block *block = block_find(interp->cache, cpu, true);
	if (!block) {
		fetch_fault(cpu);
		return true;
	}
	cpu->stop = CPU_STOP_NONE;
	cpu->until_icount = before + 1; /* of a REP, one iteration */
	enum run_result result = run_block(interp, cpu, block);
	cpu->until_icount = limit;
	cpu->link = LINK_NONE;
	if (result == RUN_RETIRED && cpu->machine->icount != before)
		finish_step(cpu, block->uops[0].insn, rip, shadow, tf, rf);
	if (result !=
	    RUN_RETIRED) /* breakpoints count for what retires; a #DB has taken the older */
		cpu->pending_db &= pending_db;
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
	if (link && block && !block->crosses &&
	    generation == block_cache_generation(interp->cache) && last->valid)
		last->links[link] = block;
	return block;
}

/* A watchpoint was hit by what is done now; never inside a step. */
static bool watch_is_hit(const struct interp *interp)
{
	return !interp->unfinished && memory_watch_hit(interp->engine.machine->memory, NULL);
}

/* Fetching sets accessed bits unless it is known where all bytes that an instruction may have are.
 */
static bool is_fetched(const struct cpu *cpu)
{
	uint64_t linear = cpu_linear_rip(cpu);

	return tlb_exec_slot(cpu->tlb, linear)->tag == (linear & PAGE_MASK) &&
	       linear % PAGE_BYTES <= PAGE_BYTES - INSN_MAX_BYTES;
}

/* What ends the run before the next block is even fetched: that may be seen, and be a hit. */
static bool stops_in_front(const struct interp *interp, const struct cpu *cpu)
{
	return watch_is_hit(interp) ||
	       (interp->breakpoints.n && !is_fetched(cpu) && at_breakpoint(interp, cpu));
}

/* Runs whole blocks while nothing asks for attention; the hot loop. Returns false for a crossing.
 */
static bool run_blocks(struct interp *interp, struct cpu *cpu, const struct run_control *control)
{
	struct machine *machine = cpu->machine;
	bool windows = control->interrupt_window || control->nmi_window;
	bool watching = memory_is_watched(machine->memory);
	uint64_t generation = block_cache_generation(interp->cache), first = machine->icount;
	struct block *block = NULL;

	cpu->link = LINK_NONE;
	while (!cpu->attention) {
		if (UNLIKELY(windows) && window_open(cpu, control))
			return true;
		bool later = machine->icount != first;
		if (UNLIKELY(watching || interp->breakpoints.n) && later &&
		    stops_in_front(interp, cpu))
			return true;
		block = next_block(interp, cpu, block, generation);
		generation = block_cache_generation(interp->cache);
		if (UNLIKELY(!block)) {
			/* A breakpoint comes before the fault that fetching raises. */
			if (!later || !at_breakpoint(interp, cpu))
				fetch_fault(cpu);
			return true;
		}
		if (UNLIKELY(block->breakpoint) && later && at_breakpoint(interp, cpu))
			return true;
		if (UNLIKELY(watching) && memory_watch_hit(machine->memory, NULL)) {
			interp->unfinished = true;
			return true;
		}
		if (machine->icount + block->n_insns > control->until_icount)
			return true;
		cpu->stop = CPU_STOP_NONE;
		if (UNLIKELY(run_block(interp, cpu, block) == RUN_CROSSING))
			return false;
		if (machine->icount >= control->until_icount || (watching && interp->unfinished))
			return true;
	}
	return true;
}

/* Completes the instruction whose crossing was answered. */
static enum engine_exit resume_crossing(struct interp *interp, struct cpu *cpu)
{
	uint64_t before = cpu->machine->icount;

	do { /* answers last until the instruction has retired or faulted */
		if (!run_step(interp, cpu))
			return ENGINE_CROSSING;
	} while (cpu->machine->icount == before);
	cpu->machine->crossing.n_answers = 0;
	return memory_watch_hit(cpu->machine->memory, NULL) ? ENGINE_WATCHPOINT : ENGINE_RETIRED;
}

/*
 * RF alone changes nothing while no breakpoint is enabled. Dropped as the next instruction begins,
 * it lets what was left in the middle of a repeat go on at full speed; leaving it again sets it
 * again.
 */
static void drop_resume_flag(struct cpu *cpu)
{
	if ((cpu->rflags_rest & (FLAG_TF | FLAG_RF)) != FLAG_RF || (cpu->dr7 & DR7_ENABLES) ||
	    cpu->pending_db)
		return;
	cpu->rflags_rest &= ~(uint64_t)FLAG_RF;
	cpu_update_mode(cpu);
}

static bool user_is_next(const struct cpu *cpu)
{
	return cpu->user_stop && cpu->cpl == 3 &&
	       cpu->user_stop[mmu_selected_space(cpu->machine->mmu)];
}

static enum engine_exit run_inner(struct interp *interp, struct cpu *cpu,
				  const struct run_control *control)
{
	struct machine *machine = cpu->machine;
	uint64_t first = machine->icount;

	if (first < control->until_icount && machine->crossing.n_answers)
		return resume_crossing(interp, cpu);
	while (machine->icount < control->until_icount) {
		if (cpu->activity != ACTIVITY_RUNNING)
			return ENGINE_HALTED;
		if (watch_is_hit(interp))
			return ENGINE_WATCHPOINT;
		if (window_open(cpu, control))
			return ENGINE_WINDOW;
		bool unfinished = interp->unfinished && memory_watch_hit(machine->memory, NULL);
		bool breakpoint = interp->breakpoints.n && at_breakpoint(interp, cpu);
		if (breakpoint && !unfinished &&
		    !(control->skip_breakpoint && machine->icount == first))
			return ENGINE_BREAKPOINT;
		if (user_is_next(cpu) && !(control->skip_user && machine->icount == first))
			return ENGINE_USER;
		uint64_t before = machine->icount;
		drop_resume_flag(cpu);
		/* One step: an iteration of a repeat that has a breakpoint; an instruction whose
		 * accessed bits were a hit already. */
		bool single = breakpoint || unfinished;
		if (!cpu->attention && !single && !run_blocks(interp, cpu, control))
			return ENGINE_CROSSING;
		if (machine->icount != before || machine->icount >= control->until_icount)
			continue;
		if (!run_step(interp, cpu))
			return ENGINE_CROSSING;
	}
	if (watch_is_hit(interp))
		return ENGINE_WATCHPOINT;
	return cpu->activity != ACTIVITY_RUNNING ? ENGINE_HALTED : ENGINE_LIMIT;
}

static enum engine_exit interp_run(struct engine *engine, const struct run_control *control)
{
	struct interp *interp = (struct interp *)engine;
	struct cpu *cpu = machine_current(engine->machine);

	cpu->stop = CPU_STOP_NONE;
	cpu->until_icount = control->until_icount;
	cpu->user_stop = control->user_stop;
	cpu_update_mode(cpu); /* another vCPU may have run in between */
	vector_enter(cpu);
	enum engine_exit exit = run_inner(interp, cpu, control);
	vector_leave(cpu);
	cpu->user_stop = NULL;
	return exit;
}

const struct engine_ops interp_engine_ops = {
	.name = "interp",
	.create = interp_create,
	.destroy = interp_destroy,
	.run = interp_run,
	.flush = interp_flush,
	.set_breakpoints = interp_set_breakpoints,
};
