/*
 * The machine's side: user mode in long mode, with a GDT, an IDT and a TSS so that an engine can
 * deliver the faults. Nothing runs in supervisor mode: a delivered fault is read from its stack
 * frame.
 */
#include "tests/cpu/oracle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cpu/exec.h"
#include "vmm/cpu/flags.h"
#include "vmm/cpu/system/system.h"

#define RAM_BYTES      0x400000u
#define PML4_GPA       0x1000u
#define PDPT_GPA       0x2000u
#define PD_GPA         0x3000u
#define PT_LOW_GPA     0x4000u
#define PT_SANDBOX_GPA 0x5000u
#define SUPERVISOR_GPA 0x100000u /* mapped from here to the sandbox; nothing below */
#define IDT_GPA        0x100000u
#define TSS_GPA        0x101000u
#define STACK_TOP      0x103000u
#define GDT_GPA        0x104000u
#define LDT_GPA        0x105000u
#define HANDLERS       0x110000u /* of vector v: + 16 * v; a HLT stands there */

#define SELECTOR_KERNEL_CS 0x10
#define SELECTOR_TSS       0x40

#define PTE_P  1u
#define PTE_W  2u
#define PTE_U  4u
#define PTE_NX (UINT64_C(1) << 63)

struct guest {
	struct machine *machine;
	struct engine *engine;
	unsigned engine_runs;
	unsigned stride; /* guest_set_stride() */
	enum oracle_mode mode;
};

static void store64(struct guest *guest, uint64_t gpa, uint64_t value)
{
	memory_write(guest->machine->memory, gpa, &value, sizeof(value));
}

static void build_page_tables(struct guest *guest)
{
	static const uint64_t rights[] = {
		[ORACLE_PAGE_NONE] = 0,
		[ORACLE_PAGE_CODE] = PTE_P | PTE_U,
		[ORACLE_PAGE_RW] = PTE_P | PTE_U | PTE_W | PTE_NX,
		[ORACLE_PAGE_RO] = PTE_P | PTE_U | PTE_NX,
	};

	store64(guest, PML4_GPA, PDPT_GPA | PTE_P | PTE_W | PTE_U);
	store64(guest, PDPT_GPA, PD_GPA | PTE_P | PTE_W | PTE_U);
	store64(guest, PD_GPA, PT_LOW_GPA | PTE_P | PTE_W | PTE_U);
	store64(guest, PD_GPA + 8, PT_SANDBOX_GPA | PTE_P | PTE_W | PTE_U);
	for (uint64_t i = SUPERVISOR_GPA / 4096; i < 512; i++)
		store64(guest, PT_LOW_GPA + 8 * i, i * 4096 | PTE_P | PTE_W);
	for (uint64_t i = 0; i < ORACLE_BYTES / 4096; i++) {
		uint64_t right = rights[oracle_pages[i]];
		store64(guest, PT_SANDBOX_GPA + 8 * i,
			right ? (ORACLE_BASE + i * 4096) | right : 0);
	}
}

/* The segments as Linux has them in its GDT, and as oracle_native.c makes them in the LDT. */
static void build_segments(struct guest *guest)
{
	static const uint64_t gdt[] = {
		[1] = 0x00cf9b000000ffff, /* kernel code, 32-bit */
		[2] = 0x00af9b000000ffff, /* kernel code */
		[3] = 0x00cf93000000ffff, /* kernel data */
		[4] = 0x00cffb000000ffff, /* user code, 32-bit */
		[5] = 0x00cff3000000ffff, /* user data */
		[6] = 0x00affb000000ffff, /* user code */
		[8] = 0x00008b0000000067 | (uint64_t)TSS_GPA << 16,
		[15] = 0,
	};

	for (unsigned i = 0; i < sizeof(gdt) / sizeof(gdt[0]); i++)
		store64(guest, GDT_GPA + 8 * i, gdt[i]);
	store64(guest, LDT_GPA + 8,
		0x0000fb0000000000 | ORACLE_SEGMENT16_LIMIT | (uint64_t)ORACLE_BASE << 16);
	store64(guest, LDT_GPA + 16, 0x0000f3000000ffff | (uint64_t)ORACLE_BASE << 16);
}

/* SDM 3A 7.7 (TSS), 6.14.1 (64-bit interrupt gates). */
static void build_tables(struct guest *guest)
{
	build_segments(guest);
	store64(guest, TSS_GPA + 4, STACK_TOP);
	store64(guest, TSS_GPA + 0x60, UINT64_C(0x68) << 48); /* no I/O bitmap */
	for (uint64_t vector = 0; vector < 32; vector++) {
		uint64_t handler = HANDLERS + 16 * vector;
		uint64_t type = vector == VECTOR_BP || vector == VECTOR_OF ? 0xee00 : 0x8e00;
		store64(guest, IDT_GPA + 16 * vector,
			(handler & 0xffff) | SELECTOR_KERNEL_CS << 16 | type << 32 |
				(handler >> 16) << 48);
		memory_write(guest->machine->memory, handler, "\xf4", 1);
	}
}

static const struct segment user_segment[ORACLE_MODES] = {
	[ORACLE_64] = {.limit = UINT32_MAX, .attr = 0xc0f3, .selector = 0x2b},
	[ORACLE_32] = {.limit = UINT32_MAX, .attr = 0xc0f3, .selector = 0x2b},
	[ORACLE_16] = {.base = ORACLE_BASE, .limit = 0xffff, .attr = 0x00f3, .selector = 0x17},
};

static const struct segment user_code[ORACLE_MODES] = {
	[ORACLE_64] = {.limit = UINT32_MAX, .attr = 0xa0fb, .selector = 0x33},
	[ORACLE_32] = {.limit = UINT32_MAX, .attr = 0xc0fb, .selector = 0x23},
	[ORACLE_16] = {.base = ORACLE_BASE,
		       .limit = ORACLE_SEGMENT16_LIMIT,
		       .attr = 0x00fb,
		       .selector = 0x0f},
};

static const struct segment user_ldt = {
	.base = LDT_GPA, .limit = 23, .attr = SEG_ATTR_P | 2, .selector = 0x50};

static void load_system_state(struct cpu *cpu)
{
	cpu->cr0 = CR0_PE | CR0_PG | CR0_AM | CR0_WP | CR0_NE | CR0_MP | CR0_ET;
	cpu->cr3 = PML4_GPA;
	cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
	cpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	cpu->gdtr = (struct table_register){.base = GDT_GPA, .limit = 0x7f};
	cpu->idtr = (struct table_register){.base = IDT_GPA, .limit = 0x1ff};
	cpu->seg[SEG_TR] = (struct segment){
		.base = TSS_GPA, .limit = 0x67, .attr = 0x8b, .selector = SELECTOR_TSS};
	cpu->activity = ACTIVITY_RUNNING;
	cpu->shadow = SHADOW_NONE;
}

static void load_user_state(struct guest *guest, const struct oracle_state *in)
{
	struct cpu *cpu = machine_current(guest->machine);

	memcpy(cpu->gpr, in->gpr, sizeof(in->gpr));
	cpu->rip = in->rip;
	cpu->seg[SEG_GS] = (struct segment){.base = in->gs_base, .attr = SEG_ATTR_NULL};
	cpu->seg[SEG_LDTR] =
		guest->mode == ORACLE_16 ? user_ldt : (struct segment){.attr = SEG_ATTR_NULL};
	cpu->seg[SEG_CS] = user_code[guest->mode];
	cpu->seg[SEG_DS] = cpu->seg[SEG_ES] = cpu->seg[SEG_SS] = user_segment[guest->mode];
	cpu->cpl = 3;
	cpu->rflags_rest = FLAG_FIXED | FLAG_IF | (in->flags & ORACLE_FLAGS & ~FLAGS_ARITH);
	flags_set_arith(cpu, in->flags);
	cpu->activity = ACTIVITY_RUNNING;
	cpu->stop = CPU_STOP_NONE;
	cpu_update_mode(cpu);
}

static void save_user_state(const struct cpu *cpu, struct oracle_state *ret_out)
{
	memset(ret_out, 0, sizeof(*ret_out));
	memcpy(ret_out->gpr, cpu->gpr, sizeof(ret_out->gpr));
	ret_out->rip = cpu->rip;
	ret_out->flags = flags_arith(cpu) | (uint32_t)(cpu->rflags_rest & ORACLE_FLAGS);
	ret_out->vector = ORACLE_RETIRED;
	ret_out->gs_base = cpu->seg[SEG_GS].base;
	for (unsigned i = SEG_ES; i <= SEG_DS; i++)
		ret_out->selector[i] = cpu->seg[i].selector;
}

int guest_create(const struct engine_ops *engine, struct guest **ret_guest)
{
	const struct machine_config config = {
		.n_vcpus = 1,
		.cpu_model = "x86-64-v2",
		.regions = {{.kind = REGION_RAM, .gpa = 0, .bytes = RAM_BYTES}},
		.n_regions = 1,
	};
	struct guest *guest = calloc(1, sizeof(*guest));
	int error;

	if (!guest)
		return -ENOMEM;
	error = machine_create(&config, &guest->machine);
	if (!error && engine)
		error = engine_create(engine, guest->machine, &guest->engine);
	if (error) {
		guest_destroy(guest);
		return error;
	}
	build_page_tables(guest);
	build_tables(guest);
	load_system_state(machine_current(guest->machine));
	for (uint32_t i = 0; i < 4096; i++)
		guest_load(guest, ORACLE_CODE_PAGE + i, "\xcc", 1);
	*ret_guest = guest;
	return 0;
}

void guest_destroy(struct guest *guest)
{
	if (!guest)
		return;
	engine_destroy(guest->engine);
	machine_destroy(guest->machine);
	free(guest);
}

struct engine *guest_engine(const struct guest *guest)
{
	return guest->engine;
}

void guest_set_mode(struct guest *guest, enum oracle_mode mode)
{
	guest->mode = mode;
}

void guest_set_stride(struct guest *guest, unsigned n)
{
	guest->stride = n;
}

void guest_load(struct guest *guest, uint32_t offset, const void *data, uint32_t n)
{
	memory_write(guest->machine->memory, ORACLE_BASE + offset, data, n);
}

const uint8_t *guest_page(const struct guest *guest, uint32_t offset)
{
	return memory_page(guest->machine->memory, ORACLE_BASE + offset);
}

/* What the delivery of a fault pushed, lowest address first (SDM 3A 6.14.2). */
static void read_frame(struct guest *guest, struct oracle_state *ret_out)
{
	const struct cpu *cpu = machine_current(guest->machine);
	uint64_t word[6];
	unsigned n = 0;

	ret_out->vector = (uint8_t)((cpu->rip - HANDLERS) / 16);
	memory_read(guest->machine->memory, cpu->gpr[RSP], word, sizeof(word));
	if (STACK_TOP - cpu->gpr[RSP] == 48)
		ret_out->error = (uint32_t)word[n++];
	ret_out->rip = word[n];
	ret_out->flags = (uint32_t)word[n + 2] & ORACLE_FLAGS;
	ret_out->gpr[RSP] = word[n + 3];
	ret_out->selector[SEG_CS] = (uint16_t)word[n + 1];
	ret_out->selector[SEG_SS] = (uint16_t)word[n + 4];
	ret_out->address = ret_out->vector == VECTOR_PF ? cpu->cr2 : 0;
	if (ret_out->vector == VECTOR_BP) {
		ret_out->vector = ORACLE_RETIRED;
		ret_out->rip--;
	}
}

/* ---- by exec functions ---- */

static bool repeats(const struct insn *insn)
{
	return (insn_row(insn->mnemonic)->flags & ROW_REP) &&
	       (insn->prefixes & (PREFIX_REP | PREFIX_REPNE));
}

static bool compares(const struct insn *insn)
{
	exec_fn *exec = insn_row(insn->mnemonic)->exec;

	return insn->opcode >= 0xa6 && exec && (insn->opcode < 0xa8 || insn->opcode >= 0xae);
}

/* SDM 2 "REP/REPE/REPZ/REPNE/REPNZ". */
static bool run_repeated(struct cpu *cpu, const struct insn *insn)
{
	if (!port_check_repeat(cpu, insn))
		return false;
	while (gpr_read(cpu, RCX, insn->addr_size) != 0) {
		if (!insn_row(insn->mnemonic)->exec(cpu, insn))
			return false;
		gpr_write(cpu, RCX, insn->addr_size, cpu->gpr[RCX] - 1);
		if (compares(insn) && flag_zf(cpu) != !!(insn->prefixes & PREFIX_REP))
			break;
	}
	return true;
}

static bool run_exec(struct cpu *cpu, const uint8_t *code)
{
	const struct insn_row *row;
	struct insn insn;

	if (insn_decode(code, INSN_MAX_BYTES, cpu->mode, &insn) != INSN_OK)
		return raise_ud(cpu);
	row = insn_row(insn.mnemonic);
	if ((row->flags & ROW_CPL0) && cpu->cpl != 0)
		return raise_gp(cpu, 0);
	cpu->next_rip = cpu->rip + insn.length;
	if (repeats(&insn) ? !run_repeated(cpu, &insn) : !row->exec(cpu, &insn))
		return false;
	cpu->rip = cpu->next_rip;
	return true;
}

/* True when the next instruction can be fetched. */
static bool fetch(struct cpu *cpu)
{
	return linear_probe(cpu, cpu->seg[SEG_CS].base + cpu->rip, 1, ACCESS_EXEC,
			    PRIVILEGE_CURRENT);
}

static void run_directly(struct guest *guest, struct oracle_state *ret_out)
{
	struct cpu *cpu = machine_current(guest->machine);
	uint64_t at = oracle_segment_base(guest->mode) + cpu->rip - ORACLE_BASE;
	const uint8_t *code = guest_page(guest, (uint32_t)at & ~4095u) + at % 4096;
	bool retired = run_exec(cpu, code) && (cpu->cpl == 0 || fetch(cpu));

	save_user_state(cpu, ret_out);
	if (retired && cpu->cpl == 0) /* a software interrupt */
		read_frame(guest, ret_out);
	if (retired)
		return;
	ret_out->vector = cpu->fault.vector;
	if (cpu->fault.has_error)
		ret_out->error = cpu->fault.error;
	if (cpu->fault.vector == VECTOR_PF)
		ret_out->address = cpu->fault.address;
	cpu->stop = CPU_STOP_NONE;
}

/* ---- by an engine ---- */

/* More steps than any case takes. */
#define STEPS_MAX 10000

/* Branches end on every byte of the code page; this keeps the engine's list of entries there short.
 */
#define RUNS_TO_FLUSH 100

/* Runs freely, so that the instruction stands in a block as in real code, up to the handler's HLT.
 */
static void run_engine(struct guest *guest, struct oracle_state *ret_out)
{
	uint64_t until_icount = guest->machine->icount + STEPS_MAX;
	enum engine_exit why = ENGINE_LIMIT;

	if (guest->engine_runs++ % RUNS_TO_FLUSH == 0)
		guest->engine->ops->flush(guest->engine);
	while (why == ENGINE_LIMIT && guest->machine->icount < until_icount) {
		unsigned n = guest->stride ? guest->stride : STEPS_MAX;
		struct run_control control = {.until_icount = guest->machine->icount + n};
		why = guest->engine->ops->run(guest->engine, &control);
	}

	save_user_state(machine_current(guest->machine), ret_out);
	if (why == ENGINE_HALTED)
		read_frame(guest, ret_out);
	else
		ret_out->vector = VECTOR_DF;
}

void guest_run(struct guest *guest, const struct oracle_state *in, struct oracle_state *ret_out)
{
	load_user_state(guest, in);
	if (guest->engine)
		run_engine(guest, ret_out);
	else
		run_directly(guest, ret_out);
}
