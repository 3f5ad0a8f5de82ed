/* Control registers, MSRs, CPUID, flags, ports, reset; the machine's state and events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cpu/system_guest.h"

/* ---- control registers ---- */

struct control_case {
	const char *name;
	enum guest_mode mode;
	unsigned reg;
	uint64_t value; /* XORed into the register */
	unsigned vector;
};

static const struct control_case control_cases[] = {
	{"PG without PE", GUEST_REAL, 0, CR0_PG, VECTOR_GP},
	{"NW without CD", GUEST_PROTECTED0, 0, CR0_NW, VECTOR_GP},
	{"PE", GUEST_REAL, 0, CR0_PE, RETIRED},
	{"PG off in 64-bit mode", GUEST_LONG0, 0, CR0_PG, VECTOR_GP},
	{"PG off in compatibility mode", GUEST_COMPAT0, 0, CR0_PG, RETIRED},
	{"wide CR0", GUEST_LONG0, 0, UINT64_C(1) << 32, VECTOR_GP},
	{"CR3 beyond the physical width", GUEST_LONG0, 3, UINT64_C(1) << GPA_BITS, VECTOR_GP},
	{"CR3 no-flush bit without PCID", GUEST_LONG0, 3, UINT64_C(1) << 63, VECTOR_GP},
	{"PAE off in long mode", GUEST_LONG0, 4, CR4_PAE, VECTOR_GP},
	{"VME", GUEST_PROTECTED0, 4, CR4_VME, VECTOR_GP},
	{"PCIDE", GUEST_LONG0, 4, UINT64_C(1) << 17, VECTOR_GP},
	{"SMEP and SMAP", GUEST_LONG0, 4, CR4_SMEP | CR4_SMAP, RETIRED},
	{"at CPL 3", GUEST_LONG3, 0, 0, VECTOR_GP},
};

static uint64_t *control_register(struct cpu *cpu, unsigned reg)
{
	return reg == 0 ? &cpu->cr0 : reg == 3 ? &cpu->cr3 : &cpu->cr4;
}

static void test_control(void)
{
	for (unsigned i = 0; i < sizeof(control_cases) / sizeof(control_cases[0]); i++) {
		const struct control_case *c = &control_cases[i];
		const uint8_t bytes[] = {0x0f, 0x22, (uint8_t)(0xc0 | c->reg << 3)};
		struct guest guest;
		guest_create(&guest, c->mode);
		uint64_t *control = control_register(guest.cpu, c->reg);
		uint64_t before = *control;
		guest.cpu->gpr[RAX] = before ^ c->value;
		guest_expect(&guest, bytes, 3, c->vector, 0, c->name);
		tap_ok(*control == (c->vector == RETIRED ? before ^ c->value : before), "%s: value",
		       c->name);
		guest_destroy(&guest);
	}
}

static void test_long_activation(void)
{
	struct guest guest;
	struct cpu *cpu;

	guest_create(&guest, GUEST_COMPAT0);
	cpu = guest.cpu;
	cpu->gpr[RAX] = cpu->cr0 & ~(uint64_t)CR0_PG;
	RUN(&guest, "\x0f\x22\xc0");
	tap_ok(!(cpu->efer & EFER_LMA), "PG off leaves long mode");
	cpu->cr4 = 0;
	cpu->gpr[RAX] = cpu->cr0 | CR0_PG;
	EXPECT(&guest, "\x0f\x22\xc0", VECTOR_GP, 0, "PG with LME but without PAE");
	cpu->cr4 = CR4_PAE;
	EXPECT(&guest, "\x0f\x22\xc0", RETIRED, 0, "PG with LME and PAE");
	tap_ok(cpu->efer & EFER_LMA, "enters long mode");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_PROTECTED0);
	cpu = guest.cpu;
	cpu->cr4 = CR4_PAE;
	cpu->cr3 = GUEST_DATA;
	guest_store(&guest, GUEST_DATA, 0x11001, 8);
	guest_store(&guest, GUEST_DATA + 8, 3, 8); /* bit 1 of a present PDPTE is reserved */
	cpu->gpr[RAX] = cpu->cr0 | CR0_PG;
	EXPECT(&guest, "\x0f\x22\xc0", VECTOR_GP, 0, "PAE paging with a bad PDPTE");
	guest_store(&guest, GUEST_DATA + 8, 0, 8);
	EXPECT(&guest, "\x0f\x22\xc0", RETIRED, 0, "PAE paging with good ones");
	tap_ok(cpu->pdpte[0] == 0x11001, "loads them");
	guest_destroy(&guest);
}

static void test_status_word(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED0);
	guest.cpu->gpr[RAX] = CR0_TS | CR0_MP;
	RUN(&guest, "\x0f\x01\xf0");
	tap_ok((guest.cpu->cr0 & 0xf) == (CR0_PE | CR0_TS | CR0_MP), "LMSW cannot clear PE");
	RUN(&guest, "\x0f\x06");
	tap_ok(!(guest.cpu->cr0 & CR0_TS), "CLTS");
	guest_destroy(&guest);
	guest_create(&guest, GUEST_LONG0);
	guest.answer = 7;
	EXPECT(&guest, "\x44\x0f\x20\xc0", RETIRED, 0, "MOV from CR8");
	tap_ok(guest.cpu->gpr[RAX] == 7 && guest.crossed.kind == CROSSING_CR8_READ, "crosses");
	guest.cpu->gpr[RAX] = 16;
	EXPECT(&guest, "\x44\x0f\x22\xc0", VECTOR_GP, 0, "CR8 has four bits");
	EXPECT(&guest, "\x0f\x20\xc8", VECTOR_UD, 0, "there is no CR1");
	guest_destroy(&guest);
}

/* ---- MSRs ---- */

struct msr_case {
	const char *name;
	uint32_t msr;
	uint64_t value;
	bool read_faults, write_faults;
	int crossing; /* of the write, or -1 */
};

static const struct msr_case msr_cases[] = {
	{"LSTAR", 0xc0000082, 0xffffffff81000000, false, false, -1},
	{"LSTAR non-canonical", 0xc0000082, 0x800000000000, false, true, -1},
	{"SFMASK", 0xc0000084, 0x47700, false, false, -1},
	{"SFMASK wide", 0xc0000084, UINT64_C(1) << 32, false, true, -1},
	{"FS_BASE", 0xc0000100, 0x7fff12345678, false, false, -1},
	{"KERNEL_GS_BASE", 0xc0000102, 0xffff888000000000, false, false, -1},
	{"TSC_AUX", 0xc0000103, 5, false, false, -1},
	{"PAT", 0x277, 0x0007010600070106, false, false, -1},
	{"PAT with type 2", 0x277, 0x0207010600070106, false, true, -1},
	{"MTRR base 7", 0x20e, 0xc0000006, false, false, -1},
	{"MTRR base with type 3", 0x20e, 0xc0000003, false, true, -1},
	{"MTRR mask 7", 0x20f, 0xffc0000800, false, false, -1},
	{"MTRR mask, reserved", 0x20f, 0xffc0000801, false, true, -1},
	{"MTRR beyond", 0x210, 0, true, true, -1},
	{"MTRR fixed 4K", 0x26f, 0x0606060606060606, false, false, -1},
	{"MTRR default type", 0x2ff, 0xc06, false, false, -1},
	{"MTRRCAP is read-only", 0xfe, 0, false, true, -1},
	{"EFER LME under paging", 0xc0000080, EFER_NXE, false, true, -1},
	{"EFER reserved", 0xc0000080, 0x10000 | EFER_LME, false, true, -1},
	{"TSC deadline", 0x6e0, 12345, false, false, 0x6e0},
	{"x2APIC in xAPIC mode", 0x808, 0, true, true, -1},
	{"APIC base moved", 0x1b, 0xfee10900, false, true, -1},
	{"APIC to x2APIC", 0x1b, 0xfee00d00, false, false, 0x1b},
	{"APIC off with x2APIC", 0x1b, 0xfee00500, false, true, -1},
	{"SPEC_CTRL is not offered", 0x48, 0, true, true, -1},
	{"unlisted", 0x12345, 0, true, true, -1},
};

static void test_msr(const struct msr_case *c)
{
	struct guest guest;
	struct cpu *cpu;

	guest_create(&guest, GUEST_LONG0);
	cpu = guest.cpu;
	cpu->gpr[RCX] = c->msr;
	cpu->gpr[RAX] = (uint32_t)c->value;
	cpu->gpr[RDX] = c->value >> 32;
	EXPECT(&guest, "\x0f\x30", c->write_faults ? VECTOR_GP : RETIRED, 0, c->name);
	tap_ok(c->crossing < 0
		       ? guest.n_crossings == 0
		       : guest.n_crossings == 1 && guest.crossed.kind == CROSSING_MSR_WRITE &&
				 guest.crossed.address == (uint64_t)c->crossing &&
				 guest.crossed.value == c->value,
	       "%s: crossing", c->name);
	guest.answer = c->value;
	EXPECT(&guest, "\x0f\x32", c->read_faults ? VECTOR_GP : RETIRED, 0, c->name);
	if (!c->write_faults)
		tap_ok((cpu->gpr[RDX] << 32 | cpu->gpr[RAX]) == c->value, "%s: reads back",
		       c->name);
	guest_destroy(&guest);
}

static void test_msrs(void)
{
	struct guest guest;

	for (unsigned i = 0; i < sizeof(msr_cases) / sizeof(msr_cases[0]); i++)
		test_msr(&msr_cases[i]);
	guest_create(&guest, GUEST_LONG0);
	guest.cpu->gpr[RCX] = 0x4b564d00;
	RUN(&guest, "\x0f\x32");
	tap_ok(guest.machine->unknown_msrs == 1, "unlisted MSRs are counted");
	guest.cpu->apic_base |= 0x400;
	guest.cpu->gpr[RCX] = 0x80b;
	EXPECT(&guest, "\x0f\x32", VECTOR_GP, 0, "x2APIC EOI cannot be read");
	guest.cpu->gpr[RAX] = guest.cpu->gpr[RDX] = 0;
	EXPECT(&guest, "\x0f\x30", RETIRED, 0, "but written, with 0");
	guest.cpu->gpr[RAX] = 1;
	EXPECT(&guest, "\x0f\x30", VECTOR_GP, 0, "x2APIC EOI of anything else: #GP");
	tap_ok(guest.crossed.address == 0x80b, "outside");
	guest_destroy(&guest);
	guest_create(&guest, GUEST_LONG3);
	EXPECT(&guest, "\x0f\x32", VECTOR_GP, 0, "RDMSR at CPL 3");
	guest_destroy(&guest);
}

static void test_time(void)
{
	struct guest guest;
	struct cpu *cpu;

	guest_create(&guest, GUEST_LONG0);
	cpu = guest.cpu;
	guest.machine->clock = (struct machine_clock){1000, 0, UINT64_C(5) << 31}; /* 2.5 a step */
	guest.machine->icount = 100;
	RUN(&guest, "\x0f\x31");
	tap_ok(cpu->gpr[RAX] == 1250, "RDTSC: the clock");
	cpu->gpr[RCX] = 0x10;
	cpu->gpr[RAX] = 5000;
	RUN(&guest, "\x0f\x30");
	tap_ok(cpu->tsc_offset == 5000 - machine_clock_now(guest.machine) + 2 ||
		       cpu_tsc(cpu) - 5000 <= 3,
	       "WRMSR of the TSC moves the offset");
	cpu->tsc_aux = 3;
	RUN(&guest, "\x0f\x01\xf9");
	tap_ok(cpu->gpr[RCX] == 3, "RDTSCP gives TSC_AUX");
	EXPECT(&guest, "\x0f\x33", VECTOR_GP, 0, "RDPMC: no counters");
	guest.answer = 0x1122334455667788;
	EXPECT(&guest, "\x48\x0f\xc7\xf0", RETIRED, 0, "RDRAND");
	tap_ok(cpu->gpr[RAX] == guest.answer && (cpu_rflags(cpu) & FLAGS_ARITH) == FLAG_CF &&
		       guest.crossed.kind == CROSSING_RDRAND,
	       "crosses, CF");
	cpu->gpr[RAX] = UINT64_MAX;
	EXPECT(&guest, "\x66\x0f\xc7\xf8", RETIRED, 0, "RDSEED of 16 bits");
	tap_ok(cpu->gpr[RAX] == 0xffffffffffff7788 && guest.crossed.kind == CROSSING_RDSEED,
	       "leaves the rest");
	guest_destroy(&guest);
	guest_create(&guest, GUEST_LONG3);
	guest.cpu->cr4 |= CR4_TSD;
	EXPECT(&guest, "\x0f\x31", VECTOR_GP, 0, "RDTSC at CPL 3 with TSD");
	guest_destroy(&guest);
}

/* ---- CPUID ---- */

static void test_cpuid(void)
{
	struct guest guest;
	uint32_t out[4], last[4];

	guest_create(&guest, GUEST_LONG3);
	cpuid_query(guest.cpu, 0, 0, out);
	tap_ok(out[CPUID_EAX] == 0x16 && out[CPUID_EBX] == 0x756e6547 &&
		       out[CPUID_EDX] == 0x49656e69 && out[CPUID_ECX] == 0x6c65746e,
	       "GenuineIntel, up to leaf 0x16");
	cpuid_query(guest.cpu, 1, 0, out);
	tap_ok(out[CPUID_EAX] == 0x106ca, "family 6, model 0x1c");
	tap_ok(!(out[CPUID_ECX] & (1u << 31)) && !(out[CPUID_ECX] & (1u << 28)) &&
		       !(out[CPUID_EDX] & 2),
	       "no hypervisor bit, no AVX, no VME");
	tap_ok(!(out[CPUID_ECX] & (1u << 27)), "OSXSAVE follows CR4");
	guest.cpu->cr4 |= CR4_OSXSAVE;
	cpuid_query(guest.cpu, 1, 0, out);
	tap_ok(out[CPUID_ECX] & (1u << 27), "when set too");
	guest.cpu->apic_base &= ~UINT64_C(0x800);
	cpuid_query(guest.cpu, 1, 0, out);
	tap_ok(!(out[CPUID_EDX] & (1u << 9)), "APIC follows its enable bit");
	cpuid_query(guest.cpu, 0x15, 0, out);
	tap_ok((uint64_t)out[CPUID_ECX] * out[CPUID_EBX] / out[CPUID_EAX] == MACHINE_TSC_HZ,
	       "leaf 0x15 gives the TSC's frequency");
	cpuid_query(guest.cpu, 0x16, 0, last);
	cpuid_query(guest.cpu, 0x40000000, 0, out);
	tap_ok(!memcmp(out, last, sizeof(out)), "out of range: the last basic leaf");
	cpuid_query(guest.cpu, 7, 1, out);
	tap_ok(!(out[0] | out[1] | out[2] | out[3]), "an unknown subleaf of 7 is 0");
	guest.cpu->gpr[RAX] = 0x80000008;
	guest.cpu->gpr[RDX] = UINT64_MAX;
	EXPECT(&guest, "\x0f\xa2", RETIRED, 0, "CPUID at CPL 3");
	tap_ok(guest.cpu->gpr[RAX] == (48 << 8 | GPA_BITS) && guest.cpu->gpr[RDX] == 0,
	       "address widths; upper halves cleared");
	guest_destroy(&guest);
}

/* ---- flags ---- */

struct popf_case {
	const char *name;
	enum guest_mode mode;
	uint64_t before, popped, after;
	bool short_operand;
};

#define ALL_FLAGS UINT64_C(0x3f7fd7)

static const struct popf_case popf_cases[] = {
	{"at CPL 0", GUEST_LONG0, 0, ALL_FLAGS,
	 ALL_FLAGS & ~(uint64_t)(FLAG_RF | FLAG_VM | FLAG_VIF | FLAG_VIP), false},
	{"at CPL 3, IOPL 0", GUEST_LONG3, FLAG_IF, ALL_FLAGS & ~(uint64_t)FLAG_IF,
	 FLAGS_ARITH | FLAG_FIXED | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID | FLAG_IF,
	 false},
	{"at CPL 3, IOPL 3", GUEST_LONG3, FLAG_IOPL, FLAG_IF, FLAG_IOPL | FLAG_IF | FLAG_FIXED,
	 false},
	{"of 16 bits", GUEST_LONG0, FLAG_AC | FLAG_ID, FLAG_IOPL | FLAG_CF,
	 FLAG_AC | FLAG_ID | FLAG_IOPL | FLAG_CF | FLAG_FIXED, true},
};

static void test_flags(void)
{
	struct guest guest;

	for (unsigned i = 0; i < sizeof(popf_cases) / sizeof(popf_cases[0]); i++) {
		const struct popf_case *c = &popf_cases[i];
		guest_create(&guest, c->mode);
		cpu_set_rflags(guest.cpu, c->before);
		guest_store(&guest, GUEST_STACK, c->popped, 8);
		guest_run(&guest, c->short_operand ? "\x66\x9d" : "\x9d", c->short_operand ? 2 : 1);
		tap_ok(cpu_rflags(guest.cpu) == c->after, "POPF %s", c->name);
		guest_destroy(&guest);
	}
	guest_create(&guest, GUEST_LONG0);
	cpu_set_rflags(guest.cpu, FLAG_RF | FLAG_CF | FLAG_OF);
	RUN(&guest, "\x9c");
	tap_ok(guest_load(&guest, GUEST_STACK - 8, 8) == (FLAG_FIXED | FLAG_CF | FLAG_OF),
	       "PUSHF shows RF clear");
	guest_destroy(&guest);
	guest_create(&guest, GUEST_LONG3);
	EXPECT(&guest, "\xfb", VECTOR_GP, 0, "STI at CPL 3, IOPL 0");
	EXPECT(&guest, "\xf4", VECTOR_GP, 0, "HLT at CPL 3");
	EXPECT(&guest, "\x0f\x01\xcb", VECTOR_UD, 0, "STAC at CPL 3: #UD");
	guest_destroy(&guest);
}

/* ---- ports ---- */

static void test_ports(void)
{
	struct guest guest;
	struct cpu *cpu;

	guest_create(&guest, GUEST_LONG3);
	cpu = guest.cpu;
	guest.answer = 0x5a;
	EXPECT(&guest, "\xe4\x70", RETIRED, 0, "IN at CPL 3 with the bitmap clear");
	tap_ok(cpu->gpr[RAX] == 0x5a && guest.crossed.kind == CROSSING_PORT_READ &&
		       guest.crossed.address == 0x70 && guest.crossed.size == 1,
	       "crosses");
	guest_store(&guest, GUEST_TSS + 0x68 + 0x70 / 8, 2, 1);
	EXPECT(&guest, "\xe4\x71", VECTOR_GP, 0, "its bit set: #GP(0)");
	EXPECT(&guest, "\xe5\x70", VECTOR_GP, 0, "also under a wider access");
	cpu->seg[SEG_TR].limit = 0x67 + 0x70 / 8;
	EXPECT(&guest, "\xe4\x70", VECTOR_GP, 0, "beyond the TSS: #GP(0)");
	cpu_set_rflags(cpu, FLAG_IOPL);
	EXPECT(&guest, "\xe4\x71", RETIRED, 0, "IOPL 3 needs no bitmap");
	guest.n_crossings = 1;
	EXPECT(&guest, "\xe5\x60", RETIRED, 0, "an unassigned port");
	tap_ok(cpu->gpr[RAX] == UINT32_MAX && !guest.n_crossings, "reads as ones, inside");
	cpu->gpr[RDX] = 0x72;
	cpu->gpr[RDI] = GUEST_DATA;
	guest.answer = 0x1234;
	EXPECT(&guest, "\x66\x6d", RETIRED, 0, "INSW");
	tap_ok(guest_load(&guest, GUEST_DATA, 4) == 0x1234 && cpu->gpr[RDI] == GUEST_DATA + 2,
	       "stores and advances");
	cpu->gpr[RDI] = 0x40000000;
	guest.crossed.kind = 0;
	EXPECT(&guest, "\x6c", VECTOR_PF, 6, "INSB to a page that is not there");
	tap_ok(!guest.crossed.kind, "faults before it crosses");
	cpu->gpr[RSI] = GUEST_DATA;
	cpu_set_rflags(cpu, FLAG_IOPL | FLAG_DF);
	EXPECT(&guest, "\x6e", RETIRED, 0, "OUTSB");
	tap_ok(guest.crossed.kind == CROSSING_PORT_WRITE && guest.crossed.value == 0x34 &&
		       cpu->gpr[RSI] == GUEST_DATA - 1,
	       "sends and goes down with DF");
	guest_destroy(&guest);
}

/* ---- reset, state ---- */

static void test_reset(void)
{
	struct guest guest;
	struct cpu *cpu;

	guest_create(&guest, GUEST_LONG0);
	cpu = guest.cpu;
	cpu->lstar = 0x1234;
	cpu->fx.mxcsr = 0x1fa0;
	cpu_reset(cpu, true);
	tap_ok(cpu->cr0 == CR0_ET && !cpu->efer && cpu->lstar == 0x1234 && cpu->fx.mxcsr == 0x1fa0,
	       "INIT keeps the cache bits, MSRs and the FPU");
	cpu_reset(cpu, false);
	tap_ok(cpu->cr0 == 0x60000010 && cpu->rip == 0xfff0 &&
		       cpu->seg[SEG_CS].base == 0xffff0000 && !cpu->lstar &&
		       cpu->gpr[RDX] == cpuid_signature() && cpu->fx.fcw == 0x40,
	       "RESET sets everything");
	guest_destroy(&guest);
}

static void test_state(void)
{
	struct guest guest;
	uint8_t *a = malloc(cpu_state_bytes), *b = malloc(cpu_state_bytes);
	const char *name;
	uint64_t left, right;

	guest_create(&guest, GUEST_LONG3);
	guest.cpu->gpr[R9] = 0x1122334455667788;
	guest.cpu->fx.xmm[7][3] = 9;
	cpu_state_encode(guest.cpu, a);
	tap_ok(cpu_state_decode(guest.cpu, a) == 0, "a state is accepted");
	cpu_state_encode(guest.cpu, b);
	tap_ok(!memcmp(a, b, cpu_state_bytes) && !cpu_state_difference(a, b, &name, &left, &right),
	       "and comes back the same");
	guest.cpu->gpr[R9]++;
	cpu_state_encode(guest.cpu, b);
	tap_ok(cpu_state_difference(a, b, &name, &left, &right) && !strcmp(name, "r9") &&
		       right == left + 1,
	       "a difference is named");
	/* The same flags from another instruction. */
	cpu_set_rflags(guest.cpu, FLAG_ZF | FLAG_PF);
	cpu_state_encode(guest.cpu, a);
	guest.cpu->cc_result = 0;
	guest.cpu->cc_aux = 0;
	cpu_state_encode(guest.cpu, b);
	tap_ok(!memcmp(a, b, cpu_state_bytes), "lazy flags do not show");
	guest_destroy(&guest);
	free(a);
	free(b);
}

struct bad_state {
	const char *name;
	void (*spoil)(struct cpu *cpu);
};

static void spoil_cpl(struct cpu *cpu)
{
	cpu->cpl = 4;
}

static void spoil_cr0(struct cpu *cpu)
{
	cpu->cr0 &= ~(uint64_t)CR0_PE;
}

static void spoil_efer(struct cpu *cpu)
{
	cpu->efer &= ~(uint64_t)EFER_LMA;
}

static void spoil_activity(struct cpu *cpu)
{
	cpu->activity = 9;
}

static void spoil_rip(struct cpu *cpu)
{
	cpu->rip = 0x800000000000;
}

static void spoil_mxcsr(struct cpu *cpu)
{
	cpu->fx.mxcsr = 0x10000;
}

static void spoil_index(struct cpu *cpu)
{
	cpu->index = 5;
}

static const struct bad_state bad_states[] = {
	{"CPL 4", spoil_cpl},
	{"PG without PE", spoil_cr0},
	{"LMA not as LME", spoil_efer},
	{"unknown activity", spoil_activity},
	{"non-canonical RIP", spoil_rip},
	{"MXCSR reserved", spoil_mxcsr},
	{"another vCPU's", spoil_index},
};

static void test_bad_states(void)
{
	uint8_t *state = malloc(cpu_state_bytes);

	for (unsigned i = 0; i < sizeof(bad_states) / sizeof(bad_states[0]); i++) {
		struct guest guest;
		guest_create(&guest, GUEST_LONG0);
		struct cpu spoilt = *guest.cpu;
		bad_states[i].spoil(&spoilt);
		cpu_state_encode(&spoilt, state);
		tap_ok(cpu_state_decode(guest.cpu, state) == -EINVAL && guest.cpu->cpl == 0,
		       "refused: %s", bad_states[i].name);
		guest_destroy(&guest);
	}
	free(state);
}

/* There are no caches, and no cached translations. */
static void test_caches(void)
{
	static const struct {
		const char *name, *bytes;
		unsigned n;
	} cases[] = {
		{"INVD", "\x0f\x08", 2},
		{"WBINVD", "\x0f\x09", 2},
		{"INVLPG", "\x0f\x01\x3b", 3},
		{"INVLPG of a non-canonical address", "\x0f\x01\x38", 3},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct guest guest;
		struct digest before, after;
		guest_create(&guest, GUEST_LONG0);
		guest.cpu->gpr[RAX] = UINT64_C(1) << 63;
		guest.cpu->gpr[RBX] = GUEST_DATA;
		machine_digest(guest.machine, &before);
		guest_expect(&guest, cases[i].bytes, cases[i].n, RETIRED, 0, cases[i].name);
		guest.cpu->rip -= cases[i].n;
		guest.machine->icount--;
		machine_digest(guest.machine, &after);
		tap_ok(!memcmp(&before, &after, sizeof(before)), "%s changes nothing",
		       cases[i].name);
		guest_destroy(&guest);
		guest_create(&guest, GUEST_LONG3);
		guest_expect(&guest, cases[i].bytes, cases[i].n, VECTOR_GP, 0, "and needs CPL 0");
		guest_destroy(&guest);
	}
}

/* ---- the machine ---- */

static void test_machine_state(void)
{
	struct guest guest;
	struct digest before, after;
	size_t n;
	uint8_t *state;

	guest_create(&guest, GUEST_LONG0);
	guest.machine->icount = 1000;
	guest.machine->clock = (struct machine_clock){5, 900, 1};
	n = machine_state_bytes(guest.machine);
	state = malloc(n);
	machine_state_encode(guest.machine, state);
	machine_digest(guest.machine, &before);
	guest.cpu->gpr[RAX]++;
	guest_store(&guest, GUEST_DATA, 77, 1);
	machine_digest(guest.machine, &after);
	tap_ok(before.registers != after.registers && before.memory != after.memory,
	       "digests see registers and memory");
	guest.machine->icount = 0;
	guest_store(&guest, GUEST_DATA, 0, 1);
	tap_ok(machine_state_decode(guest.machine, state, n) == 0 && guest.machine->icount == 1000,
	       "a machine's state comes back");
	machine_digest(guest.machine, &after);
	tap_ok(!memcmp(&before, &after, sizeof(before)), "with the same digests");
	tap_ok(machine_state_decode(guest.machine, state, n - 1) == -EINVAL,
	       "a short one is refused");
	state[8 * 5] = 1;
	tap_ok(machine_state_decode(guest.machine, state, n) == -EINVAL,
	       "as is a current vCPU that is not there");
	guest_destroy(&guest);
	free(state);
}

static bool refused(struct guest *guest, struct event event)
{
	return machine_event_misfit(guest->machine, &event) &&
	       machine_apply_event(guest->machine, &event) == -EINVAL;
}

static void test_events(void)
{
	struct guest guest;
	const uint8_t data[] = {1, 2, 3, 4};

	guest_create(&guest, GUEST_LONG0);
	struct machine *machine = guest.machine;
	machine->clock.base = 100;
	tap_ok(refused(&guest, (struct event){EVENT_INTERRUPT, 0, .delivery = {0, 0x40}}),
	       "an interrupt with IF=0");
	tap_ok(refused(&guest, (struct event){EVENT_INTERRUPT, 1, .delivery = {0, 0x40}}),
	       "an event of another count");
	tap_ok(refused(&guest, (struct event){EVENT_CLOCK, 0, .clock = {99, 0}}),
	       "a clock that runs backwards");
	tap_ok(refused(&guest, (struct event){EVENT_MEMORY, 0, .memory = {GUEST_RAM - 2, 4, data}}),
	       "a write beyond RAM");
	tap_ok(refused(&guest, (struct event){EVENT_MEMORY, 0, .memory = {0, 0, data}}),
	       "an empty write");
	tap_ok(refused(&guest, (struct event){EVENT_SWITCH, 0, .delivery = {1, 0}}),
	       "a vCPU too many");
	tap_ok(refused(&guest, (struct event){EVENT_INPUT, 0}), "an input");
	tap_ok(refused(&guest, (struct event){99, 0}), "an unknown kind");
	machine_apply_event(machine,
			    &(struct event){EVENT_MEMORY, 0, .memory = {GUEST_DATA, 4, data}});
	tap_ok(guest_load(&guest, GUEST_DATA, 4) == 0x04030201, "a memory event");
	machine_apply_event(machine, &(struct event){EVENT_CLOCK, 0, .clock = {500, 1}});
	tap_ok(machine_clock_now(machine) == 500, "a clock event");
	cpu_set_rflags(guest.cpu, FLAG_IF);
	machine_apply_event(machine, &(struct event){EVENT_INTERRUPT, 0, .delivery = {0, 0x40}});
	tap_ok(guest.cpu->rip == GUEST_HANDLER + 16 * 0x40 && machine->icount == 1, "an interrupt");
	machine_apply_event(machine, &(struct event){EVENT_RESET, 1});
	tap_ok(guest.cpu->rip == 0xfff0 && !guest_load(&guest, GUEST_DATA, 4) &&
		       machine->icount == 1 && machine_clock_now(machine) >= 500,
	       "a reset clears RAM, and time goes on");
	guest.cpu->activity = ACTIVITY_WAIT_SIPI;
	machine_apply_event(machine, &(struct event){EVENT_SIPI, 1, .delivery = {0, 0x9a}});
	tap_ok(guest.cpu->seg[SEG_CS].base == 0x9a000 && guest.cpu->rip == 0 &&
		       guest.cpu->activity == ACTIVITY_RUNNING,
	       "a start-up message");
	guest_destroy(&guest);
}

int main(void)
{
	test_control();
	test_long_activation();
	test_status_word();
	test_msrs();
	test_time();
	test_cpuid();
	test_flags();
	test_ports();
	test_reset();
	test_state();
	test_bad_states();
	test_caches();
	test_machine_state();
	test_events();
	return tap_done();
}
