#include "tests/cpu/system_guest.h"

#include <stdlib.h>
#include <string.h>

uint64_t guest_load(struct guest *guest, uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	memory_read(guest->machine->memory, gpa, &value, size);
	return value;
}

void guest_store(struct guest *guest, uint64_t gpa, uint64_t value, unsigned size)
{
	memory_write(guest->machine->memory, gpa, &value, size);
}

void guest_descriptor(struct guest *guest, unsigned selector, uint32_t base, uint32_t limit,
		      uint8_t access, uint8_t flags)
{
	uint64_t low = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
		       (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 0xf) << 48 |
		       (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;

	guest_store(guest, GUEST_GDT + selector, low, 8);
}

void guest_gate(struct guest *guest, uint64_t gpa, uint16_t selector, uint64_t offset,
		uint8_t access, uint8_t extra)
{
	uint64_t low = (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)extra << 32 |
		       (uint64_t)access << 40 | (offset >> 16 & 0xffff) << 48;

	guest_store(guest, gpa, low, 8);
	if (cpu_long_mode(guest->cpu))
		guest_store(guest, gpa + 8, offset >> 32, 8);
}

/* ---- making ---- */

static void build_gdt(struct guest *guest)
{
	static const struct {
		uint8_t selector, access, flags;
		uint32_t limit;
	} rows[] = {
		{SEL_CODE0, 0x9b, 0xc, 0xfffff},        {SEL_DATA0, 0x93, 0xc, 0xfffff},
		{SEL_CODE3, 0xfb, 0xc, 0xfffff},        {SEL_DATA3, 0xf3, 0xc, 0xfffff},
		{SEL_LONG0, 0x9b, 0xa, 0xfffff},        {SEL_DATA0_LONG, 0x93, 0xc, 0xfffff},
		{SEL_LONG3, 0xfb, 0xa, 0xfffff},        {SEL_CONFORMING0, 0x9f, 0xc, 0xfffff},
		{SEL_ABSENT_DATA0, 0x13, 0xc, 0xfffff}, {SEL_EXECUTE_ONLY0, 0x99, 0xc, 0xfffff},
		{SEL_READ_ONLY0, 0x91, 0xc, 0xfffff},   {SEL_DATA1, 0xb3, 0xc, 0xfffff},
		{SEL_CODE1, 0xbb, 0xc, 0xfffff},        {SEL_CODE16, 0x9b, 0, 0xffff},
		{SEL_DATA16, 0x93, 0, 0xffff},          {SEL_ABSENT_CODE0, 0x1b, 0xc, 0xfffff},
		{SEL_DOWN0, 0x97, 0x4, 0xfff},          {SEL_FRESH_DATA0, 0x92, 0xc, 0xfffff},
		{SEL_FRESH_CODE0, 0x9a, 0xc, 0xfffff},  {SEL_ABSENT_DATA3, 0x73, 0xc, 0xfffff},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		guest_descriptor(guest, rows[i].selector, 0, rows[i].limit, rows[i].access,
				 rows[i].flags);
	guest_descriptor(guest, SEL_LDT, GUEST_LDT, 0x3f, 0x82, 0);
	guest_descriptor(guest, SEL_TSS, GUEST_TSS, 0xff, 0x8b, 0);
	guest_descriptor(guest, SEL_TSS2, GUEST_TSS2, 0xff, 0x89, 0);
	guest_descriptor(guest, SEL_TSS16, GUEST_TSS2, 0xff, 0x81, 0);
}

static void build_tss(struct guest *guest)
{
	if (cpu_long_mode(guest->cpu)) {
		guest_store(guest, GUEST_TSS + 4, GUEST_STACK0, 8);
		guest_store(guest, GUEST_TSS + 12, GUEST_STACK1, 8);
		guest_store(guest, GUEST_TSS + 36, GUEST_IST1, 8);
	} else {
		guest_store(guest, GUEST_TSS + 4, GUEST_STACK0, 4);
		guest_store(guest, GUEST_TSS + 8, SEL_DATA0, 2);
		guest_store(guest, GUEST_TSS + 12, GUEST_STACK1, 4);
		guest_store(guest, GUEST_TSS + 16, SEL_DATA1 | 1, 2);
	}
	guest_store(guest, GUEST_TSS + 0x66, 0x68, 2);
}

static void build_idt(struct guest *guest)
{
	bool wide = cpu_long_mode(guest->cpu);

	for (unsigned vector = 0; vector < 256; vector++) {
		if (guest->cpu->cr0 & CR0_PE)
			guest_gate(guest, GUEST_IDT_GATE(guest, vector),
				   wide ? SEL_LONG0 : SEL_CODE0, GUEST_HANDLER + 16 * vector, 0xee,
				   0);
		else
			guest_store(guest, GUEST_IVT + 4 * vector,
				    (uint64_t)(GUEST_HANDLER >> 4) << 16 | (16 * vector), 4);
	}
}

static void load(struct guest *guest, unsigned seg, uint16_t selector)
{
	uint64_t raw = guest_load(guest, GUEST_GDT + (selector & ~7u), 8);
	uint32_t limit = (uint32_t)((raw & 0xffff) | (raw >> 32 & 0xf0000));
	uint32_t attr = (uint32_t)(raw >> 40) & 0xf0ff;

	guest->cpu->seg[seg] = (struct segment){
		.base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000),
		.limit = attr & SEG_ATTR_G ? limit << 12 | 0xfff : limit,
		.attr = attr,
		.selector = selector,
	};
}

static void load_all(struct guest *guest, uint16_t code, uint16_t data)
{
	load(guest, SEG_CS, code);
	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
		if (seg != SEG_CS)
			load(guest, seg, data);
	}
	load(guest, SEG_TR, SEL_TSS);
	guest->cpu->seg[SEG_LDTR] = (struct segment){.attr = SEG_ATTR_NULL};
	guest->cpu->cpl = code & 3;
}

/* 2 MiB pages, user and writable. */
static void enter_long(struct guest *guest)
{
	struct cpu *cpu = guest->cpu;

	guest_store(guest, GUEST_TABLES, (GUEST_TABLES + 0x1000) | 7, 8);
	guest_store(guest, GUEST_TABLES + 0x1000, (GUEST_TABLES + 0x2000) | 7, 8);
	for (unsigned i = 0; i < 2; i++)
		guest_store(guest, GUEST_TABLES + 0x2000 + 8 * i, i * 0x200000 | 0x87, 8);
	cpu->cr3 = GUEST_TABLES;
	cpu->cr4 = CR4_PAE;
	cpu->cr0 |= CR0_PG;
	cpu->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
}

static void enter_real(struct guest *guest)
{
	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
		guest->cpu->seg[seg].selector = 0;
		guest->cpu->seg[seg].base = 0;
	}
	guest->cpu->seg[SEG_CS].selector = GUEST_CODE >> 4;
	guest->cpu->seg[SEG_CS].base = GUEST_CODE;
	guest->cpu->rip = 0;
	guest->cpu->gpr[RSP] = GUEST_STACK;
}

static void enter_v8086(struct guest *guest)
{
	struct cpu *cpu = guest->cpu;

	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++)
		cpu->seg[seg] = (struct segment){.limit = 0xffff, .attr = 0xf3};
	cpu->seg[SEG_CS].selector = GUEST_CODE >> 4;
	cpu->seg[SEG_CS].base = GUEST_CODE;
	cpu->rip = 0;
	cpu->cpl = 3;
}

static void enter_mode(struct guest *guest, enum guest_mode mode)
{
	static const struct {
		uint16_t code, data;
	} selectors[] = {
		[GUEST_V8086] = {SEL_CODE3 | 3, SEL_DATA3 | 3},
		[GUEST_PROTECTED0] = {SEL_CODE0, SEL_DATA0},
		[GUEST_PROTECTED3] = {SEL_CODE3 | 3, SEL_DATA3 | 3},
		[GUEST_LONG0] = {SEL_LONG0, SEL_DATA0},
		[GUEST_LONG3] = {SEL_LONG3 | 3, SEL_DATA3 | 3},
		[GUEST_COMPAT0] = {SEL_CODE0, SEL_DATA0},
		[GUEST_COMPAT3] = {SEL_CODE3 | 3, SEL_DATA3 | 3},
	};
	struct cpu *cpu = guest->cpu;

	cpu->idtr = (struct table_register){GUEST_IVT, 0x3ff};
	cpu->gdtr = (struct table_register){GUEST_GDT, SEL_END - 1};
	if (mode == GUEST_REAL) {
		enter_real(guest);
		return;
	}
	cpu->cr0 = CR0_PE | CR0_ET | CR0_NE;
	cpu->idtr = (struct table_register){GUEST_IDT, 0xfff};
	cpu->rip = GUEST_CODE;
	cpu->gpr[RSP] = GUEST_STACK;
	build_gdt(guest);
	if (mode >= GUEST_LONG0)
		enter_long(guest);
	load_all(guest, selectors[mode].code, selectors[mode].data);
	build_tss(guest);
	if (mode == GUEST_V8086)
		enter_v8086(guest);
}

void guest_create(struct guest *guest, enum guest_mode mode)
{
	struct machine_config config = {
		.n_vcpus = 1,
		.cpu_model = "x86-64-v2",
		.regions = {{REGION_RAM, 0, GUEST_RAM}},
		.n_regions = 1,
		.ports = {{0x70, 8}},
		.n_ports = 1,
	};

	memset(guest, 0, sizeof(*guest));
	if (machine_create(&config, &guest->machine) < 0) {
		printf("Bail out! no machine\n");
		exit(1);
	}
	guest->cpu = machine_current(guest->machine);
	enter_mode(guest, mode);
	build_idt(guest);
	cpu_set_rflags(guest->cpu, mode == GUEST_V8086 ? FLAG_VM : 0);
}

void guest_destroy(struct guest *guest)
{
	machine_destroy(guest->machine);
}

/* ---- running ---- */

static bool check_row(struct cpu *cpu, const struct insn_row *row)
{
	if ((row->flags & ROW_PROTECTED) && !cpu_protected(cpu))
		return raise_ud(cpu);
	if ((row->flags & ROW_CPL0) && cpu->cpl != 0)
		return raise_gp(cpu, 0);
	return true;
}

static bool execute(struct guest *guest, const struct insn *insn)
{
	const struct insn_row *row = insn_row(insn->mnemonic);
	struct crossing *crossing = &guest->machine->crossing;
	struct cpu *cpu = guest->cpu;

	crossing->n_answers = 0;
	for (;;) {
		crossing->n_used = 0;
		cpu->stop = CPU_STOP_NONE;
		cpu->next_rip = cpu->rip + insn->length;
		if (check_row(cpu, row) && row->exec(cpu, insn))
			return true;
		if (cpu->stop != CPU_STOP_CROSSING)
			return false;
		guest->crossed = crossing->request;
		crossing->answers[crossing->n_answers++] = guest->answer;
	}
}

struct outcome guest_run(struct guest *guest, const void *bytes, unsigned n)
{
	struct cpu *cpu = guest->cpu;
	struct insn insn;

	cpu->stop = CPU_STOP_NONE;
	guest->n_crossings = 0;
	if (insn_decode(bytes, n, cpu->mode, &insn) != INSN_OK)
		raise_ud(cpu);
	else if (execute(guest, &insn)) {
		guest->n_crossings = guest->machine->crossing.n_answers;
		guest->machine->crossing.n_answers = 0;
		guest->machine->crossing.n_used = 0;
		guest->machine->icount++;
		cpu->rip = cpu->next_rip;
		return (struct outcome){RETIRED, 0};
	}
	return (struct outcome){cpu->fault.vector, cpu->fault.has_error ? cpu->fault.error : 0};
}
