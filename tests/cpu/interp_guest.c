#include "tests/cpu/interp_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#define PML4       0x1000u
#define PDPT       0x2000u
#define PD         0x3000u
#define HIGH_PDPT  0x50000u
#define HIGH_PD    0x51000u
#define LOW_TABLES 0x52000u /* two */
#define IST        0x1f000u /* top of the handlers' stack */
#define COMMON     (RIG_HANDLERS + 0x1800u)
#define SYSTEM     (RIG_HANDLERS + 0x1900u) /* where SYSCALL leads */

const struct engine_ops *rig_engine = &interp_engine_ops;

void rig_load(struct rig *rig, uint64_t gpa, const void *bytes, uint32_t n)
{
	memory_write(rig->machine->memory, gpa, bytes, n);
}

void rig_store64(struct rig *rig, uint64_t gpa, uint64_t value)
{
	rig_load(rig, gpa, &value, 8);
}

uint64_t rig_fetch(struct rig *rig, uint64_t gpa, unsigned size)
{
	uint64_t value = 0;
	memory_read(rig->machine->memory, gpa, &value, size);
	return value;
}

static void build_tables(struct rig *rig)
{
	rig_store64(rig, PML4, PDPT | 7);
	rig_store64(rig, PDPT, PD | 7);
	rig_store64(rig, PD, RIG_PT | 7);
	rig_store64(rig, PD + 8, RIG_ALIAS_PT | 7);
	for (uint64_t i = 0; i < 512; i++)
		rig_store64(rig, RIG_PT + 8 * i, i << 12 | 7);
	for (uint64_t i = 0; i < 4; i++) {
		rig_store64(rig, RIG_ALIAS_PT + 8 * i, (RIG_CODE + i * 0x1000) | 7);
		rig_store64(rig, RIG_ALIAS_PT + 8 * (4 + i), (RIG_DATA + i * 0x1000) | 7);
	}
	rig_store64(rig, RIG_ALIAS_PT + 8 * 8, RIG_DEVICE | 7);
}

void rig_map_high(struct rig *rig)
{
	static const uint32_t tables[] = {RIG_PT, RIG_ALIAS_PT};

	rig_store64(rig, PML4 + 8 * (RIG_HIGH >> 39), HIGH_PDPT | 7);
	rig_store64(rig, HIGH_PDPT, HIGH_PD | 7);
	for (uint64_t i = 0; i < 2; i++) {
		uint64_t copy = LOW_TABLES + i * PAGE_BYTES;
		for (uint64_t at = 0; at < PAGE_BYTES; at += 8)
			rig_store64(rig, copy + at, rig_fetch(rig, tables[i] + at, 8));
		rig_store64(rig, HIGH_PD + 8 * i, tables[i] | 7);
		rig_store64(rig, PD + 8 * i, copy | 7);
	}
}

static bool has_error_code(unsigned vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static void build_handler(struct rig *rig, unsigned vector)
{
	uint64_t at = RIG_HANDLERS + 32 * vector;
	uint32_t counter = RIG_COUNTERS + 4 * vector, rel;
	uint8_t code[32] = {0};
	unsigned n = 0;

	if (vector == 1 || vector == 3 || vector == RIG_VECTOR_SOFT) {
		memcpy(code, "\xff\x04\x25", 3); /* inc dword [counter] */
		memcpy(code + 3, &counter, 4);
		n = 7;
		if (vector == 1) { /* set RF: or byte [rsp + 18], 1 */
			memcpy(code + n, "\x80\x4c\x24\x12\x01", 5);
			n += 5;
		}
		memcpy(code + n, "\x48\xcf", 2); /* iretq */
	} else {
		if (has_error_code(vector)) { /* add rsp, 8 */
			memcpy(code, "\x48\x83\xc4\x08", 4);
			n = 4;
		}
		code[n] = 0xe9;
		rel = (uint32_t)(COMMON - (at + n + 5));
		memcpy(code + n + 1, &rel, 4);
	}
	rig_load(rig, at, code, sizeof(code));
}

static void build_idt(struct rig *rig)
{
	/* inc r15d; and r15d, 63; mov rax, [r15*8 + SLOTS]; mov [rsp], rax; mov qword [rsp+24],
	 * STACK; mov ebx, DATA + 0x1800; mov ebp, ALIAS_DATA + 0x1800; mov r12d, CODE + 0x2000; mov
	 * r13d, ALIAS_CODE + 0x2000; mov r14d, ALIAS_PT; iretq */
	static const uint8_t common[] = {0x41, 0xff, 0xc7, 0x41, 0x83, 0xe7, 0x3f, 0x4a, 0x8b, 0x04,
					 0xfd, 0x00, 0x20, 0x01, 0x00, 0x48, 0x89, 0x04, 0x24, 0x48,
					 0xc7, 0x44, 0x24, 0x18, 0xf0, 0xff, 0x03, 0x00, 0xbb, 0x00,
					 0x18, 0x03, 0x00, 0xbd, 0x00, 0x58, 0x20, 0x00, 0x41, 0xbc,
					 0x00, 0x20, 0x02, 0x00, 0x41, 0xbd, 0x00, 0x20, 0x20, 0x00,
					 0x41, 0xbe, 0x00, 0x50, 0x00, 0x00, 0x48, 0xcf};

	for (unsigned vector = 0; vector < 0x80; vector++) {
		uint64_t handler = RIG_HANDLERS + 32 * vector;
		build_handler(rig, vector);
		rig_store64(rig, RIG_IDT + 16 * vector,
			    (handler & 0xffff) | 8 << 16 | UINT64_C(0xee01) << 32 |
				    (handler >> 16) << 48);
	}
	rig_load(rig, COMMON, common, sizeof(common));
	for (unsigned i = 0; i < 64; i++)
		rig_store64(rig, RIG_SLOTS + 8 * i, RIG_CODE);
}

#define COUNTER RIG_COUNTERS & 0xff, RIG_COUNTERS >> 8 & 0xff, RIG_COUNTERS >> 16, 0x00

/* Of four SYSCALLs in a row one comes back by SYSRET, to CPL 3, the others by IRET, to CPL 0; of
 * user programs' three and one. */
static void build_system_call(struct rig *rig, enum rig_mode mode)
{
	const uint8_t jcc = mode == RIG_KERNEL64 ? 0x75 : 0x74; /* jnz, jz */
	const uint8_t code[] = {
		0xff, 0x04, 0x25, COUNTER,       /* inc dword [counter] */
		0xf6, 0x04, 0x25, COUNTER, 0x03, /* test byte [counter], 3 */
		jcc,  0x03,                      /* over */
		0x48, 0x0f, 0x07,                /* sysretq */
		0x48, 0x89, 0xe0,                /* over: mov rax, rsp */
		0x6a, 0x10, 0x50,                /* push 0x10; push rax */
		0x41, 0x53, 0x6a, 0x08,          /* push r11; push 8 */
		0x51, 0x48, 0xcf,                /* push rcx; iretq */
	};

	rig_load(rig, SYSTEM, code, sizeof(code));
	rig->cpu->star = UINT64_C(0x08) << 32 | UINT64_C(0x28) << 48;
	rig->cpu->lstar = SYSTEM;
	rig->cpu->sfmask = FLAGS_ARITH | FLAG_IF | FLAG_TF | FLAG_DF;
}

static void load_state(struct rig *rig, enum rig_mode mode)
{
	struct cpu *cpu = rig->cpu;
	unsigned rpl = mode == RIG_KERNEL64 ? 0 : 3;
	uint32_t dpl = rpl << SEG_ATTR_DPL_SHIFT;
	static const uint64_t gdt[] = {0,
				       0x00af9b000000ffff,  /* 08: kernel code */
				       0x00cf93000000ffff,  /* 10: kernel data */
				       0x00affb000000ffff,  /* 18: user code */
				       0x00cff3000000ffff,  /* 20: user data */
				       0x00cffb000000ffff,  /* 28: user code, 32-bit */
				       0x00cff3000000ffff,  /* 30: user data */
				       0x00affb000000ffff}; /* 38: user code */
	static const uint16_t code[] = {
		[RIG_KERNEL64] = 0x08, [RIG_USER64] = 0x1b, [RIG_USER32] = 0x2b};

	rig_load(rig, RIG_GDT, gdt, sizeof(gdt));
	rig_store64(rig, RIG_TSS + 0x24, IST);
	rig_store64(rig, RIG_TSS + 4, IST);
	cpu->cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_MP | CR0_ET;
	cpu->cr3 = PML4;
	cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	cpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	cpu->gdtr = (struct table_register){RIG_GDT, sizeof(gdt) - 1};
	cpu->idtr = (struct table_register){RIG_IDT, 0x7ff};
	cpu->seg[SEG_TR] = (struct segment){RIG_TSS, 0x67, 0x8b, 0x40};
	cpu->seg[SEG_CS] = (struct segment){
		0, UINT32_MAX, (mode == RIG_USER32 ? 0xc09b : 0xa09b) | dpl, code[mode]};
	cpu->seg[SEG_DS] = cpu->seg[SEG_ES] = cpu->seg[SEG_SS] =
		(struct segment){0, UINT32_MAX, 0xc093 | dpl, rpl ? 0x23 : 0x10};
	cpu->cpl = rpl;
	cpu->gpr[RBX] = RIG_DATA + 0x1800;
	cpu->gpr[RBP] = RIG_ALIAS_DATA + 0x1800;
	cpu->gpr[R12] = RIG_CODE + 0x2000;
	cpu->gpr[R13] = RIG_ALIAS_CODE + 0x2000;
	cpu->gpr[R14] = RIG_ALIAS_PT;
	cpu->gpr[RSP] = RIG_STACK - 16;
	cpu->rip = RIG_CODE;
	cpu->activity = ACTIVITY_RUNNING;
	cpu_set_rflags(cpu, FLAG_FIXED | FLAG_IF | (rpl ? FLAG_IOPL : 0));
}

/* No part of it is 0, so that RDTSC without one of them differs. */
static void load_clock(struct rig *rig)
{
	rig->machine->clock = (struct machine_clock){.base = 0x2345678923, .ratio = 0x3a0000105};
	rig->cpu->tsc_offset = 0x1d00000037;
	rig->cpu->tsc_aux = 0x8badf00d;
}

void rig_create(struct rig *rig, enum rig_mode mode)
{
	static const struct machine_config config = {
		.n_vcpus = 1,
		.cpu_model = "x86-64-v2",
		.regions = {{.kind = REGION_RAM, .gpa = 0, .bytes = RIG_RAM},
			    {.kind = REGION_DEVICE, .gpa = RIG_DEVICE, .bytes = 0x1000}},
		.n_regions = 2,
		.ports = {{RIG_PORT, 16}},
		.n_ports = 1,
	};

	*rig = (struct rig){0};
	if (machine_create(&config, &rig->machine) ||
	    engine_create(rig_engine, rig->machine, &rig->engine)) {
		printf("Bail out! no machine\n");
		exit(1);
	}
	rig->cpu = machine_current(rig->machine);
	build_tables(rig);
	build_idt(rig);
	build_system_call(rig, mode);
	load_state(rig, mode);
	load_clock(rig);
}

void rig_destroy(struct rig *rig)
{
	engine_destroy(rig->engine);
	machine_destroy(rig->machine);
}

static uint64_t mix(uint64_t value)
{
	value = (value + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 29) * 0x94d049bb133111ebu;
	return value ^ value >> 32;
}

/* Takes down the whole state, and what the guest asks for if it does. */
static void observe(struct rig *rig, const struct crossing_request *request)
{
	if (!rig->observed)
		return;
	rig->seen = mix(rig->seen ^ mix(rig->machine->icount) ^ rig_digest(rig));
	if (request)
		rig->seen = mix(rig->seen ^ mix(request->kind) ^ mix(request->address) ^
				request->value);
	*(request ? &rig->n_crossings : &rig->n_events) += 1;
}

enum engine_exit rig_run_once(struct rig *rig, uint64_t until, bool window)
{
	const struct run_control control = {.until_icount = until, .interrupt_window = window};
	struct crossing *crossing = &rig->machine->crossing;
	enum engine_exit exit;

	while ((exit = rig->engine->ops->run(rig->engine, &control)) == ENGINE_CROSSING) {
		observe(rig, &crossing->request);
		uint64_t answer = mix(rig->machine->icount * 64 + crossing->n_answers);
		crossing->answers[crossing->n_answers++] =
			crossing_is_read(crossing->request.kind) ? answer : 0;
		rig->n_inputs++;
	}
	return exit;
}

/* ---- events ---- */

static bool event_due(const struct rig *rig, uint64_t icount)
{
	return rig->events && mix(icount ^ 0x5555) % (rig->spacing ? rig->spacing : 61) == 0;
}

static void write_event(struct rig *rig, uint64_t gpa, const void *data, uint32_t n)
{
	struct event event = {.kind = EVENT_MEMORY, .icount = rig->machine->icount};

	event.memory.gpa = gpa;
	event.memory.bytes = n;
	event.memory.data = data;
	machine_apply_event(rig->machine, &event);
}

/* The clock jumps, and goes on slower or faster than one tick an instruction. */
static void clock_event(struct rig *rig, uint64_t random)
{
	struct event event = {.kind = EVENT_CLOCK, .icount = rig->machine->icount};

	event.clock.base = machine_clock_now(rig->machine) + random % 0x180000000;
	event.clock.ratio = mix(random) % 0x480000000;
	machine_apply_event(rig->machine, &event);
}

static void apply_event(struct rig *rig)
{
	uint64_t icount = rig->machine->icount, random = mix(icount ^ 0xaaaa);
	static const uint8_t flags[] = {0x07, 0x03, 0x27, 0x67, 0x05, 0x06};
	struct event event = {.kind = EVENT_INTERRUPT, .icount = icount};

	event.delivery.vector = RIG_VECTOR_IRQ;
	switch (random % 8) {
	case 0:
		write_event(rig, RIG_DATA + (random >> 8) % 0x3000, &random, 8);
		break;
	case 1:
		write_event(rig, RIG_ALIAS_PT + 8 * ((random >> 8) % 8), &flags[(random >> 16) % 6],
			    1);
		break;
	case 2:
		write_event(rig, RIG_PT + 8 * (0x20 + (random >> 8) % 4),
			    &flags[(random >> 16) & 1], 1);
		break;
	case 3:
		clock_event(rig, random);
		break;
	default:
		if (!machine_event_misfit(rig->machine, &event))
			machine_apply_event(rig->machine, &event);
		break;
	}
}

/* Takes down what has been hit since the last time. */
static void note_hits(struct rig *rig)
{
	struct memory *memory = rig->machine->memory;
	unsigned n;
	const struct memory_watch_access *hits = memory_watch_hits(memory, &n);

	for (unsigned i = 0; i < n; i++) {
		uint64_t what = mix(hits[i].gpa) ^ (uint64_t)hits[i].bytes << 1 ^ hits[i].write;
		rig->hits = mix(rig->hits ^ mix(rig->machine->icount) ^ what);
	}
	rig->n_hits += n != 0;
	memory_clear_watch_hit(memory);
}

void rig_run(struct rig *rig, uint64_t until, bool window)
{
	struct machine *machine = rig->machine;

	rig->halted = false;
	while (machine->icount < until && !rig->halted) {
		if (event_due(rig, machine->icount)) {
			uint64_t before = machine->icount;
			observe(rig, NULL);
			apply_event(rig);
			note_hits(rig);
			if (machine->icount != before)
				continue;
		}
		uint64_t stop = machine->icount + 1;
		while (stop < until && !event_due(rig, stop))
			stop++;
		enum engine_exit exit;
		do {
			exit = rig_run_once(rig, stop, window);
			window &= exit != ENGINE_RETIRED && exit != ENGINE_WINDOW;
			note_hits(rig);
		} while (exit == ENGINE_RETIRED || exit == ENGINE_WINDOW ||
			 exit == ENGINE_WATCHPOINT);
		rig->halted = exit == ENGINE_HALTED;
	}
}

uint64_t rig_digest(struct rig *rig)
{
	uint8_t buffer[8192];
	size_t n = machine_state_bytes(rig->machine);

	if (n > sizeof(buffer))
		abort();
	machine_state_encode(rig->machine, buffer);
	return XXH3_64bits_withSeed(buffer, n, memory_digest(rig->machine->memory));
}

uint64_t rig_digest_at(void (*start)(struct rig *rig, const struct engine_ops *engine),
		       const struct engine_ops *engine, uint64_t count)
{
	struct rig rig;

	start(&rig, engine);
	rig_run(&rig, count, false);
	uint64_t digest = rig_digest(&rig);
	rig_destroy(&rig);
	return digest;
}
