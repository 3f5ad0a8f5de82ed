/* Delivery of exceptions and interrupts in every mode; double and triple faults; debug traps. */
#include "tests/cpu/system_guest.h"

static bool at_handler(const struct guest *guest, unsigned vector)
{
	return guest->cpu->rip == GUEST_HANDLER + 16 * vector;
}

/* Checks a frame: values of size bytes upwards from gpa. */
static bool frame_is(struct guest *guest, uint64_t gpa, unsigned size, const uint64_t *values,
		     unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t found = guest_load(guest, gpa + i * size, size);
		if (found != values[i]) {
			tap_note("frame[%u] is 0x%llx, expected 0x%llx", i,
				 (unsigned long long)found, (unsigned long long)values[i]);
			return false;
		}
	}
	return true;
}
#define FRAME(guest, gpa, size, ...)                                                               \
	frame_is((guest), (gpa), (size), (const uint64_t[]){__VA_ARGS__},                          \
		 sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void test_real(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_REAL);
	guest.cpu->rip = 0x123;
	cpu_set_rflags(guest.cpu, FLAG_IF | FLAG_TF | FLAG_CF);
	uint64_t icount = guest.machine->icount;
	raise_gp(guest.cpu, 0x55);
	exception_deliver(guest.cpu);
	tap_ok(guest.cpu->rip == 16 * VECTOR_GP &&
		       guest.cpu->seg[SEG_CS].selector == GUEST_HANDLER >> 4 &&
		       guest.cpu->seg[SEG_CS].base == GUEST_HANDLER,
	       "real mode: through the vector table");
	tap_ok(FRAME(&guest, GUEST_STACK - 6, 2, 0x123, GUEST_CODE >> 4,
		     FLAG_FIXED | FLAG_IF | FLAG_TF | FLAG_CF),
	       "three words, no error code");
	tap_ok(!(cpu_rflags(guest.cpu) & (FLAG_IF | FLAG_TF)), "IF and TF are clear");
	tap_ok(guest.machine->icount == icount + 1, "a delivery is one step");
	tap_ok(guest.cpu->stop == CPU_STOP_NONE, "and nothing is left over");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_REAL);
	guest.cpu->idtr.limit = 13 * 4 - 1;
	raise_gp(guest.cpu, 0);
	exception_deliver(guest.cpu);
	tap_ok(guest.cpu->rip == 16 * VECTOR_DF,
	       "real mode: #GP beyond the table is a double fault");
	guest.cpu->idtr.limit = 3;
	raise_gp(guest.cpu, 0);
	exception_deliver(guest.cpu);
	tap_ok(guest.cpu->activity == ACTIVITY_SHUTDOWN, "and without #DF's entry a shutdown");
	guest_destroy(&guest);
}

static void test_protected(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED0);
	cpu_set_rflags(guest.cpu, FLAG_IF | FLAG_NT);
	raise_gp(guest.cpu, 0x18);
	exception_deliver(guest.cpu);
	tap_ok(at_handler(&guest, VECTOR_GP) && guest.cpu->gpr[RSP] == GUEST_STACK - 16 &&
		       FRAME(&guest, GUEST_STACK - 16, 4, 0x18, GUEST_CODE, SEL_CODE0,
			     FLAG_FIXED | FLAG_IF | FLAG_NT | FLAG_RF),
	       "protected, same privilege: error code, RF in the image");
	tap_ok(!(cpu_rflags(guest.cpu) & (FLAG_IF | FLAG_NT | FLAG_RF)), "IF, NT, RF are clear");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_PROTECTED0);
	cpu_set_rflags(guest.cpu, FLAG_IF);
	guest_gate(&guest, GUEST_IDT_GATE(&guest, 0x40), SEL_CODE0, 0x1234, 0x8f, 0);
	interrupt_deliver(guest.cpu, 0x40, false);
	tap_ok(guest.cpu->rip == 0x1234 && (cpu_rflags(guest.cpu) & FLAG_IF),
	       "a trap gate keeps IF");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_PROTECTED3);
	cpu_set_rflags(guest.cpu, FLAG_IF);
	guest.cpu->activity = ACTIVITY_HALTED;
	interrupt_deliver(guest.cpu, 0x40, false);
	tap_ok(guest.cpu->cpl == 0 && guest.cpu->seg[SEG_SS].selector == SEL_DATA0 &&
		       guest.cpu->gpr[RSP] == GUEST_STACK0 - 20 &&
		       FRAME(&guest, GUEST_STACK0 - 20, 4, GUEST_CODE, SEL_CODE3 | 3,
			     FLAG_FIXED | FLAG_IF, GUEST_STACK, SEL_DATA3 | 3),
	       "protected, from CPL 3: the TSS's stack");
	tap_ok(guest.cpu->activity == ACTIVITY_RUNNING, "an interrupt ends the halt");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_PROTECTED3);
	guest_gate(&guest, GUEST_IDT_GATE(&guest, 0x40), SEL_CODE0, 0x12345, 0xe6, 0);
	interrupt_deliver(guest.cpu, 0x40, false);
	tap_ok(guest.cpu->rip == 0x2345 && guest.cpu->gpr[RSP] == GUEST_STACK0 - 10,
	       "a 16-bit gate pushes words");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_PROTECTED3);
	guest_gate(&guest, GUEST_IDT_GATE(&guest, 0x40), SEL_CONFORMING0, 0x1234, 0xee, 0);
	interrupt_deliver(guest.cpu, 0x40, false);
	tap_ok(guest.cpu->cpl == 3 && guest.cpu->seg[SEG_CS].selector == (SEL_CONFORMING0 | 3) &&
		       guest.cpu->gpr[RSP] == GUEST_STACK - 12,
	       "a conforming handler keeps the CPL");
	guest_destroy(&guest);
}

static void test_v8086(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_V8086);
	guest.cpu->rip = 0x10;
	guest.cpu->seg[SEG_GS].selector = 0x77;
	raise_ud(guest.cpu);
	exception_deliver(guest.cpu);
	tap_ok(at_handler(&guest, VECTOR_UD) && guest.cpu->cpl == 0 && !cpu_v8086(guest.cpu) &&
		       FRAME(&guest, GUEST_STACK0 - 36, 4, 0x10, GUEST_CODE >> 4,
			     FLAG_FIXED | FLAG_VM | FLAG_RF, GUEST_STACK, 0, 0, 0, 0, 0x77),
	       "virtual-8086: nine doublewords to level 0");
	tap_ok(guest.cpu->seg[SEG_GS].attr & SEG_ATTR_NULL, "data segments become null");
	EXPECT(&guest, "\xcf", RETIRED, 0, "IRETD");
	tap_ok(cpu_v8086(guest.cpu) && guest.cpu->cpl == 3 && guest.cpu->rip == 0x10 &&
		       guest.cpu->seg[SEG_GS].base == 0x770 && guest.cpu->gpr[RSP] == GUEST_STACK,
	       "returns there");
	EXPECT(&guest, "\xcd\x40", VECTOR_GP, 0, "INT n with IOPL 0");
	EXPECT(&guest, "\x9c", VECTOR_GP, 0, "PUSHF with IOPL 0");
	EXPECT(&guest, "\xcf", VECTOR_GP, 0, "IRET with IOPL 0");
	EXPECT(&guest, "\xfa", VECTOR_GP, 0, "CLI with IOPL 0");
	cpu_set_rflags(guest.cpu, FLAG_VM | FLAG_IOPL);
	EXPECT(&guest, "\xcd\x40", RETIRED, 0, "INT n with IOPL 3");
	tap_ok(at_handler(&guest, 0x40), "goes through the IDT");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_V8086);
	guest_gate(&guest, GUEST_IDT_GATE(&guest, VECTOR_BP), SEL_CODE3, 0x1234, 0xee, 0);
	EXPECT(&guest, "\xcc", VECTOR_GP, SEL_CODE3, "virtual-8086: a handler of DPL 3: #GP");
	guest_destroy(&guest);
}

static void test_long(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_LONG3);
	guest.cpu->gpr[RSP] = 0x7005;
	raise_page_fault(guest.cpu, 0xdeadbeef000, 6);
	exception_deliver(guest.cpu);
	tap_ok(at_handler(&guest, VECTOR_PF) && guest.cpu->cr2 == 0xdeadbeef000 &&
		       guest.cpu->gpr[RSP] == GUEST_STACK0 - 48 &&
		       FRAME(&guest, GUEST_STACK0 - 48, 8, 6, GUEST_CODE, SEL_LONG3 | 3,
			     FLAG_FIXED | FLAG_RF, 0x7005, SEL_DATA3 | 3),
	       "64-bit, from CPL 3: six quadwords, CR2");
	tap_ok(guest.cpu->seg[SEG_SS].selector == 0 &&
		       (guest.cpu->seg[SEG_SS].attr & SEG_ATTR_NULL),
	       "SS becomes null");
	guest.cpu->gpr[RSP] += 8;
	EXPECT(&guest, "\x48\xcf", RETIRED, 0, "IRETQ");
	tap_ok(guest.cpu->cpl == 3 && guest.cpu->gpr[RSP] == 0x7005 && guest.cpu->rip == GUEST_CODE,
	       "returns there");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_LONG0);
	guest.cpu->gpr[RSP] = 0x8005;
	interrupt_deliver(guest.cpu, 0x40, false);
	tap_ok(guest.cpu->gpr[RSP] == 0x8000 - 40 && guest.cpu->seg[SEG_SS].selector == SEL_DATA0 &&
		       FRAME(&guest, 0x8000 - 40, 8, GUEST_CODE, SEL_LONG0, FLAG_FIXED, 0x8005,
			     SEL_DATA0),
	       "64-bit, same privilege: aligned, SS:RSP all the same");
	guest_gate(&guest, GUEST_IDT_GATE(&guest, 0x41), SEL_LONG0, 0x1234, 0x8e, 1);
	interrupt_deliver(guest.cpu, 0x41, false);
	tap_ok(guest.cpu->gpr[RSP] == GUEST_IST1 - 40, "IST 1");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_COMPAT3);
	EXPECT(&guest, "\xcd\x80", RETIRED, 0, "INT 80h from compatibility mode");
	tap_ok(cpu_code64(guest.cpu) && FRAME(&guest, GUEST_STACK0 - 40, 8, GUEST_CODE + 2),
	       "a 64-bit handler, the address after the instruction");
	EXPECT(&guest, "\x48\xcf", RETIRED, 0, "IRETQ");
	tap_ok(!cpu_code64(guest.cpu) && guest.cpu->cpl == 3, "back to compatibility mode");
	guest_destroy(&guest);
}

/* ---- faults of delivery: INT n with a bad gate ---- */

struct gate_case {
	const char *name;
	enum guest_mode mode;
	uint16_t selector;
	uint8_t access;
	uint64_t offset;
	unsigned vector;
	uint32_t error;
};

static const struct gate_case gate_cases[] = {
	{"gate DPL below CPL", GUEST_PROTECTED3, SEL_CODE0, 0x8e, 0, VECTOR_GP, 0x40 * 8 + 2},
	{"absent gate", GUEST_PROTECTED3, SEL_CODE0, 0x6e, 0, VECTOR_NP, 0x40 * 8 + 2},
	{"not a gate", GUEST_PROTECTED0, SEL_CODE0, 0xe2, 0, VECTOR_GP, 0x40 * 8 + 2},
	{"call gate", GUEST_PROTECTED0, SEL_CODE0, 0xec, 0, VECTOR_GP, 0x40 * 8 + 2},
	{"null handler", GUEST_PROTECTED0, 0, 0xee, 0, VECTOR_GP, 0},
	{"handler beyond the GDT", GUEST_PROTECTED0, SEL_END, 0xee, 0, VECTOR_GP, SEL_END},
	{"data handler", GUEST_PROTECTED0, SEL_DATA0, 0xee, 0, VECTOR_GP, SEL_DATA0},
	{"absent handler", GUEST_PROTECTED0, SEL_ABSENT_CODE0, 0xee, 0, VECTOR_NP,
	 SEL_ABSENT_CODE0},
	{"less privileged handler", GUEST_PROTECTED0, SEL_CODE3, 0xee, 0, VECTOR_GP, SEL_CODE3},
	{"entry beyond the limit", GUEST_PROTECTED0, SEL_CODE16, 0xee, 0x10000, VECTOR_GP, 0},
	{"16-bit gate in long mode", GUEST_LONG0, SEL_LONG0, 0xe6, 0, VECTOR_GP, 0x40 * 8 + 2},
	{"32-bit handler in long mode", GUEST_LONG0, SEL_CODE0, 0xee, 0, VECTOR_GP, SEL_CODE0},
	{"non-canonical entry", GUEST_LONG0, SEL_LONG0, 0xee, 0x800000000000, VECTOR_GP, 0},
};

static void test_gates(void)
{
	for (unsigned i = 0; i < sizeof(gate_cases) / sizeof(gate_cases[0]); i++) {
		const struct gate_case *c = &gate_cases[i];
		struct guest guest;
		guest_create(&guest, c->mode);
		guest_gate(&guest, GUEST_IDT_GATE(&guest, 0x40), c->selector, c->offset, c->access,
			   0);
		EXPECT(&guest, "\xcd\x40", c->vector, c->error, c->name);
		tap_ok(guest.cpu->gpr[RSP] == GUEST_STACK && guest.cpu->rip == GUEST_CODE &&
			       !guest_load(&guest, GUEST_STACK - 8, 8),
		       "%s: nothing changed", c->name);
		guest_destroy(&guest);
	}
}

static void test_stack_faults(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED3);
	guest_store(&guest, GUEST_TSS + 8, 0, 2);
	EXPECT(&guest, "\xcd\x40", VECTOR_TS, 0, "null SS0: #TS(0)");
	guest_store(&guest, GUEST_TSS + 8, SEL_DATA3, 2);
	EXPECT(&guest, "\xcd\x40", VECTOR_TS, SEL_DATA3, "SS0 of the wrong privilege: #TS");
	guest_store(&guest, GUEST_TSS + 8, SEL_ABSENT_DATA0, 2);
	EXPECT(&guest, "\xcd\x40", VECTOR_SS, SEL_ABSENT_DATA0, "absent SS0: #SS");
	guest_store(&guest, GUEST_TSS + 8, SEL_DATA16, 2);
	guest_store(&guest, GUEST_TSS + 4, 0x10002, 4);
	guest.cpu->seg[SEG_TR].limit = 7;
	EXPECT(&guest, "\xcd\x40", VECTOR_TS, SEL_TSS, "TSS too short: #TS(TR)");
	guest_destroy(&guest);
	guest_create(&guest, GUEST_LONG3);
	guest_store(&guest, GUEST_TSS + 4, 0x800000000000, 8);
	EXPECT(&guest, "\xcd\x40", VECTOR_SS, 0, "non-canonical RSP0: #SS(0)");
	guest_destroy(&guest);
}

/* ---- combinations (SDM 3A table 6-5) ---- */

struct double_case {
	const char *name;
	unsigned first, broken; /* broken: the gate that is absent, giving #NP */
	unsigned reached;
	uint64_t error;
};

static const struct double_case double_cases[] = {
	{"#UD, then #NP: the second is delivered", VECTOR_UD, VECTOR_UD, VECTOR_NP,
	 VECTOR_UD * 8 + 3},
	{"#GP, then #NP: double fault", VECTOR_GP, VECTOR_GP, VECTOR_DF, 0},
	{"#PF, then #NP: double fault", VECTOR_PF, VECTOR_PF, VECTOR_DF, 0},
};

static void raise_vector(struct cpu *cpu, unsigned vector)
{
	if (vector == VECTOR_PF)
		raise_page_fault(cpu, 0x1234, 0);
	else if (vector == VECTOR_GP)
		raise_gp(cpu, 0);
	else
		raise_fault(cpu, (enum vector)vector);
}

static void test_double(void)
{
	struct guest guest;

	for (unsigned i = 0; i < sizeof(double_cases) / sizeof(double_cases[0]); i++) {
		const struct double_case *c = &double_cases[i];
		guest_create(&guest, GUEST_LONG0);
		guest_store(&guest, GUEST_IDT + 16 * c->broken + 5, 0x0e, 1);
		raise_vector(guest.cpu, c->first);
		uint64_t icount = guest.machine->icount;
		exception_deliver(guest.cpu);
		tap_ok(at_handler(&guest, c->reached) &&
			       guest_load(&guest, guest.cpu->gpr[RSP], 8) == c->error,
		       "%s", c->name);
		tap_ok(guest.machine->icount == icount + 1, "%s: one step", c->name);
		guest_destroy(&guest);
	}

	guest_create(&guest, GUEST_LONG0);
	guest.cpu->idtr.limit = 0;
	raise_gp(guest.cpu, 0);
	exception_deliver(guest.cpu);
	tap_ok(guest.cpu->activity == ACTIVITY_SHUTDOWN && guest.cpu->rip == GUEST_CODE,
	       "no IDT: triple fault, shutdown");
	guest_destroy(&guest);

	/* The page of the stack is not there: #GP, then #PF of the first push, delivered on IST 1.
	 */
	guest_create(&guest, GUEST_LONG0);
	guest.cpu->gpr[RSP] = 0x40000000;
	guest_gate(&guest, GUEST_IDT_GATE(&guest, VECTOR_PF), SEL_LONG0, 0x5555, 0x8e, 1);
	raise_gp(guest.cpu, 0);
	exception_deliver(guest.cpu);
	tap_ok(guest.cpu->rip == 0x5555 && guest.cpu->cr2 == 0x40000000 - 8,
	       "#GP, then #PF: the second is delivered");
	guest.cpu->gpr[RSP] = 0x40000000;
	guest_gate(&guest, GUEST_IDT_GATE(&guest, VECTOR_PF), SEL_LONG0, 0x5555, 0x8e, 0);
	guest_gate(&guest, GUEST_IDT_GATE(&guest, VECTOR_DF), SEL_LONG0, 0x6666, 0x8e, 1);
	raise_page_fault(guest.cpu, 0x1234, 0);
	exception_deliver(guest.cpu);
	tap_ok(guest.cpu->rip == 0x6666 && guest.cpu->cr2 == 0x40000000 - 8,
	       "#PF, then #PF: double fault, CR2 of the second");
	guest_destroy(&guest);
}

/* ---- interrupt state ---- */

static void test_blocking(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_LONG0);
	interrupt_deliver(guest.cpu, VECTOR_NMI, true);
	tap_ok(at_handler(&guest, VECTOR_NMI) && !cpu_can_take_nmi(guest.cpu),
	       "an NMI blocks further ones");
	RUN(&guest, "\x48\xcf");
	tap_ok(cpu_can_take_nmi(guest.cpu), "until IRET");
	tap_ok(!cpu_can_take_interrupt(guest.cpu), "IF=0: no interrupt");
	RUN(&guest, "\xfb");
	tap_ok(guest.cpu->shadow == SHADOW_STI && !cpu_can_take_interrupt(guest.cpu),
	       "STI holds off for an instruction");
	guest.cpu->shadow = SHADOW_NONE;
	RUN(&guest, "\xfb");
	tap_ok(guest.cpu->shadow == SHADOW_NONE && cpu_can_take_interrupt(guest.cpu),
	       "STI with IF=1 does not");
	guest.cpu->pending_db = DR6_BS;
	tap_ok(!cpu_can_take_interrupt(guest.cpu), "a debug trap comes first");
	guest.cpu->pending_db = 0;
	RUN(&guest, "\xf4");
	tap_ok(guest.cpu->activity == ACTIVITY_HALTED && cpu_can_take_interrupt(guest.cpu), "HLT");
	guest_destroy(&guest);
}

/* ---- debug ---- */

static void test_debug(void)
{
	struct guest guest;
	struct cpu *cpu;

	guest_create(&guest, GUEST_LONG0);
	cpu = guest.cpu;
	cpu->pending_db = DR6_BS;
	cpu->dr6 = DR6_FIXED | 1;
	cpu->dr7 |= DR7_GD;
	debug_raise_pending(cpu);
	exception_deliver(cpu);
	tap_ok(at_handler(&guest, VECTOR_DB) && cpu->dr6 == (DR6_FIXED | DR6_BS) &&
		       !(cpu->dr7 & DR7_GD) && !cpu->pending_db,
	       "#DB: BS, B0 cleared, GD cleared");
	tap_ok(!(guest_load(&guest, cpu->gpr[RSP] + 16, 8) & FLAG_RF),
	       "a trap's image has RF clear");

	cpu->dr[1] = 0x1000;
	cpu->dr7 = DR7_FIXED | 1 << 2 | 1u << 20 | 3u << 22; /* write, 4 bytes */
	debug_data_access(cpu, 0x1003, 1, ACCESS_READ);
	tap_ok(!cpu->pending_db, "a write breakpoint ignores reads");
	debug_data_access(cpu, 0xffe, 2, ACCESS_WRITE);
	tap_ok(!cpu->pending_db, "and writes below");
	debug_data_access(cpu, 0xffe, 4, ACCESS_WRITE);
	tap_ok(cpu->pending_db == 2, "but not one that overlaps");
	cpu->pending_db = 0;
	cpu->dr7 = DR7_FIXED | 1 << 2;
	tap_ok(!debug_code_match(cpu, 0x1001) && debug_code_match(cpu, 0x1000) &&
		       cpu->fault.dr6 == 2,
	       "instruction breakpoint");
	cpu_set_rflags(cpu, FLAG_RF);
	tap_ok(!debug_code_match(cpu, 0x1000), "RF holds it off");
	cpu_set_rflags(cpu, 0);
	cpu->dr[1] = 0x70;
	cpu->dr7 = DR7_FIXED | 1 << 2 | 2u << 20;
	debug_port_access(cpu, 0x70, 1);
	tap_ok(!cpu->pending_db, "port breakpoints need CR4.DE");
	cpu->cr4 |= CR4_DE;
	RUN(&guest, "\xe4\x70");
	tap_ok(cpu->pending_db == 2, "IN meets one");
	cpu->pending_db = 0;
	EXPECT(&guest, "\x0f\x21\xe0", VECTOR_UD, 0, "MOV from DR4 with DE: #UD");
	cpu->cr4 &= ~(uint64_t)CR4_DE;
	EXPECT(&guest, "\x0f\x21\xe0", RETIRED, 0, "without: DR6");
	tap_ok(cpu->gpr[RAX] == cpu->dr6, "its value");
	cpu->gpr[RAX] = 0xffffffff;
	EXPECT(&guest, "\x0f\x23\xf0", RETIRED, 0, "MOV to DR6");
	tap_ok(cpu->dr6 == 0xffffefff, "reserved bits stay");
	cpu->gpr[RAX] = DR7_GD;
	EXPECT(&guest, "\x0f\x23\xf8", RETIRED, 0, "set GD");
	EXPECT(&guest, "\x0f\x21\xc0", VECTOR_DB, 0, "then MOV DR: #DB");
	tap_ok(cpu->fault.dr6 == DR6_BD, "with BD");
	cpu->dr7 = DR7_FIXED;
	cpu->gpr[RAX] = UINT64_C(1) << 32;
	EXPECT(&guest, "\x0f\x23\xf8", VECTOR_GP, 0, "MOV to DR7 of a wide value");
	guest_destroy(&guest);
	guest_create(&guest, GUEST_LONG3);
	EXPECT(&guest, "\x0f\x21\xc0", VECTOR_GP, 0, "MOV DR at CPL 3");
	guest_destroy(&guest);
}

int main(void)
{
	test_real();
	test_protected();
	test_v8086();
	test_long();
	test_gates();
	test_stack_faults();
	test_double();
	test_blocking();
	test_debug();
	return tap_done();
}
