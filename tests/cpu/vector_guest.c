/* The machine's side of the vector comparison. */
#include "tests/cpu/vector_guest.h"

#include "vmm/cpu/exec.h"
#include "vmm/cpu/vector/vector.h"

#define RAM_BYTES      UINT64_C(0x400000)
#define PML4_GPA       UINT64_C(0x1000)
#define PDPT_GPA       UINT64_C(0x2000)
#define PD_GPA         UINT64_C(0x3000)
#define PT_GPA         UINT64_C(0x4000)
#define DATA_GPA       UINT64_C(0x10000)
#define PTE_USER_WRITE 7u

static void store64(struct machine *machine, uint64_t gpa, uint64_t value)
{
	memory_write(machine->memory, gpa, &value, sizeof(value));
}

/* Maps the one page at VECTOR_DATA; those around it are absent. */
static void map_data(struct machine *machine)
{
	store64(machine, PML4_GPA, PDPT_GPA | PTE_USER_WRITE);
	store64(machine, PDPT_GPA, PD_GPA | PTE_USER_WRITE);
	store64(machine, PD_GPA + 8 * (VECTOR_DATA >> 21), PT_GPA | PTE_USER_WRITE);
	store64(machine, PT_GPA + 8 * ((VECTOR_DATA >> 12) & 511), DATA_GPA | PTE_USER_WRITE);
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

/* The checks of an interpreter around the exec function. */
static bool run_checked(struct cpu *cpu, const struct insn *insn)
{
	const struct insn_row *row = insn_row(insn->mnemonic);

	if ((row->flags & (ROW_FPU | ROW_SSE)) && !vector_check_available(cpu, row->flags))
		return false;
	return row->exec(cpu, insn);
}

unsigned vector_guest_run(struct machine *machine, const uint8_t *bytes, unsigned n)
{
	struct cpu *cpu = machine_current(machine);
	struct insn insn;
	bool retired;

	cpu->stop = CPU_STOP_NONE;
	if (insn_decode(bytes, n, cpu->mode, &insn) != INSN_OK)
		return VECTOR_UD;
	cpu->next_rip = cpu->rip + insn.length;
	vector_enter(cpu);
	retired = run_checked(cpu, &insn);
	vector_leave(cpu);
	return retired ? VECTOR_RETIRED : cpu->fault.vector;
}
