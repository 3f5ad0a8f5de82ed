/* The machine's side of the vector comparison. */
#include "tests/cpu/vector_guest.h"

#include <string.h>

#include "vmm/cpu/exec.h"
#include "vmm/cpu/flags.h"
#include "vmm/cpu/vector/vector.h"

#define RAM_BYTES      UINT64_C(0x400000)
#define PML4_GPA       UINT64_C(0x1000)
#define PDPT_GPA       UINT64_C(0x2000)
#define PD_GPA         UINT64_C(0x3000)
#define PT_GPA         UINT64_C(0x4000)
#define DATA_GPA       UINT64_C(0x10000)
#define CODE_PT_GPA    UINT64_C(0x5000)
#define CODE_GPA       UINT64_C(0x20000)
#define IDT_GPA        UINT64_C(0x100000) /* supervisor memory lies at linear = physical */
#define TSS_GPA        UINT64_C(0x101000)
#define STACK_TOP      UINT64_C(0x103000)
#define GDT_GPA        UINT64_C(0x104000)
#define HANDLERS       UINT64_C(0x110000) /* of vector v: + 16 * v; a HLT stands there */
#define LOW_PT_GPA     UINT64_C(0x6000)
#define KERNEL_CS      0x10u
#define TSS_SELECTOR   0x20u
#define STEPS_MAX      1000
#define PTE_USER_WRITE 7u
#define PTE_WRITE      3u
#define PTE_USER_READ  5u

static void store64(struct machine *machine, uint64_t gpa, uint64_t value)
{
	memory_write(machine->memory, gpa, &value, sizeof(value));
}

static void map_data(struct machine *machine)
{
	static const uint64_t rights[] = {
		[VECTOR_PAGE_ABSENT] = 0,
		[VECTOR_PAGE_RW] = PTE_USER_WRITE,
		[VECTOR_PAGE_RO] = PTE_USER_READ,
	};

	store64(machine, PML4_GPA, PDPT_GPA | PTE_USER_WRITE);
	store64(machine, PDPT_GPA, PD_GPA | PTE_USER_WRITE);
	store64(machine, PD_GPA + 8 * (VECTOR_DATA >> 21), PT_GPA | PTE_USER_WRITE);
	for (uint64_t i = 0; i < VECTOR_PAGES; i++) {
		uint64_t right = rights[vector_pages[i]];
		store64(machine, PT_GPA + 8 * ((VECTOR_DATA >> 12 & 511) + i),
			right ? (DATA_GPA + i * 4096) | right : 0);
	}
}

static void enter_long_mode(struct cpu *cpu)
{
	const uint32_t data = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_ACCESSED |
			      SEG_ATTR_G | SEG_ATTR_DB | SEG_ATTR_DPL;
	const uint32_t code = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_RW |
			      SEG_ATTR_ACCESSED | SEG_ATTR_G | SEG_ATTR_L | SEG_ATTR_DPL;

	for (unsigned i = 0; i < 6; i++)
		cpu->seg[i] = (struct segment){.limit = UINT32_MAX, .attr = data};
	cpu->seg[SEG_CS].attr = code;
	cpu->cpl = 3;
	cpu->cr0 = CR0_PG | CR0_PE | CR0_NE | CR0_MP | CR0_ET | CR0_WP;
	cpu->cr3 = PML4_GPA;
	cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	cpu->efer = EFER_LME | EFER_LMA;
	cpu->xcr0 = 3;
	cpu->activity = ACTIVITY_RUNNING;
	cpu_update_mode(cpu);
}

int vector_guest_create(struct machine **ret_machine)
{
	const struct machine_config config = {
		.n_vcpus = 1,
		.cpu_model = "x86-64-v2",
		.regions = {{.kind = REGION_RAM, .gpa = 0, .bytes = RAM_BYTES}},
		.n_regions = 1,
	};
	int error = machine_create(&config, ret_machine);

	if (error)
		return error;
	map_data(*ret_machine);
	enter_long_mode(machine_current(*ret_machine));
	return 0;
}

uint8_t *vector_guest_data(struct machine *machine)
{
	return memory_page(machine->memory, DATA_GPA);
}

void vector_guest_load(struct machine *machine, const struct vector_start *start)
{
	const struct vector_state *in = &start->state;
	struct cpu *cpu = machine_current(machine);

	cpu->fx = in->fx;
	memcpy(cpu->gpr, in->gpr, sizeof(in->gpr));
	cpu->rip = VECTOR_CODE + in->rip;
	flags_set_arith(cpu, in->flags);
	memcpy(vector_guest_data(machine) + start->window, start->data, sizeof(start->data));
}

void vector_guest_save(struct machine *machine, struct vector_state *ret_state)
{
	const struct cpu *cpu = machine_current(machine);

	ret_state->fx = cpu->fx;
	memcpy(ret_state->gpr, cpu->gpr, sizeof(ret_state->gpr));
	ret_state->rip = cpu->rip - VECTOR_CODE;
	ret_state->flags = flags_arith(cpu);
}

/* The checks of an interpreter around the exec function. */
static bool run_checked(struct cpu *cpu, const struct insn *insn)
{
	const struct insn_row *row = insn_row(insn->mnemonic);

	if ((row->flags & (ROW_FPU | ROW_SSE)) && !vector_check_available(cpu, row->flags))
		return false;
	return row->exec(cpu, insn);
}

unsigned vector_guest_step(struct machine *machine, const struct insn *insn)
{
	struct cpu *cpu = machine_current(machine);
	bool retired;

	cpu->stop = CPU_STOP_NONE;
	cpu->next_rip = cpu->rip + insn->length;
	vector_enter(cpu);
	retired = run_checked(cpu, insn);
	vector_leave(cpu);
	if (retired)
		cpu->rip = cpu->next_rip;
	return retired ? VECTOR_RETIRED : cpu->fault.vector;
}

/* ---- by an engine ---- */

static void map_engine_pages(struct machine *machine)
{
	store64(machine, PD_GPA, LOW_PT_GPA | PTE_USER_WRITE);
	for (uint64_t page = IDT_GPA; page < IDT_GPA + 0x20000; page += 4096)
		store64(machine, LOW_PT_GPA + 8 * (page >> 12), page | PTE_WRITE);
	store64(machine, PD_GPA + 8 * (VECTOR_CODE >> 21), CODE_PT_GPA | PTE_USER_WRITE);
	store64(machine, CODE_PT_GPA, CODE_GPA | PTE_USER_WRITE);
}

/* SDM 3A 7.7 (TSS), 6.14.1 (64-bit interrupt gates). */
static void build_tables(struct machine *machine)
{
	struct cpu *cpu = machine_current(machine);

	store64(machine, GDT_GPA + KERNEL_CS, 0x00209b0000000000u);
	store64(machine, GDT_GPA + TSS_SELECTOR, 0x00008b0000000067u | TSS_GPA << 16);
	store64(machine, TSS_GPA + 4, STACK_TOP);
	for (uint64_t vector = 0; vector < 32; vector++) {
		uint64_t handler = HANDLERS + 16 * vector;
		uint64_t type = vector == VECTOR_BP ? 0xee00 : 0x8e00;
		store64(machine, IDT_GPA + 16 * vector,
			(handler & 0xffff) | KERNEL_CS << 16 | type << 32 | (handler >> 16) << 48);
		memory_write(machine->memory, handler, "\xf4", 1);
	}
	cpu->gdtr = (struct table_register){.base = GDT_GPA, .limit = 0x3f};
	cpu->idtr = (struct table_register){.base = IDT_GPA, .limit = 0x1ff};
	cpu->seg[SEG_TR] = (struct segment){
		.base = TSS_GPA, .limit = 0x67, .attr = 0x8b, .selector = TSS_SELECTOR};
}

int vector_guest_create_engine(struct machine *machine, const struct engine_ops *ops,
			       struct engine **ret_engine)
{
	map_engine_pages(machine);
	build_tables(machine);
	return engine_create(ops, machine, ret_engine);
}

/* Back from the handler to what it interrupted; the frame is that of SDM 3A figure 6-9. */
static void leave_handler(struct machine *machine, const struct segment *user,
			  struct vector_outcome *ret_outcome)
{
	struct cpu *cpu = machine_current(machine);
	uint64_t frame[6], *words = frame;

	ret_outcome->vector = (unsigned)((cpu->rip - HANDLERS) / 16);
	memory_read(machine->memory, cpu->gpr[RSP], frame, sizeof(frame));
	if (STACK_TOP - cpu->gpr[RSP] == 48)
		ret_outcome->error = (uint32_t)*words++;
	if (ret_outcome->vector == VECTOR_PF)
		ret_outcome->cr2 = cpu->cr2;
	memcpy(cpu->seg, user, 6 * sizeof(*user));
	cpu->rip = words[0];
	cpu->gpr[RSP] = words[3];
	cpu->cpl = 3;
	cpu->activity = ACTIVITY_RUNNING;
	cpu_set_rflags(cpu, words[2]);
	if (ret_outcome->vector != VECTOR_BP)
		return;
	ret_outcome->vector = VECTOR_RETIRED;
	cpu->rip--;
}

void vector_guest_run_engine(struct engine *engine, const uint8_t *code, unsigned n,
			     struct vector_outcome *ret_outcome)
{
	struct machine *machine = engine->machine;
	struct run_control control = {.until_icount = machine->icount + STEPS_MAX};
	struct cpu *cpu = machine_current(machine);
	struct segment user[6];

	memset(ret_outcome, 0, sizeof(*ret_outcome));
	memcpy(user, cpu->seg, sizeof(user));
	memory_write(machine->memory, CODE_GPA, code, n);
	memory_write(machine->memory, CODE_GPA + n, "\xcc", 1);
	cpu_update_mode(cpu);
	if (engine->ops->run(engine, &control) == ENGINE_HALTED)
		leave_handler(machine, user, ret_outcome);
	else
		ret_outcome->vector = VECTOR_DF;
	vector_guest_save(machine, &ret_outcome->state);
}
