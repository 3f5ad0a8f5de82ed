/* Far CALL, JMP and RET, call gates, IRET, SYSCALL and SYSENTER, task switches. */
#include "tests/cpu/system_guest.h"

/* ---- JMP to a code segment, every check ---- */

struct jump_case {
	const char *name;
	enum guest_mode mode;
	uint16_t selector;
	uint32_t offset;
	unsigned vector;
	uint32_t error;
};

static const struct jump_case jump_cases[] = {
	{"same privilege", GUEST_PROTECTED0, SEL_CODE0, 0x1234, RETIRED, 0},
	{"null", GUEST_PROTECTED0, 3, 0, VECTOR_GP, 0},
	{"beyond the GDT", GUEST_PROTECTED0, SEL_END, 0, VECTOR_GP, SEL_END},
	{"data", GUEST_PROTECTED0, SEL_DATA0, 0, VECTOR_GP, SEL_DATA0},
	{"absent", GUEST_PROTECTED0, SEL_ABSENT_CODE0, 0, VECTOR_NP, SEL_ABSENT_CODE0},
	{"less privilege", GUEST_PROTECTED0, SEL_CODE3, 0, VECTOR_GP, SEL_CODE3},
	{"more privilege", GUEST_PROTECTED3, SEL_CODE0, 0, VECTOR_GP, SEL_CODE0},
	{"RPL above CPL", GUEST_PROTECTED0, SEL_CODE0 | 1, 0, VECTOR_GP, SEL_CODE0},
	{"conforming, more privilege", GUEST_PROTECTED3, SEL_CONFORMING0, 0x1234, RETIRED, 0},
	{"beyond the limit", GUEST_PROTECTED0, SEL_CODE16, 0x10000, VECTOR_GP, 0},
	{"LDT descriptor", GUEST_PROTECTED0, SEL_LDT, 0, VECTOR_GP, SEL_LDT},
	{"busy TSS", GUEST_PROTECTED0, SEL_TSS, 0, VECTOR_GP, SEL_TSS},
	{"TSS in long mode", GUEST_COMPAT0, SEL_TSS2, 0, VECTOR_GP, SEL_TSS2},
	{"64-bit code from compatibility mode", GUEST_COMPAT0, SEL_LONG0, 0x1234, RETIRED, 0},
	{"sets accessed", GUEST_PROTECTED0, SEL_FRESH_CODE0, 0x1234, RETIRED, 0},
	{"real mode", GUEST_REAL, 0x1234, 0x5678, RETIRED, 0},
	{"virtual-8086 mode", GUEST_V8086, 0x1234, 0x5678, RETIRED, 0},
};

static void store_far(uint8_t *bytes, const struct jump_case *c)
{
	bytes[0] = 0xea;
	for (unsigned i = 0; i < 4; i++)
		bytes[1 + i] = (uint8_t)(c->offset >> (8 * i));
	bytes[5] = (uint8_t)c->selector;
	bytes[6] = (uint8_t)(c->selector >> 8);
}

static void test_jumps(void)
{
	for (unsigned i = 0; i < sizeof(jump_cases) / sizeof(jump_cases[0]); i++) {
		const struct jump_case *c = &jump_cases[i];
		bool wide = c->mode != GUEST_REAL && c->mode != GUEST_V8086;
		uint8_t far32[7];
		const uint8_t far16[] = {0xea, (uint8_t)c->offset, (uint8_t)(c->offset >> 8),
					 (uint8_t)c->selector, (uint8_t)(c->selector >> 8)};
		struct guest guest;
		guest_create(&guest, c->mode);
		store_far(far32, c);
		guest_expect(&guest, wide ? far32 : far16, wide ? 7 : 5, c->vector, c->error,
			     c->name);
		if (c->vector == RETIRED)
			tap_ok(guest.cpu->rip == c->offset &&
				       (guest.cpu->seg[SEG_CS].selector & ~3) ==
					       (c->selector & ~3) &&
				       (!wide ||
					(guest.cpu->seg[SEG_CS].selector & 3) == guest.cpu->cpl),
			       "%s: CS and RIP", c->name);
		guest_destroy(&guest);
	}
}

static void test_calls(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED0);
	EXPECT(&guest, "\x9a\x34\x12\0\0\x08\0", RETIRED, 0, "CALL");
	tap_ok(guest.cpu->gpr[RSP] == GUEST_STACK - 8 &&
		       guest_load(&guest, GUEST_STACK - 8, 4) == GUEST_CODE + 7 &&
		       guest_load(&guest, GUEST_STACK - 4, 4) == SEL_CODE0,
	       "pushes CS and EIP");
	EXPECT(&guest, "\xca\x08\0", RETIRED, 0, "RET 8");
	tap_ok(guest.cpu->gpr[RSP] == GUEST_STACK + 8 && guest.cpu->rip == GUEST_CODE + 7,
	       "returns and skips");
	guest.cpu->seg[SEG_SS].limit = 0x7ffc;
	guest.cpu->gpr[RSP] = GUEST_STACK;
	EXPECT(&guest, "\x9a\x34\x12\0\0\x08\0", VECTOR_SS, 0, "CALL beyond the stack: #SS(0)");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_REAL);
	EXPECT(&guest, "\x9a\x34\x12\x00\x40", RETIRED, 0, "CALL in real mode");
	tap_ok(guest.cpu->seg[SEG_CS].base == 0x40000 && guest.cpu->rip == 0x1234 &&
		       guest_load(&guest, GUEST_STACK - 4, 4) == ((GUEST_CODE >> 4) << 16 | 5),
	       "pushes words");
	EXPECT(&guest, "\xcb", RETIRED, 0, "RET in real mode");
	tap_ok(guest.cpu->seg[SEG_CS].base == GUEST_CODE && guest.cpu->rip == 5, "returns");
	guest_destroy(&guest);
}

/* ---- call gates ---- */

static void test_gate_inner(void)
{
	struct guest guest;
	struct cpu *cpu;

	guest_create(&guest, GUEST_PROTECTED3);
	cpu = guest.cpu;
	guest_gate(&guest, GUEST_GDT + SEL_GATE, SEL_CODE0, 0x12345, 0xec, 2);
	guest_store(&guest, GUEST_STACK, 0x11111111, 4);
	guest_store(&guest, GUEST_STACK + 4, 0x22222222, 4);
	EXPECT(&guest, "\x9a\0\0\0\0\xd0\0", RETIRED, 0, "CALL through a gate to CPL 0");
	tap_ok(cpu->cpl == 0 && cpu->rip == 0x12345 && cpu->seg[SEG_CS].selector == SEL_CODE0 &&
		       cpu->seg[SEG_SS].selector == SEL_DATA0 && cpu->gpr[RSP] == GUEST_STACK0 - 24,
	       "on the TSS's stack");
	tap_ok(guest_load(&guest, GUEST_STACK0 - 24, 4) == GUEST_CODE + 7 &&
		       guest_load(&guest, GUEST_STACK0 - 20, 4) == (SEL_CODE3 | 3) &&
		       guest_load(&guest, GUEST_STACK0 - 16, 8) == UINT64_C(0x2222222211111111) &&
		       guest_load(&guest, GUEST_STACK0 - 8, 4) == GUEST_STACK &&
		       guest_load(&guest, GUEST_STACK0 - 4, 4) == (SEL_DATA3 | 3),
	       "with the parameters copied in order");
	cpu->seg[SEG_FS].attr &= ~SEG_ATTR_DPL;
	cpu->seg[SEG_GS] = (struct segment){.attr = SEG_ATTR_NULL, .selector = 3, .base = 0x7000};
	EXPECT(&guest, "\xca\x08\0", RETIRED, 0, "RET 8 to CPL 3");
	tap_ok(cpu->cpl == 3 && cpu->gpr[RSP] == GUEST_STACK + 8 && cpu->rip == GUEST_CODE + 7,
	       "releases them on both stacks");
	tap_ok(cpu->seg[SEG_FS].attr & SEG_ATTR_NULL && !(cpu->seg[SEG_DS].attr & SEG_ATTR_NULL),
	       "drops segments that CPL 3 may not use");
	tap_ok(cpu->seg[SEG_GS].selector == 0 && cpu->seg[SEG_GS].base == 0x7000,
	       "makes a null selector 0 and keeps its base");
	guest_destroy(&guest);
}

static void test_gate_checks(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED3);
	guest_gate(&guest, GUEST_GDT + SEL_GATE, SEL_CODE0, 0x12345, 0x8c, 0);
	EXPECT(&guest, "\x9a\0\0\0\0\xd0\0", VECTOR_GP, SEL_GATE, "gate DPL below CPL");
	guest_gate(&guest, GUEST_GDT + SEL_GATE, SEL_CODE0, 0x12345, 0x6c, 0);
	EXPECT(&guest, "\x9a\0\0\0\0\xd0\0", VECTOR_NP, SEL_GATE, "absent gate");
	guest_gate(&guest, GUEST_GDT + SEL_GATE, SEL_CODE0, 0x12345, 0xec, 0);
	EXPECT(&guest, "\xea\0\0\0\0\xd0\0", VECTOR_GP, SEL_CODE0, "JMP never gains privilege");
	guest_gate(&guest, GUEST_GDT + SEL_GATE, SEL_DATA0, 0x12345, 0xec, 0);
	EXPECT(&guest, "\x9a\0\0\0\0\xd0\0", VECTOR_GP, SEL_DATA0, "gate to data");
	guest_gate(&guest, GUEST_GDT + SEL_GATE, 0, 0x12345, 0xec, 0);
	EXPECT(&guest, "\x9a\0\0\0\0\xd0\0", VECTOR_GP, 0, "gate to null");
	guest_gate(&guest, GUEST_GDT + SEL_GATE, SEL_CODE3, 0x12345, 0xe4, 0);
	EXPECT(&guest, "\x9a\0\0\0\0\xd0\0", RETIRED, 0, "16-bit gate, same privilege");
	tap_ok(guest.cpu->rip == 0x2345 && guest.cpu->gpr[RSP] == GUEST_STACK - 4,
	       "16-bit offset and pushes");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_LONG3);
	guest.cpu->gpr[RBX] = GUEST_DATA;
	guest_store(&guest, GUEST_DATA + 4, SEL_GATE, 2);
	guest_gate(&guest, GUEST_GDT + SEL_GATE, SEL_LONG0, 0xffff800000001234, 0xec, 0);
	EXPECT(&guest, "\xff\x1b", RETIRED, 0, "64-bit gate");
	tap_ok(guest.cpu->rip == 0xffff800000001234 && guest.cpu->cpl == 0 &&
		       guest.cpu->gpr[RSP] == GUEST_STACK0 - 32 &&
		       guest.cpu->seg[SEG_SS].selector == 0 &&
		       guest_load(&guest, GUEST_STACK0 - 16, 8) == GUEST_STACK,
	       "pushes four quadwords, SS null");
	EXPECT(&guest, "\x48\xcb", RETIRED, 0, "RET with REX.W");
	tap_ok(guest.cpu->cpl == 3 && guest.cpu->gpr[RSP] == GUEST_STACK &&
		       guest.cpu->rip == GUEST_CODE + 2,
	       "back");
	guest_gate(&guest, GUEST_GDT + SEL_GATE, SEL_CODE0, 0x1234, 0xec, 0);
	EXPECT(&guest, "\xff\x1b", VECTOR_GP, SEL_CODE0, "64-bit gate to 32-bit code");
	guest_destroy(&guest);
}

/* ---- returns ---- */

struct iret_case {
	const char *name;
	enum guest_mode mode;
	uint16_t cs, ss;
	uint64_t rip;
	unsigned vector;
	uint32_t error;
};

static const struct iret_case iret_cases[] = {
	{"to CPL 3", GUEST_LONG0, SEL_LONG3 | 3, SEL_DATA3 | 3, 0x1234, RETIRED, 0},
	{"to compatibility mode", GUEST_LONG0, SEL_CODE3 | 3, SEL_DATA3 | 3, 0x1234, RETIRED, 0},
	{"to compatibility mode, RIP beyond 4 GiB", GUEST_LONG0, SEL_CODE3 | 3, SEL_DATA3 | 3,
	 0x800100001234, RETIRED, 0},
	{"same privilege, null SS", GUEST_LONG0, SEL_LONG0, 0, 0x1234, RETIRED, 0},
	{"null SS for CPL 3", GUEST_LONG0, SEL_LONG3 | 3, 0, 0x1234, VECTOR_GP, 0},
	{"null SS for compatibility mode", GUEST_LONG0, SEL_CODE0, 0, 0x1234, VECTOR_GP, 0},
	{"null CS", GUEST_LONG0, 0, SEL_DATA0, 0x1234, VECTOR_GP, 0},
	{"to more privilege", GUEST_LONG3, SEL_LONG0, SEL_DATA0, 0x1234, VECTOR_GP, SEL_LONG0},
	{"SS of another privilege", GUEST_LONG0, SEL_LONG3 | 3, SEL_DATA0, 0x1234, VECTOR_GP,
	 SEL_DATA0},
	{"SS absent", GUEST_LONG0, SEL_LONG3 | 3, SEL_ABSENT_DATA3 | 3, 0x1234, VECTOR_SS,
	 SEL_ABSENT_DATA3},
	{"CS absent", GUEST_LONG0, SEL_ABSENT_CODE0, SEL_DATA0, 0x1234, VECTOR_NP,
	 SEL_ABSENT_CODE0},
	{"non-canonical RIP", GUEST_LONG0, SEL_LONG3 | 3, SEL_DATA3 | 3, 0x800000000000, VECTOR_GP,
	 0},
};

static void test_iret_long(void)
{
	for (unsigned i = 0; i < sizeof(iret_cases) / sizeof(iret_cases[0]); i++) {
		const struct iret_case *c = &iret_cases[i];
		const uint64_t frame[] = {c->rip, c->cs, FLAG_FIXED | FLAG_IF | FLAG_CF, 0x7008,
					  c->ss};
		struct guest guest;
		guest_create(&guest, c->mode);
		for (unsigned k = 0; k < 5; k++)
			guest_store(&guest, GUEST_STACK + 8 * k, frame[k], 8);
		EXPECT(&guest, "\x48\xcf", c->vector, c->error, c->name);
		tap_ok(guest.cpu->gpr[RSP] == (c->vector == RETIRED ? 0x7008 : GUEST_STACK),
		       "%s: RSP", c->name);
		if (c->vector == RETIRED)
			tap_ok(guest.cpu->rip == (cpu_code64(guest.cpu) ? c->rip
									: (uint32_t)c->rip) &&
				       guest.cpu->seg[SEG_CS].selector == c->cs &&
				       guest.cpu->cpl == (c->cs & 3) &&
				       guest.cpu->seg[SEG_SS].selector == c->ss &&
				       (cpu_rflags(guest.cpu) & FLAG_IF),
			       "%s: the rest", c->name);
		guest_destroy(&guest);
	}
}

static void test_iret_flags(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED3);
	guest_store(&guest, GUEST_STACK, 0x1234, 4);
	guest_store(&guest, GUEST_STACK + 4, SEL_CODE3 | 3, 4);
	guest_store(&guest, GUEST_STACK + 8,
		    FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_AC | FLAG_ID | FLAG_CF | FLAG_RF, 4);
	EXPECT(&guest, "\xcf", RETIRED, 0, "IRETD at CPL 3, IOPL 0");
	tap_ok(cpu_rflags(guest.cpu) == (FLAG_FIXED | FLAG_AC | FLAG_ID | FLAG_CF | FLAG_RF),
	       "changes neither IF, IOPL nor VM");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_PROTECTED0);
	guest.cpu->gpr[RSP] = 0x12348000;
	guest.cpu->seg[SEG_SS].base = 0 - 0x12340000u; /* the stack lies where it was */
	guest_store(&guest, GUEST_STACK, 0x1234, 4);
	guest_store(&guest, GUEST_STACK + 4, SEL_CODE3 | 3, 4);
	guest_store(&guest, GUEST_STACK + 8, 0, 4);
	guest_store(&guest, GUEST_STACK + 12, 0x7000, 4);
	guest_store(&guest, GUEST_STACK + 16, SEL_DATA16 | 3, 4);
	guest_descriptor(&guest, SEL_DATA16, 0, 0xffff, 0xf3, 0);
	EXPECT(&guest, "\xcf", RETIRED, 0, "IRETD to a 16-bit stack");
	tap_ok(guest.cpu->gpr[RSP] == 0x12347000, "loads SP only");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_LONG0);
	cpu_set_rflags(guest.cpu, FLAG_NT);
	EXPECT(&guest, "\x48\xcf", VECTOR_GP, 0, "IRETQ with NT in long mode: #GP(0)");
	guest_destroy(&guest);
}

/* ---- SYSCALL, SYSENTER ---- */

static void test_syscall(void)
{
	struct guest guest;
	struct cpu *cpu;

	guest_create(&guest, GUEST_LONG3);
	cpu = guest.cpu;
	cpu->star = (uint64_t)(SEL_LONG3 - 16) << 48 | (uint64_t)SEL_LONG0 << 32;
	cpu->lstar = 0xffffffff81000000;
	cpu->sfmask = FLAG_IF | FLAG_TF;
	cpu_set_rflags(cpu, FLAG_IF | FLAG_ZF);
	EXPECT(&guest, "\x0f\x05", RETIRED, 0, "SYSCALL");
	tap_ok(cpu->rip == cpu->lstar && cpu->cpl == 0 && cpu->gpr[RCX] == GUEST_CODE + 2 &&
		       cpu->gpr[R11] == (FLAG_FIXED | FLAG_IF | FLAG_ZF) &&
		       cpu_rflags(cpu) == (FLAG_FIXED | FLAG_ZF) && cpu_code64(cpu) &&
		       cpu->seg[SEG_SS].selector == SEL_LONG0 + 8,
	       "RCX, R11, mask, segments");
	EXPECT(&guest, "\x48\x0f\x07", RETIRED, 0, "SYSRETQ");
	tap_ok(cpu->rip == GUEST_CODE + 2 && cpu->cpl == 3 && cpu_code64(cpu) &&
		       cpu->seg[SEG_CS].selector == (SEL_LONG3 | 3) &&
		       cpu_rflags(cpu) == (FLAG_FIXED | FLAG_IF | FLAG_ZF),
	       "returns");
	EXPECT(&guest, "\x48\x0f\x07", VECTOR_GP, 0, "SYSRET at CPL 3");
	RUN(&guest, "\x0f\x05");
	cpu->gpr[RCX] = 0x800000000000;
	EXPECT(&guest, "\x48\x0f\x07", VECTOR_GP, 0, "SYSRETQ to a non-canonical address");
	EXPECT(&guest, "\x0f\x07", RETIRED, 0, "SYSRETL");
	tap_ok(!cpu_code64(cpu) && cpu->seg[SEG_CS].selector == ((SEL_LONG3 - 16) | 3) &&
		       cpu->rip == 0,
	       "to compatibility mode");
	EXPECT(&guest, "\x0f\x05", VECTOR_UD, 0, "SYSCALL in compatibility mode: #UD");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_LONG3);
	guest.cpu->efer &= ~(uint64_t)EFER_SCE;
	EXPECT(&guest, "\x0f\x05", VECTOR_UD, 0, "SYSCALL without EFER.SCE: #UD");
	guest_destroy(&guest);
}

static void test_sysenter(void)
{
	struct guest guest;
	struct cpu *cpu;

	guest_create(&guest, GUEST_PROTECTED3);
	cpu = guest.cpu;
	EXPECT(&guest, "\x0f\x34", VECTOR_GP, 0, "SYSENTER with a null CS");
	cpu->sysenter_cs = SEL_CODE0;
	cpu->sysenter_esp = 0x7000;
	cpu->sysenter_eip = 0x1234;
	cpu_set_rflags(cpu, FLAG_IF);
	EXPECT(&guest, "\x0f\x34", RETIRED, 0, "SYSENTER");
	tap_ok(cpu->cpl == 0 && cpu->rip == 0x1234 && cpu->gpr[RSP] == 0x7000 &&
		       cpu->seg[SEG_SS].selector == SEL_DATA0 && !(cpu_rflags(cpu) & FLAG_IF),
	       "to CPL 0");
	cpu->gpr[RCX] = GUEST_STACK;
	cpu->gpr[RDX] = GUEST_CODE;
	EXPECT(&guest, "\x0f\x35", RETIRED, 0, "SYSEXIT");
	tap_ok(cpu->cpl == 3 && cpu->rip == GUEST_CODE &&
		       cpu->seg[SEG_CS].selector == (SEL_CODE3 | 3) &&
		       cpu->seg[SEG_SS].selector == (SEL_DATA3 | 3),
	       "and back");
	EXPECT(&guest, "\x0f\x35", VECTOR_GP, 0, "SYSEXIT at CPL 3");
	guest_destroy(&guest);
}

/* ---- tasks ---- */

static void store_task32(struct guest *guest, uint64_t tss, uint32_t eip, uint32_t esp)
{
	static const uint16_t selectors[] = {SEL_DATA0, SEL_CODE0, SEL_DATA0, SEL_DATA0, 0, 0};

	guest_store(guest, tss + 0x20, eip, 4);
	guest_store(guest, tss + 0x24, FLAG_FIXED | FLAG_CF, 4);
	guest_store(guest, tss + 0x28, 0xaaaaaaaa, 4);
	guest_store(guest, tss + 0x38, esp, 4);
	for (unsigned i = 0; i < 6; i++)
		guest_store(guest, tss + 0x48 + 4 * i, selectors[i], 2);
}

static void test_task_call(void)
{
	struct guest guest;
	struct cpu *cpu;

	guest_create(&guest, GUEST_PROTECTED0);
	cpu = guest.cpu;
	store_task32(&guest, GUEST_TSS2, 0x50000, 0x7000);
	cpu->gpr[RBX] = 0x12345678;
	EXPECT(&guest, "\x9a\0\0\0\0\xc0\0", RETIRED, 0, "CALL of a TSS");
	tap_ok(cpu->rip == 0x50000 && cpu->gpr[RAX] == 0xaaaaaaaa && cpu->gpr[RSP] == 0x7000 &&
		       cpu->seg[SEG_TR].selector == SEL_TSS2 && (cpu->cr0 & CR0_TS) &&
		       cpu_rflags(cpu) == (FLAG_FIXED | FLAG_CF | FLAG_NT),
	       "loads the new task, NT set");
	tap_ok(guest_load(&guest, GUEST_TSS + 0x20, 4) == GUEST_CODE + 7 &&
		       guest_load(&guest, GUEST_TSS + 0x34, 4) == 0x12345678 &&
		       guest_load(&guest, GUEST_TSS + 0x4c, 2) == SEL_CODE0,
	       "saves the old one");
	tap_ok(guest_load(&guest, GUEST_TSS2, 2) == SEL_TSS &&
		       guest_load(&guest, GUEST_GDT + SEL_TSS2 + 5, 1) == 0x8b &&
		       guest_load(&guest, GUEST_GDT + SEL_TSS + 5, 1) == 0x8b,
	       "back link; both busy");
	EXPECT(&guest, "\xcf", RETIRED, 0, "IRET with NT");
	tap_ok(cpu->rip == GUEST_CODE + 7 && cpu->seg[SEG_TR].selector == SEL_TSS &&
		       cpu->gpr[RBX] == 0x12345678 && !(cpu_rflags(cpu) & FLAG_NT) &&
		       guest_load(&guest, GUEST_GDT + SEL_TSS2 + 5, 1) == 0x89 &&
		       !(guest_load(&guest, GUEST_TSS2 + 0x24, 4) & FLAG_NT),
	       "back to the caller");
	EXPECT(&guest, "\xea\0\0\0\0\xc0\0", RETIRED, 0, "JMP to a TSS");
	tap_ok(guest_load(&guest, GUEST_GDT + SEL_TSS + 5, 1) == 0x89 &&
		       !(cpu_rflags(cpu) & FLAG_NT),
	       "frees the old one, NT clear");
	guest_destroy(&guest);
}

static void test_task_gate(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED3);
	store_task32(&guest, GUEST_TSS2, 0x50000, 0x7000);
	guest_store(&guest, GUEST_IDT + 8 * VECTOR_GP,
		    (uint64_t)SEL_TSS2 << 16 | UINT64_C(0x85) << 40, 8);
	raise_gp(guest.cpu, 0x55);
	exception_deliver(guest.cpu);
	tap_ok(guest.cpu->rip == 0x50000 && guest.cpu->cpl == 0 && guest.cpu->gpr[RSP] == 0x6ffc &&
		       guest_load(&guest, 0x6ffc, 4) == 0x55,
	       "an exception through a task gate pushes its error code onto the new stack");
	tap_ok(guest_load(&guest, GUEST_TSS + 0x24, 4) == (FLAG_FIXED | FLAG_RF),
	       "RF in the image");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_PROTECTED0);
	store_task32(&guest, GUEST_TSS2, 0x50000, 0x7000);
	guest_store(&guest, GUEST_TSS2 + 0x64, 1, 2);
	guest_store(&guest, GUEST_GDT + SEL_TASK_GATE,
		    (uint64_t)SEL_TSS2 << 16 | UINT64_C(0x85) << 40, 8);
	EXPECT(&guest, "\x9a\0\0\0\0\xe0\0", RETIRED, 0, "CALL of a task gate");
	tap_ok(guest.cpu->rip == 0x50000 && guest.cpu->pending_db == DR6_BT, "T bit: #DB pends");
	guest_destroy(&guest);
}

static void test_task_faults(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED0);
	store_task32(&guest, GUEST_TSS2, 0x50000, 0x7000);
	guest_descriptor(&guest, SEL_TSS2, GUEST_TSS2, 0x66, 0x89, 0);
	EXPECT(&guest, "\xea\0\0\0\0\xc0\0", VECTOR_TS, SEL_TSS2, "a TSS too short: #TS");
	tap_ok(guest.cpu->rip == GUEST_CODE && guest.cpu->seg[SEG_TR].selector == SEL_TSS,
	       "before the switch");
	guest_descriptor(&guest, SEL_TSS2, GUEST_TSS2, 0xff, 0x09, 0);
	EXPECT(&guest, "\xea\0\0\0\0\xc0\0", VECTOR_NP, SEL_TSS2, "an absent TSS: #NP");
	guest_descriptor(&guest, SEL_TSS2, GUEST_TSS2, 0xff, 0x89, 0);
	guest_store(&guest, GUEST_TSS2 + 0x50, SEL_DATA3, 2);
	EXPECT(&guest, "\xea\0\0\0\0\xc0\0", VECTOR_TS, SEL_DATA3, "a bad SS: #TS");
	tap_ok(guest.cpu->rip == 0x50000 && guest.cpu->seg[SEG_TR].selector == SEL_TSS2,
	       "in the new task");
	guest_destroy(&guest);
}

static void test_task16(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED0);
	guest_store(&guest, GUEST_TSS2 + 0x0e, 0x1234, 2);
	guest_store(&guest, GUEST_TSS2 + 0x10, FLAG_FIXED, 2);
	guest_store(&guest, GUEST_TSS2 + 0x1a, 0x7000, 2);
	guest_store(&guest, GUEST_TSS2 + 0x22, SEL_DATA0, 2);
	guest_store(&guest, GUEST_TSS2 + 0x24, SEL_CODE16, 2);
	guest_store(&guest, GUEST_TSS2 + 0x26, SEL_DATA16, 2);
	guest_store(&guest, GUEST_TSS2 + 0x28, 0, 2);
	EXPECT(&guest, "\xea\0\0\0\0\xf0\0", RETIRED, 0, "JMP to a 16-bit TSS");
	tap_ok(guest.cpu->rip == 0x1234 && guest.cpu->gpr[RSP] == 0x7000 &&
		       guest.cpu->seg[SEG_CS].selector == SEL_CODE16 &&
		       guest.cpu->seg[SEG_SS].selector == SEL_DATA16 &&
		       (guest.cpu->seg[SEG_DS].attr & SEG_ATTR_NULL),
	       "loads it");
	guest_destroy(&guest);
}

int main(void)
{
	test_jumps();
	test_calls();
	test_gate_inner();
	test_gate_checks();
	test_iret_long();
	test_iret_flags();
	test_syscall();
	test_sysenter();
	test_task_call();
	test_task_gate();
	test_task_faults();
	test_task16();
	return tap_done();
}
