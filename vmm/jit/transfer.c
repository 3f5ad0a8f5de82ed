/*
 * SYSCALL, SYSRET and IRET: carried out by their exec functions, which translated code calls with
 * most registers left in the host's, and code on the other side gone on with.
 */
#include "vmm/cpu/exec.h"
#include "vmm/cpu/flags.h"
#include "vmm/jit/code.h"
#include "vmm/jit/engine.h"

/* Registers that these instructions read or write. */
static const uint8_t registers[] = {RCX, RSP, R11};

static void take_registers(struct cpu *cpu, const struct runtime_context *runtime)
{
	for (unsigned i = 0; i < sizeof(registers); i++)
		cpu->gpr[registers[i]] = runtime->gpr[registers[i]];
	flags_set_arith(cpu, (uint32_t)jit_unpack_flags(runtime->scratch[SCRATCH_FLAGS]));
}

static void give_registers(const struct cpu *cpu, struct runtime_context *runtime,
			   struct jit_context *context)
{
	for (unsigned i = 0; i < sizeof(registers); i++)
		runtime->gpr[registers[i]] = cpu->gpr[registers[i]];
	runtime->scratch[SCRATCH_FLAGS] = jit_pack_flags(cpu_rflags(cpu));
	runtime->fs_base = cpu->seg[SEG_FS].base;
	context->gs_base = cpu->seg[SEG_GS].base;
}

/* Returns false when interp, or a single step, is to find out what happens instead. */
static bool carry_out(struct jit_engine *jit, struct cpu *cpu)
{
	static const struct insn insn = {.op_size = 8};

	mmu_select(cpu); /* AC may have changed */
	jit->selected = true;
	cpu->next_rip = jit->context->next_rip;
	cpu->machine->crossing.n_used = 0;
	cpu->stop = CPU_STOP_NONE;
	bool retired = insn_row((uint16_t)jit->context->mnemonic)->exec(cpu, &insn);
	cpu->stop = CPU_STOP_NONE;
	if (retired)
		cpu->rip = cpu->next_rip;
	return retired;
}

/* What is between two slices, without leaving this one. */
static bool may_go_on(struct jit_engine *jit, struct cpu *cpu)
{
	if (jit_is_others(cpu, jit->control))
		return false;
	if ((int64_t)translator_context(jit->translator)->count < 0)
		jit_drop_resume_flag(jit, cpu, jit->control);
	return !jit_window_is_open(cpu, jit->control);
}

uint64_t jit_transfer(void *engine)
{
	struct jit_engine *jit = engine;
	struct cpu *cpu = machine_current(jit->engine.machine);
	struct runtime_context *runtime = translator_context(jit->translator);
	uint64_t entry = 0;

	if (memory_is_watched(jit->engine.machine->memory)) /* IRET may hit what is watched */
		return jit->context->slow;
	take_registers(cpu, runtime);
	if (!carry_out(jit, cpu))
		return jit->context->slow;
	give_registers(cpu, runtime, jit->context);
	if (may_go_on(jit, cpu)) {
		jit_select_table(jit, cpu);
		entry = translator_noted(jit->translator, cpu);
	}
	return entry ? entry : translator_leave_address(jit->translator, RUNTIME_EXIT_HERE);
}
